"""One source: what its samples say by themselves, to be held against what others say."""

from collections import deque
from dataclasses import replace
from enum import Enum, auto

from pints.sync import crystal
from pints.sync.bound import Bound
from pints.sync.estimator import Estimator
from pints.timescale import Instant, Raw
from pints.values.sample import Sample

HISTORY = 24
"""Samples that are kept, for an estimate that begins anew."""
JUMP = 10e-6
"""Standard deviation of a crystal's frequency that may just have jumped."""


class Heard(Enum):
    """What a sample was to its source."""

    NOTHING = auto()
    """It came out of order, and can teach nothing that was not learned."""
    MORE = auto()
    """It goes with what was said before."""
    ANOTHER = auto()
    """It cannot be true together with that, which is forgotten."""


class Source:
    """`base` is common to all: true time less raw time, in ns; `frequency` and `skew` are what is
    known of the crystal."""

    def __init__(self, base: int, frequency: float, skew: float) -> None:
        self._base = base
        self.estimator = Estimator(base, frequency, skew)
        """Of this source alone."""
        self.history: deque[Sample] = deque(maxlen=HISTORY)
        self.samples = 0
        """All that were ever taken in."""
        self._bound = Bound()

    @property
    def last(self) -> Sample:
        """The latest sample; there is one."""
        return self.history[-1]

    def add(self, sample: Sample) -> Heard:
        """Take a sample in."""
        if self.history and sample.raw <= self.last.raw:
            return Heard.NOTHING
        heard = Heard.MORE
        phase, span = self.estimator.phase_of(sample), self.estimator.since(sample.raw)
        moved, reach = self.estimator.moves(span)
        learned = crystal.learned(span, self.estimator.cautious_skew, self.estimator.wander)
        if not self._bound.add(phase, sample.distance, moved, learned, reach):
            heard = Heard.ANOTHER
            self.history.clear()
            self.estimator = Estimator(self._base, self.estimator.frequency, JUMP)
        self.estimator.add(sample)
        self.history.append(sample)
        self.samples += 1
        return heard

    def forget_all_but_last(self) -> None:
        """Keep no more than the latest sample for an estimate that begins anew."""
        self.history = deque([self.last], maxlen=HISTORY)

    def shift(self, step: int) -> None:
        """UTC's count stepped by `step` ns."""
        self._base += step
        self.estimator.shift(step)
        self.history = deque(
            (replace(s, time=Instant(s.time + step)) for s in self.history), maxlen=HISTORY
        )

    def interval(self, raw: Raw) -> tuple[float, float]:
        """Between which phases the truth must be at a raw instant, whatever the queues did."""
        return self._bound.after(*self.estimator.moves(self.estimator.since(raw)))
