"""The kernel's clock: three timescales read, one stepped and steered.

What this guarantees:
- Nothing is set until the first `step`, `set_rate` or `report`; construction only reads.
- From then on nobody else's slew remains in the clock: the kernel's own loop (STA_PLL) is off,
  its pending offset and any adjtime() are cancelled.
- `rate` is the kernel's rate to 2^-17 ppm, not the one that was asked for.
- Every refusal is a DeviceError.

The C library is reached as `CDLL(None)`, the process's own symbols, never by name: whatever
was preloaded to simulate a clock then stands in front of the real one.
"""

import ctypes
import errno
import math
import os
import time
from collections import deque
from typing import Any

from pints.errors import DeviceError
from pints.shell.clock import MAX_RATE, MAX_STAMP_AGE, READ_TRIES, READ_WITHIN
from pints.timescale import NS, Boot, Instant, Raw, Reading

# linux/timex.h: struct timex's `modes` ...
ADJ_OFFSET = 0x0001
ADJ_FREQUENCY = 0x0002
ADJ_MAXERROR = 0x0004
ADJ_ESTERROR = 0x0008
ADJ_STATUS = 0x0010
ADJ_SETOFFSET = 0x0100
ADJ_NANO = 0x2000
ADJ_TICK = 0x4000
ADJ_OFFSET_SINGLESHOT = 0x8001
# ... and its `status`.
STA_PLL = 0x0001
STA_FLL = 0x0008
STA_INS = 0x0010
STA_DEL = 0x0020
STA_UNSYNC = 0x0040

# Bits of the status that `report` decides.  Leap seconds are not announced to the kernel, so
# one that somebody left armed is disarmed; the bits of the kernel's PPS loop are kept.
OURS = STA_PLL | STA_FLL | STA_INS | STA_DEL | STA_UNSYNC

# kernel/time/ntp.c NTP_PHASE_LIMIT: the largest error the kernel notes, in microseconds.
ERROR_LIMIT = 16_000_000

FREQ_UNIT = 1e-6 / 65536
"""One unit of timex's `freq`: ppm with a 16-bit fraction."""

FREQ_ALONE = 480e-6
"""Up to this rate `freq` (+-500 ppm) does it alone and the tick stays nominal."""


# linux/timex.h struct timex: its `long`s, in three groups with an `int` before each.
LONGS = (
    ("offset", "freq", "maxerror", "esterror"),
    ("constant", "precision", "tolerance", "tv_sec", "tv_usec", "tick", "ppsfreq", "jitter"),
    ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt"),
)
INTS = ("modes", "status", "shift")


def _fields(word: Any) -> list[tuple[str, Any]]:
    """struct timex, its `long`s being `word`."""
    fields: list[tuple[str, Any]] = []
    for name, longs in zip(INTS, LONGS, strict=True):
        fields.append((name, ctypes.c_uint if name == "modes" else ctypes.c_int))
        if ctypes.sizeof(word) > ctypes.sizeof(ctypes.c_int):
            # Spelt out: some 32-bit machines would not align a 64-bit integer by themselves.
            fields.append((f"_pad_{name}", ctypes.c_int))
        fields.extend((long, word) for long in longs)
    return [*fields, ("tai", ctypes.c_int), ("_reserved", ctypes.c_int * 11)]


class Timex64(ctypes.Structure):
    """timex where `long` has 64 bits, and __timex64 of 32-bit C libraries: the same bytes."""

    _fields_ = _fields(ctypes.c_int64)


class Timex32(ctypes.Structure):
    """timex of a 32-bit C library before 64-bit time."""

    _fields_ = _fields(ctypes.c_int32)


class BootClock:
    """The boot clock alone.  It asks for nothing that a sandbox without the right to set the
    clock would hide, which adjtimex() is even where it only reads."""

    def __init__(self) -> None:
        self._boot = _boot_clock()

    def boot(self) -> Boot:
        """The boot clock alone: cheap."""
        return Boot(time.clock_gettime_ns(self._boot))


class SystemClock(BootClock):
    """`pints.shell.clock.Clock` on the kernel's clock.  DeviceError where it cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        library = ctypes.CDLL(None, use_errno=True)
        self._timex, self._adjust = _adjtime(library)
        self._hertz = os.sysconf("SC_CLK_TCK")
        self._nominal = (1_000_000 + self._hertz // 2) // self._hertz
        self._taken_over = False
        # Our latest changes of the rate: real time then, and the rate before.
        self._changes: deque[tuple[int, float]] = deque(maxlen=4)
        # Our last step: real time just before and just after, and when.
        self._stepped: tuple[int, int, Boot] | None = None
        self.pairing_error = 0.0
        now = self._call("read")
        self._rate = self._effective(now.tick, now.freq)

    def boot_id(self) -> str:
        """Changes with every boot."""
        path = "/proc/sys/kernel/random/boot_id"
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip()
        except OSError as error:
            raise DeviceError(
                f"cannot read {path}: {error.strerror}", "is /proc mounted in this sandbox?"
            ) from error

    def read(self) -> Reading:
        """Real, boot and raw time, read together.

        Raw is read between two reads of real time and paired with their middle, so that the
        cost of a read does not become an offset; boot time, for deadlines, can wait.  A bracket
        that is wide (we were preempted) or negative (the clock was stepped) is tried again, and
        the tightest one counts.
        """
        width, reading = self._bracket()
        for _ in range(READ_TRIES - 1):
            if 0 <= width <= READ_WITHIN:
                break
            again = self._bracket()
            if width < 0 or 0 <= again[0] < width:
                width, reading = again
        self.pairing_error = abs(width) / 2 / NS
        return reading

    def stamp(self, host_real: int) -> Reading | None:
        """The reading when CLOCK_REALTIME stood at `host_real`, if that can be placed."""
        now = self.read()
        age = now.real - host_real
        if not 0 <= age <= MAX_STAMP_AGE:
            return None
        if self._stepped is not None:
            before, after, when = self._stepped
            # Taken before the step; or, it went back and real time passes here again, perhaps.
            doubtful = host_real <= after or before - MAX_STAMP_AGE < host_real <= before
            if doubtful and now.boot - when <= MAX_STAMP_AGE:
                return None
        # Boot time is slewed together with real time; raw time is not.
        raw = now.raw - self._crystal(host_real, now.real)
        return Reading(Instant(host_real), Boot(now.boot - age), Raw(raw))

    def step(self, delta: int) -> None:
        """Move real time by `delta` ns at once.

        The kernel refuses a result before 1970 (strictly: less than its uptime) or after
        2232.  It marks its clock unsynchronized at every step: `report` again.
        """
        self._take_over()
        before = self.read()
        seconds, rest = divmod(delta, NS)  # the kernel wants 0 <= rest, also going backwards
        try:
            self._call("step", modes=ADJ_SETOFFSET | ADJ_NANO, tv_sec=seconds, tv_usec=rest)
        except DeviceError as error:
            cause = error.__cause__
            if not (isinstance(cause, OSError) and cause.errno == errno.EINVAL):
                raise
            # A kernel or a sandbox without ADJ_SETOFFSET.  What is refused for its result is
            # refused again here, with the same words.
            _settime(delta)
        self._stepped = before.real, before.real + delta, before.boot
        self._changes.clear()

    def set_rate(self, rate: float) -> None:
        """Steer real time, clamped to +-MAX_RATE.

        The kernel adds up two things to make its rate (kernel/time/ntp.c,
        ntp_update_frequency): a second of the crystal is `tick` microseconds, USER_HZ times,
        plus `freq`.  A tick is a coarse screw, 100 ppm a turn where USER_HZ is 100, so it
        moves only when `freq` alone would not reach.  Both are always set, in one call:
        there is no instant with one of them new, and no tick left from somebody before us.
        """
        if math.isnan(rate):
            raise ValueError("the rate is not a number")
        rate = max(-MAX_RATE, min(MAX_RATE, rate))
        tick = self._nominal
        if abs(rate) > FREQ_ALONE:
            tick = round((1 + rate) * 1_000_000 / self._hertz)
        freq = round((rate - self._tick_rate(tick)) / FREQ_UNIT)
        self._take_over()
        self._call("steer", modes=ADJ_TICK | ADJ_FREQUENCY, tick=tick, freq=freq)
        self._changes.append((time.clock_gettime_ns(time.CLOCK_REALTIME), self._rate))
        self._rate = self._effective(tick, freq)

    def rate(self) -> float:
        """The rate in force, as the kernel rounded it."""
        return self._rate

    def report(self, synchronized: bool, max_error: float, est_error: float) -> None:
        """Tell the kernel how good its clock is (seconds).

        `timedatectl` says "System clock synchronized: yes" while the maximum error is below
        16 s; adjtimex() and the kernel's own copying to an RTC, every 11 minutes, go by
        STA_UNSYNC.  Both are kept in step here, so report True only for a clock that may be
        copied.  The kernel adds 500 ppm to the maximum error and falls back to
        unsynchronized at 16 s: report at least every few hours, and after every step.
        """
        self._take_over()
        status = self._call("read").status & ~OURS
        self._call(
            "report on",
            modes=ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR,
            status=status if synchronized else status | STA_UNSYNC,
            maxerror=_microseconds(max_error) if synchronized else ERROR_LIMIT,
            esterror=_microseconds(est_error) if synchronized else ERROR_LIMIT,
        )

    def _bracket(self) -> tuple[int, Reading]:
        gettime = time.clock_gettime_ns
        before = gettime(time.CLOCK_REALTIME)
        raw = gettime(time.CLOCK_MONOTONIC_RAW)
        width = gettime(time.CLOCK_REALTIME) - before
        boot = gettime(self._boot)
        return width, Reading(Instant(before + width // 2), Boot(boot), Raw(raw))

    def _crystal(self, since: int, until: int) -> int:
        """ns of raw time from one instant of real time to a later one, `until` after the latest
        change of the rate.  A slew that began or ended between them is not spread over both."""
        passed, rate = 0.0, self._rate
        for changed, before in reversed(self._changes):
            if changed <= since:
                break
            passed += (until - changed) / (1 + rate)
            until, rate = changed, before
        return round(passed + (until - since) / (1 + rate))

    def _take_over(self) -> None:
        """Once: end every slew that another program may have left in the kernel."""
        if self._taken_over:
            return
        status = self._call("read").status
        # An offset is only taken while the loop is on, so it is zeroed, then switched off.
        self._call("take over", modes=ADJ_OFFSET | ADJ_STATUS, status=status | STA_PLL, offset=0)
        self._call("take over", modes=ADJ_STATUS, status=status & ~(STA_PLL | STA_FLL))
        self._call("take over", modes=ADJ_OFFSET_SINGLESHOT, offset=0)
        self._taken_over = True

    def _call(self, verb: str, modes: int = 0, **values: int) -> Any:
        timex = self._timex(modes=modes, **values)
        # ctypes cuts off what does not fit: a step of 70 years, in 32 bits, would be another.
        if any(getattr(timex, name) != value for name, value in values.items()):
            raise _refused(verb, errno.EINVAL)
        if self._adjust(time.CLOCK_REALTIME, ctypes.byref(timex)) < 0:
            raise _refused(verb, ctypes.get_errno())
        return timex

    def _tick_rate(self, tick: int) -> float:
        return (tick * self._hertz - 1_000_000) / 1_000_000

    def _effective(self, tick: int, freq: int) -> float:
        return self._tick_rate(tick) + freq * FREQ_UNIT


def _adjtime(library: ctypes.CDLL) -> tuple[type[ctypes.Structure], Any]:
    """The C library's clock_adjtime and the struct it takes.

    A 32-bit glibc with 64-bit time exports a function of its own for it.  So does musl, with
    another struct, so there (no gnu_get_libc_version) the classic one is used: all that is
    asked of it, a difference and a rate, fits into 32 bits but for steps over 68 years.
    """
    timex: type[ctypes.Structure] = Timex64
    name = "clock_adjtime"
    if ctypes.sizeof(ctypes.c_long) == 4:
        if hasattr(library, "__clock_adjtime64") and hasattr(library, "gnu_get_libc_version"):
            name = "__clock_adjtime64"
        else:
            timex = Timex32
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise DeviceError("this C library has no clock_adjtime()", "use --no-clock") from error
    function.argtypes = [ctypes.c_int, ctypes.POINTER(timex)]
    function.restype = ctypes.c_int
    return timex, function


def _boot_clock() -> int:
    """CLOCK_BOOTTIME, else CLOCK_MONOTONIC.

    Asked of every new SystemClock and never of the module, because a simulator without it may
    be in place for one process and not for the next.
    """
    try:
        time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise DeviceError(f"cannot read CLOCK_BOOTTIME: {error.strerror}") from error
        return time.CLOCK_MONOTONIC
    return time.CLOCK_BOOTTIME


def _settime(delta: int) -> None:
    try:
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        time.clock_settime_ns(time.CLOCK_REALTIME, now + delta)
    except OverflowError:  # 32-bit time_t
        raise _refused("step", errno.EINVAL) from None
    except OSError as error:
        raise _refused("step", error.errno or errno.EINVAL) from error


def _refused(verb: str, number: int) -> DeviceError:
    hints = {
        errno.EPERM: "needs CAP_SYS_TIME: run as the service, or use --no-clock",
        errno.ENOSYS: "this sandbox hides clock_adjtime(): use --no-clock",
    }
    if verb == "step":
        hints[errno.EINVAL] = "only times between 1970 plus the uptime and 2232 are taken"
    error = DeviceError(
        f"cannot {verb} the system clock: {os.strerror(number)}", hints.get(number, "")
    )
    error.__cause__ = OSError(number, os.strerror(number))
    return error


def _microseconds(seconds: float) -> int:
    """An error bound as the kernel notes it: rounded up, within its range (NaN is the worst)."""
    if seconds < ERROR_LIMIT / 1e6:
        return math.ceil(max(0.0, seconds) * 1e6)
    return ERROR_LIMIT
