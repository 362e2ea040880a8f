"""What one way of a round trip says: an upper limit, and that the truth is probably near it.

A packet's way takes the path's least time and a wait in queues, which is never negative.  So a
reading of one way, `limit`, is the unknown u plus a wait: u is at most the reading, and every
value below it is less likely by exp(-wait / scale).  Held against what was known of u, a normal
distribution, that makes a normal distribution moved up by the tilt and cut off at the reading,
whose mean and variance are known in closed form (Johnson, Kotz, Balakrishnan: Continuous
Univariate Distributions 1, section 13.10.1; the product is the exponentially modified normal's
posterior).
"""

import math

_ROOT_2PI = math.sqrt(2 * math.pi)
_FAR = -8.0
"""Standard deviations beyond which the series replaces the error function."""


def truncated(mean: float, variance: float, limit: float, scale: float) -> tuple[float, float]:
    """Mean and variance of u, known as `mean` and `variance` before, once `limit` has been read:
    u plus a wait of `scale` on average.  The unit is any; `scale` and `variance` are positive."""
    deviation = math.sqrt(variance)
    tilted = mean + variance / scale
    at = (limit - tilted) / deviation
    if at > _FAR:
        ratio = _hazard(at)
        return tilted - deviation * ratio, variance * (1 - ratio * (at + ratio))
    # What is near the limit is not found by taking one large number from another.
    square = at * at
    return limit + deviation * (1 - 2 / square) / at, variance * (1 - 6 / square) / square


def log_evidence(mean: float, variance: float, limit: float, scale: float) -> float:
    """Logarithm of how likely that reading was, by what was known of u."""
    deviation, ahead = math.sqrt(variance), limit - mean
    at = (ahead - variance / scale) / deviation
    if at > _FAR:
        below = math.log(0.5 * math.erfc(-at / math.sqrt(2)))
        return variance / (2 * scale * scale) - ahead / scale + below - math.log(scale)
    return -ahead * ahead / (2 * variance) - math.log(_hazard(at) * _ROOT_2PI * scale)


def _hazard(at: float) -> float:
    """Density of the normal distribution over its integral up to there."""
    if at > _FAR:
        return math.exp(-at * at / 2) / _ROOT_2PI / (0.5 * math.erfc(-at / math.sqrt(2)))
    return -at - 1 / at + 2 / (at * at * at)
