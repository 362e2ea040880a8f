"""When a real-time clock's seconds begin, of which one reading tells only which one it is in.

Each reading bounds by how much the chip is ahead of the bare crystal, to a second.  Reading it
when a second begins, if it is ahead by the middle of these bounds, halves them: eight readings,
about a second apart, find it to some milliseconds, and nobody waits for any of them.

Pure: says when to read, and is told what was read.
"""

from dataclasses import replace

from pints.drivers import RtcReading
from pints.timescale import NS, Instant, Raw, nanoseconds, seconds

FINE = 0.005
"""It is enough to know it within this, seconds: a transfer of I2C takes two milliseconds."""
READINGS = 16
"""Most readings in one search: a machine that is slow to read finds no better."""
LEAST = NS // 50
"""Between two readings, ns."""


class Ticks:
    """One search, begun with a first reading.  The chip's own drift in these seconds is a tenth
    of a millisecond at most each."""

    def __init__(self, first: RtcReading) -> None:
        self._last = first
        self._low, self._high = _ahead(first)
        self._count = 1

    @property
    def found(self) -> bool:
        """Whether another reading is of no use."""
        known = self._high - self._low <= 2 * nanoseconds(FINE)
        return known or self._count >= READINGS or bool(self._last.flags)

    def next(self, now: Raw) -> Raw:
        """When to read it again."""
        middle = (self._low + self._high) // 2
        second = -(-(now + LEAST + middle) // NS) * NS
        return Raw(second - middle)

    def hear(self, reading: RtcReading) -> None:
        """It was read again.  What contradicts the earlier readings replaces them: it was set."""
        low, high = _ahead(reading)
        self._last = reading
        self._count += 1
        if max(low, self._low) <= min(high, self._high):
            low, high = max(low, self._low), min(high, self._high)
        self._low, self._high = low, high

    def reading(self) -> RtcReading:
        """The last one, as exact as all of them together."""
        middle = (self._low + self._high) // 2
        error = seconds(self._high - self._low) / 2
        return replace(self._last, time=Instant(self._last.at.raw + middle), error=error)


def _ahead(reading: RtcReading) -> tuple[int, int]:
    """Between what it is ahead of the crystal, ns."""
    reach = nanoseconds(reading.error)
    ahead = reading.time - reading.at.raw
    return ahead - reach, ahead + reach
