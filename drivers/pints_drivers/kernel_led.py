"""A lamp that the kernel has (/sys/class/leds): it blinks by itself, and no library is needed.

The kernel's trigger `timer` (Documentation/leds/leds-class.rst, ledtrig-timer) lights the lamp for
`delay_on` ms and leaves it dark for `delay_off` ms; 0 of either is a lamp that stays dark or lit.
"""

import errno
import os
from contextlib import suppress

from pints.drivers import OutputConfig
from pints.errors import DeviceError
from pints_drivers.patterns import DARK, Pattern, pattern

LEDS = "/sys/class/leds"
MAY_NOT = "see who may write there: ls -l; for the service: drop-in led.conf"


class KernelLed:
    """The driver `kernel-led`: the lamp `device`."""

    def __init__(self, config: OutputConfig) -> None:
        self.name = config.id
        self._folder = f"{LEDS}/{config.device}"
        if not config.device or not os.path.isdir(self._folder):
            raise DeviceError(f"{self.name}: no such lamp", f"device: one of ls {LEDS}")

    def show(self, state: str, basis: str) -> None:
        """From now on, until it is told otherwise."""
        self._blink(pattern(state, basis))

    def close(self) -> None:
        """Dark, if it is still there."""
        with suppress(DeviceError):
            self._blink(DARK)

    def _blink(self, shown: Pattern) -> None:
        # The longer one first: to the kernel, 0 and 0 is half a second each.
        delays = {"delay_on": shown.lit, "delay_off": shown.dark}
        for name, span in sorted(delays.items(), key=lambda delay: -delay[1]):
            self._write(name, f"{span * 1000:.0f}\n")

    def _write(self, name: str, value: str) -> None:
        try:
            file = os.open(f"{self._folder}/{name}", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(file, value.encode())
            finally:
                os.close(file)
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise DeviceError(
                    f"{self.name}: does not blink: its trigger is not 'timer'",
                    "in config.txt: dtparam=act_led_trigger=timer, or trigger=timer of gpio-led",
                ) from None
            raise DeviceError(f"{self.name}: {name}: {e.strerror}", MAY_NOT) from None
