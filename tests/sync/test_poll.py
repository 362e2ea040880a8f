"""How often to ask: within bounds, seldom while the crystal is calm, soon when it is not."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.client.schedule import BURST
from pints.sync.estimator import Estimator
from pints.sync.poll import OFTEN, SMALL, START, PollControl
from tests.sync import samples
from tests.sync.samples import queued


class Known(Estimator):
    """One of whose crystal and path this is known; the frequency has been learned."""

    def __init__(
        self, wander: float, noise: float = 1e-3, skew: float = 0.0, count: int = 1000
    ) -> None:
        super().__init__(samples.START)
        self.wander, self._skewed = wander, skew
        self.noise, self.samples = noise, count

    def grown(self, span: float) -> float:
        return math.sqrt(self.wander**2 * span**3 / 3 + (self._skewed * span) ** 2)


def polls(control: PollControl, poll: int, path: Estimator, number: int) -> list[int]:
    """Intervals after each of several samples."""
    found = []
    for _ in range(number):
        poll = control.after_sample(poll, path)
        found.append(poll)
    return found


def running(minpoll: int = 6, maxpoll: int = 10) -> PollControl:
    """One whose start is over."""
    control = PollControl(minpoll, maxpoll)
    polls(control, minpoll, Known(1.0), OFTEN * max(minpoll - START, 0))
    return control


def mean_poll(wander: float, noise: float = 1e-3, skew: float = 0.0) -> float:
    found = polls(running(4, 17), 4, Known(wander, noise, skew), 60)[20:]
    return sum(found) / len(found)


def test_the_first_intervals_double() -> None:
    control, calm = PollControl(6, 10), Known(1e-12, SMALL / 10)
    assert polls(control, 6, calm, 8) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_while_the_error_is_large_each_is_used_several_times() -> None:
    large = Known(1e-12, 2 * SMALL * 1000)
    assert polls(PollControl(6, 10), 6, large, OFTEN * 4 + 1) == [
        n for n in (2, 3, 4, 5) for _ in range(OFTEN)
    ] + [6]


def test_the_error_is_the_smaller_the_more_samples_there_are() -> None:
    few, many = (
        polls(PollControl(6, 10), 6, Known(1.0, 100 * SMALL, 0.0, n), 2) for n in (90, 110)
    )
    assert (few, many) == ([2, 2], [2, 3])


def test_the_first_burst_is_not_its_affair() -> None:
    control = PollControl(6, 10)
    for count in range(1, BURST):
        assert control.after_sample(6, Known(1.0, count=count)) == 6
    assert control.after_sample(6, Known(1.0, count=BURST)) == START


def test_who_is_asked_often_anyway_starts_at_once() -> None:
    assert polls(PollControl(2, 10), 2, Known(1e-12), 3) == [3, 4, 5]
    assert polls(PollControl(0, 0), 0, Known(1e-12), 3) == [0, 0, 0]


crystals = st.builds(
    Known, st.floats(1e-13, 1e-3), st.floats(1e-9, 10.0), st.floats(0.0, 1e-3), st.integers(1, 99)
)


@given(
    st.integers(0, 17), st.integers(0, 17), st.integers(0, 17), st.lists(crystals, max_size=60)
)  # fmt: skip
def test_never_out_of_bounds(one: int, other: int, first: int, lives: list[Known]) -> None:
    low, high = sorted((one, other))
    control, poll = PollControl(low, high), min(max(first, low), high)
    used = list[int]()
    for path in sorted(lives, key=lambda path: path.samples):
        before, poll = poll, control.after_sample(poll, path)
        assert poll <= max(before + 1, low)
        used.append(poll)
    late = [n for n, poll in enumerate(used) if poll >= low]
    starting = [poll for poll in used if poll < low]
    assert all(poll <= high for poll in used)
    # Shorter ones are those of the start: from START up, each OFTEN at most.
    assert starting == sorted(starting)
    assert all(poll >= START and starting.count(poll) <= OFTEN for poll in starting)
    first_regular = next((n for n in late if starting and n > used.index(starting[-1])), None)
    if first_regular is not None:
        assert all(poll >= low for poll in used[first_regular + OFTEN :])


def test_a_kiss_beyond_the_bounds_is_brought_back() -> None:
    assert running().after_sample(12, Known(1e-12)) == 10


def test_it_is_one_step_up_at_most_and_down_at_once() -> None:
    control = running()
    assert polls(control, 6, Known(1e-12), 5) == [7, 8, 9, 10, 10]
    assert polls(control, 10, Known(1e-3), 2) == [6, 6]


def test_the_calmer_the_crystal_the_seldomer() -> None:
    found = [mean_poll(wander) for wander in (6.4e-8, 1.6e-8, 4e-9, 1e-9)]
    assert found == sorted(found)
    # Four times the wander: the interval times 4 ** (2 / 3).
    assert found[-1] - found[0] == pytest.approx(4, abs=0.5)


def test_the_noisier_the_path_the_seldomer() -> None:
    assert mean_poll(1e-8, 1e-3) > mean_poll(1e-8, 1e-4) + 1.5


def test_a_frequency_that_can_be_learned_is_learned_first() -> None:
    assert mean_poll(1e-9, skew=1e-6) < mean_poll(1e-9) - 1


def test_what_lies_between_two_intervals_is_had_by_turns() -> None:
    """The mean is what was wanted: between both, and nearer to it than a whole number."""
    quarters = set()
    for step in range(16):
        found = polls(running(4, 17), 4, Known(1e-9 * 2 ** (step / 8)), 60)[20:]
        assert max(found) - min(found) <= 1
        quarters.add(sum(found) / len(found) * 4 % 4)
    assert quarters == {0, 1, 2, 3}


def test_it_falls_where_a_crystal_begins_to_wander(rng: random.Random) -> None:
    """With a real estimate: from calm to the draught of a fan."""
    control, made = PollControl(4, 12), Estimator(samples.START)
    at, poll, phase, frequency = 0.0, 4, 0.0, 0.0
    reached = []
    for wander in (0.0, 6e-8):
        for _ in range(120):
            made.add(queued(rng, at, 2e-4, offset=phase))
            poll = control.after_sample(poll, made)
            at += 2.0**poll
            frequency += rng.gauss(0.0, wander) * 2 ** (poll / 2)
            phase += frequency * 2.0**poll
        reached.append(poll)
    assert reached[0] >= 10
    assert reached[1] <= 9
