"""Who is followed: a majority's agreement, names for the rest, the authentic before the plain."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync.select import (
    COMBINED,
    FALSETICKER,
    LEFT_OUT,
    SELECTED,
    STAYS,
    Candidate,
    Choice,
    select,
)


def candidate(
    name: str, phase: float = 0.0, distance: float = 0.01, authenticated: bool = True
) -> Candidate:
    return Candidate(name, phase - distance, phase + distance, authenticated)


def marks(found: Choice | None) -> str:
    assert found is not None
    return "".join(found.marks[name] for name in sorted(found.marks))


def test_nobody() -> None:
    assert select([]) is None


def test_one_alone_is_selected() -> None:
    found = select([candidate("a", 0.5, 0.25)])
    assert marks(found) == SELECTED
    assert found is not None
    assert (found.low, found.high, found.best) == (0.25, 0.75, "a")
    assert found.members == {"a"}


def test_two_that_disagree_are_no_majority() -> None:
    assert select([candidate("a"), candidate("b", 1.0)]) is None


def test_falsetickers_are_named() -> None:
    found = select([candidate("a"), candidate("b", 1e-4), candidate("c", 1.0)])
    assert marks(found) == SELECTED + COMBINED + FALSETICKER
    assert found is not None
    assert found.members == {"a", "b"}
    assert (found.low, found.high) == (-0.01 + 1e-4, 0.01)


def test_half_is_no_majority() -> None:
    four = [candidate("a"), candidate("b"), candidate("c", 1.0), candidate("d", 2.0)]
    assert select(four) is None
    assert select(four[:3]) is not None


def test_the_authentic_are_preferred_to_the_plain() -> None:
    found = select([candidate("a", 1e-3, 1e-3, authenticated=False), candidate("b")])
    assert marks(found) == LEFT_OUT + SELECTED
    assert found is not None
    assert found.members == {"b"}


def test_plain_ones_are_followed_where_there_are_no_others() -> None:
    found = select([candidate("a", authenticated=False), candidate("b", authenticated=False)])
    assert marks(found) == SELECTED + COMBINED


def test_the_narrowest_is_the_best() -> None:
    assert marks(select([candidate("a"), candidate("b", distance=0.009)])) == COMBINED + SELECTED
    assert marks(select([candidate("a"), candidate("b", distance=0.011)])) == SELECTED + COMBINED


def test_the_best_stays_it_until_another_is_far_better() -> None:
    best = candidate("b", distance=0.01)
    near, far = (candidate("a", distance=0.01 / (STAYS * by)) for by in (0.99, 1.01))
    assert marks(select([near, best], "b")) == COMBINED + SELECTED
    assert marks(select([far, best], "b")) == SELECTED + COMBINED
    assert marks(select([near, best], "a")) == SELECTED + COMBINED
    assert marks(select([near, best], "gone")) == SELECTED + COMBINED


def test_a_falseticker_does_not_stay_the_best() -> None:
    found = select([candidate("a"), candidate("b"), candidate("x", 1.0, 1e-3)], "x")
    assert marks(found) == SELECTED + COMBINED + FALSETICKER


def test_nor_does_a_plain_one_once_others_are_there() -> None:
    plain = candidate("a", distance=1e-3, authenticated=False)
    assert marks(select([plain, candidate("b")], "a")) == LEFT_OUT + SELECTED


several = st.lists(
    st.builds(
        candidate,
        st.uuids().map(str),
        st.floats(-0.05, 0.05),
        distance=st.floats(1e-4, 0.1),
        authenticated=st.booleans(),
    ),
    min_size=1, max_size=8, unique_by=lambda c: c.source,
)  # fmt: skip


@given(several)
def test_whatever_is_selected(candidates: list[Candidate]) -> None:
    found = select(candidates)
    if found is None:
        return
    voters = [c for c in candidates if c.authenticated] or candidates
    chimers = [c for c in candidates if c.source in found.members]
    assert set(found.marks) == {c.source for c in candidates}
    assert all(c in voters for c in chimers)
    assert 2 * len(chimers) > len(voters)
    assert [s for s, mark in found.marks.items() if mark == SELECTED] == [found.best]
    # A truth that all truechimers admit lies within the bound that is given, and no other.
    assert (found.low, found.high) == (max(c.low for c in chimers), min(c.high for c in chimers))
    assert found.low <= found.high
    # Nobody is called false whose interval has a point in common with that.
    for c in candidates:
        if found.marks[c.source] == FALSETICKER:
            assert c.low > found.low or c.high < found.high
        if found.marks[c.source] == LEFT_OUT:
            assert c.low <= found.high
            assert found.low <= c.high


@given(several)
def test_order_does_not_matter(candidates: list[Candidate]) -> None:
    assert select(candidates) == select(candidates[::-1])


@given(several, st.floats(-1e3, 1e3))
def test_only_differences_matter(candidates: list[Candidate], moved: float) -> None:
    # Whole microseconds and a step of them, so that no rounding makes intervals part.
    def exact(value: float, by: float = 0.0) -> float:
        return round((value + by) * 2**20) / 2**20

    here = [replace(c, low=exact(c.low), high=exact(c.high)) for c in candidates]
    by = exact(moved)
    there = [replace(c, low=c.low + by, high=c.high + by) for c in here]
    one, other = select(here), select(there)
    assert (one and one.marks) == (other and other.marks)


@pytest.mark.parametrize("plain", [1, 2, 20])
def test_any_number_of_plain_ones_that_agree_move_nothing(plain: int) -> None:
    others = [candidate(f"p{n}", 2e-3, 9e-3, authenticated=False) for n in range(plain)]
    found = select([candidate("a"), *others])
    assert marks(found) == SELECTED + LEFT_OUT * plain
    assert found is not None
    assert (found.low, found.high) == (-0.01, 0.01)


def test_plain_ones_that_disagree_outvote_nobody() -> None:
    found = select([candidate("a"), *(candidate(n, 1.0, authenticated=False) for n in "xy")])
    assert marks(found) == SELECTED + FALSETICKER + FALSETICKER


def test_plain_ones_do_not_decide_between_the_authentic() -> None:
    authentic = [candidate("a"), candidate("b", 1.0)]
    assert select([*authentic, candidate("p", authenticated=False)]) is None


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), max_size=9))
def test_it_takes_more_than_half(phases: list[float]) -> None:
    found = select([candidate(str(n), phase) for n, phase in enumerate(phases)])
    most = max((phases.count(p) for p in phases), default=0)
    assert (found is not None) == (2 * most > len(phases))
