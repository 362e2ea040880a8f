"""What slewing did to the boot clock, and how to look past it.

Linux slews CLOCK_BOOTTIME together with real time.  What is held against it (the belief, the
witnesses' testimonies, deadlines) would be off by every slew; here the slews are counted, so
that they can be taken out of a reading and put back.
"""

from dataclasses import replace

from pints.sync.steer import Steering
from pints.timescale import Boot, Raw, Reading


class SlewAccount:
    """Every slew of one daemon's life."""

    def __init__(self, now: Reading) -> None:
        self._over = 0
        """ns by which slews that are over moved the clock."""
        self._steering: Steering | None = None
        self._last = now

    def begin(self, steering: Steering) -> None:
        """A slew begins; one that was still going on ends."""
        self.end(steering.since)
        self._steering = steering

    def end(self, raw: Raw) -> float | None:
        """The slew ends; the frequency to run at from now on, None if there was no slew."""
        if self._steering is None:
            return None
        self._over = self.moved(raw)
        frequency, self._steering = self._steering.frequency, None
        return frequency

    def over(self, raw: Raw) -> bool:
        """Whether a slew goes on that should have ended."""
        return self._steering is not None and raw >= self._steering.until

    def due(self) -> Boot | None:
        """When the present slew should end: raw and boot time differ by the rate alone, and a
        slew is short."""
        if self._steering is None:
            return None
        return Boot(self._last.boot + self._steering.until - self._last.raw)

    def moved(self, raw: Raw) -> int:
        """ns by which all slews so far have moved the boot clock."""
        if self._steering is None or raw <= self._steering.since:
            return self._over
        return self._over + self._steering.slewed(raw)

    def without(self, reading: Reading) -> Reading:
        """A reading of the clocks whose boot time ran at true rate, as nearly as it is known."""
        reading = replace(reading, boot=Boot(reading.boot - self.moved(reading.raw)))
        if reading.raw > self._last.raw:
            self._last = reading
        return reading

    def with_slews(self, boot: Boot, raw: Raw | None = None) -> Boot:
        """Such a boot time as the shell reads it (at a raw instant; else as things stand)."""
        return Boot(boot + self.moved(self._last.raw if raw is None else raw))
