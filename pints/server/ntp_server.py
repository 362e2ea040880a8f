"""The NTP server of the daemon: sockets, the key ring's file, the child that does NTS-KE
(where that is no service of its own).

- One request for each readiness report, so that serving never delays the daemon's own
  measurements by more than one reply.
- An address that cannot be listened on is reported and done without, as long as one is left.
- The key ring is on disk before anything is sealed with it: cookies survive a restart.
- Without a certificate, or where the ring cannot be written, it serves plain NTP only.
"""

import logging
import os
import select
import sys
from functools import partial

from pints.config.tables import ServerConfig
from pints.errors import DeviceError, StateError
from pints.server.access import AllowList, RateLimit, Verdict, pack
from pints.server.cookies import FOLDER, RING, KeyRing
from pints.server.responder import (
    LOCAL,
    PRECISION,
    Counters,
    Responder,
    ServerState,
    local,
    unsynchronized,
)
from pints.server.supervisor import Supervisor
from pints.shell.clock import Clock
from pints.shell.loop import Loop
from pints.shell.udp import ServerSocket
from pints.storage.store import Store
from pints.timescale import NS, Instant
from pints.values.address import Address

LOCAL_REFERENCE = 64 * NS
"""A clock without a source says that it was corrected between one second ago and this long."""
_NAME = f"{FOLDER}/{RING}"


class NtpServer:
    """Serves from `start` to `stop`, at first without the time.

    `update` gives it the time's quality whenever that changes.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        config: ServerConfig,
        store: Store,
        log: logging.Logger,
        limit: RateLimit | None = None,
        ke_server: bool = True,
    ) -> None:
        """`ke_server`: whether the NTS-KE server is to be a child of this process.  ConfigError
        for networks that are none."""
        self._loop = loop
        self._clock = clock
        self._config = config
        self._store = store
        self._log = log
        self._allow = AllowList(config.allow)
        self._limit = limit or RateLimit()
        self._ke_wanted = ke_server
        self._responder = Responder(None, unsynchronized(PRECISION))
        self._sockets: list[ServerSocket] = []
        self._ke: Supervisor | None = None
        self._rotation_failed = False

    @property
    def counters(self) -> Counters:
        """Requests by fate."""
        return self._responder.counters

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens."""
        return tuple(sock.address() for sock in self._sockets)

    @property
    def ke(self) -> Supervisor | None:
        """Who keeps the NTS-KE server alive, if there is one."""
        return self._ke

    def start(self) -> None:
        """Listen.  DeviceError when no address can be had at all."""
        config = self._config
        port = config.port
        failure: DeviceError | None = None
        for host in config.listen:
            try:
                sock = ServerSocket(self._clock, Address(host, port))
            except DeviceError as e:
                failure = e
                self._log.warning("%s", e)
                continue
            port = sock.address().port
            self._sockets.append(sock)
            self._loop.register(sock.fileno(), select.POLLIN, partial(self._on_readable, sock))
        if not self._sockets:
            if failure is not None:
                raise failure
            return
        self.update(self._responder.state)
        if config.certificate:
            try:
                self._responder.ring = self._load_ring()
            except DeviceError as e:
                self._log.warning("%s; no NTS is served", e)
                return
            if not self._ke_wanted:
                self._log.info("NTS keys are left to pints ke-server (pints-ke.service)")
                return
            self._ke = Supervisor(self._loop, self._ke_command(port), self._log)
            self._ke.start()

    def update(self, state: ServerState, local_clock: bool = True) -> None:
        """Serve by this state from now on.  Where it is not synchronized and a local stratum
        is configured, this machine's own clock stands in, unless `local_clock` forbids it:
        a disputed clock serves nobody.

        A key that has sealed for its week is replaced here; a clock without a source comes by
        every minute in which somebody asks.
        """
        if self._config.local_stratum and not state.synchronized and local_clock:
            now = self._clock.read().real
            state = local(self._config.local_stratum, state.precision, Instant(now - NS))
        self._responder.state = state
        if state.synchronized:
            self._rotate()

    def stop(self) -> None:
        """Serve no longer.  May be called twice."""
        if self._ke is not None:
            self._ke.stop()
            self._ke = None
        for sock in self._sockets:
            self._loop.unregister(sock.fileno())
            sock.close()
        self._sockets.clear()

    def _on_readable(self, sock: ServerSocket, events: int) -> None:
        request = sock.recv()
        if request is None:
            return
        peer = pack(request.peer[0])
        if not self._allow.allows(peer):
            self.counters.requests += 1
            self.counters.dropped += 1
            return
        received = request.stamp.reading
        match self._limit.judge(peer, received.boot, os.urandom):
            case Verdict.ANSWER:
                self._refresh_local(received.real)
                reply = self._responder.answer(
                    request.data, received.real, self._transmit, os.urandom
                )
            case Verdict.SLOW_DOWN:
                reply = self._responder.slow_down(request.data, received.real, self._transmit)
            case Verdict.DROP:
                self.counters.requests += 1
                self.counters.dropped += 1
                return
        if reply is not None:
            sock.send(reply, request)

    def _transmit(self) -> Instant:
        return self._clock.read().real

    def _refresh_local(self, now: Instant) -> None:
        """Clients mistrust a server that was corrected long ago, or in their future."""
        state = self._responder.state
        if state.reference_id == LOCAL and not NS <= now - state.reference <= LOCAL_REFERENCE:
            self.update(local(state.stratum, state.precision, Instant(now - NS)))

    def _load_ring(self) -> KeyRing:
        """The saved ring, or a fresh one, saved."""
        try:
            data = self._store.read(_NAME)
            if data is not None:
                return KeyRing.decode(data)
        except StateError as e:
            self._store.set_aside(_NAME, str(e))
        ring = KeyRing.fresh(self._clock.read().real, os.urandom)
        self._store.write(_NAME, ring.encode())
        return ring

    def _rotate(self) -> None:
        """Only while the time is known: a clock that is wrong would age all cookies at once."""
        ring = self._responder.ring
        rotated = ring and ring.rotated(self._clock.read().real, os.urandom)
        if rotated is None:
            return
        try:
            self._store.write(_NAME, rotated.encode())
        except DeviceError as e:
            if not self._rotation_failed:
                self._log.warning("%s; the old NTS keys stay in use", e)
            self._rotation_failed = True
            return
        self._rotation_failed = False
        self._responder.ring = rotated

    def _ke_command(self, ntp_port: int) -> list[str]:
        config = self._config
        command = [sys.executable, "-m", "pints", "ke-server"]
        for sock in self._sockets:
            command += ["--listen", sock.address().host]
        for network in config.allow:
            command += ["--allow", network]
        command += ["--port", str(config.ke_port)]
        command += ["--certificate", config.certificate, "--key", config.key]
        command += ["--keys", f"{self._store.directory}/{FOLDER}", "--ntp-port", str(ntp_port)]
        if config.ntp_server:
            command += ["--ntp-server", config.ntp_server]
        return command
