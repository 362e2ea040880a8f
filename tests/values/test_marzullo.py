"""Marzullo's algorithm, against a search through all subsets."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.values.marzullo import agreement

Interval = tuple[float, float]


@pytest.mark.parametrize(
    ("intervals", "low", "high", "members"),
    [
        ([(0, 1)], 0, 1, {0}),
        ([(0, 2), (1, 3)], 1, 2, {0, 1}),
        ([(8, 12), (11, 13), (14, 15)], 11, 12, {0, 1}),  # Marzullo's own example
        ([(8, 12), (11, 13), (10, 12)], 11, 12, {0, 1, 2}),
        ([(0, 1), (1, 2)], 1, 1, {0, 1}),  # touching is sharing
        ([(0, 1), (5, 5.5)], 5, 5.5, {1}),  # of equals the narrowest
        ([(0, 1), (5, 6)], 0, 1, {0}),  # then the lowest
        ([(0, 10), (4, 5), (4, 5)], 4, 5, {0, 1, 2}),
        ([(0, 10), (1, 2), (8, 9)], 1, 2, {0, 1}),
        ([(3, 3), (3, 3), (0, 9)], 3, 3, {0, 1, 2}),
    ],
)
def test_known_answers(
    intervals: list[Interval], low: float, high: float, members: set[int]
) -> None:
    found = agreement(dict(enumerate(intervals)))
    assert found is not None
    assert (found.low, found.high) == (low, high)
    assert found.members == members
    assert found.middle == (low + high) / 2
    assert found.half_width == (high - low) / 2


def test_nobody_agrees_on_nothing() -> None:
    assert agreement({}) is None


spans = st.tuples(st.integers(0, 20), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1]))


@given(st.lists(spans, min_size=1, max_size=7))
def test_no_larger_set_shares_a_point(intervals: list[tuple[int, int]]) -> None:
    found = agreement(dict(enumerate(intervals)))
    assert found is not None
    best: list[tuple[int, int, int]] = []
    for size in range(len(intervals), 0, -1):
        for chosen in combinations(intervals, size):
            low, high = max(a for a, _ in chosen), min(b for _, b in chosen)
            if low <= high:
                best.append((size, high - low, low))
        if best:
            break
    size, width, low = min(best, key=lambda b: (b[1], b[2]))
    assert (len(found.members), found.low, found.high - found.low) == (size, low, width)


@given(st.lists(spans, min_size=1, max_size=7))
def test_order_does_not_matter(intervals: list[tuple[int, int]]) -> None:
    numbered = list(enumerate(intervals))
    turned = numbered[::-1]
    assert agreement(dict(numbered)) == agreement(dict(turned))


@given(st.lists(spans, min_size=1, max_size=7))
def test_members_are_all_that_share_the_interval_and_no_others(
    intervals: list[tuple[int, int]],
) -> None:
    found = agreement(dict(enumerate(intervals)))
    assert found is not None
    low, high = found.low, found.high
    assert found.members == {n for n, (a, b) in enumerate(intervals) if a <= low and high <= b}
    chosen = [intervals[n] for n in found.members]
    assert (max(a for a, _ in chosen), min(b for _, b in chosen)) == (low, high)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e9)), min_size=1, max_size=20))
def test_no_point_lies_in_more_intervals(pairs: list[tuple[float, float]]) -> None:
    intervals = {n: (middle - width, middle + width) for n, (middle, width) in enumerate(pairs)}
    found = agreement(intervals)
    assert found is not None
    ends = [end for interval in intervals.values() for end in interval]
    assert len(found.members) == max(
        sum(low <= end <= high for low, high in intervals.values()) for end in ends
    )
