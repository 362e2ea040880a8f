"""What the clock follows until witnesses have decided: it proves nothing, but it is the best
there is.

The operator's word comes first, then independent evidence, then a belief of fewer than needed
(where the administrator lets the clock follow one), then local evidence; of equals the surest.
"""

from collections.abc import Iterable

from pints.bootstrap import rules
from pints.bootstrap.ledger import Ledger
from pints.bootstrap.rules import Refusal
from pints.config.tables import BootstrapConfig
from pints.timescale import Boot, Instant, Reading, nanoseconds, seconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength
from pints.values.sample import Sample

ROUGHTIME = "roughtime"
"""Origin of what a quorum of Roughtime servers says."""
OPERATOR = "operator"
"""Origin of the evidence that `pints settime` gives."""
RESTORE_OFFSET = 0.5
"""A clock further off is set, seconds."""
SURE = 60.0
"""Evidence less sure than this only ever takes the clock forward, seconds."""


class Restoring:
    """The evidence that the clock of one boot follows until a quorum stands."""

    def __init__(self, ledger: Ledger, config: BootstrapConfig) -> None:
        self.following: Evidence | None = None
        """The evidence that the clock follows; None: it runs on its own."""
        self._ledger = ledger
        self._provisional = config.step_provisional

    @property
    def origin(self) -> str:
        """Origin of the evidence that the clock follows; empty: it runs on its own."""
        origin = self.following.origin if self.following else ""
        return origin if origin in self._ledger.said else ""

    def end(self) -> None:
        """A quorum has decided."""
        self.following = None

    def foremost(self, floors: Floors, now: Boot) -> Evidence | None:
        """The evidence to follow, if any may be followed."""
        return foremost(self._ledger.within(floors, now), self._provisional)

    def time(self, floors: Floors, now: Reading) -> Instant | None:
        """Choose what to follow, and return what to set the clock to; None to leave it."""
        self.following = self.foremost(floors, now.boot)
        return restored_time(self.following, floors, now) if self.following else None

    def may_steer(self, source: str) -> bool:
        """Whether a source may steer the clock: it is what restored it.  Where a plain source
        restored it, all plain ones may, and outvote each other."""
        assert self.following is not None
        origin, named = self.following.origin, plain(source)
        as_good = origin.startswith(plain("")) and self._ledger.said.get(named) is not None
        return as_good or origin in (source, named)


def plain(source: str) -> str:
    """The origin of an unauthenticated source's evidence: no name that a network chooses may pass
    for a clock's or the administrator's."""
    return f"plain {source}"


def plain_evidence(sample: Sample, floors: Floors, max_distance: float) -> Evidence | Refusal:
    """An unauthenticated answer as evidence, or why it is none (R1, R2)."""
    error = nanoseconds(sample.distance)
    low, high = Instant(sample.time - error), Instant(sample.time + error)
    origin = plain(sample.source)
    refusal = rules.r1_bounds(origin, low, high, floors)
    refusal = refusal or rules.r2_width(origin, sample.distance, max_distance)
    return refusal or Evidence(origin, Strength.BELIEF, sample.boot, low, high)


def foremost(evidence: Iterable[Evidence], step_provisional: bool) -> Evidence | None:
    """The evidence to follow, if any may be followed."""
    ranked = [
        (rank, one.error, one)
        for one in evidence
        if (rank := _rank(one, step_provisional)) is not None
    ]
    return min(ranked, key=lambda row: row[:2])[2] if ranked else None


def _rank(one: Evidence, step_provisional: bool) -> int | None:
    if one.low is None or one.high is None:
        return None
    if one.origin == OPERATOR:
        return 0
    ranks = {Strength.INDEPENDENT: 1, Strength.LOCAL: 3}
    if one.origin == ROUGHTIME:  # of the network, which moves no clock without a quorum (R2)
        return 2 if step_provisional else None
    if step_provisional:
        ranks[Strength.BELIEF] = 2
    return ranks.get(one.strength)


def restored_time(best: Evidence, floors: Floors, now: Reading) -> Instant | None:
    """What to set the clock to at the boot instant of `best`, which is `now`'s; None to leave
    it.  Local evidence never takes it below the soft floor, which has passed for all we know."""
    time = rules.r1_clock(best.middle, floors)
    if best.strength is Strength.LOCAL:
        time = max(time, floors.soft)
    ahead = seconds(now.real - time)
    backward = best.error <= SURE or best.origin == OPERATOR
    if -RESTORE_OFFSET <= ahead <= RESTORE_OFFSET or (ahead > 0 and not backward):
        return None
    return time
