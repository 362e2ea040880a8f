"""The NTS-KE server (RFC 8915 section 4): a process of its own, for TLS is never resident.

- One thread, one poll(2) loop; sessions are bounded in number, time and octets, and the oldest
  makes room for the newest: who trickles gives way to who comes to the point.
- It reads the daemon's key ring and never writes it; the ring that was good stays in use while
  a newer one cannot be read.
- It ends on SIGTERM or SIGINT, and when its parent's end of a pipe closes: no orphan goes on
  handing out cookies under keys that nobody rotates.  SIGHUP reads the certificate again.
"""

import contextlib
import errno
import logging
import os
import select
import signal
import socket
from collections.abc import Iterable, Sequence
from functools import partial

from pints.errors import DeviceError, PintsError, StateError
from pints.lean import dataclass
from pints.server.access import AllowList, pack
from pints.server.cookies import RING, KeyRing
from pints.server.ke_credentials import Credentials
from pints.server.ke_session import TIMEOUT, Export, KeSession, Offer, answer
from pints.shell.loop import Loop
from pints.shell.system_clock import BootClock
from pints.storage.store import Store
from pints.timescale import after
from pints.wire import ke

log = logging.getLogger(__name__)

MAX_SESSIONS = 64
BACKLOG = 64
SWEEP_INTERVAL = 0.5
"""Seconds between looks for sessions beyond their deadline."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    listen: tuple[str, ...]
    """Numeric addresses."""
    port: int
    """0: one that the kernel chooses."""
    certificate: str
    key: str
    keys: str
    """Folder of the daemon's key ring."""
    offer: Offer
    allow: tuple[str, ...] = ()
    """Networks that are served; empty: all."""


class RingFile:
    """The daemon's key ring, read again when the file changes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = f"{folder}/{RING}"
        self._seen = _mtime(self._path)
        self._ring = self._read()

    def get(self) -> KeyRing:
        """The newest ring that could be read."""
        seen = _mtime(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                self._ring = self._read()
            except PintsError as e:
                log.warning("%s; the keys before it stay in use", e)
        return self._ring

    def _read(self) -> KeyRing:
        data = Store(self._folder, owner=False).read(RING)
        if data is None:
            raise StateError(
                f"{self._path} does not exist", "the NTP server writes it: start pints run first"
            )
        return KeyRing.decode(data)


class KeServer:
    """Listens from its construction on.  PintsError when it cannot."""

    def __init__(self, loop: Loop, settings: Settings, max_sessions: int = MAX_SESSIONS) -> None:
        self._loop = loop
        self._offer = settings.offer
        self._allow = AllowList(settings.allow) if settings.allow else None
        self._max_sessions = max_sessions
        self._credentials = Credentials(settings.certificate, settings.key)
        self._ring = RingFile(settings.keys)
        self._sessions: dict[int, KeSession] = {}
        """By descriptor, the oldest first."""
        self._sweeping = False
        self._listeners = _listen(settings.listen, settings.port)
        for listener in self._listeners:
            loop.register(listener.fileno(), select.POLLIN, partial(self._accept, listener))

    @property
    def port(self) -> int:
        """Of all its addresses."""
        return int(self._listeners[0].getsockname()[1])

    def reload(self) -> None:
        """Read the certificate again."""
        self._credentials.refresh(force=True)

    def close(self) -> None:
        """Drop all connections and listen no longer."""
        for fd in list(self._sessions):
            self._drop(fd)
        for listener in self._listeners:
            self._loop.unregister(listener.fileno())
            listener.close()

    def _accept(self, listener: socket.socket, events: int) -> None:
        try:
            sock, peer = listener.accept()
        except OSError as e:
            # Out of descriptors, the connection would be reported for ever: make room.
            if e.errno in (errno.EMFILE, errno.ENFILE):
                self._drop_oldest()
            return
        if self._allow is not None and not self._allow.allows(pack(peer[0])):
            sock.close()
            return
        if len(self._sessions) >= self._max_sessions:
            self._drop_oldest()
        self._credentials.refresh()
        deadline = after(self._loop.now(), TIMEOUT)
        session = KeSession(sock, self._credentials.context, deadline, self._reply)
        fd = session.fileno()
        self._sessions[fd] = session
        # The loop will say at once if the ClientHello is here already.
        self._loop.register(fd, select.POLLIN, partial(self._advance, fd))
        self._sweep_later()

    def _advance(self, fd: int, events: int) -> None:
        wanted = self._sessions[fd].advance(self._loop.now())
        if wanted:
            self._loop.modify(fd, wanted)
        else:
            self._drop(fd)

    def _sweep_later(self) -> None:
        if not self._sweeping and self._sessions:
            self._sweeping = True
            self._loop.call_at(after(self._loop.now(), SWEEP_INTERVAL), self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = self._loop.now()
        for fd in [fd for fd, session in self._sessions.items() if now >= session.deadline]:
            self._drop(fd)
        self._sweep_later()

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._sessions), None)
        if oldest is not None:
            self._drop(oldest)

    def _drop(self, fd: int) -> None:
        self._loop.unregister(fd)
        self._sessions.pop(fd).close()

    def _reply(self, records: Sequence[ke.Record], export: Export) -> bytes:
        return answer(records, export, self._ring.get(), self._offer, os.urandom)


def serve(settings: Settings, ready_fd: int = -1, parent_fd: int = -1) -> None:
    """The whole life of the process, on the main thread.

    `ready_fd` is told the port, and a line feed, once it listens; `parent_fd` is a pipe or
    socket whose other end closes when it is time to go.  They may be one socket.
    """
    loop = Loop(BootClock())
    server = KeServer(loop, settings)
    loop.on_signal(signal.SIGTERM, loop.stop)
    loop.on_signal(signal.SIGINT, loop.stop)
    loop.on_signal(signal.SIGHUP, server.reload)

    def look(events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            if not os.read(parent_fd, 512):
                loop.stop()

    if parent_fd >= 0:
        os.set_blocking(parent_fd, False)
        loop.register(parent_fd, select.POLLIN, look)
    if ready_fd >= 0:
        os.write(ready_fd, b"%d\n" % server.port)
        if ready_fd != parent_fd:
            os.close(ready_fd)
    try:
        loop.run()
    finally:
        server.close()
        loop.close()


def _listen(hosts: Iterable[str], port: int) -> list[socket.socket]:
    """A listening socket for every address, all on one port."""
    listeners: list[socket.socket] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            listener.setblocking(False)
            port = int(listener.getsockname()[1])
    except OSError as e:
        for listener in listeners:
            listener.close()
        hint = f"another server is there: ss -ltnp sport = :{port}"
        raise DeviceError(
            f"cannot listen on {host} port {port}: {e.strerror}",
            hint if e.errno == errno.EADDRINUSE else "",
        ) from None
    return listeners


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
