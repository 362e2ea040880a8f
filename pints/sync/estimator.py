"""From samples of one source, or of several, to what they say of the crystal together.

How much the crystal wanders is not known, so there is a model (`sync.model`) for each of
several answers, and every sample moves the odds towards those that expected it (multiple model
estimation; Bar-Shalom, Li, Kirubarajan: Estimation, section 11.6).
"""

import math
from collections.abc import Iterable
from operator import add, mul, sub

from pints.lean import dataclass
from pints.sync import crystal
from pints.sync.model import FREQUENCY, PHASE, Model
from pints.sync.path import SUPPOSED, Path
from pints.timescale import NS, Raw, seconds
from pints.values.sample import Sample

ASYMMETRY = 0.05
"""Standard deviation of a path's asymmetry, as a share of its delay: of half of what its ways
differ by, over one of them.  Nothing within a path shows it; other paths may."""
ODDS_MEMORY = 0.995
"""By this, the odds of the models shrink with each sample."""
HOPELESS, NEW_ODDS = -12.0, -10.0
"""Logarithm of odds against the best at which a model gives up what it knows, and those with
which it begins anew from what the best one knows: its wander may be right one day."""
LATE_BOTH_WAYS = 4.0
"""Mean waits, or standard deviations of the phase, beyond which a round trip whose ways are both
so late tells nothing of the phase."""
LATE = 8.0
"""Seconds within which answers may overtake each other."""
FEW = 8
"""Samples after which what they say of their own spread is still off by its double."""
PRECISE = 1e-9
"""Least standard deviation of reading two clocks, seconds."""
PRECISION = 0.25
"""Standard deviation of reading clocks, as a share of what the reading may be off."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a raw instant."""

    phase: float
    """True time less raw time less the common base, seconds."""
    frequency: float
    """By how much true time runs faster than the crystal."""
    deviation: float
    """Standard deviation of the phase, seconds, the paths' asymmetry included."""
    skew: float
    """Standard deviation of the frequency."""
    cautious_skew: float
    """The same for bounds."""
    wander: float
    """Random walk of the frequency, per sqrt(s)."""


class Estimator:
    """`base` is common to all: true time less raw time, in ns."""

    def __init__(
        self, base: int, frequency: float = 0.0, skew: float = crystal.FREQUENCY_PRIOR
    ) -> None:
        self._base = base
        self._raw: Raw | None = None
        self._models: list[Model] = []
        self._odds: list[float] = []
        self._weights: list[float] = []
        self._paths: dict[str, tuple[int, Path]] = {}
        self.samples = 0
        self.frequency, self.skew = frequency, skew
        """By how much true time runs faster than the crystal, and its standard deviation, at the
        last sample."""
        self.wander = 0.0
        """Of the crystal, per sqrt(s)."""
        self.residual = 0.0
        """Last sample less what was predicted, seconds."""
        self.noise = 0.0
        """Standard deviation that was expected of the last sample alone, seconds."""

    def shift(self, step: int) -> None:
        """UTC's count stepped by `step` ns."""
        self._base += step

    def phase_of(self, sample: Sample) -> float:
        """What a sample says of the phase, seconds."""
        return seconds(sample.time - sample.raw - self._base)

    def add(self, sample: Sample) -> bool:
        """Take a sample in; False for one that comes so late that it can teach nothing any
        more."""
        phase, way, raw = self.phase_of(sample), sample.delay / 2, sample.raw
        if self._raw is not None and raw < self._raw:
            # Answers may overtake each other on different paths.
            late = seconds(self._raw - raw)
            if late > LATE:
                return False
            phase += self.moves(late)[0]
            raw = self._raw
        noise = max(PRECISION * sample.dispersion, PRECISE) ** 2
        asymmetry = ASYMMETRY * (way + sample.root_delay / 2 + math.sqrt(noise))
        asymmetry += PRECISION * sample.root_dispersion
        if self._raw is None:
            self._start(phase, way, noise)
        else:
            span = seconds(raw - self._raw)
            for model in self._models:
                model.pass_time(span)
        self._raw = raw
        self.samples += 1
        if sample.source not in self._paths:
            # A first round trip may be read so badly that it says nothing of the path.
            wait = math.sqrt((SUPPOSED * way) ** 2 + noise)
            self._paths[sample.source] = len(self._paths), Path(wait)
            for model in self._models:
                model.add_path(max(way - wait, 0.0), wait, asymmetry)
        self._take(sample.source, phase, way, noise, asymmetry)
        self.frequency = self._mean(model.mean[FREQUENCY] for model in self._models)
        self.skew = math.sqrt(self._mean(model.frequency_variance for model in self._models))
        self.wander = math.sqrt(self._mean(model.wander**2 for model in self._models))
        return True

    def at(self, raw: Raw) -> Estimate | None:
        """What is known of an instant at or after the last sample; None before the first."""
        if self._raw is None:
            return None
        span = max(raw - self._raw, 0) / NS
        frequencies = [model.mean[FREQUENCY] for model in self._models]
        phases = [
            model.mean[PHASE] + each * span
            for model, each in zip(self._models, frequencies, strict=True)
        ]
        phase, frequency = self._mean(phases), self._mean(frequencies)
        variance = self._mean(
            model.variance + model.growth(span) + (each - phase) ** 2
            for model, each in zip(self._models, phases, strict=True)
        )
        spread = self._mean(
            model.frequency_variance + model.wander**2 * span + (each - frequency) ** 2
            for model, each in zip(self._models, frequencies, strict=True)
        )
        return Estimate(
            phase,
            frequency,
            math.sqrt(max(variance, 0.0)),
            math.sqrt(max(spread, 0.0)),
            self.cautious_skew,
            self.wander,
        )

    def since(self, raw: Raw) -> float:
        """Seconds since the last sample."""
        return 0.0 if self._raw is None else seconds(raw - self._raw)

    def moves(self, span: float) -> tuple[float, float]:
        """By how much the phase moves within `span` s after the last sample, and how far off
        that may be, seconds."""
        return self.frequency * span, crystal.reach(span, self.cautious_skew, self.wander)

    def grown(self, span: float) -> float:
        """Standard deviation that `span` s without a sample add to the phase, seconds."""
        growth = self._mean(model.growth(span) for model in self._models)
        return math.sqrt(max(growth, 0.0))

    @property
    def cautious_skew(self) -> float:
        """The same for bounds: what few samples say of their own spread is not worth much."""
        return self.skew * (1 + (FEW / max(self.samples, 1)) ** 2)

    # --- private -------------------------------------------------------------------------

    def _start(self, phase: float, way: float, noise: float) -> None:
        deviation = math.sqrt(way * way + noise)
        self._models = [
            Model(wander, phase, deviation, self.frequency, self.skew) for wander in crystal.WANDERS
        ]
        self._odds = list(crystal.LIKELY)
        self._weigh()

    def _take(self, source: str, phase: float, way: float, noise: float, asymmetry: float) -> None:
        number, path = self._paths[source]
        there, back = way + phase, way - phase
        for model in self._models:
            if model.undercut(number, there, back, noise):
                model.reroute(number, max(way - path.usual, 0.0), path.usual, asymmetry)
        self.noise = math.sqrt((path.there**2 + path.back**2) / 4 + noise)
        self.residual = phase - self._mean(model.mean[PHASE] for model in self._models)
        deviation = math.sqrt(self._mean(model.variance for model in self._models))
        late = min(self._waits(number, there, back))
        # What is very late both ways confines the phase to less than is known, and means another
        # route perhaps.  (A phase that is wrong makes one way early.)
        telling = late <= LATE_BOTH_WAYS * max(path.usual, deviation)
        if telling:
            self._read(number, path, there, back, noise)
        wait_there, wait_back = self._waits(number, there, back)
        least = way - (wait_there + wait_back) / 2
        longer = path.learn(way, least, wait_there - wait_back, telling)
        if longer is not None:
            for model in self._models:
                model.reroute(number, longer, path.usual, asymmetry)

    def _read(self, number: int, path: Path, there: float, back: float, noise: float) -> None:
        for n, model in enumerate(self._models):
            said = model.read(number, add, there, path.there, noise)
            said += model.read(number, sub, back, path.back, noise)
            self._odds[n] = self._odds[n] * ODDS_MEMORY + said
        self._weigh()

    def _waits(self, number: int, there: float, back: float) -> tuple[float, float]:
        """What is left of two readings as waits."""
        return (
            there - self._mean(model.known(number, add) for model in self._models),
            back - self._mean(model.known(number, sub) for model in self._models),
        )

    def _weigh(self) -> None:
        best = max(self._odds)
        self._odds = [odds - best for odds in self._odds]
        for n, odds in enumerate(self._odds):
            if odds < HOPELESS:
                self._models[n].follow(self._models[self._odds.index(0.0)])
                self._odds[n] = NEW_ODDS
        weights = [math.exp(odds) for odds in self._odds]
        total = sum(weights)
        self._weights = [weight / total for weight in weights]

    def _mean(self, values: Iterable[float]) -> float:
        return math.fsum(map(mul, self._weights, values))
