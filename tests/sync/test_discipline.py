"""All sources together: the estimate to steer by, and its bound."""

import random

import pytest

from pints.sync.discipline import Discipline
from pints.sync.filter import DRIFT
from pints.timescale import Raw, nanoseconds, seconds
from tests.sync.samples import START, queued, sample


def raw(at: float) -> Raw:
    return Raw(nanoseconds(at))


def error(discipline: Discipline, at: float, frequency: float = 0.0) -> float:
    """Of its estimate, seconds."""
    true = discipline.true_time(raw(at))
    assert true is not None
    return seconds(true - START) - at - frequency * at


def test_knows_nothing_at_first() -> None:
    discipline = Discipline()
    assert discipline.true_time(raw(0)) is None
    assert discipline.bound(raw(0)) == float("inf")
    assert discipline.choose(raw(0), {"a": True}) is None


def test_three_sources_are_better_than_one(rng: random.Random) -> None:
    frequency = 25e-6
    alone, together = Discipline(), Discipline()
    for n in range(100):
        for k, source in enumerate("abc"):
            at = 64.0 * n + k
            made = queued(rng, at, 2e-3, frequency)
            made = type(made)(**{f: getattr(made, f) for f in made.__slots__} | {"source": source})
            together.add(made)
            together.choose(raw(at), dict.fromkeys("abc", True))
            if source == "a":
                alone.add(made)
                alone.choose(raw(at), {"a": True})
    end = 64.0 * 99 + 2
    assert abs(error(together, end, frequency)) < 2e-3
    assert together.skew <= alone.skew
    assert together.frequency == pytest.approx(frequency, abs=2e-6)


def test_who_is_not_usable_does_not_count() -> None:
    discipline = Discipline()
    discipline.add(sample(0, 0.0, source="a"))
    for name in "xyz":
        discipline.add(sample(0, 1.0, source=name))
    found = discipline.choose(raw(0), {"a": True})
    assert found is not None
    assert set(found.marks) == {"a"}
    assert error(discipline, 0) == 0


def test_a_liar_is_forgotten_with_what_it_taught() -> None:
    discipline = Discipline()
    discipline.add(sample(0, 1.0, source="x"))
    discipline.forget("x")
    discipline.forget("never heard of")
    assert discipline.choose(raw(0), {"x": True}) is None
    assert not discipline.filters
    assert not discipline.last


def test_without_a_choice_the_last_one_runs_on() -> None:
    discipline = Discipline(frequency=10e-6, skew=1e-7)
    discipline.add(sample(0))
    assert discipline.choose(raw(0), {"a": True})
    assert discipline.choose(raw(500), {}) is None
    assert error(discipline, 1000, 10e-6) == pytest.approx(0, abs=1e-6)


def test_the_bound_grows_by_the_drift() -> None:
    discipline = Discipline()
    discipline.add(sample(0))
    discipline.choose(raw(0), {"a": True})
    start = discipline.bound(raw(0))
    assert start >= 0.01
    assert discipline.bound(raw(1000)) >= start + DRIFT * 1000
    assert discipline.bound(raw(0)) == start


def test_times_far_apart_lose_no_precision() -> None:
    """Nanoseconds since 1970 do not fit into a float; a phase against the base does."""
    discipline = Discipline()
    discipline.add(sample(1e8, 3e-6))
    discipline.choose(raw(1e8), {"a": True})
    assert discipline.true_time(raw(1e8)) == pytest.approx(START + 10**17 + 3000, abs=2)


def test_the_bound_is_the_samples_distance_grown_by_15_ppm() -> None:
    """On a crystal that is known."""
    discipline = Discipline(skew=1e-12)
    made = sample(0)
    discipline.add(made)
    found = discipline.choose(raw(100), {"a": True})
    assert DRIFT == 15e-6
    assert found is not None
    assert found.distance == pytest.approx(made.distance + DRIFT * 100)
    assert discipline.bound(raw(100)) == found.distance
    assert discipline.bound(raw(1100)) - found.distance == pytest.approx(DRIFT * 1000)


def test_two_sources_that_fall_out_leave_the_last_choice() -> None:
    discipline = Discipline()
    for n in range(5):
        discipline.add(sample(64 * n, source="a"))
        discipline.add(sample(64 * n, source="b"))
    first = discipline.choose(raw(300), {"a": True, "b": True})
    assert first is not None
    for n in range(5, 10):
        discipline.add(sample(64 * n, 500.0, source="b"))
    assert discipline.choose(raw(600), {"a": True, "b": True}) is None
    assert discipline.selection == first
    assert error(discipline, 600) == pytest.approx(0.0, abs=1e-6)


def test_a_sample_out_of_order_does_not_stand_for_its_source() -> None:
    discipline = Discipline()
    newest = sample(100)
    discipline.add(newest)
    discipline.add(sample(50, delay=0.001))
    assert discipline.last["a"] is newest


def test_who_is_followed_no_more_makes_nothing_surer() -> None:
    """In holdover the servers that turned go on answering, and are measured."""
    discipline = Discipline()
    discipline.add(sample(0, 0.0, source="a"))
    assert discipline.choose(raw(0), {"a": True}) is not None
    for at in range(64, 64_000, 64):
        discipline.add(sample(at, 100.0, source="a"))
    assert discipline.choose(raw(64_000), {}) is None
    assert discipline.bound(raw(64_000)) > 64_000 * DRIFT
