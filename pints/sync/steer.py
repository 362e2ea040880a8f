"""From an estimate to the clock's rate: the crystal's frequency, and a slew that ends.

Guarantees: the slew takes away what is known to be wrong and no more; the clock never runs
backwards, and never faster or slower than MAX_SLEW from true rate.
"""

from pints.lean import dataclass
from pints.sync.crystal import MAX_FREQUENCY
from pints.timescale import Raw, nanoseconds

MAX_SLEW = 1e-3
"""Largest deviation from true rate while slewing: a second in 1000 s.  Whoever kills the daemon
within a slew leaves the clock at that rate until the next start."""
SLEW_SHARE = 8
"""A slew takes this fraction of the polling interval, to be over well before the next sample."""
MIN_SLEW, SLOW_SLEW = 1.0, 16.0
"""Bounds of that time, seconds, for offsets that need no more."""


@dataclass(frozen=True, slots=True)
class Steering:
    """Run at `rate` until the raw instant `until`, then at `frequency`."""

    rate: float
    frequency: float
    since: Raw
    until: Raw

    def slewed(self, raw: Raw) -> int:
        """By how many ns the slew alone has moved the clock until `raw`.  It goes on after
        `until` for as long as nobody ends it: a process may be stopped just then."""
        return round((raw - self.since) * (self.rate - self.frequency))


def steer(offset: float, frequency: float, interval: float, raw: Raw) -> Steering:
    """Correct a clock that is `offset` seconds ahead of true time, on a crystal that true time
    outruns by `frequency`, when the next sample is `interval` seconds away."""
    frequency = min(max(frequency, -MAX_FREQUENCY), MAX_FREQUENCY)
    duration = min(max(interval / SLEW_SHARE, MIN_SLEW), SLOW_SLEW)
    duration = max(duration, abs(offset) / MAX_SLEW)
    end = Raw(raw + nanoseconds(duration))
    return Steering(frequency - offset / duration, frequency, raw, end)
