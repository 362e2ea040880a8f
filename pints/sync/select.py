"""Which sources to follow: truechimers by Marzullo, falsetickers by name.

Only sources that can authenticate themselves are followed as long as there is one of them
among the truechimers; a plain one is then just watched.
"""

from collections.abc import Collection, Sequence

from pints.lean import dataclass
from pints.values.marzullo import agreement

SELECTED, COMBINED, LEFT_OUT, FALSETICKER, UNUSABLE = "*", "+", "-", "x", "?"
"""The marks of `pints sources`, as chrony's users know them."""
STAYS = 2.0
"""The best source stays it until its interval is this many times as wide as the narrowest."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may be chosen, and between which phases it has the truth, in seconds, at an
    instant common to all candidates."""

    source: str
    low: float
    high: float
    authenticated: bool

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to follow."""

    low: float
    high: float
    """Between which phases the truth must be: what the intervals of all truechimers share."""
    best: str
    marks: dict[str, str]

    @property
    def members(self) -> frozenset[str]:
        """The truechimers."""
        return frozenset(s for s, mark in self.marks.items() if mark in (SELECTED, COMBINED))


def select(
    candidates: Sequence[Candidate], previous: str = "", followed: Collection[str] = ()
) -> Choice | None:
    """Choose among candidates; None when no majority of them agrees.

    Where one of them authenticates itself, only such are asked: plain ones, however many, may
    neither outvote them nor narrow their bound.  `previous` is who was the best before, `followed`
    who were truechimers: where as many others agree, they stay it.
    """
    authentic = [c for c in candidates if c.authenticated]
    if authentic and len(authentic) < len(candidates):
        found_by_them = select(authentic, previous, followed)
        if found_by_them is not None:
            for plain in candidates:
                if not plain.authenticated:
                    near = plain.low <= found_by_them.high and found_by_them.low <= plain.high
                    found_by_them.marks[plain.source] = LEFT_OUT if near else FALSETICKER
        return found_by_them
    found = agreement({c.source: (c.low, c.high) for c in candidates})
    stay = agreement({c.source: (c.low, c.high) for c in candidates if c.source in followed})
    if stay is not None and found is not None and len(stay.members) >= len(found.members):
        found = stay
    if found is None or 2 * len(found.members) <= len(candidates):
        return None
    marks = {c.source: COMBINED if c.source in found.members else FALSETICKER for c in candidates}
    chimers = sorted((c for c in candidates if c.source in found.members), key=lambda c: c.source)
    best = min(chimers, key=lambda c: c.width)
    for c in chimers:
        if c.source == previous and c.width < STAYS * best.width:
            best = c
    marks[best.source] = SELECTED
    return Choice(found.low, found.high, best.source, marks)
