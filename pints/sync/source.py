"""One source: what its samples say by themselves, to be held against what others say."""

from collections import deque
from dataclasses import replace

from pints.sample import Sample
from pints.sync.bound import Bound
from pints.sync.estimator import Estimator
from pints.timescale import Instant, Raw

HISTORY = 24
"""Samples that are kept, for an estimate that begins anew."""


class Source:
    """`estimator` is this source's alone."""

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator
        self.history: deque[Sample] = deque(maxlen=HISTORY)
        self._bound = Bound()

    @property
    def last(self) -> Sample:
        """The latest sample; there is one."""
        return self.history[-1]

    def add(self, sample: Sample) -> bool:
        """Take a sample in; False for one that comes out of order, which can teach nothing that
        was not learned."""
        if self.history and sample.raw <= self.last.raw:
            return False
        moved, reach = self.estimator.moves(self.estimator.since(sample.raw))
        phase = self.estimator.phase_of(sample)
        self._bound.add(phase, sample.distance, moved, reach)
        self.estimator.add(sample)
        self.history.append(sample)
        return True

    def shift(self, step: int) -> None:
        """UTC's count stepped by `step` ns."""
        self.estimator.shift(step)
        self.history = deque(
            (replace(s, time=Instant(s.time + step)) for s in self.history), maxlen=HISTORY
        )

    def interval(self, raw: Raw) -> tuple[float, float]:
        """Between which phases the truth must be at a raw instant, whatever the queues did."""
        return self._bound.after(*self.estimator.moves(self.estimator.since(raw)))
