"""A fake source of pulses: no hardware.  For tests and demonstrations.

`MemoryPulses` is told of each pulse by whoever simulates the world; `FakePps`, the driver
`fake-pps`, reads from a FIFO: a line with CLOCK_REALTIME in seconds (`date +%s.%N`) is a pulse that
came then, an empty line one that comes now, and `unplug` pulls it out.
"""

from collections.abc import Iterable

from pints.drivers import MachineClock, Pulse
from pints.timescale import NS, Reading
from pints_drivers.fake_refclock import FifoRefclock, MemoryRefclock


class MemoryPulses(MemoryRefclock):
    """Pulses in memory."""

    def __init__(self, clock: MachineClock, error: float = 1e-6, name: str = "fake-pps") -> None:
        super().__init__(clock, error, name)
        self._came: list[Reading] = []

    def tick(self, at: Reading | None = None) -> None:
        """A pulse came: then, or now."""
        self._came.append(at or self._clock.read())
        self._tick()

    def reports(self) -> Iterable[Pulse]:
        """All that came."""
        if not self._ticked():
            return []
        came, self._came = self._came, []
        return [Pulse(at, self.error) for at in came]


class FakePps(FifoRefclock):
    """The driver `fake-pps`: pulses are what comes through a FIFO."""

    def reports(self) -> Iterable[Pulse]:
        """A pulse for each line that came."""
        now = self._clock.read()
        placed = [self._stamp(line) if line else now for line in self._lines()]
        return [Pulse(at, 1e-6) for at in placed if at is not None]

    def _stamp(self, line: bytes) -> Reading | None:
        whole, _, rest = line.partition(b".")
        if not (whole.isdigit() and len(whole) <= 12 and (rest + b"0").isdigit()):
            raise self._error(f"not a time: {line[:40]!r}")
        return self._clock.stamp(int(whole) * NS + int(rest[:9].ljust(9, b"0")))
