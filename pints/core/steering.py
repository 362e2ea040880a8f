"""From what is measured and what is believed to how the clock is set and steered.

Guarantees: only sources that say what the witnesses agreed on are followed, however many
others there are (R2, R10); the clock is steered to nothing outside the belief, nor outside
floor and ceiling (R1); a clock that somebody else set is stepped back, and that is said (R10);
a leap second is taken once, by all that is known of the time together.
"""

import logging
from collections.abc import Iterable, Mapping

from pints.actions import Action, Log, ReportClock, SetClock, Steer
from pints.bootstrap import rules
from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.states import State
from pints.sync.discipline import Discipline, Selection
from pints.sync.leap import LeapWatch
from pints.sync.slew import SlewAccount
from pints.sync.steer import steer
from pints.timescale import Boot, Instant, Reading, iso, nanoseconds, seconds, span

STEP_LIMIT = 0.5
"""A verified clock further off than this was set by somebody: it is stepped back (R10)."""
SETTLE_LIMIT = 1e-3
"""At first sight of the time, less than this is slewed, not stepped."""


class Steering:
    """The hand on one clock.  Readings are without slews (`sync.slew`)."""

    def __init__(self, bootstrap: Bootstrap, discipline: Discipline, slews: SlewAccount) -> None:
        self.steps = 0
        self.last_offset = 0.0
        """System clock less true time at the last update, seconds."""
        self.last_update: Reading | None = None
        self._bootstrap = bootstrap
        self._discipline = discipline
        self._slews = slews
        self.leaps = LeapWatch()
        self._reported = False
        """Whether the kernel was told that its clock is synchronized."""

    def offset(self, now: Reading) -> float | None:
        """System clock less the best estimate of true time, seconds."""
        true = self._discipline.true_time(now.raw)
        return None if true is None else seconds(now.real - true)

    def bound(self, now: Reading) -> float:
        """Hard bound of the system clock's error, seconds."""
        return abs(self.offset(now) or 0.0) + self._discipline.bound(now.raw)

    def interval(self, now: Reading) -> float:
        """Half of the interval around the system clock that holds true time in 999 of 1000
        cases, if paths are what they usually are, seconds."""
        return abs(self.offset(now) or 0.0) + self._discipline.interval(now.raw)

    def choose(
        self, answering: Iterable[tuple[str, bool]], sharpening: Mapping[str, bool], now: Reading
    ) -> Selection | None:
        """Among the sources that answer (and whether each is authenticated) those that say
        what is believed, and those that just sharpen it."""
        bootstrap = self._bootstrap
        if bootstrap.state in (State.HOLDOVER, State.DISPUTED):
            return None
        refused = {r.source for r in bootstrap.refusals}
        usable = {
            source: authenticated
            for source, authenticated in answering
            if source not in refused
            and source not in self.leaps.smearing
            and bootstrap.agrees(source)
        }
        return self._discipline.choose(now.raw, {**sharpening, **usable})

    def set_clock(self, wanted: SetClock, now: Reading) -> SetClock | None:
        """The step to make for one that the bootstrap wants: where a quorum wants it, the
        filters' estimate within what was agreed is better than the middle and bends no rule.
        None where there is nothing worth a step."""
        finding, quorum = self._bootstrap.finding, self._bootstrap.belief is not None
        true = self._discipline.true_time(now.raw)
        if quorum and finding and true is not None and finding.low <= true <= finding.high:
            wanted = SetClock(true, now.boot)
        target = Instant(wanted.time + (now.boot - wanted.boot))
        if abs(seconds(target - now.real)) <= SETTLE_LIMIT:
            return None
        self.steps += 1
        return SetClock(target, self._slews.with_slews(now.boot, now.raw))

    def steer(self, selection: Selection, interval: float, now: Reading) -> list[Action]:
        """Follow what was chosen; the next word of it is expected in `interval` s."""
        true = self._target(now)
        if true is None:
            return []
        offset = seconds(now.real - true)
        actions: list[Action] = []
        # A clock that was never steered is about right at best: nobody has meddled with it.
        first = self.last_update is None
        limit = SETTLE_LIMIT if first else STEP_LIMIT + self._discipline.bound(now.raw)
        if abs(offset) > limit:
            actions.append(SetClock(true, self._slews.with_slews(now.boot, now.raw)))
            if not first:
                text = f"R10: clock is {span(offset)} off what it was set to: stepped back"
                actions.append(Log(logging.WARNING, text, "R10"))
            self.steps += 1
            offset = 0.0
        self.last_offset = offset
        self.last_update = now
        steering = steer(offset, selection.frequency, interval, now.raw)
        self._slews.begin(steering)
        bound = abs(offset) + self._discipline.bound(now.raw)
        self._reported = self._bootstrap.state is State.VERIFIED
        report = ReportClock(self._reported, bound, selection.deviation)
        return [*actions, Steer(steering.rate), report]

    def rest(self, now: Reading) -> list[Action]:
        """Nothing is followed any more: run at the crystal's own frequency error.  A disputed
        clock is not said to be synchronized."""
        actions = self.end_slew(now)
        if self._bootstrap.state is State.DISPUTED and self._reported:
            self._reported = False
            actions.append(ReportClock(False, self.bound(now), 0.0))
        return actions

    def end_slew(self, now: Reading) -> list[Action]:
        """A slew is over; keep account of it."""
        frequency = self._slews.end(now.raw)
        return [] if frequency is None else [Steer(frequency)]

    def watch_leaps(self, now: Reading) -> None:
        """Hear what the sources say of the month's end."""
        finding, belief = self._bootstrap.finding, self._bootstrap.belief
        if finding is None or belief is None:
            return
        said = {name: source.last.leap for name, source in self._discipline.sources.items()}
        needed, true = self._bootstrap.needed, belief.at(now.boot).time
        self.leaps.hear(said, finding.members, needed, true)

    def leap_due(self) -> Boot | None:
        """When `leap` has something to do."""
        pending, belief = self.leaps.pending, self._bootstrap.belief
        return Boot(belief.boot + pending.at - belief.time) if pending and belief else None

    def leap(self, now: Reading) -> list[Action]:
        """The count of seconds steps, and all that is known of it, at the instant of a leap."""
        belief = self._bootstrap.belief
        leap = self.leaps.take(belief.at(now.boot).time) if belief else None
        if leap is None:
            return []
        self._bootstrap.shift(leap.step)
        self._discipline.shift(nanoseconds(leap.step))
        text = (
            f"R10: leap second at {iso(leap.at)}: the count of seconds steps by {span(leap.step)}"
        )
        actions: list[Action] = [Log(logging.WARNING, text)]
        if self._bootstrap.steady:
            target = Instant(now.real + nanoseconds(leap.step))
            actions.append(SetClock(target, self._slews.with_slews(now.boot, now.raw)))
        return actions

    def _target(self, now: Reading) -> Instant | None:
        """Where to steer the clock to: the filters' estimate, within what is believed."""
        true = self._discipline.true_time(now.raw)
        if true is None:
            return None
        if self._bootstrap.belief is not None:
            believed = self._bootstrap.belief.at(now.boot)
            true = Instant(min(max(true, believed.low), believed.high))
        return rules.r1_clock(true, self._bootstrap.floors)
