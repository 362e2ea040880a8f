"""What is made of samples: how good it is, and how it gets over what is wrong with them."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync import crystal
from pints.sync.estimator import ASYMMETRY, LATE, Estimate, Estimator
from pints.timescale import NS, Instant
from pints.values.sample import Sample
from tests.sync.samples import LEAST, START, queued, raw, sample

GAP = 16.0


def fed(*samples: Sample, **prior: float) -> Estimator:
    made = Estimator(START, **prior)
    for each in samples:
        made.add(each)
    return made


def at(made: Estimator, when: float) -> Estimate:
    estimate = made.at(raw(when))
    assert estimate is not None
    return estimate


def is_finite(estimate: Estimate) -> bool:
    return (
        all(map(math.isfinite, (getattr(estimate, f) for f in Estimate.__slots__)))
        and estimate.deviation > 0
        and estimate.skew > 0
        and estimate.wander > 0
    )


# --- one source -------------------------------------------------------------------------------


def test_knows_nothing_before_the_first_sample() -> None:
    made = Estimator(START)
    assert made.at(raw(0)) is None
    assert made.since(raw(100)) == 0
    assert made.samples == 0


def test_one_sample_is_believed_as_it_is() -> None:
    estimate = at(fed(sample(10, 0.25)), 10)
    assert estimate.phase == pytest.approx(0.25, abs=LEAST / 100)
    assert estimate.frequency == 0
    assert estimate.skew == pytest.approx(crystal.FREQUENCY_PRIOR, rel=1e-3)
    assert LEAST / 30 < estimate.deviation < LEAST


def test_begins_with_what_was_known_of_the_crystal() -> None:
    made = fed(sample(0), frequency=30e-6, skew=1e-7)
    assert at(made, 1000).phase == pytest.approx(0.03, abs=LEAST / 100)
    assert at(made, 0).skew == pytest.approx(1e-7, rel=0.1)


@pytest.mark.parametrize("frequency", [-200e-6, 0.0, 3e-6, 50e-6])
@pytest.mark.parametrize("mean", [1e-4, 2e-3, 20e-3])
def test_recovers_phase_and_frequency_from_noise(
    rng: random.Random, frequency: float, mean: float
) -> None:
    made = fed(*(queued(rng, 64.0 * n, mean, frequency, 0.1) for n in range(150)))
    estimate = at(made, 64.0 * 149)
    error = estimate.phase - (0.1 + frequency * 64 * 149)
    assert abs(error) < mean / 2, "better than any single sample promises"
    assert abs(error) < 6 * estimate.deviation
    assert abs(estimate.frequency - frequency) < min(8 * estimate.skew, 2e-6)


@pytest.mark.slow
def test_the_error_falls_with_the_number_of_samples_not_with_its_root() -> None:
    """Of 30 lives, always the same ones: the root would make a third of it."""
    early = late = 0.0
    for life in range(30):
        rng, made = random.Random(life), Estimator(START)
        for n in range(128):
            made.add(queued(rng, GAP * n, 2e-3))
            if n == 15:
                early += at(made, GAP * n).phase ** 2
        late += at(made, GAP * 127).phase ** 2
    assert math.sqrt(late) < math.sqrt(early) / 4


@pytest.mark.slow
def test_the_deviations_cover_the_truth() -> None:
    """Of 60 crystals, always the same ones: it may be too careful, but not boast.  Of the phase
    it has to be careful, for the path might have been asymmetric."""
    phases, frequencies = [], []
    for life in range(60):
        rng = random.Random(life)
        frequency = rng.gauss(0.0, 30e-6)
        made = fed(*(queued(rng, 64.0 * n, 5e-3, frequency) for n in range(40)))
        estimate = at(made, 64.0 * 39)
        phases.append(abs(estimate.phase - frequency * 64 * 39) / estimate.deviation)
        frequencies.append(abs(estimate.frequency - frequency) / estimate.skew)
    for ratios in (phases, frequencies):
        assert sum(r < 2 for r in ratios) > 0.85 * len(ratios)
        assert max(ratios) < 6
    assert sum(r > 0.2 for r in frequencies) > 0.4 * len(frequencies)


def test_nothing_shows_the_asymmetry_of_a_single_path(rng: random.Random) -> None:
    made = fed(*(queued(rng, GAP * n, 1e-5) for n in range(200)))
    # The samples alone would have it a hundred times smaller.
    assert 0.4 < at(made, GAP * 199).deviation / (ASYMMETRY * LEAST / 2) < 1.3


def test_waits_of_one_way_only_do_not_pull(rng: random.Random) -> None:
    """A mean of the samples would be 10 ms off."""
    made = fed(*(queued(rng, GAP * n, 20e-3, back=1e-5) for n in range(200)))
    assert abs(at(made, GAP * 199).phase) < 2e-3


def test_the_residual_is_the_sample_less_the_prediction() -> None:
    made = fed(sample(0), frequency=10e-6, skew=1e-7)
    predicted = at(made, 100).phase
    made.add(sample(100, 0.0015))
    assert made.residual == pytest.approx(0.0015 - predicted)
    assert made.residual == pytest.approx(0.0005, abs=LEAST / 100)
    assert made.samples == 2


def test_a_sample_is_expected_to_be_as_noisy_as_they_were(rng: random.Random) -> None:
    calm, busy = (
        fed(*(queued(rng, GAP * n, mean) for n in range(100))).noise for mean in (1e-4, 5e-3)
    )
    assert busy > 10 * calm
    read_badly = fed(*(sample(GAP * n, dispersion=0.1) for n in range(20))).noise
    assert read_badly > 0.01


# --- the crystal ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(crystal.WANDERS)))
def test_learns_how_much_the_crystal_wanders(rng: random.Random, number: int) -> None:
    made, phase, frequency = Estimator(START), 0.0, 0.0
    for n in range(400):
        frequency += rng.gauss(0.0, crystal.WANDERS[number] * 8)
        phase += frequency * 64
        made.add(queued(rng, 64.0 * n, 1e-4, offset=phase))
    neighbours = crystal.WANDERS[max(number - 1, 0) : number + 2]
    # The next but one is sixteen times as far.
    assert min(neighbours) * 0.999 <= made.wander <= 2 * max(neighbours)
    # It follows: the error is of the size of the paths' noise.
    assert abs(at(made, 64.0 * 399).phase - phase) < 5e-4


def test_gets_over_a_jump_of_the_frequency(rng: random.Random) -> None:
    made = fed(*(queued(rng, 64.0 * n, 1e-4) for n in range(150)))
    calm = made.wander
    for n in range(150, 200):
        made.add(queued(rng, 64.0 * n, 1e-4, offset=5e-6 * 64 * (n - 149)))
        if n == 152:
            assert made.wander > 2 * calm
    estimate = at(made, 64.0 * 199)
    assert estimate.frequency == pytest.approx(5e-6, abs=1e-6)
    assert estimate.phase == pytest.approx(5e-6 * 64 * 50, abs=5e-4)


gaps = st.lists(st.floats(0.5, 2000.0), min_size=1, max_size=12)


@given(gaps, st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_uncertainty_grows_without_samples(ages: list[float], one: float, more: float) -> None:
    when, samples = 0.0, []
    for gap in ages:
        when += gap
        samples.append(sample(when, 1e-5))
    made = fed(*samples)
    earlier, later = at(made, when + one), at(made, when + one + more)
    assert 0 < earlier.deviation <= later.deviation * (1 + 1e-9)
    assert earlier.skew <= later.skew * (1 + 1e-9)
    assert later.frequency == earlier.frequency
    assert made.grown(one) <= made.grown(one + more) * (1 + 1e-9)
    assert made.grown(0.0) == 0


def test_what_it_moves_and_grows_is_the_frequencys() -> None:
    made = fed(sample(0), frequency=30e-6, skew=1e-6)
    moved, reach = made.moves(100.0)
    assert moved == pytest.approx(30e-4)
    assert reach == crystal.reach(100.0, made.cautious_skew, made.wander)
    assert made.grown(100.0) == pytest.approx(1e-4, rel=0.05)


# --- what is wrong with samples ---------------------------------------------------------------


def test_a_first_sample_read_badly_is_overcome(rng: random.Random) -> None:
    """On a device that boots: no delay at all, and as late as it may be."""
    made = fed(sample(0, 5e-4, delay=0.0, dispersion=1e-3))
    for n in range(1, 100):
        made.add(queued(rng, GAP * n, 1e-4, least=1e-3))
    assert abs(at(made, GAP * 99).phase) < 1e-4
    assert abs(at(made, GAP * 99).frequency) < 2e-6


def test_a_sample_that_waited_long_weighs_little() -> None:
    quick = [sample(GAP * n) for n in range(20)]
    late = sample(GAP * 20, 0.1, delay=LEAST + 0.2)
    assert abs(at(fed(*quick, late), GAP * 20).phase) < 5e-4


def test_one_absurd_sample_is_got_over(rng: random.Random) -> None:
    made = fed(*(queued(rng, GAP * n, 1e-4) for n in range(30)), sample(GAP * 30, 5.0))
    for n in range(31, 60):
        made.add(queued(rng, GAP * n, 1e-4))
    assert abs(at(made, GAP * 59).phase) < 1e-3
    assert abs(at(made, GAP * 59).frequency) < 5e-6


@pytest.mark.parametrize("jump", [-0.5, 0.5])
def test_a_source_that_jumps_is_followed_and_the_jump_is_no_frequency(
    rng: random.Random, jump: float
) -> None:
    made = fed(*(queued(rng, GAP * n, 1e-4, 5e-6) for n in range(60)))
    for n in range(60, 90):
        made.add(queued(rng, GAP * n, 1e-4, 5e-6, offset=jump))
    estimate = at(made, GAP * 89)
    assert estimate.phase - 5e-6 * GAP * 89 == pytest.approx(jump, abs=0.01)
    assert estimate.frequency == pytest.approx(5e-6, abs=5e-6)


@pytest.mark.parametrize("least", [LEAST / 4, 3 * LEAST])
def test_another_route_is_recognised(rng: random.Random, least: float) -> None:
    made = fed(*(queued(rng, GAP * n, 1e-4) for n in range(60)))
    for n in range(60, 100):
        made.add(queued(rng, GAP * n, 1e-4, least=least))
    assert abs(at(made, GAP * 99).phase) < 5e-4
    # Far less than what the route changed by: its samples count as quick.
    assert made.noise < abs(least - LEAST) / 4


def test_late_answers_of_another_path_are_used_and_very_late_ones_not() -> None:
    made = fed(sample(100, frequency=20e-6), frequency=20e-6, skew=1e-9)
    known = at(made, 100).phase
    assert made.add(sample(100 - LATE + 1, frequency=20e-6, source="b"))
    assert made.residual == pytest.approx(20e-6 * 100 - known, abs=1e-8), "moved on to then"
    before = at(made, 100)
    assert not made.add(sample(100 - LATE - 1, 5.0, source="b"))
    assert at(made, 100) == before
    assert made.samples == 2
    assert made.since(raw(100)) == 0, "time does not run back"


wild = st.builds(
    sample,
    st.floats(0, 1e6),
    st.floats(-1e7, 1e7),
    source=st.sampled_from("abc"),
    delay=st.one_of(st.floats(-1, 10), st.floats(-1e5, 1e5)),
    dispersion=st.one_of(st.just(0.0), st.floats(0, 1e3)),
)


@given(st.lists(wild, min_size=1, max_size=20), st.booleans())
def test_no_sample_breaks_it(samples: list[Sample], in_order: bool) -> None:
    made = Estimator(START)
    for each in sorted(samples, key=lambda s: s.raw) if in_order else samples:
        made.add(each)
        assert is_finite(at(made, 1e6))
        assert all(map(math.isfinite, (*made.moves(100.0), made.grown(100.0), made.noise)))


def test_what_absurd_samples_leave_behind_goes_by(rng: random.Random) -> None:
    made = Estimator(START)
    for n in range(20):
        made.add(sample(GAP * n, rng.uniform(-1e6, 1e6)))
    for n in range(20, 120):
        made.add(queued(rng, GAP * n, 1e-3))
    assert abs(at(made, GAP * 119).phase) < 0.1


def test_a_leap_second_shifts_it_and_teaches_nothing() -> None:
    made, other = fed(sample(0), sample(GAP)), fed(sample(0), sample(GAP), sample(2 * GAP, 1e-3))
    made.shift(NS)
    after = sample(2 * GAP, 1e-3)
    made.add(replace(after, time=Instant(after.time + NS)))
    assert at(made, 100) == at(other, 100)
    assert made.residual == other.residual


# --- several sources --------------------------------------------------------------------------


@pytest.mark.slow
def test_several_paths_are_better_than_one() -> None:
    """Of 20 lives, always the same ones, with paths that are asymmetric."""
    alone = together = 0.0
    for life in range(20):
        rng, one, four = random.Random(life), Estimator(START), Estimator(START)
        skewed = {source: rng.gauss(0.0, ASYMMETRY * LEAST / 2) for source in "abcd"}
        for n in range(30):
            for k, source in enumerate("abcd"):
                each = queued(rng, GAP * n + k, 2e-4, offset=skewed[source], source=source)
                four.add(each)
                if source == "a":
                    one.add(each)
        alone += at(one, GAP * 30).phase ** 2
        together += at(four, GAP * 30).phase ** 2
        assert at(four, GAP * 30).deviation < at(one, GAP * 30).deviation
    assert math.sqrt(together) < 0.75 * math.sqrt(alone)


def test_a_near_source_counts_for_more_than_a_far_one(rng: random.Random) -> None:
    """They contradict each other by no more than the far path's asymmetry may be."""
    made = Estimator(START)
    for n in range(60):
        made.add(queued(rng, GAP * n, 1e-4, source="near", least=1e-3))
        made.add(queued(rng, GAP * n + 1, 1e-4, source="far", least=0.1, offset=3e-3))
    assert abs(at(made, GAP * 60).phase) < 0.5e-3
