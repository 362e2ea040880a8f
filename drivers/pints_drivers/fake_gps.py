"""A fake receiver: no hardware, no sky.  For tests and demonstrations.

`FakeGps`, the driver `fake-gps`, is told what to say through the FIFO that `device` names, a line
for a fix: the time (ISO 8601, UTC) and the bound of its error in seconds.  A line `unplug` pulls
its plug, as does removing the FIFO; it is back when it is opened again.

    mkfifo /tmp/sky
    echo "$(date -u +%FT%T.%NZ) 0.05" > /tmp/sky

`MemoryGps` needs no file: it tells what `truth` says, rolled over by as many times 1024 weeks as
it is told, whenever it is asked to `tick`.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from pints.drivers import Fix, MachineClock
from pints.timescale import Instant, Reading
from pints_drivers.fake_refclock import FifoRefclock, MemoryRefclock
from pints_drivers.gnss.ubx import ROLLOVER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryGps(MemoryRefclock):
    """A fake receiver in memory."""

    def __init__(
        self,
        truth: Callable[[], int],
        clock: MachineClock,
        error: float = 0.05,
        name: str = "fake-gps",
    ) -> None:
        """`truth` gives true time in ns."""
        super().__init__(clock, error, name)
        self.offset = 0
        """What it adds to the truth, ns: a spoofer's, or a bad receiver's."""
        self.rollovers = 0
        """How often its week number has begun anew without its noticing."""
        self._truth = truth

    def tick(self) -> None:
        """There is a fix to be had."""
        self._tick()

    def reports(self) -> Iterable[Fix]:
        """One fix, if there was a tick."""
        if not self._ticked():
            return []
        time = self._truth() + self.offset - self.rollovers * ROLLOVER
        return [Fix(Instant(time), self.error, self._clock.read())]


class FakeGps(FifoRefclock):
    """The driver `fake-gps`: says what comes through a FIFO."""

    def reports(self) -> Iterable[Fix]:
        """A fix for each line that came."""
        at = self._clock.read()
        return [self._fix(line, at) for line in self._lines() if line]

    def _fix(self, line: bytes, at: Reading) -> Fix:
        try:
            text, error = line.decode("ascii").split()
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            microseconds = (moment - EPOCH) // timedelta(microseconds=1)
            return Fix(Instant(microseconds * 1000), float(error), at)
        except ValueError:
            raise self._error(f"not a time and an error: {line[:40]!r}") from None
