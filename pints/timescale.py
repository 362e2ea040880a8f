"""The project's units of time, and the types that keep its timescales apart.

An instant is an `int` of nanoseconds; a difference or an error bound is a `float` of
seconds.  Three timescales exist, each a type of its own, so that mypy refuses to mix them:

`Instant`  UTC, since the Unix epoch.  Steps when somebody sets the clock.
`Boot`     CLOCK_BOOTTIME.  Never steps, runs on while the machine sleeps; deadlines and the
           belief of the bootstrap are held against it.
`Raw`      CLOCK_MONOTONIC_RAW.  The bare crystal, which nobody steers; the clock filters
           measure true time against it, so that steering never disturbs what was measured.
"""

from typing import NewType

from pints.lean import dataclass

Instant = NewType("Instant", int)
Boot = NewType("Boot", int)
Raw = NewType("Raw", int)

NS = 1_000_000_000
HOUR = 3600.0
DAY = 86400.0
YEAR = 365.2425 * DAY


@dataclass(frozen=True, slots=True)
class Reading:
    """The three timescales read together, as nearly at once as the machine allows."""

    real: Instant
    boot: Boot
    raw: Raw


def seconds(nanoseconds: int) -> float:
    """A difference of two instants of one timescale, in seconds."""
    return nanoseconds / NS


def nanoseconds(seconds: float) -> int:
    """A difference in seconds as whole nanoseconds."""
    return round(seconds * NS)


def after(start: Boot, delay: float) -> Boot:
    """The boot clock's reading `delay` seconds after `start`."""
    return Boot(start + round(delay * NS))


def civil(instant: Instant) -> tuple[int, int, int]:
    """Year, month and day in UTC, without the datetime module's range or cost."""
    days = instant // NS // 86400
    # Civil date from a day count, in the proleptic Gregorian calendar whose 400-year era
    # starts on 1 March: leap days then fall at the end of a year.
    era, day = divmod(days + 719468, 146097)
    year_of_era = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year_of_era + year_of_era // 4 - year_of_era // 100
    month = (5 * day + 2) // 153
    day_of_month = day - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_month


def midnight(year: int, month: int, day: int) -> Instant:
    """When a day begins, for any year, a month of 1 to 12 and any day: `civil` tells whether
    its month has it."""
    # Counted from 1 March, as in `civil`.
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719468
    return Instant(days * 86400 * NS)


def iso(instant: Instant) -> str:
    """UTC in ISO 8601 to the second."""
    year, month, day = civil(instant)
    rest = instant // NS % 86400
    return (
        f"{year:04d}-{month:02d}-{day:02d}T"
        f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"
    )


def span(seconds: float) -> str:
    """A duration as a person says it: `1.2 ms`, `35 s`, `400 days`."""
    size = abs(seconds)
    for limit, unit, name in (
        (1e-6, 1e-9, "ns"),
        (1e-3, 1e-6, "us"),
        (1.0, 1e-3, "ms"),
        (120.0, 1.0, "s"),
        (2 * HOUR, 60.0, "min"),
        (2 * DAY, HOUR, "h"),
        (3 * YEAR, DAY, "days"),
    ):
        if size < limit:
            return f"{_three_digits(seconds / unit)} {name}"
    return f"{_three_digits(seconds / YEAR)} years"


def _three_digits(value: float) -> str:
    # The format g alone would turn 1000 into 1e+03.
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
