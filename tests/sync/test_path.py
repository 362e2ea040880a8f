"""What is learned of one path's queues."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync.path import PRECISE, ROUTE, UNUSUAL, Path

LEAST = 0.01


def learn(path: Path, waits: Iterable[tuple[float, float]], least: float = LEAST) -> list[float]:
    """The routes that were recognised in waits there and back."""
    found = [path.learn(least + (a + b) / 2, least, a - b) for a, b in waits]
    return [route for route in found if route is not None]


def exponential(
    rng: random.Random, number: int, there: float, back: float, more: float = 0.0
) -> list[tuple[float, float]]:
    return [
        (more + rng.expovariate(1 / there), more + rng.expovariate(1 / back)) for _ in range(number)
    ]


def test_waits_are_as_supposed_at_first() -> None:
    path = Path(2e-3)
    assert (path.there, path.back, path.usual) == (2e-3,) * 3
    assert Path(0.0).there == PRECISE, "of none at all nothing could be computed"


def test_the_wait_of_each_way_is_learned(rng: random.Random) -> None:
    path = Path(2e-3)
    learn(path, exponential(rng, 500, 1e-3, 5e-3))
    assert path.there == pytest.approx(1e-3, rel=0.9)
    assert path.back == pytest.approx(5e-3, rel=0.6)
    assert path.usual == pytest.approx(3e-3, rel=0.5)
    assert path.back > 1.5 * path.there


def test_at_first_both_ways_are_held_to_be_alike() -> None:
    path = Path(2e-3)
    learn(path, [(0.0, 4e-3)])
    assert path.there > path.back / 2
    learn(path, [(0.0, 4e-3)] * 100)
    assert path.there < path.back / 10


def test_a_better_idea_of_the_least_corrects_what_was_learned() -> None:
    path = Path(1e-3)
    learn(path, [(0.0, 0.0), (1e-3, 1e-3)] * 50)
    before = path.usual
    learn(path, [(1.5e-3, 1.5e-3)], least=LEAST - 1e-3)
    assert path.usual == pytest.approx(before + 1e-3, rel=0.1)


def test_a_change_of_the_queues_is_learned(rng: random.Random) -> None:
    path = Path(1e-3)
    learn(path, exponential(rng, 200, 1e-3, 1e-3))
    learn(path, exponential(rng, 400, 4e-3, 1e-3))
    assert path.there > 2 * path.back


def test_congestion_of_one_way_is_no_other_route(rng: random.Random) -> None:
    """Not even where all its packets wait alike."""
    path = Path(1e-4)
    learn(path, exponential(rng, 100, 1e-4, 1e-4))
    jam = [(0.05 + a, b) for a, b in exponential(rng, 100, 1e-4, 1e-5)]
    jam = [(a, 0.0) if n % 4 == 0 else (a, b) for n, (a, b) in enumerate(jam)]
    assert learn(path, jam) == []
    assert path.there > 0.01
    assert path.back < path.there / 10


def test_a_longer_route_is_recognised_once_and_at_once(rng: random.Random) -> None:
    path = Path(1e-4)
    learn(path, exponential(rng, 50, 1e-4, 1e-4))
    found = learn(path, exponential(rng, ROUTE, 1e-4, 1e-4, more=0.02))
    assert len(found) == 1
    assert found[0] == pytest.approx(LEAST + 0.02, abs=6e-4)
    assert path.usual < 2e-3, "its queues are known by what was seen of it"
    assert learn(path, exponential(rng, 50, 1e-4, 1e-4), least=found[0]) == []


def test_a_route_takes_some_samples_to_be_believed() -> None:
    path = Path(1e-4)
    learn(path, [(0.0, 0.0)] * 50)
    assert learn(path, [(0.02, 0.02)] * (ROUTE - 1)) == []
    assert learn(path, [(0.0, 0.0)]) == []
    assert learn(path, [(0.02, 0.02)] * ROUTE) == [pytest.approx(LEAST + 0.02, abs=1e-6)]


def test_queues_of_both_ways_that_differ_are_no_route(rng: random.Random) -> None:
    path = Path(1e-3)
    jammed = [(rng.uniform(5e-3, 50e-3), 5e-3) for _ in range(ROUTE - 2)]
    assert learn(path, [(5e-3, 5e-3), (50e-3, 50e-3), *jammed] * 20) == []


def test_one_outlier_counts_as_no_longer_than_some_waits() -> None:
    path, limited = Path(1e-3), Path(1e-3)
    usual = [(1e-3, 1e-3), (0.5e-3, 1.5e-3)] * 50
    for each, outlier in ((path, 100.0), (limited, 2 * UNUSUAL * 1e-3)):
        learn(each, usual)
        learn(each, [(outlier, 0.0)])
    assert path.usual == pytest.approx(limited.usual, rel=0.05)
    assert path.there < 1.2e-3
    assert path.back > 0.8e-3


@given(
    st.floats(0.0, 10.0),
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))),
)
def test_waits_are_positive_whatever_is_seen(
    first: float, seen: list[tuple[float, float, float]]
) -> None:
    path = Path(first)
    for way, least, unlike in seen:
        longer = path.learn(way, least, unlike)
        assert longer is None or 0 <= longer <= 1e6
        assert PRECISE <= path.there < 1e9
        assert PRECISE <= path.back < 1e9
