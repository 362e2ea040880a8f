"""A clock that obeys the kernel's rules and touches no kernel clock.

For simulated worlds, for tests and for measuring without CAP_SYS_TIME.  What this guarantees:
- All is integer arithmetic from the origin: no rounding error adds up, however often the rate
  changes.
- No timescale but real time ever runs backwards, and real time only in a step.
- It refuses what the kernel refuses.
"""

import os
import time
from collections.abc import Callable
from math import isnan

from pints.errors import DeviceError
from pints.shell.clock import MAX_RATE, MAX_STAMP_AGE, READ_TRIES, READ_WITHIN
from pints.timescale import NS, Boot, Instant, Raw, Reading

# Fractions are integers of this many bits: 2^-64 of a century is 0.2 ns.
BITS = 64

# linux/time64.h TIME_SETTOD_SEC_MAX: the year 2232.
LATEST = 8_277_292_036 * NS


class SoftwareClock:
    """`pints.shell.clock.Clock` over any count of nanoseconds that never runs backwards.

    Raw time is `timebase` as counted by a crystal that runs fast by the fraction `crystal`.
    Real time starts at `start`, boot and raw time at `boot_at`.
    """

    def __init__(
        self,
        start: Instant,
        *,
        timebase: Callable[[], int] = time.monotonic_ns,
        crystal: float = 0.0,
        boot_id: str | None = None,
        boot_at: int = 0,
    ) -> None:
        self.steps: list[int] = []
        """Every step taken, in ns."""
        self.reported: tuple[bool, float, float] | None = None
        """The last `report`."""
        self.pairing_error = 0.0
        self._timebase = timebase
        self._origin = timebase()
        self._crystal = crystal
        self._crystal_bits = _bits(crystal)
        self._boot_id = os.urandom(16).hex() if boot_id is None else boot_id
        self._boot_at = boot_at
        # Real time less what it has been slewed by and the crystal has counted.
        self._epoch = int(start)
        # The slew up to `_since` (crystal's ns since the origin), in 2^-BITS ns, and the rate
        # from there on.  Products of integers, summed: exact.
        self._since = 0
        self._slewed = 0
        self._rate = 0.0
        self._rate_bits = 0
        self._stepped_at: int | None = None

    def boot_id(self) -> str:
        """Changes with every boot."""
        return self._boot_id

    def boot(self) -> Boot:
        """The boot clock alone."""
        return self._at(self._timebase()).boot

    def read(self) -> Reading:
        """Real, boot and raw time at one instant."""
        return self._at(self._timebase())

    def stamp(self, host_real: int) -> Reading | None:
        """The reading when the host's own CLOCK_REALTIME stood at `host_real`.

        The host's clock says how long ago that was; the timebase is taken to count
        nanoseconds as the host does.
        """
        host, base = self._pair()
        age = host - host_real
        then = base - age
        if not 0 <= age <= MAX_STAMP_AGE or then < self._origin:
            return None
        if self._stepped_at is not None and then <= self._stepped_at:
            return None
        return self._at(then)

    def step(self, delta: int) -> None:
        """Move real time by `delta` ns at once.

        DeviceError for a result before 1970 plus the uptime, or after 2232.
        """
        now = self._timebase()
        reading = self._at(now)
        if not reading.boot <= reading.real + delta < LATEST:
            raise DeviceError(
                "cannot step the software clock: Invalid argument",
                "times between 1970 plus the uptime and 2232 only",
            )
        self._epoch += delta
        self._stepped_at = now
        self.steps.append(delta)

    def set_rate(self, rate: float) -> None:
        """Steer real time, clamped to +-MAX_RATE."""
        if isnan(rate):
            raise ValueError("the rate is not a number")
        counted = self._counted(self._timebase())
        self._slewed += (counted - self._since) * self._rate_bits
        self._since = counted
        self._rate = max(-MAX_RATE, min(MAX_RATE, rate))
        self._rate_bits = _bits(self._rate)

    def rate(self) -> float:
        """The rate in force."""
        return self._rate

    def report(self, synchronized: bool, max_error: float, est_error: float) -> None:
        """Kept in `reported`."""
        self.reported = (synchronized, max_error, est_error)

    def reboot(self, start: Instant, boot_id: str | None = None) -> "SoftwareClock":
        """The same machine's clock after its power was off, waking up at `start`.

        There is no RTC: `start` is whatever the kernel was built with.  The crystal stays,
        everything the kernel held (rate, boot time, boot id) is gone.
        """
        return SoftwareClock(start, timebase=self._timebase, crystal=self._crystal, boot_id=boot_id)

    def _pair(self) -> tuple[int, int]:
        """The host's real time and the timebase at one instant: one between two of the other,
        the tightest of a few tries, for being preempted in between would become an offset."""
        best: tuple[int, int, int] | None = None
        for _ in range(READ_TRIES):
            before = time.clock_gettime_ns(time.CLOCK_REALTIME)
            base = self._timebase()
            width = time.clock_gettime_ns(time.CLOCK_REALTIME) - before
            if width >= 0 and (best is None or width < best[0]):
                best = (width, before + width // 2, base)
            if 0 <= width <= READ_WITHIN:
                break
        if best is None:  # the host's clock was set back, again and again
            return time.clock_gettime_ns(time.CLOCK_REALTIME), self._timebase()
        self.pairing_error = best[0] / 2 / NS
        return best[1], best[2]

    def _counted(self, base: int) -> int:
        """What the crystal has counted from the origin until `base`."""
        elapsed = base - self._origin
        return elapsed + (elapsed * self._crystal_bits >> BITS)

    def _at(self, base: int) -> Reading:
        counted = self._counted(base)
        # Boot time is slewed like real time, as Linux's is, and never stepped.
        slewed = counted + (self._slewed + (counted - self._since) * self._rate_bits >> BITS)
        return Reading(
            Instant(self._epoch + slewed),
            Boot(self._boot_at + slewed),
            Raw(self._boot_at + counted),
        )


def _bits(fraction: float) -> int:
    if not -1 < fraction < 1:
        raise ValueError(f"not a fraction: {fraction}")
    return round(fraction * (1 << BITS))
