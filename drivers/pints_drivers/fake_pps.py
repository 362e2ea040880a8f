"""A fake source of pulses: no hardware.  For tests and demonstrations.

`MemoryPulses` is told of each pulse by whoever simulates the world; `FakePps`, the driver
`fake-pps`, reads from a FIFO: a line with CLOCK_REALTIME in seconds (`date +%s.%N`) is a pulse that
came then, an empty line one that comes now, and `unplug` pulls it out.
"""

import os
from collections.abc import Iterable

from pints.drivers import MachineClock, Pulse, RefclockConfig
from pints.errors import DeviceError
from pints.timescale import NS, Reading
from pints_drivers.fifo import Fifo


class MemoryPulses:
    """Pulses in memory."""

    def __init__(self, clock: MachineClock, error: float = 1e-6, name: str = "fake-pps") -> None:
        self.name = name
        self.error = error
        self.plugged = True
        self._clock = clock
        self._came: list[Reading] = []
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def tick(self, at: Reading | None = None) -> None:
        """A pulse came: then, or now."""
        self._came.append(at or self._clock.read())
        os.eventfd_write(self._event, 1)

    def fileno(self) -> int:
        """Readable after a tick."""
        return self._event

    def reports(self) -> Iterable[Pulse]:
        """All that came."""
        if not self.plugged:
            raise DeviceError(f"{self.name}: unplugged", "plug it in")
        came, self._came = self._came, []
        if came:
            os.eventfd_read(self._event)
        return [Pulse(at, self.error) for at in came]

    def close(self) -> None:
        """Let go of what `fileno` gave."""
        os.close(self._event)


class FakePps:
    """The driver `fake-pps`: pulses are what comes through a FIFO."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        self._fifo = Fifo(self.name, config.device)

    def fileno(self) -> int:
        """The FIFO's."""
        return self._fifo.fileno()

    def reports(self) -> Iterable[Pulse]:
        """A pulse for each line that came."""
        now = self._clock.read()
        placed = [self._stamp(line) if line else now for line in self._fifo.lines()]
        return [Pulse(at, 1e-6) for at in placed if at is not None]

    def close(self) -> None:
        """Close the FIFO; it stays where it is."""
        self._fifo.close()

    def _stamp(self, line: bytes) -> Reading | None:
        whole, _, rest = line.partition(b".")
        if not (whole.isdigit() and len(whole) <= 12 and (rest + b"0").isdigit()):
            raise self._fifo.error(f"not a time: {line[:40]!r}")
        return self._clock.stamp(int(whole) * NS + int(rest[:9].ljust(9, b"0")))
