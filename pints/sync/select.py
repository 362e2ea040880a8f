"""Which sources to follow: truechimers by Marzullo, falsetickers by name, then the best.

Only sources that can authenticate themselves are followed as long as there is one of them
among the truechimers; a plain one is then just watched.
"""

from collections.abc import Sequence

from pints.frozen import dataclass
from pints.intervals import agreement

SELECTED, COMBINED, LEFT_OUT, FALSETICKER, UNUSABLE = "*", "+", "-", "x", "?"
"""The marks of `pints sources`, as chrony's users know them."""
COMBINE_LIMIT = 3.0
"""A source is combined while its distance is within this factor of the best one's."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may be chosen, its phase mapped to one common instant."""

    source: str
    phase: float
    deviation: float
    """Standard deviation, seconds."""
    distance: float
    """Hard bound, seconds."""
    frequency: float
    skew: float
    authenticated: bool
    stratum: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome: a combined phase and frequency, and each source's mark."""

    phase: float
    deviation: float
    distance: float
    """Hard bound of the combined phase: half the truechimers' intersection, widened to hold
    the phase, seconds."""
    frequency: float
    skew: float
    best: str
    marks: dict[str, str]


def select(candidates: Sequence[Candidate]) -> Selection | None:
    """Choose among candidates; None when no majority of them agrees.

    Where one of them authenticates itself, only such are asked: plain ones, however many, may
    neither outvote them nor narrow their bound.
    """
    authentic = [c for c in candidates if c.authenticated]
    if authentic and len(authentic) < len(candidates):
        found_by_them = select(authentic)
        if found_by_them is not None:
            for plain in candidates:
                if not plain.authenticated:
                    off = abs(plain.phase - found_by_them.phase)
                    near = off <= plain.distance + found_by_them.distance
                    found_by_them.marks[plain.source] = LEFT_OUT if near else FALSETICKER
        return found_by_them
    by_name = {c.source: c for c in candidates}
    found = agreement({c.source: (c.phase - c.distance, c.phase + c.distance) for c in candidates})
    if found is None or 2 * len(found.members) <= len(candidates):
        return None
    marks = {c.source: FALSETICKER for c in candidates}
    for name in found.members:
        marks[name] = LEFT_OUT
    chimers = [by_name[name] for name in sorted(found.members)]
    best = min(chimers, key=_cost)
    used = [c for c in chimers if _cost(c) <= COMBINE_LIMIT * _cost(best)]
    for c in used:
        marks[c.source] = COMBINED
    marks[best.source] = SELECTED
    # The share of a source's distance that its own samples cannot reveal (asymmetry) is
    # the same in all of them, so it enters the weight but never averages out within one.
    weights = [1 / (c.deviation**2 + (c.distance / 10) ** 2) for c in used]
    total = sum(weights)
    phase = sum(w * c.phase for w, c in zip(weights, used, strict=True)) / total
    skews = [1 / c.skew**2 for c in used]
    frequency = sum(w * c.frequency for w, c in zip(skews, used, strict=True)) / sum(skews)
    return Selection(
        phase=phase,
        deviation=sum((w / total * c.deviation) ** 2 for w, c in zip(weights, used, strict=True))
        ** 0.5,
        distance=max(phase - found.low, found.high - phase),
        frequency=frequency,
        skew=min(c.skew for c in used),  # of one crystal: what is common to all averages not out
        best=best.source,
        marks=marks,
    )


def _cost(candidate: Candidate) -> float:
    # A stratum is worth a millisecond: enough to prefer a stratum 1 next door, not one overseas.
    return candidate.distance + 1e-3 * candidate.stratum
