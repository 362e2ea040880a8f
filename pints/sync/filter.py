"""One source's clock against the crystal: a Kalman filter of phase and frequency.

The state is the phase (true time less raw time less a constant, s) and the crystal's frequency
error (s/s, positive when the crystal is slow), both at the raw instant of the last sample.
The noise of a sample comes from its own round trip: with excess delay e over the path's
minimum the truth lies within +-e/2, so its variance is e^2/12 when every point is as likely.
The minimum itself is not known, only bounded by what was seen: the mean excess stands in for
that, so that no sample ever counts as exact.
"""

from collections import deque

from pints.frozen import dataclass
from pints.sample import Sample
from pints.timescale import NS, Raw, seconds

DRIFT = 15e-6
"""PHI (RFC 5905): by how much bounds grow per second once the frequency is known."""
WANDER = 2e-9
"""Random walk of the crystal's frequency, per sqrt(s): a bare crystal in a heated room."""
JITTER = 1e-7
"""Random walk of the crystal's phase, s per sqrt(s)."""
FREQUENCY_PRIOR = 100e-6
"""Standard deviation of a crystal that was never measured."""
MEMORY = 32
"""Samples over which the path's minimum delay is sought; a longer route is learned by then."""
GATE = 5.0
"""Standard deviations beyond which a sample is doubted."""
DOUBTS = 3
"""Doubtful samples in a row that mean: the path or the source changed, start again."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a filter knows, at a raw instant."""

    phase: float
    """True time less raw time less the common base, seconds."""
    frequency: float
    """By how much true time runs faster than the crystal."""
    deviation: float
    """Standard deviation of the phase, seconds."""
    skew: float
    """Standard deviation of the frequency."""


class PathFilter:
    """The filter of one source.  `base` is common to all sources: true less raw, in ns."""

    def __init__(self, base: int, frequency: float = 0.0, skew: float = FREQUENCY_PRIOR) -> None:
        self._base = base
        self._prior = (frequency, skew)
        self._delays: deque[float] = deque(maxlen=MEMORY)
        self._raw: Raw | None = None
        self._first: tuple[Raw, float, float] | None = None
        self._last = (0.0, 0.0)
        # Of the first sample since the start: instant, phase, bound; of the last: the latter.
        self._x = (0.0, frequency)
        self._p = (0.0, 0.0, skew * skew)  # variances: phase, covariance, frequency
        self._doubts = 0
        self.samples = 0
        self.residual = 0.0
        """Last sample less what was predicted, seconds."""
        self.surprise = 0.0
        """The same in standard deviations."""
        self.noise = 0.0
        """Standard deviation given to the last sample, seconds."""

    def shift(self, step: int) -> None:
        """UTC's count stepped by `step` ns."""
        self._base += step

    def phase_of(self, sample: Sample) -> float:
        """The sample as this filter's phase, seconds."""
        return seconds(sample.time - sample.raw - self._base)

    def add(self, sample: Sample) -> bool:
        """Take a sample in; False for one that comes late and out of order, which can teach
        nothing that was not learned."""
        if self._raw is not None and sample.raw <= self._raw:
            return False
        self._delays.append(sample.delay)
        variance = self._variance(sample)
        measured = self.phase_of(sample)
        if self._raw is None:
            self._x = (measured, self._x[1])
            self._p = (variance, 0.0, self._p[2])
            self.noise = variance**0.5
        else:
            self._predict(sample.raw)
            self._update(measured, variance)
        self._raw = sample.raw
        self._last = measured, sample.distance
        self._first = self._first or (sample.raw, *self._last)
        self.samples += 1
        return True

    def at(self, raw: Raw) -> Estimate | None:
        """What is known of an instant at or after the last sample; None before the first."""
        if self._raw is None:
            return None
        (phase, frequency), (pp, pf, ff) = self._x, self._p
        span = max(raw - self._raw, 0) / NS
        grown = pp + 2 * span * pf + span * span * ff + self._process(span)[0]
        return Estimate(phase + frequency * span, frequency, grown**0.5, (ff**0.5))

    def bound(self, raw: Raw) -> float:
        """How far the estimate may be off at a raw instant, whatever the noise, seconds: the
        last sample's bound and what the filter made of it, and the frequency's bound since."""
        assert self._raw is not None
        measured, distance = self._last
        passed = seconds(max(raw - self._raw, 0))
        return distance + abs(measured - self._x[0]) + self.growth * passed

    @property
    def growth(self) -> float:
        """By what fraction of the time that passes the bound grows."""
        return DRIFT + self._frequency_bound()

    def _frequency_bound(self) -> float:
        """What was known before, or the slopes that the first and the last sample allow."""
        frequency, skew = self._prior
        known = abs(self._x[1] - frequency) + 3 * skew
        if self._raw is None or self._first is None or self._raw <= self._first[0]:
            return known
        began, phase, distance = self._first
        span = seconds(self._raw - began)
        slope = (self._last[0] - phase) / span
        return min(known, abs(self._x[1] - slope) + (distance + self._last[1]) / span)

    def _variance(self, sample: Sample) -> float:
        least = min(self._delays)
        excess = sample.delay - least
        mean = sum(self._delays) / len(self._delays) - least
        # Before there is a mean, a quarter of the delay is the guess that soon washes out.
        mean += least / 4 / len(self._delays) ** 2
        return (excess * excess + mean * mean) / 12 + sample.dispersion**2 / 100

    @staticmethod
    def _process(span: float) -> tuple[float, float, float]:
        """Variances that a span of time adds: phase, covariance, frequency."""
        q = WANDER * WANDER
        return (JITTER * JITTER * span + q * span**3 / 3, q * span**2 / 2, q * span)

    def _predict(self, raw: Raw) -> None:
        assert self._raw is not None
        span = (raw - self._raw) / NS
        (phase, frequency), (pp, pf, ff) = self._x, self._p
        qpp, qpf, qff = self._process(span)
        self._x = (phase + frequency * span, frequency)
        self._p = (pp + 2 * span * pf + span * span * ff + qpp, pf + span * ff + qpf, ff + qff)

    def _update(self, measured: float, variance: float) -> None:
        (phase, frequency), (pp, pf, ff) = self._x, self._p
        self.residual = measured - phase
        self.surprise = self.residual / (pp + variance) ** 0.5
        if abs(self.surprise) > GATE:
            self._doubts += 1
            if self._doubts >= DOUBTS:
                self._restart(measured, variance)
                return
            # Doubted, not dropped: it counts as little as it is surprising.
            variance += self.residual * self.residual
        else:
            self._doubts = 0
        self.noise = variance**0.5
        total = pp + variance
        gain_p, gain_f = pp / total, pf / total
        self._x = (phase + gain_p * self.residual, frequency + gain_f * self.residual)
        self._p = (pp * variance / total, pf * variance / total, ff - gain_f * pf)

    def _restart(self, measured: float, variance: float) -> None:
        self._doubts = 0
        self._first = None
        last = self._delays[-1]
        self._delays.clear()
        self._delays.append(last)
        self._x = (measured, self._x[1])
        self._p = (variance + (last / 4) ** 2, 0.0, max(self._p[2], 1e-12))
