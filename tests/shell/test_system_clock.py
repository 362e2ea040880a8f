"""The kernel is a stub here that keeps its rules: no test may set this machine's clock."""

import ctypes
import errno
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import DeviceError
from pints.shell import system_clock
from pints.shell.clock import MAX_RATE, MAX_STAMP_AGE
from pints.shell.system_clock import (
    ADJ_ESTERROR,
    ADJ_FREQUENCY,
    ADJ_MAXERROR,
    ADJ_NANO,
    ADJ_OFFSET,
    ADJ_OFFSET_SINGLESHOT,
    ADJ_SETOFFSET,
    ADJ_STATUS,
    ADJ_TICK,
    STA_INS,
    STA_PLL,
    STA_UNSYNC,
    SystemClock,
    Timex32,
    Timex64,
)
from pints.timescale import NS

STA_PPSFREQ, STA_FREQHOLD, STA_NANO, STA_RONLY = 0x0002, 0x0080, 0x2000, 0xFF00


class Kernel:
    """clock_adjtime() of kernel/time/ntp.c, as far as it matters, on a clock of its own."""

    def __init__(self, timex: type[Any] = Timex64) -> None:
        self.timex = timex
        self.status = STA_UNSYNC
        self.tick = 10000
        self.freq = 0
        self.slewing = 0
        self.maxerror = self.esterror = 16_000_000
        self.stepped = 0
        self.calls: list[Any] = []
        self.refuse: dict[int, int] = {}

    def __call__(self, clock: int, reference: Any) -> int:
        tx = reference._obj
        assert isinstance(tx, self.timex)
        assert clock == time.CLOCK_REALTIME
        self.calls.append(type(tx).from_buffer_copy(tx))
        for mode, number in self.refuse.items():
            if tx.modes & mode:
                ctypes.set_errno(number)
                return -1
        if tx.modes & ADJ_SETOFFSET:
            limit = NS if tx.modes & ADJ_NANO else 10**6
            assert 0 <= tx.tv_usec < limit
            self.stepped += tx.tv_sec * NS + tx.tv_usec
            self.status |= STA_UNSYNC
            self.maxerror = 16_000_000
        if tx.modes & 0x8000 and tx.modes & ADJ_OFFSET:
            assert tx.modes == ADJ_OFFSET_SINGLESHOT
            self.slewing = tx.offset
        elif tx.modes & ADJ_TICK and not 9000 <= tx.tick <= 11000:
            ctypes.set_errno(errno.EINVAL)
            return -1
        else:
            if tx.modes & ADJ_STATUS:
                self.status = (self.status & STA_RONLY) | (tx.status & ~STA_RONLY)
            if tx.modes & ADJ_OFFSET and self.status & STA_PLL:
                self.slewing = tx.offset
            if tx.modes & ADJ_MAXERROR:
                self.maxerror = tx.maxerror
            if tx.modes & ADJ_ESTERROR:
                self.esterror = tx.esterror
            if tx.modes & ADJ_FREQUENCY:
                self.freq = max(-32768000, min(32768000, tx.freq))
            if tx.modes & ADJ_TICK:
                self.tick = tx.tick
        tx.status, tx.tick, tx.freq = self.status, self.tick, self.freq
        return 5 if self.status & STA_UNSYNC else 0

    @property
    def rate(self) -> float:
        return (self.tick - 10000) / 10000 + self.freq / 65536e6


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    stub = Kernel()
    monkeypatch.setattr(system_clock, "_adjtime", lambda library: (Timex64, stub))
    return stub


@pytest.fixture(autouse=True)
def _no_settime(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(clock: int, now: int) -> None:
        raise AssertionError("a test would have set the clock")

    monkeypatch.setattr(time, "clock_settime_ns", refuse)
    monkeypatch.setattr(time, "clock_settime", refuse)


def test_layouts_are_the_c_librarys() -> None:
    """Offsets that offsetof() gave on x86-64 and, for 32 bits, the sum of the fields."""
    offsets = [
        getattr(Timex64, name).offset
        for name in ("status", "constant", "tv_sec", "tick", "stabil", "tai")
    ]
    assert (offsets, ctypes.sizeof(Timex64)) == ([40, 48, 72, 88, 120, 160], 208)
    assert (Timex32.tai.offset, ctypes.sizeof(Timex32)) == (80, 128)


def test_construction_reads_the_rate_in_force(kernel: Kernel) -> None:
    kernel.tick, kernel.freq = 10001, -65536 * 3
    assert SystemClock().rate() == pytest.approx(100e-6 - 3e-6, abs=1e-15)
    assert [call.modes for call in kernel.calls] == [0]


def test_the_real_clock_can_be_read() -> None:
    clock = SystemClock()
    assert abs(clock.rate()) <= MAX_RATE + 0.02
    first, between, second = clock.read(), clock.boot(), clock.read()
    assert first.raw < second.raw
    assert first.boot <= between <= second.boot
    assert abs(first.real - time.time_ns()) < 5 * NS
    assert clock.boot_id() == clock.boot_id() != ""


@pytest.mark.parametrize(
    ("delta", "tv"),
    [
        (1, (0, 1)),
        (-1, (-1, NS - 1)),
        (-1_500_000_000, (-2, 500_000_000)),
        (-3 * NS, (-3, 0)),
        (40 * 365 * 86400 * NS + 7, (40 * 365 * 86400, 7)),
    ],
)
def test_step_is_normalised(kernel: Kernel, delta: int, tv: tuple[int, int]) -> None:
    SystemClock().step(delta)
    call = kernel.calls[-1]
    assert (call.modes, call.tv_sec, call.tv_usec) == (ADJ_SETOFFSET | ADJ_NANO, *tv)
    assert kernel.stepped == delta


def test_step_refused_for_lack_of_privilege(kernel: Kernel) -> None:
    kernel.refuse = {ADJ_STATUS: errno.EPERM}
    with pytest.raises(DeviceError, match="Operation not permitted") as caught:
        SystemClock().step(NS)
    assert "CAP_SYS_TIME" in caught.value.hint


def test_step_falls_back_to_settime_on_einval_only(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(time, "clock_settime_ns", lambda clock, now: asked.append(now))
    clock = SystemClock()
    kernel.refuse = {ADJ_SETOFFSET: errno.EINVAL}
    clock.step(NS)
    assert abs(asked[0] - time.time_ns() - NS) < 5 * NS
    kernel.refuse = {ADJ_SETOFFSET: errno.EPERM}
    with pytest.raises(DeviceError):
        clock.step(NS)
    assert len(asked) == 1


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "Invalid argument"), OverflowError()])
def test_step_before_1970_is_refused(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(clock: int, now: int) -> None:
        raise error

    monkeypatch.setattr(time, "clock_settime_ns", refuse)
    kernel.refuse = {ADJ_SETOFFSET: errno.EINVAL}
    with pytest.raises(DeviceError, match="cannot step") as caught:
        SystemClock().step(-(1 << 62))
    assert "1970" in caught.value.hint


def test_step_too_large_for_32_bits_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Kernel(Timex32)
    monkeypatch.setattr(system_clock, "_adjtime", lambda library: (Timex32, stub))
    asked: list[int] = []
    monkeypatch.setattr(time, "clock_settime_ns", lambda clock, now: asked.append(now))
    SystemClock().step((1 << 31) * NS)
    assert stub.stepped == 0
    assert len(asked) == 1


def test_first_setting_ends_the_slews_of_others(kernel: Kernel) -> None:
    kernel.status = STA_PLL | STA_FREQHOLD
    kernel.slewing = 123456
    clock = SystemClock()
    clock.read()
    assert kernel.slewing == 123456  # reading alone takes nothing over
    clock.set_rate(1e-6)
    assert (kernel.slewing, kernel.status) == (0, STA_FREQHOLD)
    before = len(kernel.calls)
    clock.set_rate(2e-6)
    assert len(kernel.calls) == before + 1


@given(st.floats(-480e-6, 480e-6))
def test_rate_of_normal_running_moves_freq_only(rate: float) -> None:
    stub = Kernel()
    clock = clock_on(stub)
    clock.set_rate(rate)
    assert stub.tick == 10000
    assert clock.rate() == pytest.approx(stub.rate, abs=1e-15)
    assert abs(clock.rate() - rate) < 1e-10
    assert stub.calls[-1].modes == ADJ_TICK | ADJ_FREQUENCY


@given(st.floats(-0.5, 0.5))
def test_any_rate_is_met_within_the_kernels_range(rate: float) -> None:
    stub = Kernel()
    clock = clock_on(stub)
    clock.set_rate(rate)
    wanted = max(-MAX_RATE, min(MAX_RATE, rate))
    assert abs(stub.rate - wanted) < 1e-10
    assert clock.rate() == pytest.approx(stub.rate, abs=1e-15)
    assert abs(stub.calls[-1].freq) <= 500 * 65536


def clock_on(stub: Kernel) -> SystemClock:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system_clock, "_adjtime", lambda library: (Timex64, stub))
        return SystemClock()


def test_rate_that_is_no_number(kernel: Kernel) -> None:
    with pytest.raises(ValueError, match="not a number"):
        SystemClock().set_rate(float("nan"))
    assert [call.modes for call in kernel.calls] == [0]


def test_report_synchronized(kernel: Kernel) -> None:
    kernel.status = STA_UNSYNC | STA_INS | STA_PPSFREQ | STA_NANO
    SystemClock().report(True, 0.0010001, 2e-6)
    assert kernel.calls[-1].modes == ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR
    assert kernel.status == STA_PPSFREQ | STA_NANO  # what is not ours is kept
    assert (kernel.maxerror, kernel.esterror) == (1001, 2)


def test_report_unsynchronized(kernel: Kernel) -> None:
    clock = SystemClock()
    clock.report(True, 0.001, 0.001)
    clock.report(False, 0.001, 0.001)
    assert kernel.status & STA_UNSYNC
    assert kernel.maxerror == 16_000_000  # what timedatectl goes by


@pytest.mark.parametrize(
    ("error", "noted"), [(-1.0, 0), (float("inf"), 16_000_000), (float("nan"), 16_000_000)]
)
def test_report_clamps(kernel: Kernel, error: float, noted: int) -> None:
    SystemClock().report(True, error, 0.0)
    assert kernel.maxerror == noted


class Gettime:
    """time.clock_gettime_ns from a script of real times; the other clocks tick by one."""

    def __init__(self, real: list[int]) -> None:
        self.real = iter(real)
        self.other = 0

    def __call__(self, clock: int) -> int:
        if clock == time.CLOCK_REALTIME:
            return next(self.real)
        self.other += 1
        return self.other


def test_read_pairs_raw_with_the_middle(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    monkeypatch.setattr(time, "clock_gettime_ns", Gettime([1000, 1400]))
    reading = clock.read()
    assert (reading.real, reading.raw, reading.boot) == (1200, 1, 2)


@pytest.mark.parametrize(
    ("real", "raw", "middle", "error"),
    [
        ([0, 9_000_000, 10_000_000, 10_000_400], 3, 10_000_200, 2e-7),  # preempted, then not
        # The tightest of three, which is wide: its error is no secret.
        ([0, 90_000, 100_000, 130_000, 200_000, 260_000], 3, 115_000, 15e-6),
        ([9_000_000, 0, 400, 800], 3, 600, 2e-7),  # stepped back between the two reads
    ],
)
def test_read_tries_again(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    real: list[int],
    raw: int,
    middle: int,
    error: float,
) -> None:
    clock = SystemClock()
    monkeypatch.setattr(time, "clock_gettime_ns", Gettime(real))
    reading = clock.read()
    assert (reading.raw, reading.real) == (raw, middle)
    assert clock.pairing_error == pytest.approx(error)


def test_boot_clock_is_looked_for_by_every_clock(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.clock_gettime_ns

    def without(clock: int) -> int:
        if clock == time.CLOCK_BOOTTIME:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(clock)

    with monkeypatch.context() as patch:
        patch.setattr(time, "clock_gettime_ns", without)
        clock = SystemClock()
        before = time.monotonic_ns()
        assert before <= clock.boot() <= time.monotonic_ns()
    assert SystemClock()._boot == time.CLOCK_BOOTTIME


def test_stamp_is_placed_on_all_three_timescales(kernel: Kernel) -> None:
    clock = SystemClock()
    now = clock.read()
    age = 2 * NS
    reading = clock.stamp(now.real - age)
    assert reading is not None
    assert reading.real == now.real - age
    assert abs(now.boot - reading.boot - age) < NS // 100
    assert abs(now.raw - reading.raw - age) < NS // 100


def test_stamp_from_before_a_slew_ended(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of the time since then passed at the rate that held."""
    now = {time.CLOCK_REALTIME: 10**18, time.CLOCK_BOOTTIME: 0, time.CLOCK_MONOTONIC_RAW: 0}
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: now[clock])
    clock = SystemClock()
    passed = [(0.05, NS), (0.0, NS), (-0.05, NS)]
    for rate, crystal in passed:
        clock.set_rate(rate)
        now[time.CLOCK_MONOTONIC_RAW] += crystal
        now[time.CLOCK_REALTIME] += round(crystal * (1 + clock.rate()))
    for at, real in ((0.5, 0.525), (1.0, 1.05), (1.5, 1.55), (2.5, 2.525), (3.0, 3.0)):
        reading = clock.stamp(10**18 + round(real * NS))
        assert reading is not None
        assert reading.raw == pytest.approx(at * NS, abs=10)


@pytest.mark.parametrize("age", [-NS, MAX_STAMP_AGE + NS])
def test_stamp_that_cannot_be(kernel: Kernel, age: int) -> None:
    clock = SystemClock()
    assert clock.stamp(clock.read().real - age) is None


@pytest.mark.parametrize(
    ("delta", "age", "placed"),
    [
        (2 * NS, NS, False),  # ahead: the old second lies at or before the new one
        (2 * NS, -2 * NS - NS // 2, True),
        (-2 * NS, 3 * NS, False),  # back: taken before, or after?
        (-2 * NS, 1 * NS, False),
        (-30 * 86400 * NS, 30 * 86400 * NS - NS, True),  # far back: no such doubt
        (-30 * 86400 * NS, NS, False),
    ],
)
def test_stamps_around_a_step(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, delta: int, age: int, placed: bool
) -> None:
    """`age`: of the stamp, seen from real time as it was just before the step."""
    now = {time.CLOCK_REALTIME: 10**18, time.CLOCK_BOOTTIME: 0, time.CLOCK_MONOTONIC_RAW: 0}
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: now[clock])
    clock = SystemClock()
    clock.step(delta)
    now[time.CLOCK_REALTIME] += delta
    for clock_id in now:
        now[clock_id] += NS  # a second later
    reading = clock.stamp(10**18 - age)
    assert (reading is not None) == placed
    if reading is not None:
        assert reading.boot == NS - (10**18 + delta + NS - (10**18 - age))
    for clock_id in now:
        now[clock_id] += MAX_STAMP_AGE
    assert clock.stamp(now[time.CLOCK_REALTIME] - 1) is not None


def test_boot_id_missing(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str, encoding: str) -> Any:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(system_clock, "open", missing, raising=False)
    with pytest.raises(DeviceError, match="boot_id"):
        SystemClock().boot_id()


def test_c_library_without_adjtime() -> None:
    class Empty:
        pass

    with pytest.raises(DeviceError, match="clock_adjtime"):
        system_clock._adjtime(Empty())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exports", "name", "timex"),
    [
        ({"clock_adjtime", "gnu_get_libc_version"}, "clock_adjtime", Timex32),
        (
            {"clock_adjtime", "__clock_adjtime64", "gnu_get_libc_version"},
            "__clock_adjtime64",
            Timex64,
        ),
        ({"clock_adjtime", "__clock_adjtime64"}, "clock_adjtime", Timex32),  # musl
    ],
)
def test_32_bit_c_libraries(
    monkeypatch: pytest.MonkeyPatch, exports: set[str], name: str, timex: type[Any]
) -> None:
    class Function:
        def __init__(self, name: str) -> None:
            self.name = name

    library = type("Library", (), {export: Function(export) for export in exports})()
    monkeypatch.setattr(ctypes, "c_long", ctypes.c_int32)
    found, function = system_clock._adjtime(library)
    assert (found, function.name) == (timex, name)
