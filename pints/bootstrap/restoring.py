"""What the clock follows until witnesses have decided: it proves nothing, but it is the best
there is.

The operator's word comes first, then independent evidence, then a belief of fewer than needed
(where the administrator lets the clock follow one), then local evidence; of equals the surest.
"""

from collections.abc import Iterable

from pints.bootstrap import rules
from pints.timescale import Instant, Reading, seconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength

ROUGHTIME = "roughtime"
"""Origin of what a quorum of Roughtime servers says."""
OPERATOR = "operator"
"""Origin of the evidence that `pints settime` gives."""
RESTORE_OFFSET = 0.5
"""A clock further off is set, seconds."""
SURE = 60.0
"""Evidence less sure than this only ever takes the clock forward, seconds."""


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
