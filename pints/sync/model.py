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
from collections.abc import Callable
from functools import cache
from itertools import combinations_with_replacement as pairs
from operator import add, itemgetter, sub

from pints.sync.crystal import JITTER
from pints.sync.truncated import truncated

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


Way = Callable[[float, float], float]
"""`add` there, `sub` back: what is seen of a way's least time and the phase."""


class Model:
    """A distribution of the unknowns at one instant, which moves on."""

    def __init__(
        self, wander: float, phase: float, deviation: float, frequency: float, skew: float
    ) -> None:
        """`wander` is the random walk of the frequency, per sqrt(s)."""
        self.wander = wander
        self.mean = [phase, frequency]
        self.covariance = [deviation**2, 0.0, skew**2]
        """The upper triangle, row after row: the order of `pairs` of unknowns."""

    @property
    def variance(self) -> float:
        """Of the phase, seconds squared."""
        return self.covariance[0]

    @property
    def frequency_variance(self) -> float:
        """Of the frequency."""
        return self.covariance[len(self.mean)]

    def follow(self, other: "Model") -> None:
        """Know what another model knows."""
        self.mean = other.mean[:]
        self.covariance = other.covariance[:]

    def add_path(self, least: float, deviation: float, asymmetry: float) -> None:
        """Another path, whose two ways take `least` on average, known to `deviation`, and differ
        from that by `asymmetry` each (a standard deviation), one up and one down."""
        size, before = len(self.mean), self.covariance
        self.mean += [least, least]
        self.covariance = [
            before[_place(size, one, other)] if other < size else 0.0
            for one, other in pairs(range(size + 2), 2)
        ]
        self.reroute((size - 2) // 2, least, deviation, asymmetry)

    def reroute(self, path: int, least: float, deviation: float, asymmetry: float) -> None:
        """A path became another one: nothing is known by what it was."""
        size = len(self.mean)
        for n in (_unknown(path, add), _unknown(path, sub)):
            self.mean[n] = least
            for other in range(size):
                self.covariance[_place(size, n, other)] = 0.0
        self._blur(path, deviation**2 + asymmetry**2, deviation**2 - asymmetry**2)

    def known(self, path: int, way: Way) -> float:
        """What a reading would be without a wait in it."""
        return way(self.mean[_unknown(path, way)], self.mean[PHASE])

    def undercut(self, path: int, there: float, back: float, noise: float) -> bool:
        """Whether both ways took less than they can: a shorter route, which shows at once."""
        for way, reading in ((add, there), (sub, back)):
            early = self.known(path, way) - reading
            if early <= 0 or early**2 <= CONTRADICTION**2 * self._seen(path, way, noise)[1]:
                return False
        return True

    def pass_time(self, span: float) -> None:
        """Move on by `span` s."""
        self.mean[PHASE] += self.mean[FREQUENCY] * span
        matrix, size, q = self.covariance, len(self.mean), self.wander * self.wander * span
        matrix[0] += self.growth(span)
        with_phase, with_frequency = matrix[1:size], matrix[size : 2 * size - 1]
        matrix[1:size] = [p + span * f for p, f in zip(with_phase, with_frequency, strict=True)]
        matrix[1] += q * span / 2
        matrix[size] += q

    def growth(self, span: float) -> float:
        """By how much the phase's variance grows within `span` s, seconds squared."""
        q = self.wander * self.wander
        grown = 2 * self.covariance[1] + span * self.frequency_variance
        return span * (grown + JITTER * JITTER + q * span * span / 3)

    def read(self, path: int, way: Way, reading: float, wait: float, noise: float) -> float:
        """Take a reading: waits are `wait` on average, and reading the clocks adds a variance of
        `noise`.  The logarithm of its evidence."""
        known, (share, variance) = self.known(path, way), self._seen(path, way, noise)
        scale = (SHAPE * wait + max(reading - known, 0.0)) / (SHAPE + 1)
        cut, left, evidence = truncated(known, variance, reading, scale)
        doubt = max(known - reading, 0.0) / CONTRADICTION
        if doubt * doubt > variance:
            # It cannot be: then the phase, or how quick the path is, was known less well than
            # it seemed.  (A frequency that changed is for a model that wanders more.)
            self.covariance[0] += doubt * doubt
            self._blur(path, doubt * doubt, doubt * doubt)
            share, variance = self._seen(path, way, noise)
            cut, left, _ = truncated(known, variance, reading, scale)
        gain, less = (cut - known) / variance, math.sqrt(max(variance - left, 0.0)) / variance
        self.mean = [m + s * gain for m, s in zip(self.mean, share, strict=True)]
        for n in _diagonal(len(share)):
            self.covariance[n] *= 1 + ROUNDING
        lost = pairs([s * less for s in share], 2)
        self.covariance = [c - a * b for c, (a, b) in zip(self.covariance, lost, strict=True)]
        return evidence

    def _seen(self, path: int, way: Way, noise: float) -> tuple[list[float], float]:
        """The covariance of a reading with each of the unknowns, and its variance."""
        size, least = len(self.mean), _unknown(path, way)
        share = list(map(way, _row(size, least)(self.covariance), self.covariance[:size]))
        return share, max(way(share[least], share[PHASE]), 0.0) + noise

    def _blur(self, path: int, variance: float, common: float) -> None:
        """Add to what is not known of a path's least times: of each, and of both alike."""
        size, there, back = len(self.mean), _unknown(path, add), _unknown(path, sub)
        self.covariance[_place(size, there, there)] += variance
        self.covariance[_place(size, there, back)] += common
        self.covariance[_place(size, back, back)] += variance


def _unknown(path: int, way: Way) -> int:
    """Where a way's least time is among the unknowns."""
    return 2 + 2 * path + (way is sub)


def _place(size: int, one: int, other: int) -> int:
    """Where the covariance of two of `size` unknowns is in the triangle."""
    row, column = min(one, other), max(one, other)
    return row * (2 * size - row - 1) // 2 + column


@cache
def _diagonal(size: int) -> list[int]:
    """Where the unknowns' variances are."""
    return [_place(size, n, n) for n in range(size)]


@cache
def _row(size: int, unknown: int) -> Callable[[list[float]], tuple[float, ...]]:
    """What takes the covariances of one unknown with all out of the triangle."""
    return itemgetter(*(_place(size, unknown, n) for n in range(size)))
