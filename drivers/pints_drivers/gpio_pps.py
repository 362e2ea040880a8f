"""Pulses on a line of a GPIO chip, for boards whose kernel has no driver of pulses for it.

The kernel stamps an edge of the board's own chip in its interrupt, as it does for /dev/pps0, but
one behind a bus (an expander) only in a thread: hundreds of microseconds late on a busy machine.
Where there is an overlay `pps-gpio`, driver `pps` is the better one.

gpiod is the kernel's own library for lines (2.x; python3-libgpiod).
"""

from collections.abc import Iterable

import gpiod
from gpiod import EdgeEvent
from gpiod.line import Clock, Edge

from pints.drivers import MachineClock, Pulse, RefclockConfig, after_edge
from pints.errors import DeviceError

ERROR = 100e-6
"""Bound of a stamp's delay in a thread, but for rare ones, which the filter drops; seconds."""

EDGES = {"assert": EdgeEvent.Type.RISING_EDGE, "clear": EdgeEvent.Type.FALLING_EDGE}


class GpioPps:
    """The driver `gpio-pps`: line `pin` of the chip `device`."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        if config.pin < 0:
            raise DeviceError(f"{self.name}: no pin", "pin: the line, e.g. 18 (gpioinfo shows all)")
        self._edge = EDGES[config.edge]
        self._other = 0
        """CLOCK_REALTIME at the last edge of the other kind, ns."""
        settings = gpiod.LineSettings(edge_detection=Edge.BOTH, event_clock=Clock.REALTIME)
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
        """Each edge of the kind that begins seconds, of those that the kernel has kept."""
        try:
            events = self._line.read_edge_events() if self._line.wait_edge_events(0) else []
        except OSError as e:
            raise DeviceError(f"{self.name}: {e.strerror}", "is the chip still there?") from None
        pulses = []
        for event in events:
            stamp = event.timestamp_ns
            if event.event_type != self._edge:
                self._other = stamp
            elif (at := self._clock.stamp(stamp)) is not None:
                pulses.append(Pulse(at, ERROR, after_edge(stamp, self._other)))
        return pulses

    def close(self) -> None:
        """Let go of the line."""
        self._line.release()
