"""What the daemon asks of a clock.  `system_clock` and `software_clock` answer it.

`rate` is the clock's steering: the fraction by which its real time runs faster than the bare
crystal (`Raw`), e.g. 1e-6 for +1 ppm.  It replaces the rate set before.
"""

from typing import Protocol

from pints.timescale import NS, Boot, Reading

MAX_RATE = 0.09
"""Largest rate a clock takes (ADJ_TICK allows a tenth; some room is kept)."""

MAX_STAMP_AGE = 4 * NS
"""Kernel stamps older than this are not placed.  Ample for a loop held up by a slow card, and
short enough that a clock set by somebody else in between is mostly seen for what it is."""

READ_WITHIN = 20_000
"""A bracket, in ns, that shows nothing came between.  Three reads take well under a
microsecond with a vDSO and some microseconds on a Pi Zero, which has no counter for one; a
preemption takes longer."""

READ_TRIES = 3


class BootTime(Protocol):
    """What deadlines are held against."""

    def boot(self) -> Boot:
        """The boot clock alone: cheap."""


class Clock(BootTime, Protocol):
    """Reads three timescales, steps and steers one."""

    pairing_error: float
    """Largest error of real against raw time in the last reading, seconds: half the time that
    taking it took."""

    def boot_id(self) -> str:
        """Changes with every boot."""

    def read(self) -> Reading:
        """Real, boot and raw time, read together."""

    def stamp(self, host_real: int) -> Reading | None:
        """The reading at the recent moment when the host's CLOCK_REALTIME stood at `host_real`.

        The kernel stamps packets and pulses with that clock and no other.  None when the
        moment cannot be placed: it is in the future, more than MAX_STAMP_AGE ago, or
        doubtful because the clock was stepped just then.
        """

    def step(self, delta: int) -> None:
        """Move real time by `delta` ns at once.  DeviceError when it is refused."""

    def set_rate(self, rate: float) -> None:
        """Steer real time, clamped to +-MAX_RATE.  DeviceError when it is refused."""

    def rate(self) -> float:
        """The rate in force."""

    def report(self, synchronized: bool, max_error: float, est_error: float) -> None:
        """Tell the kernel how good its clock is (seconds): what `timedatectl` shows."""
