"""A fake receiver's line in virtual time: a second passes when the test says so."""

import os
from collections.abc import Iterable
from pathlib import Path

from pints.drivers import Fix, Patient, RefclockConfig, ReferenceClock, Report, open_refclock
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant, nanoseconds
from pints_drivers.fake_receiver import Burst, Line, nmea_burst, paced

TIME = Instant(1_790_000_000 * NS)
"""True time when the machine starts, whose own clock then says 1970."""


HELD = 4000
"""Bytes that a port holds for its reader, about."""


class Desk:
    """A machine, and a line to it from a receiver at `baud`."""

    def __init__(self, folder: Path, baud: int = 9600) -> None:
        self.passed = 0
        """Virtual ns since the machine started."""
        self.clock = SoftwareClock(Instant(0), timebase=lambda: self.passed)
        self.line = Line(folder / "receiver", baud)
        self.driver: ReferenceClock | None = None
        self.reports: list[Report] = []
        self.looks = 0
        """How often the driver was."""
        self._left_alone: int | None = None
        """Until when it is, ns."""

    def open(self, driver: str = "gps", baud: int = 0, offset: float = 0.0) -> ReferenceClock:
        """The driver, as the configuration names it."""
        config = RefclockConfig(driver, str(self.line.path), baud=baud, offset=offset)
        self.driver = open_refclock(config, self.clock)
        return self.driver

    def play(self, bursts: Iterable[Burst]) -> None:
        """From now on: each byte takes its time, and the driver hears it at once, or when it wants
        to; to the end of what it leaves waiting."""
        start = self.passed
        for due, data in paced(bursts, self.line.baud):
            self._wait(start + nanoseconds(due))
            self.hear(data)
        while self._left_alone is not None:
            self._wait(self._left_alone)

    def hear(self, data: bytes) -> None:
        """What was sent by now."""
        waiting = self.line.waiting()
        waiting = min(waiting + self.line.send(data), HELD)
        while self.line.waiting() < waiting:
            os.sched_yield()  # the kernel hands it over a little later
        if self._left_alone is None:
            self._look()

    def _wait(self, until: int) -> None:
        """As the daemon's shell does."""
        while self._left_alone is not None and self._left_alone <= until:
            self.passed = max(self.passed, self._left_alone)
            self._look()
        self.passed = max(self.passed, until)

    def _look(self) -> None:
        assert self.driver is not None
        self.looks += 1
        self.reports += self.driver.reports()
        pause = self.driver.pause() if isinstance(self.driver, Patient) else 0.0
        self._left_alone = self.passed + nanoseconds(pause) if pause else None

    def seconds_of(self, count: int, lag: float = 0.1) -> list[Burst]:
        """A receiver's next seconds."""
        first = -(-self.passed // NS)
        return [
            ((n * NS - self.passed) / NS + lag, nmea_burst(Instant(TIME + n * NS)))
            for n in range(first, first + count)
        ]

    def true_time(self, fix: Fix) -> int:
        """Of a fix's stamp."""
        return TIME + fix.at.raw

    def close(self) -> None:
        if self.driver is not None:
            self.driver.close()
        if self.line.path.is_symlink():
            self.line.unplug()
