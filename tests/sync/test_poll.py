"""How often to ask: within bounds, seldom while all is calm, soon when it is not."""

from hypothesis import given
from hypothesis import strategies as st

from pints.sync.filter import PathFilter
from pints.sync.poll import ALARM, CALM, PATIENCE, SETTLED, PollControl
from tests.sync.samples import START


def path(surprise: float, samples: int = 100) -> PathFilter:
    made = PathFilter(START)
    made.surprise, made.samples = surprise, samples
    return made


def test_calm_doubles_the_interval_after_a_while() -> None:
    control = PollControl(6, 10)
    poll, polls = 6, []
    for _ in range(PATIENCE * 6):
        poll = control.after_sample(poll, path(CALM / 2))
        polls.append(poll)
    assert polls[: PATIENCE - 1] == [6] * (PATIENCE - 1)
    assert polls[PATIENCE - 1 :: PATIENCE] == [7, 8, 9, 10, 10, 10]


def test_the_first_burst_concludes_nothing() -> None:
    control = PollControl(6, 10)
    polls = [control.after_sample(6, path(0.0, n)) for n in range(1, SETTLED + PATIENCE + 1)]
    assert polls == [6] * (SETTLED + PATIENCE - 1) + [7]


def test_a_surprise_halves_it_and_patience_begins_anew() -> None:
    control = PollControl(6, 10)
    for _ in range(PATIENCE - 1):
        control.after_sample(8, path(0.0))
    assert control.after_sample(8, path(-ALARM - 0.1)) == 7
    assert control.after_sample(7, path(0.0)) == 7


def test_what_is_neither_changes_nothing() -> None:
    assert PollControl(6, 10).after_sample(8, path((CALM + ALARM) / 2)) == 8


@given(
    st.integers(0, 17), st.integers(0, 17), st.integers(0, 17),
    st.lists(st.floats(-20, 20), max_size=60),
)  # fmt: skip
def test_never_out_of_bounds(one: int, other: int, start: int, surprises: list[float]) -> None:
    low, high = sorted((one, other))
    control, poll = PollControl(low, high), min(max(start, low), high)
    for surprise in surprises:
        before, poll = poll, control.after_sample(poll, path(surprise))
        assert low <= poll <= high
        assert abs(poll - before) <= 1


def test_a_kiss_beyond_the_bounds_is_brought_back() -> None:
    assert PollControl(6, 10).after_sample(12, path(2.0)) == 10


def after(poll: int, *surprises: float) -> list[int]:
    """Intervals after each of several samples."""
    control, polls = PollControl(6, 10), []
    for surprise in surprises:
        poll = control.after_sample(poll, path(surprise))
        polls.append(poll)
    return polls


def test_intervals_after_a_series_of_surprises() -> None:
    wild, between = ALARM + 0.01, (CALM + ALARM) / 2
    assert after(9, *[wild] * 5) == [8, 7, 6, 6, 6]
    assert after(9, *[-wild] * 5) == [8, 7, 6, 6, 6]
    assert after(8, 0.0, 0.0, wild, 0.0, 0.0, 0.0) == [8, 8, 7, 7, 7, 8]
    assert after(8, 0.0, between, 0.0, between, 0.0) == [8, 8, 8, 8, 9]
    assert after(8, CALM, ALARM, -CALM, -ALARM) == [8] * 4, "the bounds themselves are neither"
