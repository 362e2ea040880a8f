from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import DeviceError
from pints.shell.clock import MAX_RATE, Clock
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, YEAR, Instant

START = Instant(1_800_000_000 * NS)


class Timebase:
    def __init__(self) -> None:
        self.now = 12345

    def __call__(self) -> int:
        return self.now


def made(crystal: float = 0.0, boot_at: int = 0) -> tuple[Timebase, SoftwareClock]:
    timebase = Timebase()
    return timebase, SoftwareClock(START, timebase=timebase, crystal=crystal, boot_at=boot_at)


def test_it_is_a_clock() -> None:
    clock: Clock = SoftwareClock(START)
    assert clock.read().real >= START


def test_crystal_and_rate_multiply() -> None:
    timebase, clock = made(crystal=20e-6, boot_at=7)
    clock.set_rate(-20e-6)
    timebase.now += 1000 * NS
    reading = clock.read()
    assert reading.raw - 7 == pytest.approx(1000 * NS * (1 + 20e-6), abs=1)
    assert reading.real - START == pytest.approx(1000 * NS * (1 + 20e-6) * (1 - 20e-6), abs=2)
    assert reading.boot - 7 == reading.real - START


def test_step_moves_real_time_alone() -> None:
    timebase, clock = made()
    timebase.now += NS
    before = clock.read()
    clock.step(-5)
    clock.step(30 * NS)
    after = clock.read()
    assert (after.real - before.real, after.boot, after.raw) == (
        30 * NS - 5,
        before.boot,
        before.raw,
    )
    assert clock.steps == [-5, 30 * NS]


@pytest.mark.parametrize("delta", [-START - 1, -START - 5 * NS, 300 * round(YEAR) * NS])
def test_step_refused_as_by_the_kernel(delta: int) -> None:
    timebase, clock = made()
    timebase.now += NS
    before = clock.read()
    with pytest.raises(DeviceError, match="cannot step"):
        clock.step(delta)
    assert (clock.read(), clock.steps) == (before, [])


def test_rate_is_clamped() -> None:
    _, clock = made()
    clock.set_rate(0.5)
    assert clock.rate() == MAX_RATE
    clock.set_rate(-0.5)
    assert clock.rate() == -MAX_RATE
    with pytest.raises(ValueError, match="not a number"):
        clock.set_rate(float("nan"))


def test_reboot_forgets_what_the_kernel_held() -> None:
    timebase, clock = made(crystal=1e-5)
    clock.set_rate(1e-3)
    clock.report(True, 1.0, 2.0)
    timebase.now += 100 * NS
    woken = clock.reboot(Instant(0))
    assert woken.boot_id() != clock.boot_id()
    assert (woken.read().real, woken.boot(), woken.rate(), woken.reported) == (0, 0, 0.0, None)
    timebase.now += NS
    assert woken.read().raw == NS + 10_000
    assert clock.reported == (True, 1.0, 2.0)


def test_stamp_is_the_hosts_age_in_the_timebase(monkeypatch: pytest.MonkeyPatch) -> None:
    timebase, clock = made()
    timebase.now += 10 * NS
    monkeypatch.setattr("time.clock_gettime_ns", lambda clock: 777 * NS)
    reading = clock.stamp(776 * NS)
    assert reading is not None
    assert (reading.real, reading.boot, reading.raw) == (START + 9 * NS, 9 * NS, 9 * NS)
    assert clock.stamp(778 * NS) is None
    assert clock.stamp(772 * NS) is None
    clock.step(5)
    assert clock.stamp(777 * NS - 1) is None
    timebase.now += NS
    assert clock.stamp(777 * NS - 1) is not None


def test_stamp_before_the_clock_was_made() -> None:
    _, clock = made()
    assert clock.stamp(0) is None


rates = st.floats(-MAX_RATE, MAX_RATE)
pieces = st.lists(st.tuples(st.integers(0, 10**13), rates), max_size=30)


@given(pieces, st.floats(-0.01, 0.01))
def test_rounding_never_adds_up(pieces: list[tuple[int, float]], crystal: float) -> None:
    """However often the rate changes, the sum is that of exact fractions, rounded once."""
    timebase, clock = made(crystal)
    exact = Fraction(0)
    counted = 0
    for wait, rate in pieces:
        clock.set_rate(rate)
        timebase.now += wait
        reading = clock.read()
        exact += (reading.raw - counted) * (1 + Fraction(rate))
        counted = reading.raw
    reading = clock.read()
    assert abs(reading.real - START - exact) <= 1
    assert abs(counted - sum(wait for wait, _ in pieces) * (1 + Fraction(crystal))) <= 1


@given(st.lists(st.tuples(st.integers(0, 50), rates), max_size=50), st.floats(-0.01, 0.01))
def test_nothing_runs_backwards(pieces: list[tuple[int, float]], crystal: float) -> None:
    timebase, clock = made(crystal)
    readings = []
    for wait, rate in pieces:
        timebase.now += wait
        readings.append(clock.read())
        clock.set_rate(rate)
        readings.append(clock.read())
    for before, after in pairwise(readings):
        assert before.real <= after.real
        assert before.boot <= after.boot
        assert before.raw <= after.raw
