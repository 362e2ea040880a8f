"""What is learned of a path beside the least time of its ways: how long packets wait in its
queues, each way for itself, and whether it has become another path.

All times are in seconds.  A way's mean wait is what packets took less the least they can take,
as that is known now: a better idea of the least corrects what was learned before.
"""

from collections import deque
from collections.abc import Sequence

MEMORY = 0.99
"""By this, the weight of earlier packets shrinks with each sample."""
SUPPOSED, PRIOR = 0.25, 2.0
"""The mean wait as a share of what a way takes, before anything is known, and how many samples
that counts as."""
OF_BOTH = 4.0
"""How many samples say that both ways' queues are alike, until they show otherwise."""
UNUSUAL = 8.0
"""A wait this many times the mean counts as no longer."""
ROUTE = 8
"""Latest samples that are looked at for a longer route."""
SLOW = 3.0
"""Both ways, the quickest of them waited this many times as long as the others on average waited
longer: that is another route, for queues differ more than that."""
PRECISE = 1e-9
"""Least mean wait."""


class Path:
    """The queues of one path."""

    def __init__(self, wait: float) -> None:
        """`wait` is supposed to be the mean, before anything was seen."""
        self.there = self.back = max(wait, PRECISE)
        """Mean waits."""
        self._taken = self._unlike = self._weight = 0.0
        """Sums of the time of a way, and of the waits' differences, there less back."""
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=ROUTE)
        """Of the latest samples: the time of a way, and the waits there and back."""

    @property
    def usual(self) -> float:
        """Mean wait of both ways."""
        return (self.there + self.back) / 2

    def learn(self, way: float, least: float, unlike: float, telling: bool = True) -> float | None:
        """A packet took `way` on average there and back, where `least` is possible, and waited
        longer there than back by `unlike`.  The least time of a way, if the path has become a
        longer one.  What is not `telling` may belong to that one, and only counts for it."""
        wait = way - least
        self._recent.append((way, wait + unlike / 2, wait - unlike / 2))
        _, there, back = zip(*self._recent, strict=True)
        if len(there) == ROUTE and _slow(there) and _slow(back):
            return self._longer()
        if not telling:
            return None
        most = UNUSUAL * self.usual
        self._weight = self._weight * MEMORY + 1.0
        self._taken = self._taken * MEMORY + min(way, least + most)
        self._unlike = self._unlike * MEMORY + min(max(unlike, -most), most)
        waited = self._taken - self._weight * least
        mean = waited + PRIOR * SUPPOSED * self._taken / self._weight
        mean = max(mean / (self._weight + PRIOR), PRECISE)
        half = self._unlike / (self._weight + OF_BOTH) / 2
        half = min(max(half, -mean), mean)
        self.there, self.back = max(mean + half, PRECISE), max(mean - half, PRECISE)
        return None

    def _longer(self) -> float:
        """The least time of the other route.  Its queues are known by what was seen of it."""
        ways = [way for way, _, _ in self._recent]
        quickest = min(ways)
        self.there = self.back = max(sum(ways) / ROUTE - quickest, PRECISE)
        self._taken = self._unlike = self._weight = 0.0
        self._recent.clear()
        return max(quickest - self.usual / ROUTE, 0.0)


def _slow(waits: Sequence[float]) -> bool:
    quickest = min(waits)
    return quickest > SLOW * (sum(waits) / len(waits) - quickest)
