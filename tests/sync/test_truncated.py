"""One reading with a wait in it, against integrals that were done by numbers."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync.truncated import truncated

CASES = [  # mean, variance, limit, scale
    (0.0, 1.0, 50.0, 1.0),  # long waited: the reading says little
    (0.0, 1.0, 2.0, 1.0),
    (0.0, 1.0, 0.0, 0.5),
    (0.3, 4e-6, 0.299, 1e-3),
    (0.0, 1.0, -3.0, 1.0),
    (0.0, 1.0, 0.0, 0.126),  # just before the series
    (0.0, 1.0, 0.0, 0.124),  # just after
    (0.0, 1.0, -10.0, 1.0),
    (0.0, 1.0, 0.5, 1e-3),
    (0.0, 1e-2, 1e-3, 1e-9),  # nothing was known, and the way has no queue
    (5.0, 1e-12, 4.9, 1e-3),  # it cannot be
]


def integral(function: Callable[[float], float], low: float, high: float, parts: int) -> float:
    """Simpson's rule."""
    step = (high - low) / parts
    odd = sum(function(low + n * step) for n in range(1, parts, 2))
    even = sum(function(low + n * step) for n in range(2, parts, 2))
    return step / 3 * (function(low) + 4 * odd + 2 * even + function(high))


def integrated(
    mean: float, variance: float, limit: float, scale: float
) -> tuple[float, float, float]:
    """How far the unknown is below the limit: mean and variance; and the log evidence."""
    # The logarithm of the density of a wait of x is top - slope x - x^2 / 2 variance.
    ahead = limit - mean
    top = -ahead * ahead / (2 * variance) - math.log(2 * math.pi * variance) / 2 - math.log(scale)
    slope = 1 / scale - ahead / variance
    peak = max(-slope * variance, 0.0)
    width = math.sqrt(variance) if peak else min(math.sqrt(variance), 1 / max(slope, 1e-300))
    peaked = -slope * peak - peak * peak / (2 * variance)

    def density(x: float) -> float:
        return math.exp(-slope * x - x * x / (2 * variance) - peaked)

    low, high = max(peak - 12 * width, 0.0), peak + 40 * width
    total = integral(density, low, high, 4000)
    average = integral(lambda x: x * density(x), low, high, 4000) / total
    spread = integral(lambda x: (x - average) ** 2 * density(x), low, high, 4000) / total
    return average, spread, top + peaked + math.log(total)


@pytest.mark.parametrize("case", CASES)
def test_mean_and_variance_are_the_integrals(case: tuple[float, float, float, float]) -> None:
    mean, variance, _ = truncated(*case)
    average, spread, _ = integrated(*case)
    assert case[2] - mean == pytest.approx(average, rel=4e-3)
    assert variance == pytest.approx(spread, rel=2e-2)


@pytest.mark.parametrize("case", CASES[:5])
def test_near_the_limit_nothing_is_approximate(case: tuple[float, float, float, float]) -> None:
    mean, variance, _ = truncated(*case)
    average, spread, _ = integrated(*case)
    assert case[2] - mean == pytest.approx(average, rel=1e-6)
    assert variance == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_evidence_is_the_integral(case: tuple[float, float, float, float]) -> None:
    assert truncated(*case)[2] == pytest.approx(integrated(*case)[2], rel=1e-9, abs=1e-3)


@pytest.mark.parametrize("scale", [0.01, 0.126, 1.0, 30.0])
def test_some_reading_comes_for_certain(scale: float) -> None:
    """Over all readings the evidence is 1."""

    def density(reading: float) -> float:
        return math.exp(truncated(0.25, 1.0, reading, scale)[2])

    assert integral(density, -11.75, 12.25 + 40 * scale, 20000) == pytest.approx(1, abs=1e-4)


def test_what_waited_for_ever_says_the_wait_is_unlikely_and_no_more() -> None:
    assert truncated(1.0, 4.0, 1e9, 8.0)[:2] == pytest.approx((1.5, 4.0))


def test_what_cannot_be_is_taken_as_the_limit() -> None:
    mean, variance, _ = truncated(0.0, 1e-6, -1.0, 1e-3)
    assert mean == pytest.approx(-1.0, abs=2e-6)
    assert math.sqrt(variance) < 2e-6


anything = st.floats(-1e12, 1e12)
variances, scales = st.floats(1e-18, 1e24), st.floats(1e-9, 1e12)


@given(anything, variances, anything, scales)
def test_whatever_is_read(mean: float, variance: float, limit: float, scale: float) -> None:
    after, left, evidence = truncated(mean, variance, limit, scale)
    assert 0 < left <= variance * (1 + 1e-12)
    tilt = variance / scale
    assert after <= limit + 1e-12 * (abs(limit) + abs(mean) + tilt)
    assert after <= mean + tilt + 1e-12 * (abs(limit) + abs(mean) + tilt), "the wait pushes up"
    assert math.isfinite(evidence)
    # No reading is likelier than one that is known to have come without a wait.
    most = -math.log(scale)
    assert evidence <= most + 1e-9 * (abs(most) + 1) + 1e-12 * (abs(limit - mean) + tilt) / scale


@given(st.floats(-30, 30), st.floats(0.01, 100), st.floats(-1e9, 1e9))
def test_it_is_the_same_wherever_and_in_any_unit(ahead: float, scale: float, where: float) -> None:
    mean, variance, _ = truncated(0.0, 1.0, ahead, scale)
    moved, same, _ = truncated(where, 1.0, where + ahead, scale)
    assert moved - where == pytest.approx(mean, abs=1e-5)
    assert same == pytest.approx(variance, rel=1e-4, abs=1e-6)
    larger, spread, _ = truncated(0.0, 1e6, 1e3 * ahead, 1e3 * scale)
    assert (larger, spread) == pytest.approx((1e3 * mean, 1e6 * variance))
