"""From an offset to a rate: what is wrong is taken away, no more, and never backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.sync.crystal import MAX_FREQUENCY
from pints.sync.steer import MAX_SLEW, MIN_SLEW, SLOW_SLEW, steer
from pints.timescale import NS, Raw

RAW = Raw(77 * NS)
offsets = st.floats(-10, 10)
frequencies = st.floats(-MAX_FREQUENCY, MAX_FREQUENCY)
intervals = st.floats(1, 131072)


@given(offsets, frequencies, intervals)
def test_the_slew_takes_away_exactly_the_offset(
    offset: float, frequency: float, interval: float
) -> None:
    steering = steer(offset, frequency, interval, RAW)
    duration = (steering.until - RAW) / NS
    assert (steering.rate - steering.frequency) * duration == pytest.approx(-offset, abs=1e-8)
    assert steering.slewed(steering.until) == pytest.approx(-offset * NS, abs=20)
    assert steering.slewed(RAW) == 0
    goes_on = steering.slewed(Raw(2 * steering.until - RAW)) / NS
    assert goes_on == pytest.approx(-2 * offset, abs=1e-7), "until somebody ends it"


@given(offsets, st.floats(-1e-2, 1e-2), intervals)
def test_rates_are_bounded(offset: float, frequency: float, interval: float) -> None:
    steering = steer(offset, frequency, interval, RAW)
    assert abs(steering.frequency) <= MAX_FREQUENCY
    assert abs(steering.rate - steering.frequency) <= MAX_SLEW * (1 + 1e-6)
    assert steering.rate > -1, "a clock never runs backwards"


@given(st.floats(-1e-3, 1e-3), frequencies, intervals)
def test_small_offsets_are_over_well_before_the_next_sample(
    offset: float, frequency: float, interval: float
) -> None:
    duration = (steer(offset, frequency, interval, RAW).until - RAW) / NS
    assert MIN_SLEW <= duration <= SLOW_SLEW
    assert duration <= max(MIN_SLEW, interval / 8) + 1e-9


def test_a_clock_that_is_ahead_is_slowed() -> None:
    assert steer(1e-3, 0.0, 64, RAW).rate < 0
    assert steer(-1e-3, 0.0, 64, RAW).rate > 0


def test_a_large_offset_takes_its_time() -> None:
    assert (steer(1.0, 0.0, 64, RAW).until - RAW) / NS == pytest.approx(1.0 / MAX_SLEW)


@given(offsets, frequencies, intervals, st.floats(0.0, 1.0))
def test_a_slew_goes_evenly_and_is_accounted_for(
    offset: float, frequency: float, interval: float, share: float
) -> None:
    """Run at its rate, the clock is ahead by what was not taken away yet, and no more."""
    steering = steer(offset, frequency, interval, RAW)
    raw = Raw(RAW + int((steering.until - RAW) * share))
    ran, true = (raw - RAW) * (1 + steering.rate), (raw - RAW) * (1 + frequency)
    left = offset + (ran - true) / NS
    assert left == pytest.approx(offset * (1 - share), abs=1e-7)
    assert steering.slewed(raw) == pytest.approx((left - offset) * NS, abs=20)


@pytest.mark.parametrize("sign", [1, -1])
def test_no_crystal_is_believed_to_be_that_bad(sign: int) -> None:
    for asked in (MAX_FREQUENCY, 2 * MAX_FREQUENCY, 1.0):
        steering = steer(0.0, sign * asked, 64, RAW)
        assert (steering.rate, steering.frequency) == (sign * MAX_FREQUENCY,) * 2
    assert steer(0.0, sign * 50e-6, 64, RAW).frequency == sign * 50e-6
