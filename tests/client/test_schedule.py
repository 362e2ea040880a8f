"""The timing of one source: a new interval, and the turn that comes next."""

import pytest

from pints.client.schedule import BURST, BURST_INTERVAL, Schedule
from pints.timescale import NS, Boot


def at(seconds: float) -> Boot:
    return Boot(round(seconds * NS))


def schedule() -> Schedule:
    """Between 2^6 and 2^10 s; unspread."""
    made = Schedule(6, 10, lambda size: b"\x7f" * size)
    made.begin(at(0))
    return made


def settled() -> Schedule:
    """One whose first burst is over, and which asked at 1000 s."""
    made = schedule()
    for n in range(BURST + 1):
        made.asked(at(200 * n))
        made.answered(at(200 * n))
    made.asked(at(1000))
    return made


def due(made: Schedule) -> float:
    assert made.due is not None
    return made.due / NS


def near(seconds: float, since: float) -> object:
    """What an interval of so much, spread a little, makes due."""
    return pytest.approx(since + seconds, abs=0.011 * seconds)


@pytest.mark.parametrize("poll", [3, 7, 10])
def test_a_new_interval_is_for_the_turn_that_comes_next(poll: int) -> None:
    made = settled()
    assert due(made) == near(64, since=1000)
    made.pace(poll)
    assert made.poll == poll
    assert due(made) == near(2**poll, since=1000), "from when it was asked"
    made.asked(at(2000))
    assert due(made) == near(2**poll, since=2000)


def test_the_same_interval_leaves_the_turn_where_it_was() -> None:
    made = settled()
    made.due = at(1234)
    made.pace(6)
    assert due(made) == 1234


def test_the_first_burst_goes_on_at_its_pace() -> None:
    made = schedule()
    made.asked(at(0))
    made.answered(at(0))
    made.pace(8)
    assert due(made) == near(BURST_INTERVAL, since=0)


def test_probing_goes_on_at_its_pace() -> None:
    made = schedule()
    made.asked(at(10))
    before = due(made)
    assert before == near(1, since=10)
    made.pace(9)
    assert due(made) == before
    made.answered(at(10))
    made.asked(at(20))
    made.lost()
    before = due(made)
    made.pace(9)
    assert due(made) == before


def test_who_is_unwelcome_keeps_away() -> None:
    made = settled()
    made.kissed(at(1010))
    assert due(made) == near(1024, since=1010)
    made.pace(6)
    assert due(made) == near(1024, since=1010)


def test_who_has_nothing_to_ask_with_gets_no_turn() -> None:
    made = settled()
    made.stop()
    made.pace(8)
    assert made.due is None
    assert made.poll == 8
