"""This machine's crystal and the paths to its sources, if the crystal wanders by so much.

The unknowns are the phase (true time less raw time less a constant, s), the crystal's frequency
error (s/s, positive when the crystal is slow), and for each path the least time of each way, s.
A round trip gives two readings, each with a wait in it that is never negative:

    there    least there + phase + wait
    back     least back  - phase + wait

They are a Kalman filter's but for that wait: what a reading leaves of the distribution is not
normal, and is replaced by the normal one of the same mean and variance (assumed density
filtering; Maybeck, Stochastic Models 2, section 12.7).  docs/algorithm.md has the mathematics.
"""

import math

from pints.sync.crystal import JITTER
from pints.sync.truncated import log_evidence, truncated

PHASE, FREQUENCY = 0, 1
"""Where these two are among the unknowns; the paths' follow, two for each."""
CONTRADICTION = 3.0
"""Standard deviations by which a reading may undercut what is known, before that is doubted."""
SHAPE = 3.0
"""Of the waits' tail: one that is many times the usual says less than an exponential would have
it (Lomax's distribution of this shape, taken as exponential around the reading)."""
ROUNDING = 1e-14
"""Share of a variance that stays however sure a reading makes it: after one that was absurd,
rounding would otherwise leave less than nothing."""


class Model:
    """A distribution of the unknowns at one instant, which moves on."""

    def __init__(
        self, wander: float, phase: float, deviation: float, frequency: float, skew: float
    ) -> None:
        """`wander` is the random walk of the frequency, per sqrt(s)."""
        self.wander = wander
        self.mean = [phase, frequency]
        self.covariance = [[deviation**2, 0.0], [0.0, skew**2]]

    def follow(self, other: "Model") -> None:
        """Know what another model knows."""
        self.mean = other.mean[:]
        self.covariance = [row[:] for row in other.covariance]

    def add_path(self, least: float, deviation: float, asymmetry: float) -> None:
        """Another path, whose two ways take `least` on average, known to `deviation`, and differ
        from that by `asymmetry` each (a standard deviation), one up and one down."""
        self.mean += [least, least]
        for row in self.covariance:
            row += [0.0, 0.0]
        self.covariance += [[0.0] * len(self.mean), [0.0] * len(self.mean)]
        self.reroute((len(self.mean) - 2) // 2 - 1, least, deviation, asymmetry)

    def reroute(self, path: int, least: float, deviation: float, asymmetry: float) -> None:
        """A path became another one: nothing is known by what it was."""
        there, back = _way(path, 1), _way(path, -1)
        for n in (there, back):
            self.mean[n] = least
            self.covariance[n] = [0.0] * len(self.mean)
            for row in self.covariance:
                row[n] = 0.0
        own, cross = deviation**2 + asymmetry**2, deviation**2 - asymmetry**2
        self.covariance[there][there] = self.covariance[back][back] = own
        self.covariance[there][back] = self.covariance[back][there] = cross

    def known(self, path: int, sign: int) -> float:
        """What a reading would be without a wait in it: `sign` 1 there, -1 back."""
        return sign * self.mean[PHASE] + self.mean[_way(path, sign)]

    def undercut(self, path: int, there: float, back: float, noise: float) -> bool:
        """Whether both ways took less than they can: a shorter route, which shows at once."""
        for sign, reading in ((1, there), (-1, back)):
            early, matrix, way = self.known(path, sign) - reading, self.covariance, _way(path, sign)
            variance = matrix[PHASE][PHASE] + 2 * sign * matrix[PHASE][way] + matrix[way][way]
            if early <= 0 or early**2 <= CONTRADICTION**2 * (variance + noise):
                return False
        return True

    def pass_time(self, span: float) -> None:
        """Move on by `span` s."""
        self.mean[PHASE] += self.mean[FREQUENCY] * span
        matrix = self.covariance
        varied = self.variance_after(span)
        phase = [p + span * f for p, f in zip(matrix[PHASE], matrix[FREQUENCY], strict=True)]
        q = self.wander * self.wander * span
        phase[PHASE] = varied
        phase[FREQUENCY] += q * span / 2
        matrix[FREQUENCY][FREQUENCY] += q
        matrix[PHASE] = phase
        for row, value in zip(matrix, phase, strict=True):
            row[PHASE] = value

    def variance_after(self, span: float) -> float:
        """Of the phase, `span` s from now, seconds squared."""
        matrix, q = self.covariance, self.wander * self.wander
        grown = 2 * matrix[PHASE][FREQUENCY] + span * matrix[FREQUENCY][FREQUENCY]
        return matrix[PHASE][PHASE] + span * (grown + JITTER * JITTER + q * span * span / 3)

    def read_there(self, path: int, reading: float, wait: float, noise: float) -> float:
        """Take a reading of the way there: waits are `wait` on average, and reading the clocks
        adds a variance of `noise`.  The logarithm of its evidence."""
        return self._read(path, 1, reading, wait, noise)

    def read_back(self, path: int, reading: float, wait: float, noise: float) -> float:
        """The same of the way back."""
        return self._read(path, -1, reading, wait, noise)

    def _read(self, path: int, sign: int, reading: float, wait: float, noise: float) -> float:
        way, known = _way(path, sign), self.known(path, sign)
        matrix = self.covariance
        share, variance = self._seen(sign, way, noise)
        scale = (SHAPE * wait + max(reading - known, 0.0)) / (SHAPE + 1)
        evidence = log_evidence(known, variance, reading, scale)
        doubt = max(known - reading, 0.0) / CONTRADICTION
        if doubt * doubt > variance:
            # It cannot be: then the phase, or how quick the path is, was known less well than
            # it seemed.  (A frequency that changed is for a model that wanders more.)
            self._blur(way, doubt * doubt)
            share, variance = self._seen(sign, way, noise)
        cut, left = truncated(known, variance, reading, scale)
        gain, less = (cut - known) / variance, math.sqrt(max(variance - left, 0.0)) / variance
        self.mean = [m + s * gain for m, s in zip(self.mean, share, strict=True)]
        # So multiplied, what goes from one half of the matrix is what goes from the other.
        lost = [s * less for s in share]
        for n, part in enumerate(lost):
            rounding = ROUNDING * matrix[n][n]
            matrix[n] = [c - part * other for c, other in zip(matrix[n], lost, strict=True)]
            matrix[n][n] += rounding
        return evidence

    def _seen(self, sign: int, way: int, noise: float) -> tuple[list[float], float]:
        """The covariance of a reading with each of the unknowns, and its variance."""
        share = [sign * row[PHASE] + row[way] for row in self.covariance]
        return share, max(sign * share[PHASE] + share[way], 0.0) + noise

    def _blur(self, way: int, variance: float) -> None:
        """Add to what is not known of the phase, and of the path's two ways alike."""
        matrix, other = self.covariance, way ^ 1
        matrix[PHASE][PHASE] += variance
        for row, column in ((way, way), (way, other), (other, way), (other, other)):
            matrix[row][column] += variance


def _way(path: int, sign: int) -> int:
    """Where a path's least time there (1) or back (-1) is among the unknowns."""
    return 2 + 2 * path + (sign < 0)
