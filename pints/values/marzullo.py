"""Marzullo's algorithm: where do most of several intervals agree?

One piece serves the bootstrap's quorum and the choice of truechimers alike.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from pints.lean import dataclass

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Agreement(Generic[Key]):
    """The interval that the most intervals share, and whose they are."""

    low: float
    high: float
    members: frozenset[Key]

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def agreement(intervals: Mapping[Key, tuple[float, float]]) -> Agreement[Key] | None:
    """The intersection of the largest set of intervals that share a point.

    Touching is sharing.  Of several equally large sets the narrowest intersection wins, then
    the lowest: a rule that depends on nothing but the intervals.  None for no intervals.
    """
    edges = sorted(
        [(low, 0) for low, _ in intervals.values()] + [(high, 1) for _, high in intervals.values()]
    )
    best, depth = 0, 0
    found: tuple[float, float] | None = None
    for n, (at, closes) in enumerate(edges):
        if closes:
            depth -= 1
            continue
        depth += 1
        # At the deepest point the next edge closes the intersection.
        if n + 1 < len(edges) and edges[n + 1][1]:
            candidate = (at, edges[n + 1][0])
            narrower = found is not None and candidate[1] - candidate[0] < found[1] - found[0]
            if depth > best or (depth == best and narrower):
                best, found = depth, candidate
    if found is None:
        return None
    low, high = found
    members = frozenset(k for k, (a, b) in intervals.items() if a <= low and high <= b)
    return Agreement(low, high, members)
