"""The filter of one path: what it learns, how sure it says it is, and when it starts again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync.filter import DOUBTS, FREQUENCY_PRIOR, GATE, MEMORY, PathFilter
from pints.timescale import Raw, nanoseconds
from tests.sync.samples import LEAST, START, queued, sample


def raw(at: float) -> Raw:
    return Raw(nanoseconds(at))


def fed(*samples: object, **prior: float) -> PathFilter:
    path = PathFilter(START, **prior)
    for each in samples:
        path.add(each)  # type: ignore[arg-type]
    return path


def test_knows_nothing_before_the_first_sample() -> None:
    assert PathFilter(START).at(raw(0)) is None


def test_one_sample_is_believed_as_it_is() -> None:
    estimate = fed(sample(10, 0.25)).at(raw(10))
    assert estimate is not None
    assert estimate.phase == pytest.approx(0.25)
    assert estimate.frequency == 0
    assert estimate.skew == pytest.approx(FREQUENCY_PRIOR)
    assert LEAST / 30 < estimate.deviation < LEAST


@pytest.mark.parametrize("frequency", [-200e-6, 0.0, 3e-6, 50e-6])
@pytest.mark.parametrize("mean", [1e-4, 2e-3, 20e-3])
def test_recovers_phase_and_frequency_from_noise(
    rng: random.Random, frequency: float, mean: float
) -> None:
    samples = [queued(rng, 64.0 * n, mean, frequency, 0.1) for n in range(300)]
    path = fed(*samples)
    end = 64.0 * 299
    estimate = path.at(raw(end))
    assert estimate is not None
    error = estimate.phase - (0.1 + frequency * end)
    assert abs(error) < 6 * estimate.deviation
    assert abs(error) < mean, "better than any single sample promises"
    assert abs(estimate.frequency - frequency) < 6 * estimate.skew
    assert estimate.skew < 2e-6


def test_says_how_sure_it_is(rng: random.Random) -> None:
    """Over many lives the error is of the size of what it gives as its deviation."""
    surprise = []
    for _ in range(200):
        path = fed(*(queued(rng, 16.0 * n, 1e-3, 20e-6) for n in range(40)))
        estimate = path.at(raw(16.0 * 39))
        assert estimate is not None
        surprise.append(((estimate.phase - 20e-6 * 16 * 39) / estimate.deviation) ** 2)
    assert 0.1 < sum(surprise) / len(surprise) < 4


gaps = st.lists(st.floats(0.5, 2000.0), min_size=1, max_size=30)


@given(gaps, st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_uncertainty_grows_without_samples(ages: list[float], one: float, more: float) -> None:
    at, samples = 0.0, []
    for gap in ages:
        at += gap
        samples.append(sample(at, 1e-5))
    path = fed(*samples)
    earlier, later = path.at(raw(at + one)), path.at(raw(at + one + more))
    assert earlier is not None
    assert later is not None
    assert 0 < earlier.deviation <= later.deviation * (1 + 1e-9)
    assert later.frequency == earlier.frequency


@given(gaps, st.integers(0, 2**32))
def test_a_sample_never_makes_it_less_sure(ages: list[float], seed: int) -> None:
    rng, at, path = random.Random(seed), 0.0, PathFilter(START)
    path.add(queued(rng, at, 1e-3))
    for gap in ages:
        at += gap
        before = path.at(raw(at))
        path.add(queued(rng, at, 1e-3))
        after = path.at(raw(at))
        assert before is not None
        assert after is not None
        if abs(path.surprise) < GATE:
            assert after.deviation <= before.deviation * (1 + 1e-9)
            assert after.skew <= before.skew + 2e-9 * gap**0.5


def test_a_sample_that_waited_long_weighs_little() -> None:
    quick = [sample(16.0 * n) for n in range(20)]
    late = sample(16.0 * 20, 0.1, delay=LEAST + 0.2)
    estimate = fed(*quick, late).at(raw(320))
    assert estimate is not None
    assert abs(estimate.phase) < 1e-3


def test_old_news_teach_nothing() -> None:
    path = fed(sample(10, 0.0), sample(20, 0.0))
    before = path.at(raw(20))
    path.add(sample(15, 0.5))
    path.add(sample(20, 0.5))
    assert path.at(raw(20)) == before
    assert path.samples == 2


def test_one_outlier_is_doubted_not_followed() -> None:
    path = fed(*(sample(16.0 * n) for n in range(20)), sample(320, 5.0))
    estimate = path.at(raw(320))
    assert estimate is not None
    assert abs(estimate.phase) < 0.01
    assert abs(path.surprise) > GATE


def test_a_source_that_jumps_is_followed_after_three_doubts() -> None:
    path = fed(*(sample(16.0 * n, frequency=5e-6) for n in range(30)))
    for n in range(30, 30 + DOUBTS):
        path.add(sample(16.0 * n, 0.5, frequency=5e-6))
    estimate = path.at(raw(16.0 * (29 + DOUBTS)))
    assert estimate is not None
    assert estimate.phase == pytest.approx(0.5 + 5e-6 * 16 * (29 + DOUBTS), abs=1e-3)
    assert estimate.frequency == pytest.approx(5e-6, abs=1e-6), "what was learned of the crystal"


def test_a_longer_route_is_learned(rng: random.Random) -> None:
    """Another least delay, evenly longer: in time its samples count as quick again."""
    path = fed(*(queued(rng, 16.0 * n, 1e-4) for n in range(50)))
    noise = path.noise
    longer = [sample(16.0 * n, 0.0, delay=3 * LEAST) for n in range(50, 50 + MEMORY + 5)]
    for each in longer:
        path.add(each)
    assert path.noise < 5 * noise
    estimate = path.at(longer[-1].raw)
    assert estimate is not None
    assert abs(estimate.phase) < 1e-3


def test_begins_with_what_was_known_of_the_crystal() -> None:
    estimate = fed(sample(0), frequency=30e-6, skew=1e-6).at(raw(1000))
    assert estimate is not None
    assert estimate.phase == pytest.approx(0.03)
    assert estimate.deviation < 6e-3


def test_wild_samples_that_are_not_in_a_row_never_restart_it(rng: random.Random) -> None:
    path = fed(*(queued(rng, 64.0 * n, 5e-4) for n in range(60)))
    for n in range(60, 120):
        wild = n % DOUBTS != 0
        path.add(sample(64.0 * n, 10.0) if wild else queued(rng, 64.0 * n, 5e-4))
    estimate = path.at(raw(64.0 * 119))
    assert estimate is not None
    assert abs(estimate.phase) < 0.5


def test_a_jump_is_no_frequency_and_the_new_path_is_not_known_at_once(rng: random.Random) -> None:
    path = fed(*(queued(rng, 64.0 * n, 5e-4) for n in range(60)))
    sure = path.at(raw(64.0 * 59))
    for n in range(60, 60 + DOUBTS):
        path.add(queued(rng, 64.0 * n, 5e-4, offset=-0.5))
        assert abs(path.surprise) > GATE
    unsure = path.at(raw(64.0 * (59 + DOUBTS)))
    assert sure is not None
    assert unsure is not None
    assert unsure.phase == pytest.approx(-0.5, abs=0.01)
    assert abs(unsure.frequency) < 1e-4
    assert unsure.deviation > 10 * sure.deviation


def test_the_longer_it_waited_the_less_it_counts() -> None:
    noises = []
    for excess in (0.0, 0.001, 0.010, 0.100):
        path = fed(*(sample(64.0 * n) for n in range(20)))
        path.add(sample(64.0 * 20, delay=LEAST + excess))
        noises.append(path.noise)
    assert noises == sorted(set(noises))
    # As likely anywhere within half of it, but for what the mean adds.
    assert noises[-1] == pytest.approx(0.100 / 12**0.5, rel=0.02)


def test_the_residual_is_the_sample_less_the_prediction() -> None:
    path = fed(sample(0), sample(100, 0.0015), frequency=10e-6, skew=1e-9)
    assert path.residual == pytest.approx(0.0005, abs=1e-9)
    assert 0 < path.surprise < 1


def test_the_deviations_of_a_settled_filter_cover_the_truth() -> None:
    """Phase and frequency of 200 crystals, always the same ones: it may be too careful, but not
    boast."""
    phases, frequencies = [], []
    for number in range(200):
        rng = random.Random(number)
        frequency = rng.gauss(0.0, 30e-6)
        path = fed(*(queued(rng, 64.0 * n, 2e-3, frequency) for n in range(40)))
        estimate = path.at(raw(64.0 * 39))
        assert estimate is not None
        phases.append(abs(estimate.phase - frequency * 64 * 39) / estimate.deviation)
        frequencies.append(abs(estimate.frequency - frequency) / estimate.skew)
    for ratios in (phases, frequencies):
        assert sum(r < 2 for r in ratios) > 0.85 * len(ratios)
        assert sum(r > 0.2 for r in ratios) > 0.4 * len(ratios)
        assert max(ratios) < 8


def test_the_bound_holds_also_where_the_filter_did_not_follow() -> None:
    """The truth lies within the last sample's bound; the filter may doubt it, not deny it."""
    last = sample(16.0 * 20, 0.05)
    path = fed(*(sample(16.0 * n) for n in range(20)), last)
    estimate = path.at(last.raw)
    assert estimate is not None
    assert abs(estimate.phase - 0.05) > last.distance
    assert path.bound(last.raw) >= abs(estimate.phase - 0.05) + last.distance - 1e-9
