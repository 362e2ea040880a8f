"""A fake receiver: no hardware, no sky.  For tests and demonstrations.

`FakeGps`, the driver `fake-gps`, is told what to say through the FIFO that `device` names, a line
for a fix: the time (ISO 8601, UTC) and the bound of its error in seconds.  A line `unplug` pulls
its plug, as does removing the FIFO; it is back when it is opened again.

    mkfifo /tmp/sky
    echo "$(date -u +%FT%T.%NZ) 0.05" > /tmp/sky

`MemoryGps` needs no file: it tells what `truth` says, rolled over by as many times 1024 weeks as
it is told, whenever it is asked to `tick`.
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from pints.drivers import Fix, MachineClock, RefclockConfig
from pints.errors import DeviceError
from pints.timescale import DAY, Instant, Reading, nanoseconds
from pints_drivers.fifo import Fifo

ROLLOVER = nanoseconds(1024 * 7 * DAY)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryGps:
    """A fake receiver in memory."""

    def __init__(
        self,
        truth: Callable[[], int],
        clock: MachineClock,
        error: float = 0.05,
        name: str = "fake-gps",
    ) -> None:
        """`truth` gives true time in ns."""
        self.name = name
        self.error = error
        self.offset = 0
        """What it adds to the truth, ns: a spoofer's, or a bad receiver's."""
        self.rollovers = 0
        """How often its week number has begun anew without its noticing."""
        self.plugged = True
        self._truth = truth
        self._clock = clock
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def tick(self) -> None:
        """There is a fix to be had."""
        os.eventfd_write(self._event, 1)

    def fileno(self) -> int:
        """Readable after a tick."""
        return self._event

    def reports(self) -> Iterable[Fix]:
        """One fix, if there was a tick."""
        if not self.plugged:
            raise DeviceError(f"{self.name}: unplugged", "plug it in")
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        time = self._truth() + self.offset - self.rollovers * ROLLOVER
        return [Fix(Instant(time), self.error, self._clock.read())]

    def close(self) -> None:
        """Let go of what `fileno` gave."""
        os.close(self._event)


class FakeGps:
    """The driver `fake-gps`: says what comes through a FIFO."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        self._fifo = Fifo(self.name, config.device)

    def fileno(self) -> int:
        """The FIFO's."""
        return self._fifo.fileno()

    def reports(self) -> Iterable[Fix]:
        """A fix for each line that came."""
        at = self._clock.read()
        return [self._fix(line, at) for line in self._fifo.lines() if line]

    def close(self) -> None:
        """Close the FIFO; it stays where it is."""
        self._fifo.close()

    def _fix(self, line: bytes, at: Reading) -> Fix:
        try:
            text, error = line.decode("ascii").split()
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            microseconds = (moment - EPOCH) // timedelta(microseconds=1)
            return Fix(Instant(microseconds * 1000), float(error), at)
        except ValueError:
            raise self._fifo.error(f"not a time and an error: {line[:40]!r}") from None
