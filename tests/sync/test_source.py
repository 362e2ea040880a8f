"""One source by itself: its samples, and the interval it vouches for."""

import random

import pytest

from pints.sync import crystal
from pints.sync.crystal import FREQUENCY_PRIOR
from pints.sync.source import HISTORY, Heard, Source
from pints.timescale import NS, seconds
from tests.sync.samples import START, queued, raw, sample


def source(*offsets: float, **prior: float) -> Source:
    """One that gave a sample every 64 s."""
    made = Source(START, prior.get("frequency", 0.0), prior.get("skew", FREQUENCY_PRIOR))
    for n, offset in enumerate(offsets):
        assert made.add(sample(64.0 * n, offset)) is not Heard.NOTHING
    return made


def test_one_sample_vouches_for_its_distance() -> None:
    low, high = source(0.25).interval(raw(0))
    distance = sample(0).distance
    assert (low, high) == pytest.approx((0.25 - distance, 0.25 + distance))


def test_a_sample_out_of_order_teaches_nothing() -> None:
    made = source(0.0, 0.0)
    before = made.last, made.interval(raw(100)), made.estimator.at(raw(100))
    assert made.add(sample(50, delay=1e-4)) is Heard.NOTHING
    assert made.add(sample(64, 5.0)) is Heard.NOTHING
    assert (made.last, made.interval(raw(100)), made.estimator.at(raw(100))) == before
    assert made.estimator.samples == len(made.history) == 2


def test_it_remembers_the_latest_samples() -> None:
    made = source(*[0.0] * (HISTORY + 5))
    assert [s.raw for s in made.history] == [raw(64.0 * n) for n in range(5, HISTORY + 5)]
    assert made.last.raw == raw(64.0 * (HISTORY + 4))


def test_the_interval_moves_with_the_crystal_and_widens_by_its_reach() -> None:
    made = source(0.0, frequency=50e-6, skew=1e-7)
    low, high = made.interval(raw(1000))
    reach = crystal.reach(1000.0, made.estimator.cautious_skew, made.estimator.wander)
    assert (low + high) / 2 == pytest.approx(0.05)
    assert (high - low) / 2 == pytest.approx(sample(0).distance + reach)


def test_an_earlier_instant_can_be_asked_for_too() -> None:
    made = source(0.0, 0.0, frequency=50e-6, skew=1e-7)
    low, high = made.interval(raw(0))
    assert low < 0 < high
    narrow_low, narrow_high = made.interval(raw(64))
    assert high - low > narrow_high - narrow_low
    assert (low + high) < (narrow_low + narrow_high)


def test_several_samples_vouch_for_what_they_share() -> None:
    """Each leans to one side by most of what it may."""
    low, high = source(9e-3, -9e-3, frequency=0.0, skew=1e-9).interval(raw(64))
    assert low < 0 < high
    assert high - low < 0.006


def test_the_truth_is_in_the_interval(rng: random.Random) -> None:
    made, frequency = Source(START, 0.0, FREQUENCY_PRIOR), rng.uniform(-50e-6, 50e-6)
    for n in range(100):
        at = 64.0 * n
        made.add(queued(rng, at, 5e-3, frequency))
        for later in (0.0, 30.0, 64.0):
            low, high = made.interval(raw(at + later))
            assert low <= frequency * (at + later) <= high


def test_who_contradicts_itself_is_taken_at_its_latest_word() -> None:
    low, high = source(0.0, 0.0, 1.0).interval(raw(128))
    assert (low + high) / 2 == pytest.approx(1.0)
    assert (high - low) / 2 == pytest.approx(sample(0).distance)


def test_a_leap_second_goes_through_all_it_knows() -> None:
    made, steady = source(1e-3, 2e-3), source(1e-3, 2e-3)
    made.shift(NS)
    assert [seconds(s.time - START - s.raw) for s in made.history] == [1.001, 1.002]
    assert made.interval(raw(100)) == steady.interval(raw(100))
    made.add(sample(128, 1.003))
    steady.add(sample(128, 0.003))
    assert made.interval(raw(128)) == pytest.approx(steady.interval(raw(128)), abs=1e-12)
    for _ in range(HISTORY):
        made.add(sample(made.last.raw / NS + 1))
    assert len(made.history) == HISTORY


def test_what_it_said_before_is_forgotten_then() -> None:
    made = source(0.0, 0.0)
    assert made.add(sample(128, 1.0)) is Heard.ANOTHER
    assert len(made.history) == made.estimator.samples == 1
    assert made.samples == 3
    assert made.add(sample(192, 1.0)) is Heard.MORE
