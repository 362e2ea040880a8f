"""What is known without the certificates under judgement, and what it says of a quorum (R6).

Saved sessions count one for each witness; the real-time clock, Roughtime and every trusted
receiver count one each.  What is less sure than `rules.CONFIRMS_WITHIN` counts for nothing.
"""

from collections.abc import Iterable, Mapping

from pints.bootstrap.quorum import Finding, Testimony
from pints.bootstrap.rules import CONFIRMS_WITHIN
from pints.lean import dataclass
from pints.timescale import Boot
from pints.values.belief import DRIFT_UNSTEERED, Belief
from pints.values.evidence import Evidence, Strength


@dataclass(frozen=True, slots=True)
class Weighed:
    """Who confirms a finding and who contradicts it, by name."""

    confirming: tuple[str, ...]
    contradicting: tuple[str, ...]


def weigh(
    finding: Finding,
    testimonies: Mapping[str, Testimony],
    witness_of: Mapping[str, str],
    evidence: Iterable[Evidence],
    now: Boot,
) -> Weighed:
    """What independent evidence says of an agreed interval at the boot instant `now`; nothing
    where nobody agrees on any."""
    if not finding.members:
        return Weighed((), ())
    confirming = {witness_of[s]: s for s in finding.agreeing if testimonies[s].saved}
    against = {witness_of[s]: s for s in finding.dissenters if _speaks_by_session(testimonies[s])}
    names: tuple[list[str], list[str]] = ([], [])
    for one in evidence:
        if one.strength is Strength.INDEPENDENT and one.error <= CONFIRMS_WITHIN:
            present = one.at(now, DRIFT_UNSTEERED)
            names[not present.admits(finding.low, finding.high)].append(one.origin)
    return Weighed(
        (*sorted(confirming.values()), *sorted(names[0])),
        (*sorted(against.values()), *sorted(names[1])),
    )


def _speaks_by_session(testimony: Testimony) -> bool:
    """Whether a word comes by a saved session that may speak for what it says."""
    stated = Belief(testimony.time, testimony.boot, testimony.distance)
    return testimony.saved and any(w.contains(stated.low, stated.high) for w in testimony.windows)
