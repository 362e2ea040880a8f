"""A fake receiver's line in virtual time: a second passes when the test says so."""

from collections.abc import Iterable
from pathlib import Path

from pints.drivers import Fix, RefclockConfig, ReferenceClock, Report, open_refclock
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant, nanoseconds
from pints_drivers.fake_receiver import Burst, Line, nmea_burst, paced

TIME = Instant(1_790_000_000 * NS)
"""True time when the machine starts, whose own clock then says 1970."""


class Desk:
    """A machine, and a line to it from a receiver at `baud`."""

    def __init__(self, folder: Path, baud: int = 9600) -> None:
        self.passed = 0
        """Virtual ns since the machine started."""
        self.clock = SoftwareClock(Instant(0), timebase=lambda: self.passed)
        self.line = Line(folder / "receiver", baud)
        self.driver: ReferenceClock | None = None
        self.reports: list[Report] = []

    def open(self, driver: str = "gps", baud: int = 0, offset: float = 0.0) -> ReferenceClock:
        """The driver, as the configuration names it."""
        config = RefclockConfig(driver, str(self.line.path), baud=baud, offset=offset)
        self.driver = open_refclock(config, self.clock)
        return self.driver

    def play(self, bursts: Iterable[Burst]) -> None:
        """From now on: each byte takes its time, and the driver hears it at once."""
        start = self.passed
        for due, data in paced(bursts, self.line.baud):
            self.passed = max(self.passed, start + nanoseconds(due))
            self.hear(data)

    def hear(self, data: bytes) -> None:
        """What was sent by now."""
        assert self.driver is not None
        self.line.send(data)
        self.reports += self.driver.reports()

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
