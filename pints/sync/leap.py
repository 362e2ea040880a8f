"""Leap seconds: believed on a quorum's word, at a month's end that may have one, and then
applied once; who tells of none, for he smears it, has no vote near it (rule R10).

Instants count no leap seconds (POSIX time), so at the end of a month with one UTC's count is
set back by a second (or, never yet, forward).
"""

from collections.abc import Collection, Mapping

from pints.lean import dataclass
from pints.timescale import DAY, Instant, civil, nanoseconds, seconds
from pints.values.sample import LEAP_UNKNOWN

LEAP_INSERT, LEAP_DELETE = 1, 2
"""The leap indicators of RFC 5905 section 7.3 that announce one."""
MONTHS = (1, 4, 7, 10)
"""The months that may begin after a leap second (ITU-R TF.460-6: December and June by
preference, then March and September)."""
STEPS = {LEAP_INSERT: -1.0, LEAP_DELETE: 1.0}
"""What each does to the count of seconds."""
NEAR = DAY
"""Seconds before and after a leap during which smearing sources do not vote."""


@dataclass(frozen=True, slots=True)
class Leap:
    """One leap second."""

    at: Instant
    """The end of the month, as the count stands before it."""
    indicator: int

    @property
    def step(self) -> float:
        """What the count of seconds is changed by."""
        return STEPS[self.indicator]


class LeapWatch:
    """What the sources say of the month's end."""

    def __init__(self) -> None:
        self.pending: Leap | None = None
        """The one to come."""
        self.smearing: frozenset[str] = frozenset()
        """Sources without a vote: they told of none, or of another one, when one was near."""
        self._until = Instant(0)

    def hear(
        self, said: Mapping[str, int], members: Collection[str], needed: int, true: Instant
    ) -> bool:
        """Take the leap indicators of all sources, at the true time `true`; whether what is
        known changed.  `members` are the agreeing witnesses, `needed` of which make a quorum."""
        before = self.pending, self.smearing
        end = next_month(true)
        near = seconds(end - true) <= NEAR and civil(end)[1] in MONTHS
        votes = {i: sum(said.get(m) == i for m in members) for i in STEPS}
        agreed = [i for i, count in votes.items() if count >= max(needed, 1)]
        if near and agreed:
            self.pending = Leap(end, agreed[0])
            believers = (agreed[0], LEAP_UNKNOWN)  # receivers may not know, and none smears
            self.smearing = frozenset(s for s, i in said.items() if i not in believers)
            self._until = Instant(end + nanoseconds(NEAR))
        elif true < self._until - nanoseconds(NEAR):
            self.pending = None  # the witnesses think better of it
        if true >= self._until:
            self.smearing = frozenset()
        return (self.pending, self.smearing) != before

    def take(self, true: Instant) -> Leap | None:
        """The leap second that is due, once."""
        if self.pending is None or true < self.pending.at:
            return None
        leap, self.pending = self.pending, None
        return leap


def next_month(instant: Instant) -> Instant:
    """Midnight UTC at which the month of an instant ends."""
    _, month, _ = civil(instant)
    midnight = instant - instant % nanoseconds(DAY)
    while civil(Instant(midnight))[1] == month:
        midnight += nanoseconds(DAY)
    return Instant(midnight)
