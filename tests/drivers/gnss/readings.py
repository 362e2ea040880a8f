"""The machine's clocks as tests of receivers need them."""

from pints.timescale import Boot, Instant, Raw, Reading, nanoseconds

AWOKE = 1_000_000_000
"""Real time when the machine started, which is wrong, ns."""


def reading(after: float) -> Reading:
    """So many seconds after the machine started."""
    ns = nanoseconds(after)
    return Reading(Instant(AWOKE + ns), Boot(ns), Raw(ns))
