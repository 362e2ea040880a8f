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

_ROOT_2, _ROOT_2PI = math.sqrt(2), math.sqrt(2 * math.pi)
_FAR = -8.0
"""Standard deviations beyond which the series replaces the error function."""


def truncated(
    mean: float, variance: float, limit: float, scale: float
) -> tuple[float, float, float]:
    """Mean and variance of u, known as `mean` and `variance` before, once `limit` has been read:
    u plus a wait of `scale` on average.  And the evidence: the logarithm of how likely that
    reading was.  The unit is any; `scale` and `variance` are positive."""
    deviation, tilt, ahead = math.sqrt(variance), variance / scale, limit - mean
    at = (ahead - tilt) / deviation
    square = at * at
    if at > _FAR:
        below = 0.5 * math.erfc(-at / _ROOT_2)
        hazard = math.exp(-square / 2) / (_ROOT_2PI * below)
        return (
            mean + tilt - deviation * hazard,
            variance * (1 - hazard * (at + hazard)),
            (tilt / 2 - ahead) / scale + math.log(below / scale),
        )
    # What is near the limit is not found by taking one large number from another.
    hazard = -at - 1 / at + 2 / (at * square)
    return (
        limit + deviation * (1 - 2 / square) / at,
        variance * (1 - 6 / square) / square,
        -ahead * ahead / (2 * variance) - math.log(hazard * _ROOT_2PI * scale),
    )
