"""Pulses on a line of a GPIO chip, for boards whose kernel has no driver of pulses for it.

The kernel stamps an edge of the board's own chip in its interrupt, as it does for /dev/pps0, but
one behind a bus (an expander) only in a thread: hundreds of microseconds late on a busy machine.
Where there is an overlay `pps-gpio`, driver `pps` is the better one.

gpiod is the kernel's own library for lines (2.x; python3-libgpiod).
"""

from collections.abc import Iterable

import gpiod
from gpiod.line import Clock, Edge

from pints.drivers import MachineClock, Pulse, RefclockConfig
from pints.errors import DeviceError

ERROR = 100e-6
"""Bound of a stamp's delay in a thread, but for rare ones, which the filter drops; seconds."""

EDGES = {"assert": Edge.RISING, "clear": Edge.FALLING}


class GpioPps:
    """The driver `gpio-pps`: line `pin` of the chip `device`."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        if config.pin < 0:
            raise DeviceError(f"{self.name}: no pin", "pin: the line, e.g. 18 (gpioinfo shows all)")
        settings = gpiod.LineSettings(edge_detection=EDGES[config.edge], event_clock=Clock.REALTIME)
        try:
            self._line = gpiod.request_lines(
                config.device, consumer="pints", config={config.pin: settings}
            )
        except (OSError, ValueError) as e:
            raise DeviceError(
                f"{self.name}: {getattr(e, 'strerror', None) or e}",
                "device: path such as /dev/gpiochip0; is the line used by something else?",
            ) from None

    def fileno(self) -> int:
        """Readable after an edge."""
        return int(self._line.fd)

    def reports(self) -> Iterable[Pulse]:
        """Each edge that the kernel has kept."""
        try:
            if not self._line.wait_edge_events(0):
                return []
            stamps = [event.timestamp_ns for event in self._line.read_edge_events()]
        except OSError as e:
            raise DeviceError(f"{self.name}: {e.strerror}", "is the chip still there?") from None
        placed = [self._clock.stamp(stamp) for stamp in stamps]
        return [Pulse(at, ERROR) for at in placed if at is not None]

    def close(self) -> None:
        """Let go of the line."""
        self._line.release()
