"""The hard bound: what all intervals share."""

from hypothesis import given
from hypothesis import strategies as st

from pints.sync.bound import Bound


def bound(*samples: tuple[float, float], moved: float = 0.0, reach: float = 0.0) -> Bound:
    made = Bound()
    for phase, distance in samples:
        made.add(phase, distance, moved, reach, reach)
    return made


def test_the_first_sample_is_the_bound() -> None:
    assert bound((1.0, 0.25)).after(0.0, 0.0) == (0.75, 1.25)


def test_the_truth_is_in_what_intervals_share() -> None:
    assert bound((0.0, 1.0), (1.5, 1.0)).after(0.0, 0.0) == (0.5, 1.0)
    assert bound((0.0, 1.0), (0.0, 5.0), (0.25, 0.25)).after(0.0, 0.0) == (0.0, 0.5)


def test_intervals_without_a_common_point_begin_anew() -> None:
    assert bound((0.0, 1.0), (3.0, 1.0)).after(0.0, 0.0) == (2.0, 4.0)
    assert bound((0.0, 1.0), (-3.0, 1.0)).after(0.0, 0.0) == (-4.0, -2.0)
    assert bound((0.0, 1.0), (2.0, 1.0)).after(0.0, 0.0) == (1.0, 1.0), "touching is sharing"


def test_it_moves_and_grows_with_the_crystal() -> None:
    made = bound((0.0, 1.0))
    assert made.after(10.0, 0.5) == (8.5, 11.5)
    assert made.after(-10.0, 0.0) == (-11.0, -9.0)
    assert made.after(0.0, 0.0) == (-1.0, 1.0), "asking changes nothing"


def test_what_was_said_before_is_moved_before_it_is_shared() -> None:
    assert bound((0.0, 1.0), (9.0, 5.0), moved=10.0, reach=0.5).after(0.0, 0.0) == (8.5, 11.5)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))))
def test_the_truth_never_leaves_it(life: list[tuple[float, float, float]]) -> None:
    """Each sample is off by a share of its distance, the crystal by a share of its reach."""
    made, truth = Bound(), 0.0
    for distance, wrong, astray in life:
        truth += 0.5 + astray * 0.1
        made.add(truth + wrong * distance, distance, 0.5, 0.1, 0.1)
        low, high = made.after(0.0, 0.0)
        assert low - 1e-9 <= truth <= high + 1e-9
        assert high - low <= 2 * distance + 1e-9


def test_what_the_crystal_did_unseen_is_no_contradiction() -> None:
    """But what was said before does not confine the phase any more then."""
    made = bound((0.0, 1.0))
    assert made.add(3.0, 1.0, 0.0, 0.25, 1.0)
    assert made.after(0.0, 0.0) == (2.0, 4.0)
    assert not made.add(9.0, 1.0, 0.0, 0.25, 1.0)
