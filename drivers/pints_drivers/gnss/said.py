"""What one sentence or message says, in whichever format it came."""

from dataclasses import dataclass
from functools import lru_cache

from pints.drivers import Sawtooth
from pints.timescale import DAY, NS, Instant, civil, midnight, nanoseconds

YEARS = range(1980, 2200)
"""GPS began in 1980.  Later years than these are noise with a good checksum."""
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class LeapEvent:
    """A leap second as a receiver announces it."""

    indicator: int
    """NTP's."""
    due: float
    """In how many seconds."""


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence or message; None for what it does not say."""

    kind: str
    """`RMC`, `NAV-PVT`."""
    time: Instant | None = None
    """UTC, where the message itself does not doubt it."""
    of_day: int | None = None
    """Milliseconds since midnight UTC: names the epoch that it belongs to."""
    good: bool | None = None
    """Whether there is a fix that satellites gave: neither estimated nor simulated."""
    accuracy: float = 0.0
    """How far the receiver itself may be off, seconds."""
    satellites: int | None = None
    """Used for the fix."""
    gps_ahead: int | None = None
    """GPS time less UTC, seconds: the leap seconds since 1980."""
    leap: LeapEvent | None = None
    sawtooth: Sawtooth | None = None
    in_gps_time: bool = False
    """Whether the sawtooth's time counts leap seconds, as GPS time does and UTC does not."""


def instant(year: int, month: int, day: int, of_day: int) -> Instant | None:
    """A date and so many ns; None for one that the calendar lacks."""
    start = _day(year, month, day)
    return None if start is None else Instant(start + of_day)


@lru_cache(maxsize=2)  # all that a receiver says in a second is of one day
def _day(year: int, month: int, day: int) -> Instant | None:
    if year not in YEARS or not 1 <= month <= 12:
        return None
    start = midnight(year, month, day)
    return start if civil(start) == (year, month, day) else None


def ns_of_day(hour: int, minute: int, second: int, fraction: int = 0) -> int | None:
    """Nanoseconds since midnight; None for what no clock shows, and for a leap second, which an
    Instant cannot name."""
    if hour > 23 or minute > 59 or second > 59:
        return None
    return (hour * 3600 + minute * 60 + second) * NS + fraction


def ms_of_day(time: int) -> int:
    """Of an instant, or of nanoseconds since midnight; rounded, for what is computed in a
    receiver misses its millisecond by some microseconds."""
    return (time + MS // 2) % nanoseconds(DAY) // MS
