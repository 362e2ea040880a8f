"""A machine whose clock stands at what a test says."""

from pints.shell.clock import MAX_STAMP_AGE
from pints.timescale import NS, Boot, Instant, Raw, Reading

START = 1_790_000_000
"""Seconds since 1970 when it was switched on."""


class HostClock:
    """`pints.drivers.MachineClock`; its boot and raw time are ns since START."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        """Seconds since START."""

    def read(self) -> Reading:
        return self._at(START * NS + round(self.now * NS))

    def stamp(self, host_real: int) -> Reading | None:
        age = self.read().real - host_real
        return self._at(host_real) if 0 <= age <= MAX_STAMP_AGE else None

    def _at(self, real: int) -> Reading:
        since = real - START * NS
        return Reading(Instant(real), Boot(since), Raw(since))
