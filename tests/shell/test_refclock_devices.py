"""The receivers of a daemon: opened, looked at, lost and found again."""

import select
import socket
from collections.abc import Iterable

import pytest

from pints import drivers
from pints.config.tables import Config, RefclockConfig
from pints.drivers import Pulse, Report
from pints.errors import DeviceError
from pints.events import RefclockEvent, RefclockLost, RefclockReported
from pints.shell.attempts import Attempts
from pints.shell.loop import Loop
from pints.shell.refclock_devices import REOPEN, UNTOLD, Devices
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Boot, Instant
from tests.shell.test_loop import Poll, Timebase

CONFIG = RefclockConfig("silent", "x")


class Silent:
    """A receiver that wakes nobody."""

    def __init__(self, clock: SoftwareClock, fd: int = -1) -> None:
        self.name = CONFIG.id
        self.clock = clock
        self.fd = fd
        self.looks: list[float] = []
        """When it was looked at, seconds."""
        self.plugged = True
        self.closed = False

    def fileno(self) -> int:
        return self.fd

    def reports(self) -> Iterable[Report]:
        self.looks.append(self.clock.boot() / NS)
        if not self.plugged:
            raise DeviceError(f"{self.name}: unplugged")
        return [Pulse(self.clock.read(), 1e-6)]

    def close(self) -> None:
        self.closed = True


class Bursts(Silent):
    """A receiver that wakes, and is left alone for a while after it said something."""

    PAUSE = 0.1

    def __init__(self, clock: SoftwareClock) -> None:
        self.far, self.near = socket.socketpair()
        self.near.setblocking(False)
        super().__init__(clock, self.near.fileno())
        self.heard = b""

    def reports(self) -> Iterable[Report]:
        super().reports()
        try:
            self.heard = self.near.recv(100)
        except BlockingIOError:
            self.heard = b""
        return []

    def pause(self) -> float:
        return self.PAUSE if self.heard else 0.0

    def close(self) -> None:
        super().close()
        self.near.close()
        self.far.close()


def test_one_that_can_wait_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    timebase = Timebase()
    clock = SoftwareClock(Instant(0), timebase=timebase)
    loop = Loop(clock)
    receiver = Bursts(clock)
    monkeypatch.setattr(drivers, "open_refclock", lambda config, clock: receiver)
    events: list[RefclockEvent] = []
    devices = Devices(loop, clock, Config(refclocks=(CONFIG,)), Attempts(), events.append)

    def goes_on(until: float) -> None:
        """So that nothing but a descriptor ends a round before."""
        loop.call_at(clock.boot(), lambda: None)
        loop.run_once()
        timebase.now = int(until * NS)

    devices.begin()
    receiver.far.send(b"b")
    for until in (0.05, 0.09, 0.1):
        goes_on(until)
        receiver.far.send(b"urst")
    assert receiver.looks == [0.0], "the rest can wait"
    goes_on(0.15)
    goes_on(0.2)
    goes_on(0.5)
    assert receiver.looks == [0.0, 0.1, 0.2]
    receiver.far.send(b"b")
    goes_on(0.6)
    assert receiver.looks == [0.0, 0.1, 0.2, 0.5], "nothing came: the next byte wakes"
    receiver.plugged = False
    goes_on(0.7)
    assert events == [RefclockLost(CONFIG.id)]
    goes_on(0.8)
    assert len(receiver.looks) == 5
    devices.close()
    loop.close()


def test_one_that_wakes_nobody_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    timebase = Timebase()
    clock = SoftwareClock(Instant(0), timebase=timebase)
    monkeypatch.setattr(select, "poll", lambda: Poll(timebase))
    loop = Loop(clock)
    opened: list[Silent] = []
    heard: list[RefclockEvent] = []

    def open_refclock(config: RefclockConfig, clock: SoftwareClock) -> Silent:
        opened.append(Silent(clock))
        return opened[-1]

    monkeypatch.setattr(drivers, "open_refclock", open_refclock)
    devices = Devices(loop, clock, Config(refclocks=(CONFIG,)), Attempts(), heard.append)
    devices.begin()
    while clock.boot() < 2 * NS:
        loop.run_once()
    (first,) = opened
    assert first.looks == [0.0, UNTOLD, 2 * UNTOLD, 3 * UNTOLD, 4 * UNTOLD]
    assert [type(e) for e in heard] == [RefclockReported] * 5
    first.plugged = False
    while len(opened) == 1:
        loop.run_once()
    assert first.closed
    assert RefclockLost(CONFIG.id) in heard
    assert clock.boot() / NS == first.looks[-1] + REOPEN
    loop.run_once()
    assert len(opened[1].looks) == 1
    looks = len(first.looks)
    devices.close()
    loop.call_at(clock.boot(), lambda: None)
    loop.run_once()
    assert (len(first.looks), len(opened[1].looks)) == (looks, 1), "nobody is looked at any more"


def test_one_that_failed_is_not_opened_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    timebase = Timebase()
    clock = SoftwareClock(Instant(0), timebase=timebase)
    monkeypatch.setattr(select, "poll", lambda: Poll(timebase))
    loop = Loop(clock)
    tries: list[Boot] = []

    def open_refclock(config: RefclockConfig, clock: SoftwareClock) -> Silent:
        tries.append(clock.boot())
        raise DeviceError("not there")

    monkeypatch.setattr(drivers, "open_refclock", open_refclock)
    devices = Devices(loop, clock, Config(refclocks=(CONFIG,)), Attempts(), lambda event: None)
    devices.begin()
    loop.run_once()
    assert tries == [0, REOPEN * NS]
    devices.close()
    loop.run_once()
    assert len(tries) == 2
