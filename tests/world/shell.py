"""What the daemon reaches of a played machine: the shipped `Daemon` runs on these hands.

The loop is the shipped one, turned by the world's events in place of poll(2); a descriptor is a
number, and what it becomes ready for is called with it.  Nothing here outlives its daemon: once
the loop is dead, whatever was under way is dropped.
"""

import errno
import itertools
import select
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pints.actions import Action
from pints.config.tables import Config, StateConfig
from pints.control.server import Handler, Reply
from pints.daemon import Daemon, Machine
from pints.events import Event
from pints.hands import Hands, OnEvent
from pints.server.responder import Counters, ServerState
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.shell.link import LinkWatch
from pints.shell.loop import Loop, Timer
from pints.shell.notify import Notifier
from pints.shell.udp import NetError, RequestSocket, Stamp
from pints.shell.worker import OnResult
from pints.storage.store import Store
from pints.timescale import Boot, seconds
from pints.values.address import Address
from tests.world.board import BoardDevices, PlainRtc
from tests.world.worker import PlayedWorker

if TYPE_CHECKING:
    from tests.world.device import Device

LATE = 1e-6
"""Seconds by which a timer rings late, for none may ring early."""


class Killed(BaseException):
    """kill -9 in the middle of something: nothing that was under way goes on."""


class PlayedLoop(Loop):
    """The daemon's loop: a round each time that the world has something for it."""

    def __init__(self, device: "Device") -> None:
        super().__init__(device.clock)
        self.dead = False
        self._device = device
        self._world = device.world
        self._ready: list[tuple[int, int]] = []
        self._turning = False
        self._armed: tuple[Boot, float] | None = None
        """The timer that the world is to ring for, and the clock's rate by which it knows when."""

    def call_at(self, when: Boot, callback: Callable[[], None]) -> Timer:
        timer = super().call_at(when, callback)
        if not self._turning:
            self._arm()
        return timer

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call in `delay` seconds, or when the machine wakes, unless the daemon is dead then."""

        def ring() -> None:
            if self.dead:
                return
            if self._device.asleep:
                self._world.at(seconds(self._device.wakes - self._world.elapsed), ring)
                return
            with suppress(Killed):
                call()

        self._world.at(delay, ring)

    def ready(self, fd: int) -> None:
        """There is something to read on `fd`: a round, now."""
        if not self.dead:
            self._ready.append((fd, select.POLLIN))
            self._turn()

    def die(self) -> None:
        """No round any more."""
        self.dead = True

    @property
    def registered(self) -> list[int]:
        """Descriptors that callbacks wait on."""
        return list(self._registrations)

    def _wait(self) -> list[Any]:
        ready, self._ready = self._ready, []
        there = self._registrations
        return [(fd, events, there[fd]) for fd, events in ready if fd in there]

    def _turn(self) -> None:
        self._turning = True
        try:
            with suppress(Killed):
                self.run_once()
        finally:
            self._turning = False
        self._arm()

    def _arm(self) -> None:
        """Have the world ring for the first timer."""
        if not self._timers or self.dead:
            return
        when = self._timers[0].when
        armed = when, self._device.clock.rate()
        if armed != self._armed:
            self._armed = armed
            left = max(seconds(when - self.now()), 0.0)
            self.later(left + LATE, partial(self._ring, armed))

    def _ring(self, armed: tuple[Boot, float]) -> None:
        if armed == self._armed:  # else another timer came first
            self._armed = None
            self._turn()


class PlayedSocket(RequestSocket):
    """The socket of one request to `server`: its datagrams travel in the world's time, and its
    stamps are exact."""

    def __init__(self, device: "Device", loop: PlayedLoop, fd: int, address: Address) -> None:
        self._device = device
        self._world = device.world
        self._loop = loop
        self._fd = fd
        self._server = device.asked
        self._nobody = address.host in self._server.dead
        self._datagrams: list[tuple[bytes, Stamp]] = []
        self._closed = False

    @property
    def reference_id(self) -> bytes:
        return self._device.reference_id

    def fileno(self) -> int:
        return self._fd

    def send(self, packet: bytes) -> Stamp | NetError:
        if not self._world.network_up:
            return NetError(errno.ENETUNREACH)
        self._device.sent.append(packet)
        if not self._nobody:
            self._world.at(self._server.way(), partial(self._arrive, packet))
        return self._stamp()

    def on_readable(self) -> tuple[bytes, Stamp] | None:
        return self._datagrams.pop(0) if self._datagrams else None

    def on_error_queue(self) -> None:
        return None

    def close(self) -> None:
        self._closed = True

    def _arrive(self, packet: bytes) -> None:
        for reply in self._server.replies(packet):
            self._world.at(self._server.way_back(), partial(self._receive, reply))

    def _receive(self, reply: bytes) -> None:
        if self._closed or self._loop.dead or self._device.asleep or not self._world.network_up:
            return
        self._datagrams.append((reply, self._stamp()))
        self._device.hears(self._server)
        self._loop.ready(self._fd)
        self._device.rules.answered()

    def _stamp(self) -> Stamp:
        return Stamp(self._device.clock.read(), kernel=True, error=0.0)


class PlayedLink(LinkWatch):
    """Whatever comes is news of the network coming up."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def on_readable(self) -> bool:
        return True

    def close(self) -> None:
        pass


class PlayedServer:
    """The device's NTP server: told what it may say, and never asked."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.told: ServerState | None = None

    def update(self, state: ServerState, local_clock: bool) -> None:
        self.told = state

    def stop(self) -> None:
        pass


class WatchedStore(Store):
    """The state folder: its device is told what is written."""

    def __init__(self, device: "Device") -> None:
        self._device = device
        disk = device.disk
        super().__init__(disk.directory, durable=disk.durable, files=disk)

    def write(self, name: str, data: bytes, mode: int = 0o600) -> None:
        super().write(name, data, mode)
        self._device.wrote(name, data)


class PlayedHands(Hands):
    """Those of one daemon of a device."""

    def __init__(self, device: "Device") -> None:
        self._device = device
        self._loop = PlayedLoop(device)
        self._descriptors = itertools.count(3)
        self._link = PlayedLink(next(self._descriptors))

    def take_folders(self, state: StateConfig) -> Callable[[], None]:
        return lambda: None

    def store(self, directory: str, durable: bool | None = None) -> Store:
        if directory == self._device.disk.directory:
            return WatchedStore(self._device)
        return Store(directory, files=self._device.run)

    def loop(self, clock: Clock) -> PlayedLoop:
        return self._loop

    def worker(self, loop: Loop, on_result: OnResult) -> PlayedWorker:
        return PlayedWorker(self._device, self._loop.later, on_result)

    def notifier(self) -> Notifier:
        return Notifier({})

    def control(self, loop: Loop, config: Config, handle: Handler) -> None:
        """People ask by `PlayedDaemon.ask`."""

    def request_socket(self, clock: Clock, address: Address) -> RequestSocket:
        return PlayedSocket(self._device, self._loop, next(self._descriptors), address)

    def hold_stamps(self) -> None:
        return None

    def link(self) -> LinkWatch:
        return self._link

    def ntp_server(
        self, loop: Loop, clock: Clock, config: Config, store: Store, ke_server: bool
    ) -> PlayedServer | None:
        return PlayedServer() if self._device.serves else None

    def rtc(
        self, loop: Loop, clock: Clock, config: Config, attempts: Attempts, on_event: OnEvent
    ) -> PlainRtc | None:
        if not config.rtc.driver:
            return None
        return PlainRtc(self._device, loop, config.rtc, attempts, on_event)

    def refclocks(
        self, loop: Loop, clock: Clock, config: Config, attempts: Attempts, on_event: OnEvent
    ) -> BoardDevices | None:
        if not config.refclocks:
            return None
        return BoardDevices(self._device, self._loop, config, attempts, on_event, self._descriptors)

    def link_came_up(self) -> None:
        """The kernel tells that a network interface has its carrier and an address."""
        self._loop.later(0.0, lambda: self._loop.ready(self._link.fileno()))


class PlayedDaemon(Daemon):
    """The daemon as it ships.  Its device sees each action before and after it is done."""

    loop: PlayedLoop

    def __init__(self, device: "Device") -> None:
        self._device = device
        self.hands = PlayedHands(device)
        machine = Machine(
            device.clock, device.build_epoch, device.world.entropy, self.hands,
            durable=device.disk.durable, board=device.board,
        )  # fmt: skip
        super().__init__(device.config, machine)

    def tell(self, event: Event) -> None:
        """Let it hear of an event that no played part brings."""
        with suppress(Killed):
            self._on_event(event)

    def ask(self, command: str, **words: Any) -> dict[str, Any]:
        """Answer a command, as over the control socket by root.  Raises what the command says."""
        answers: list[dict[str, Any]] = []
        client = SimpleNamespace(connected=True, user=0, answer=answers.append)
        self._on_request({"command": command, **words}, Reply(cast(Any, client)))
        return answers[0]

    def _do_one(self, action: Action) -> list[Action]:
        self._device.before(action)
        followed = super()._do_one(action)
        self._device.after(action)
        if self.loop.dead:
            raise Killed
        return followed
