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
    Candidate,
    Selection,
    select,
)


def candidate(name: str, phase: float = 0.0, **traits: float | bool) -> Candidate:
    usual = Candidate(name, phase, 1e-4, 0.01, 1e-6, 1e-7, True, 1)
    return replace(usual, **traits)  # type: ignore[arg-type]


def marks(found: Selection | None) -> str:
    assert found is not None
    return "".join(found.marks[name] for name in sorted(found.marks))


def test_nobody() -> None:
    assert select([]) is None


def test_one_alone_is_selected() -> None:
    found = select([candidate("a", 0.5)])
    assert marks(found) == SELECTED
    assert found is not None
    assert found.phase == 0.5
    assert found.distance == pytest.approx(0.01)


def test_two_that_disagree_are_no_majority() -> None:
    assert select([candidate("a"), candidate("b", 1.0)]) is None


def test_falsetickers_are_named() -> None:
    found = select([candidate("a"), candidate("b", 1e-4), candidate("c", 1.0)])
    assert marks(found) == SELECTED + COMBINED + FALSETICKER
    assert found is not None
    assert 0 <= found.phase <= 1e-4


def test_half_is_no_majority() -> None:
    four = [candidate("a"), candidate("b"), candidate("c", 1.0), candidate("d", 2.0)]
    assert select(four) is None
    assert select(four[:3]) is not None


def test_the_authentic_are_preferred_to_the_plain() -> None:
    plain = candidate("a", 1e-3, distance=1e-3, authenticated=False)
    found = select([plain, candidate("b")])
    assert marks(found) == LEFT_OUT + SELECTED
    assert found is not None
    assert found.phase == 0


def test_plain_ones_are_followed_where_there_are_no_others() -> None:
    found = select([candidate("a", authenticated=False), candidate("b", authenticated=False)])
    assert marks(found) == SELECTED + COMBINED


def test_who_is_much_worse_is_left_out() -> None:
    found = select([candidate("a"), candidate("b", distance=0.2)])
    assert marks(found) == SELECTED + LEFT_OUT


def test_a_stratum_is_worth_a_millisecond() -> None:
    near = select([candidate("a", stratum=2), candidate("b", distance=0.0105)])
    assert marks(near) == COMBINED + SELECTED
    far = select([candidate("a", stratum=2), candidate("b", distance=0.0115)])
    assert marks(far) == SELECTED + COMBINED


def test_the_surest_weigh_most() -> None:
    sure = candidate("a", 0.0, deviation=1e-5, distance=1e-3, skew=1e-8)
    found = select([sure, candidate("b", 1e-3, deviation=1e-3, distance=2e-3, frequency=9e-6)])
    assert found is not None
    assert found.phase < 0.1e-3
    assert found.frequency == pytest.approx(1e-6, rel=0.1)


several = st.lists(
    st.builds(
        candidate,
        st.uuids().map(str),
        st.floats(-0.05, 0.05),
        deviation=st.floats(1e-7, 1e-2),
        distance=st.floats(1e-4, 0.1),
        skew=st.floats(1e-9, 1e-4),
        authenticated=st.booleans(),
        stratum=st.integers(1, 15),
    ),
    min_size=1, max_size=8, unique_by=lambda c: c.source,
)  # fmt: skip


@given(several)
def test_whatever_is_selected(candidates: list[Candidate]) -> None:
    found = select(candidates)
    if found is None:
        return
    used = [c for c in candidates if found.marks[c.source] in (SELECTED, COMBINED)]
    voters = [c for c in candidates if c.authenticated] or candidates
    chimers = [c for c in voters if found.marks[c.source] != FALSETICKER]
    assert 2 * len(chimers) > len(voters)
    assert sum(mark == SELECTED for mark in found.marks.values()) == 1
    assert found.marks[found.best] == SELECTED
    assert min(c.phase for c in used) - 1e-12 <= found.phase <= max(c.phase for c in used) + 1e-12
    assert found.deviation <= max(c.deviation for c in used) * (1 + 1e-9)
    assert found.skew <= min(c.skew for c in used) * (1 + 1e-9)
    # A truth that all truechimers admit lies within the bound that is given.
    low = max(c.phase - c.distance for c in chimers)
    high = min(c.phase + c.distance for c in chimers)
    assert abs(low - found.phase) <= found.distance + 1e-12
    assert abs(high - found.phase) <= found.distance + 1e-12
    assert all(c in voters for c in used)


@given(several)
def test_order_does_not_matter(candidates: list[Candidate]) -> None:
    one, other = select(candidates), select(candidates[::-1])
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.marks == other.marks
        assert one.phase == pytest.approx(other.phase)


@pytest.mark.parametrize("plain", [1, 2, 20])
def test_any_number_of_plain_ones_that_agree_move_nothing(plain: int) -> None:
    others = [
        candidate(f"p{n}", 2e-3, distance=9e-3, deviation=1e-9, authenticated=False)
        for n in range(plain)
    ]
    found = select([candidate("a"), *others])
    assert marks(found) == SELECTED + LEFT_OUT * plain
    assert found is not None
    assert found.phase == 0


def test_plain_ones_that_disagree_outvote_nobody() -> None:
    found = select([candidate("a"), *(candidate(n, 1.0, authenticated=False) for n in "xy")])
    assert marks(found) == SELECTED + FALSETICKER + FALSETICKER


def test_a_plain_one_does_not_narrow_the_bound_of_the_authentic() -> None:
    found = select([candidate("a"), candidate("p", distance=1e-6, authenticated=False)])
    assert found is not None
    assert found.distance == pytest.approx(0.01)


def test_a_source_is_combined_up_to_three_times_the_best_ones_cost() -> None:
    best = candidate("a")  # costs 11 ms
    within, beyond = (candidate(n, 1e-3, distance=d) for n, d in (("b", 0.0319), ("c", 0.0321)))
    found, without = select([best, within, beyond]), select([best, within])
    assert marks(found) == SELECTED + COMBINED + LEFT_OUT
    assert found is not None
    assert without is not None
    assert found.phase == without.phase


def test_weights_go_by_deviation_and_by_what_a_path_may_hide() -> None:
    heavy, light = 1 / (1e-6 + 1e-6), 1 / (4e-6 + 1e-6)  # a tenth of the distance is 1 ms
    found = select([candidate("a", deviation=1e-3), candidate("b", 3e-3, deviation=2e-3)])
    assert found is not None
    assert found.phase == pytest.approx(3e-3 * light / (heavy + light))
    assert found.deviation == pytest.approx(
        ((heavy * 1e-3) ** 2 + (light * 2e-3) ** 2) ** 0.5 / (heavy + light)
    )


def test_frequencies_are_weighed_by_their_skew() -> None:
    found = select([candidate("a", frequency=10e-6, skew=1e-6),
                    candidate("b", frequency=20e-6, skew=2e-6)])  # fmt: skip
    assert found is not None
    assert found.frequency == pytest.approx(12e-6)
    assert 0.89e-6 < found.skew <= 1e-6


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), max_size=9))
def test_it_takes_more_than_half(phases: list[float]) -> None:
    found = select([candidate(str(n), phase) for n, phase in enumerate(phases)])
    most = max((phases.count(p) for p in phases), default=0)
    assert (found is not None) == (2 * most > len(phases))
