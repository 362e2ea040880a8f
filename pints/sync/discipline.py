"""All sources together: the choice among them, and the estimate to steer by."""

import math
from collections import deque
from collections.abc import Collection, Mapping

from pints.lean import dataclass
from pints.sync.crystal import FREQUENCY_PRIOR, reach, strayed
from pints.sync.estimator import Estimate, Estimator
from pints.sync.select import FALSETICKER, LEFT_OUT, Candidate, Choice, select
from pints.sync.source import HISTORY, Heard, Source
from pints.timescale import NS, Instant, Raw, nanoseconds, seconds
from pints.values.sample import Sample

CONFIDENT = 5.0
"""Standard deviations that hold the truth in 999 of 1000 cases; of a normal distribution 3.29
would, but an estimate's errors have longer tails."""
ASKED_AGAIN = 4096.0
"""Seconds within which a source has answered or is lost: four of chrony's longest intervals."""
PROBATION = 8
"""Samples that a source which was a falseticker is watched before it is followed again."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Who is followed, and what they say together."""

    phase: float
    deviation: float
    """Standard deviation of the phase, seconds."""
    low: float
    high: float
    """Between which phases the truth must be."""
    frequency: float
    skew: float
    cautious_skew: float
    """The same for bounds."""
    wander: float
    best: str
    marks: dict[str, str]

    @property
    def distance(self) -> float:
        """Hard bound of the phase, seconds."""
        return max(self.phase - self.low, self.high - self.phase)


class Discipline:
    """Knows true time against the crystal, from the samples of every source."""

    def __init__(self, frequency: float = 0.0, skew: float = FREQUENCY_PRIOR) -> None:
        """`frequency` and `skew` are what the crystal was last known to do."""
        self.frequency = frequency
        self.skew = skew
        self._prior = (frequency, skew)
        self.selection: Selection | None = None
        self.sources: dict[str, Source] = {}
        self._base: int | None = None
        self._at = Raw(0)
        self._joint: Estimator | None = None
        self._joined: frozenset[str] = frozenset()
        self.followed: frozenset[str] = frozenset()
        """The members of the last choice."""
        self.authenticated = False
        """Whether the best of them authenticates itself."""
        self._unheard: deque[Sample] = deque(maxlen=HISTORY)
        """Samples since the last choice: who may have a say is not known before the next."""
        self._watched: dict[str, int] = {}
        """Former falsetickers, and how many samples they are watched yet."""

    def add(self, sample: Sample) -> Source:
        """Take a sample in."""
        if self._base is None:
            self._base = sample.time - sample.raw
        source = self.sources.get(sample.source)
        if source is None:
            source = self.sources[sample.source] = Source(self._base, *self._known())
        heard = source.add(sample)
        if heard is not Heard.NOTHING and sample.source in self._watched:
            self._watched[sample.source] -= 1
        if heard is Heard.MORE:
            self._unheard.append(sample)
        elif heard is Heard.ANOTHER:
            self._drop(sample.source)
        return source

    def last(self, source: str) -> Sample | None:
        """The latest sample of a source, if there is one."""
        known = self.sources.get(source)
        return known.last if known else None

    def forget(self, source: str) -> None:
        """A source turned out a liar: what it taught goes too."""
        self.sources.pop(source, None)
        self._watched.pop(source, None)
        self._drop(source)

    def shift(self, step: int) -> None:
        """UTC's count stepped by `step` ns, at a leap second: all that is known goes with it."""
        if self._base is not None:
            self._base += step
        for source in self.sources.values():
            source.shift(step)
        if self._joint is not None:
            self._joint.shift(step)

    def choose(self, raw: Raw, usable: Mapping[str, bool]) -> Selection | None:
        """Select and combine at a raw instant, among the sources in `usable` (value: whether
        it authenticates itself).  Keeps the last good choice's estimate when there is none."""
        choice = select(
            [
                Candidate(name, *self.sources[name].interval(raw), authenticated)
                for name, authenticated in usable.items()
                if name in self.sources
            ],
            self.selection.best if self.selection else "",
            self.followed,
        )
        if choice is None:
            return None
        marks = choice.marks
        for name, mark in marks.items():
            if mark == FALSETICKER and self.sources[name].samples > 1:
                self._watched[name] = PROBATION
        members = choice.members
        trusted = frozenset(name for name in members if self._watched.get(name, 0) <= 0)
        if trusted and choice.best in trusted:
            marks |= dict.fromkeys(members - trusted, LEFT_OUT)
            members = trusted
        self.followed = members
        self.authenticated = usable[choice.best]
        estimate = self._estimate(members, choice, raw)
        # The truth is in the interval, whatever the samples make probable.
        phase = min(max(estimate.phase, choice.low), choice.high)
        self.selection, self._at = (
            Selection(
                phase, estimate.deviation, choice.low, choice.high, estimate.frequency,
                estimate.skew, estimate.cautious_skew, estimate.wander, choice.best, marks,
            ),
            raw,
        )  # fmt: skip
        self.frequency, self.skew = estimate.frequency, estimate.skew
        return self.selection

    def true_time(self, raw: Raw) -> Instant | None:
        """The estimate of true time at a raw instant; None while nothing was ever chosen."""
        if self.selection is None or self._base is None:
            return None
        span = (raw - self._at) / NS
        phase = self.selection.phase + self.selection.frequency * span
        return Instant(raw + self._base + nanoseconds(phase))

    def bound(self, raw: Raw) -> float:
        """Hard bound of that estimate, seconds."""
        if self.selection is None:
            return float("inf")
        # As the choice was then: what was heard since, of those who are followed no more, makes
        # nothing of it surer.
        chosen, span = self.selection, seconds(raw - self._at)
        return chosen.distance + reach(span, chosen.cautious_skew, chosen.wander)

    def between(self, raw: Raw, names: Collection[str]) -> tuple[Instant, Instant] | None:
        """Between which instants any of these sources may have true time at a raw instant."""
        said = [self.sources[name].interval(raw) for name in names if name in self.sources]
        if not said or self._base is None:
            return None
        low, high = min(low for low, _ in said), max(high for _, high in said)
        zero = raw + self._base
        return Instant(zero + nanoseconds(low)), Instant(zero + nanoseconds(high))

    @property
    def drift(self) -> float:
        """By what part of the time that passes true time may run off a clock that follows this
        estimate, until everybody has been asked again; a hard bound."""
        if self.selection is None:
            return float("inf")
        chosen = self.selection
        return reach(ASKED_AGAIN, chosen.cautious_skew, chosen.wander) / ASKED_AGAIN

    def interval(self, raw: Raw) -> float:
        """Half of the interval around that estimate which holds the truth in 999 of 1000 cases,
        if the paths are what paths usually are, seconds."""
        if self.selection is None:
            return float("inf")
        chosen, span = self.selection, abs(seconds(raw - self._at))
        deviation = math.hypot(chosen.deviation, strayed(span, chosen.skew, chosen.wander))
        return min(CONFIDENT * deviation, self.bound(raw))

    # --- private -------------------------------------------------------------------------

    def _known(self) -> tuple[float, float]:
        """Frequency and skew to begin an estimate with: the surest source's own.  Not those of
        all together, for whoever began with the same has not found it out anew."""
        learned = [source.estimator.at(self._at) for source in self.sources.values()]
        best = min((e for e in learned if e), key=lambda e: e.skew, default=None)
        return (best.frequency, best.skew) if best else self._prior

    def _estimate(self, members: frozenset[str], choice: Choice, raw: Raw) -> Estimate:
        """What the members say together.  Who just does not answer any more has not spoken
        untruth: what it said stays in."""
        liars = [name for name in self._joined - members if not self._fits(name, choice, raw)]
        for name in {sample.source for sample in self._unheard} - members:
            # What is said by who is not followed stays unheard.
            self.sources[name].forget_all_but_last()
            self._joined -= {name}
        if liars or not members <= self._joined:
            self._join((self._joined | members).difference(liars))
        elif self._joint is not None:
            for sample in self._unheard:
                if sample.source in members:
                    self._joint.add(sample)
        self._unheard.clear()
        estimator = self._joint
        if estimator is None:
            (name,) = self._joined
            estimator = self.sources[name].estimator
        estimate = estimator.at(raw)
        assert estimate is not None
        return estimate

    def _fits(self, name: str, choice: Choice, raw: Raw) -> bool:
        """Whether what a source has said can be true together with a choice."""
        low, high = self.sources[name].interval(raw)
        return low <= choice.high and choice.low <= high

    def _drop(self, name: str) -> None:
        """Nothing that a source has said holds any more."""
        self._unheard = deque((s for s in self._unheard if s.source != name), maxlen=HISTORY)
        if name in self._joined:
            self._join(self._joined - {name})

    def _join(self, names: frozenset[str]) -> None:
        """Begin an estimate of these sources, with what is remembered of them."""
        self._joined = names & frozenset(self.sources)
        self._joint = None
        if len(self._joined) > 1 and self._base is not None:
            self._joint = Estimator(self._base, *self._prior)
            remembered = [s for name in self._joined for s in self.sources[name].history]
            for sample in sorted(remembered, key=lambda sample: sample.raw):
                self._joint.add(sample)
