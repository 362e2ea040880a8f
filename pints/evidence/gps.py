"""A receiver's fixes as evidence and as samples.

What this guarantees:
- a date whose week number rolled over is unfolded to the one date that can be true: at or above
  the hard floor, less than 1024 weeks after it;
- a date in week 0, which receivers say that do not know it yet, is refused unless it is near what
  is known (R1);
- what a receiver says restores and disciplines a clock; it verifies nothing unless the
  administrator trusts it;
- a receiver is heard after some fixes in a row that tell one time, and anew after a jump.

Pure.
"""

from dataclasses import replace

from pints.bootstrap.rules import Refusal
from pints.drivers import Fix
from pints.timescale import DAY, Instant, iso, midnight, nanoseconds, seconds, span
from pints.values.belief import DRIFT_UNSTEERED, Floors
from pints.values.evidence import Evidence, Strength
from pints.values.sample import Sample

GPS_EPOCH = midnight(1980, 1, 6)
ROLLOVER = nanoseconds(1024 * 7 * DAY)
"""The week number that satellites send has ten bits (IS-GPS-200 section 20.3.3.3.1.1), ns."""
WEEK = nanoseconds(7 * DAY)
LEAPS = nanoseconds(60.0)
"""UTC lags behind GPS time by less than this, ns: a date in week 0 may be so much before it."""
WEEK_0_NEAR = nanoseconds(28 * DAY)
"""How near to what is known a date in week 0 must be, ns.  2038-11-21 begins the next one."""
CONSISTENT = 3
"""Fixes in a row that must tell one time.  Receivers that start cold say a wrong date first."""

CALM = 600
"""Fixes in a row, ten minutes of most receivers, after which another refusal is news."""


def unfold(time: Instant, hard_floor: Instant) -> Instant:
    """The instant in [hard_floor, hard_floor + 1024 weeks) that is a multiple of 1024 weeks
    from `time`."""
    return Instant(hard_floor + (time - hard_floor) % ROLLOVER)


def in_week_0(time: Instant) -> bool:
    """Whether the week number is 0, however often it rolled over."""
    return (time - GPS_EPOCH + LEAPS) % ROLLOVER < WEEK + LEAPS


def fix_evidence(fix: Fix, trust: bool, floors: Floors, name: str) -> Evidence | Refusal:
    """What a fix proves; R1 refuses a date beyond the ceiling."""
    time = _unfolded(fix, floors)
    reach = nanoseconds(fix.error)
    if time - reach > floors.ceiling:
        said = "" if time == fix.time else f" (as {iso(fix.time)})"
        return Refusal("R1", name, f"says {iso(time)}{said}, ceiling is {iso(floors.ceiling)}")
    strength = Strength.INDEPENDENT if trust else Strength.LOCAL
    return Evidence(name, strength, fix.at.boot, Instant(time - reach), Instant(time + reach))


def fix_sample(fix: Fix, name: str, floors: Floors) -> Sample:
    """A fix as the clock filters take it."""
    return Sample(
        source=name,
        raw=fix.at.raw,
        boot=fix.at.boot,
        time=_unfolded(fix, floors),
        delay=0.0,
        dispersion=fix.error,
        root_delay=0.0,
        root_dispersion=0.0,
        stratum=0,
        leap=fix.leap,
        reference_id=b"GPS\0",
        authenticated=False,
    )


class Fixes:
    """One receiver, heard as evidence."""

    def __init__(self, name: str, trust: bool, floors: Floors, needed: int = CONSISTENT) -> None:
        self.name = name
        self.run = 0
        """Fixes in a row that tell one time."""
        self.last: Fix | None = None
        """The latest, with its date unfolded."""
        self._trust = trust
        self._floors = floors
        self._needed = needed
        self._said = False

    @property
    def steady(self) -> bool:
        """Whether the last fix counts, also as a sample."""
        return self.run >= self._needed

    def hear(self, fix: Fix, known: Instant) -> Evidence | Refusal | None:
        """What the next fix proves, when it was about `known`; None while it proves nothing yet,
        and for what was refused already: that is said once until it was steady for long."""
        fix = replace(fix, time=_unfolded(fix, self._floors))
        last = self.last
        if last is not None and fix.at.raw <= last.at.raw:
            return None
        self.last = fix
        if in_week_0(fix.time) and abs(fix.time - known) > WEEK_0_NEAR:
            self.run = 0
            return self._refuse(
                Refusal("R1", self.name, f"says {iso(fix.time)}, week 0: a receiver's first word, "
                        f"not believed so far from {iso(known)}")
            )  # fmt: skip
        jump = 0.0 if last is None else _jump(last, fix)
        if jump:
            self.run = 1
            return self._refuse(
                Refusal("R10", self.name, f"jumped {span(jump)} to {iso(fix.time)}: "
                        f"not heard until {self._needed} fixes in a row agree")
            )  # fmt: skip
        evidence = fix_evidence(fix, self._trust, self._floors, self.name)
        if isinstance(evidence, Refusal):
            self.run = 0
            return self._refuse(evidence)
        self.run += 1
        if not self.steady:
            return None
        if self.run >= CALM:
            self._said = False
        return evidence

    def _refuse(self, refusal: Refusal) -> Refusal | None:
        said, self._said = self._said, True
        return None if said else refusal


def _unfolded(fix: Fix, floors: Floors) -> Instant:
    """The fix's time near the only date it can have.  It is the end of its interval that is not
    below the floor: just after the floor was raised, the middle may well be."""
    reach = nanoseconds(fix.error)
    return Instant(unfold(Instant(fix.time + reach), floors.hard) - reach)


def _jump(last: Fix, fix: Fix) -> float:
    """By how much two fixes contradict each other, seconds; 0 if they do not."""
    moved = fix.time - last.time
    # Raw time stands still in sleep, boot time is slewed: what either explains is no jump.
    passed = (fix.at.raw - last.at.raw, fix.at.boot - last.at.boot)
    off = min((moved - ours for ours in passed), key=abs)
    bound = last.error + fix.error + DRIFT_UNSTEERED * seconds(max(passed))
    return seconds(off) if abs(seconds(off)) > bound else 0.0
