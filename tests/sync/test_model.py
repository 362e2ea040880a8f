"""The distribution of phase, frequency and the ways' least times."""

import math
import random
from itertools import combinations_with_replacement
from operator import add, sub

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync.crystal import JITTER
from pints.sync.model import FREQUENCY, PHASE, Model

LEAST, DEVIATION, ASYMMETRY = 0.01, 3e-3, 5e-4
WAIT, NOISE = 1e-3, 1e-12


def model(paths: int = 1, deviation: float = 0.02, wander: float = 1e-9) -> Model:
    made = Model(wander, 0.0, deviation, 0.0, 1e-4)
    for _ in range(paths):
        made.add_path(LEAST, DEVIATION, ASYMMETRY)
    return made


def settled(rng: random.Random, paths: int = 1) -> Model:
    """One that has heard much; the truth is zero."""
    made = model(paths)
    for n in range(60 * paths):
        made.pass_time(16.0)
        hear(made, rng, n % paths)
    return made


def hear(made: Model, rng: random.Random, path: int = 0) -> None:
    for way in (add, sub):
        made.read(path, way, LEAST + rng.expovariate(1 / WAIT), WAIT, NOISE)


def covariance(made: Model) -> list[list[float]]:
    """All of it."""
    size = range(len(made.mean))
    kept = dict(zip(combinations_with_replacement(size, 2), made.covariance, strict=True))
    return [[kept[min(n, m), max(n, m)] for m in size] for n in size]


def variance(made: Model, **weights: float) -> float:
    """Of a sum of unknowns: p(hase), t(here), b(ack) of path 0."""
    by, matrix = {"p": 0, "f": 1, "t": 2, "b": 3}, covariance(made)
    return sum(
        x * y * matrix[by[one]][by[other]]
        for one, x in weights.items()
        for other, y in weights.items()
    )


def is_covariance(matrix: list[list[float]]) -> bool:
    """Positive but for rounding: all of Cholesky's pivots are."""
    size = len(matrix)
    if any(matrix[n][n] <= 0 for n in range(size)):
        return False
    scale = [math.sqrt(matrix[n][n]) for n in range(size)]
    left = [[matrix[n][m] / scale[n] / scale[m] for m in range(size)] for n in range(size)]
    for k in range(size):
        if left[k][k] < -1e-12:
            return False
        if left[k][k] > 1e-12:
            for n in range(k + 1, size):
                share = left[n][k] / left[k][k]
                left[n] = [c - share * top for c, top in zip(left[n], left[k], strict=True)]
    return True


def test_time_passes_as_in_a_kalman_filter(rng: random.Random) -> None:
    made = settled(rng, 2)
    made.wander = 3e-6
    mean, before, span = made.mean[:], covariance(made), 77.0
    made.pass_time(span)
    size = len(mean)
    step = [[float(n == m) for m in range(size)] for n in range(size)]
    step[PHASE][FREQUENCY] = span
    assert made.mean[PHASE] == pytest.approx(mean[PHASE] + span * mean[FREQUENCY])
    assert made.mean[1:] == mean[1:]
    q = made.wander**2
    noise = {
        (PHASE, PHASE): JITTER**2 * span + q * span**3 / 3,
        (PHASE, FREQUENCY): q * span**2 / 2,
        (FREQUENCY, PHASE): q * span**2 / 2,
        (FREQUENCY, FREQUENCY): q * span,
    }
    after = covariance(made)
    for n in range(size):
        for m in range(size):
            wanted = sum(
                step[n][i] * before[i][j] * step[m][j] for i in range(size) for j in range(size)
            )
            wanted += noise.get((n, m), 0.0)
            assert after[n][m] == pytest.approx(wanted, rel=1e-9, abs=1e-18)


@given(st.floats(0.01, 1e5), st.floats(0.01, 1e5))
def test_time_passes_the_same_in_two_parts(one: float, other: float) -> None:
    whole, parts = model(wander=6e-8), model(wander=6e-8)
    whole.pass_time(one + other)
    parts.pass_time(one)
    parts.pass_time(other)
    assert whole.mean == pytest.approx(parts.mean)
    assert whole.covariance == pytest.approx(parts.covariance)


def test_the_variance_ahead_is_that_which_comes(rng: random.Random) -> None:
    made = settled(rng)
    ahead = made.variance + made.growth(300.0)
    made.pass_time(300.0)
    assert made.variance == pytest.approx(ahead)


@given(st.integers(0, 2**32), st.floats(0.0, 1e3), st.booleans())
def test_a_long_wait_never_moves_the_truth_out(seed: int, wait: float, back: bool) -> None:
    made = settled(random.Random(seed))
    sign, weights = (-1, {"p": -1.0, "b": 1.0}) if back else (1, {"p": 1.0, "t": 1.0})
    way = 3 if back else 2
    known, before = sign * made.mean[PHASE] + made.mean[way], variance(made, **weights)
    reading = known + wait  # it knew the truth
    made.read(0, sub if back else add, reading, WAIT, NOISE)
    after = sign * made.mean[PHASE] + made.mean[way]
    assert after <= reading
    # It rises by the tilt at most, which no long wait makes larger.
    assert after - known <= before / (0.75 * WAIT) * (1 + 1e-9)
    assert abs(after - known) < 3 * math.sqrt(variance(made, **weights))


def test_the_truth_stays_likely_under_exponential_waits() -> None:
    """Over 200 lives the errors are of the size of the deviations."""
    surprise = []
    for seed in range(200):
        made = settled(random.Random(seed))
        surprise.append(made.mean[PHASE] ** 2 / made.variance)
    assert 0.001 < sum(surprise) / len(surprise) < 4


@pytest.mark.parametrize("absurd", [0.0, 1.0, 1e3, 1e6])
def test_the_covariance_stays_one_whatever_is_read(rng: random.Random, absurd: float) -> None:
    made = model(2)
    for n in range(3000):
        made.pass_time(rng.choice([0.0, 0.1, 16.0, 1000.0]))
        for way in (add, sub):
            wild = rng.uniform(-absurd, absurd) if rng.random() < 0.05 else 0.0
            waited = rng.expovariate(1 / WAIT) + wild
            said = made.read(rng.randrange(2), way, LEAST + waited, WAIT, NOISE)
            assert math.isfinite(said)
        if n % 10 == 0:
            assert is_covariance(covariance(made))
            assert all(map(math.isfinite, made.mean))


def test_a_covariance_is_told_from_what_is_none() -> None:
    assert is_covariance([[1.0, 0.5], [0.5, 1.0]])
    assert not is_covariance([[1.0, 1.1], [1.1, 1.0]])
    assert not is_covariance([[-1.0, 0.0], [0.0, 1.0]])


@given(st.integers(0, 2**32), st.floats(1e-4, 1.0))
def test_nothing_within_a_path_shows_its_asymmetry(seed: int, deviation: float) -> None:
    """Phase and asymmetry are seen only together; what was not known of the one given the
    other stays unknown, however much is read."""
    rng, made = random.Random(seed), model(deviation=deviation)
    for _ in range(50):
        hear(made, rng)
    least = 1 / (1 / ASYMMETRY**2 + 1 / deviation**2)
    assert variance(made, t=0.5, b=-0.5) >= least * (1 - 1e-6)
    assert variance(made, p=1.0) >= least * (1 - 1e-6)
    assert variance(made, t=0.5, b=0.5) < DEVIATION**2 / 4, "the mean of both shows"


def test_another_path_shows_an_asymmetry(rng: random.Random) -> None:
    alone, together = settled(rng), settled(rng, 4)
    one, four = (variance(m, t=0.5, b=-0.5) for m in (alone, together))
    assert four < 0.8 * one


def test_the_ways_are_each_others_mirror() -> None:
    one, other = model(), model()
    one.mean[PHASE], other.mean[PHASE] = 1e-3, -1e-3
    for reading in (0.011, 0.0105, 0.014, 0.002):
        said = one.read(0, add, reading, WAIT, NOISE)
        assert said == other.read(0, sub, reading, WAIT, NOISE)
    assert one.mean[PHASE] == -other.mean[PHASE]
    assert (one.mean[2], one.mean[3]) == (other.mean[3], other.mean[2])


def test_an_expected_reading_is_better_evidence_than_an_odd_one(rng: random.Random) -> None:
    said = [
        settled(rng).read(0, add, LEAST + wait, WAIT, NOISE)
        for wait in (WAIT / 2, 20 * WAIT, -WAIT)
    ]
    assert said[0] > said[1] + 2
    assert said[0] > said[2] + 2


def test_what_cannot_be_makes_it_doubt_what_it_knew(rng: random.Random) -> None:
    made = settled(rng)
    before = variance(made, p=1.0), variance(made, t=0.5, b=0.5), variance(made, f=1.0)
    reading = LEAST - 0.5
    made.read(0, add, reading, WAIT, NOISE)
    assert made.mean[PHASE] + made.mean[2] == pytest.approx(reading, abs=0.05)
    assert variance(made, p=1.0) > 100 * before[0]
    assert variance(made, t=0.5, b=0.5) > 100 * before[1], "phase, or a quicker path"
    assert variance(made, f=1.0) <= before[2] * (1 + 1e-9), "no frequency does that"


def test_what_can_just_be_makes_it_surer(rng: random.Random) -> None:
    made = settled(rng)
    before = variance(made, p=1.0, t=1.0)
    known = made.mean[PHASE] + made.mean[2]
    made.read(0, add, known - 2.5 * math.sqrt(before), WAIT, NOISE)
    assert variance(made, p=1.0, t=1.0) < before


def test_it_follows_another_and_then_goes_its_own_way(rng: random.Random) -> None:
    known, made = settled(rng), model(wander=6e-8)
    made.follow(known)
    assert (made.mean, made.covariance) == (known.mean, known.covariance)
    assert made.wander == 6e-8
    mean, before = known.mean[:], known.covariance[:]
    made.pass_time(1000.0)
    hear(made, rng)
    made.reroute(0, 0.5, 0.1, 0.1)
    assert (known.mean, known.covariance) == (mean, before)


def test_a_new_route_forgets_the_path_and_nothing_else(rng: random.Random) -> None:
    made = settled(rng, 3)
    fresh = model()
    mean, before = made.mean[:], covariance(made)
    made.reroute(1, LEAST, DEVIATION, ASYMMETRY)
    after, others = covariance(made), [0, 1, 2, 3, 6, 7]
    assert [made.mean[n] for n in others] == [mean[n] for n in others]
    assert all(after[n][m] == before[n][m] for n in others for m in others)
    assert made.mean[4:6] == [LEAST, LEAST]
    assert [row[4:6] for row in after[4:6]] == [row[2:] for row in covariance(fresh)[2:]]
    assert all(after[n][m] == 0 for n in (4, 5) for m in others)
    assert is_covariance(covariance(made))


def test_a_path_is_known_to_its_deviation_and_its_asymmetry() -> None:
    made = model()
    assert variance(made, t=0.5, b=0.5) == pytest.approx(DEVIATION**2)
    assert variance(made, t=0.5, b=-0.5) == pytest.approx(ASYMMETRY**2)
    assert variance(made, p=1.0, t=1.0) == pytest.approx(0.02**2 + DEVIATION**2 + ASYMMETRY**2), (
        "it says nothing of the phase"
    )
