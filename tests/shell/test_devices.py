"""The receivers of a daemon: opened, looked at, lost and found again."""

import select
from collections.abc import Iterable

import pytest

from pints import drivers
from pints.config import Config, RefclockConfig
from pints.drivers import Pulse, Report
from pints.errors import DeviceError
from pints.shell.devices import REOPEN, UNTOLD, Devices
from pints.shell.loop import Loop
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant
from tests.shell.test_loop import Poll, Timebase

CONFIG = RefclockConfig("silent", "x")


class Silent:
    """A receiver that wakes nobody."""

    def __init__(self, clock: SoftwareClock) -> None:
        self.name = CONFIG.id
        self.clock = clock
        self.looks: list[float] = []
        """When it was looked at, seconds."""
        self.plugged = True
        self.closed = False

    def fileno(self) -> int:
        return -1

    def reports(self) -> Iterable[Report]:
        self.looks.append(self.clock.boot() / NS)
        if not self.plugged:
            raise DeviceError(f"{self.name}: unplugged")
        return [Pulse(self.clock.read(), 1e-6)]

    def close(self) -> None:
        self.closed = True


def test_one_that_wakes_nobody_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    timebase = Timebase()
    clock = SoftwareClock(Instant(0), timebase=timebase)
    monkeypatch.setattr(select, "poll", lambda: Poll(timebase))
    loop = Loop(clock)
    opened: list[Silent] = []
    heard: list[tuple[str, Report]] = []
    lost: list[str] = []

    def attempt(part: str, call: object) -> bool:
        try:
            call()  # type: ignore[operator]
        except DeviceError:
            return False
        return True

    def open_refclock(config: RefclockConfig, clock: SoftwareClock) -> Silent:
        opened.append(Silent(clock))
        return opened[-1]

    monkeypatch.setattr(drivers, "open_refclock", open_refclock)
    devices = Devices(
        loop, clock, Config(refclocks=(CONFIG,)), attempt,
        lambda name, report: heard.append((name, report)), lost.append,
    )  # fmt: skip
    devices.begin()
    while clock.boot() < 2 * NS:
        loop.run_once()
    (first,) = opened
    assert first.looks == [0.0, UNTOLD, 2 * UNTOLD, 3 * UNTOLD, 4 * UNTOLD]
    assert [name for name, _ in heard] == [CONFIG.id] * 5
    first.plugged = False
    while len(opened) == 1:
        loop.run_once()
    assert first.closed
    assert lost == [CONFIG.id]
    assert clock.boot() / NS == first.looks[-1] + REOPEN
    loop.run_once()
    assert len(opened[1].looks) == 1
    looks = len(first.looks)
    devices.close()
    loop.call_at(clock.boot(), lambda: None)
    loop.run_once()
    assert (len(first.looks), len(opened[1].looks)) == (looks, 1), "nobody is looked at any more"
