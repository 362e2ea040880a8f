"""A lamp, and a signal that the time is verified, on pins of the header.

gpiozero (1.6 and 2.x) knows all boards, and which library moves their pins.  It would blink in a
thread of its own; here a lamp asks to be called again when it is to change, and is called only
while it blinks.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gpiozero import OutputDevice

from pints.drivers import OutputConfig
from pints.errors import DeviceError
from pints_drivers.patterns import pattern


class _Pin:
    """An output, low at first."""

    def __init__(self, config: OutputConfig) -> None:
        self.name = config.id
        if config.pin < 0:
            raise DeviceError(f"{self.name}: no pin", "pin: its GPIO number, 17 for instance")
        # Each library that is not there is a warning; that none is there will be an error.
        with warnings.catch_warnings(action="ignore"):
            self._pin = self._ask(lambda: OutputDevice(config.pin))

    def close(self) -> None:
        """Low, and then an input, if it is still there."""
        with suppress(DeviceError):
            self._set(False)
            self._ask(self._pin.close)

    def _set(self, high: bool) -> None:
        self._ask(self._pin.on if high else self._pin.off)

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as e:  # each of those libraries has errors of its own
            said = " ".join(str(e).split()) or type(e).__name__
            raise DeviceError(
                f"{self.name}: {said}",
                "is the pin free, python3-lgpio installed? for the service: drop-in gpio.conf",
            ) from None


class GpioLed(_Pin):
    """The driver `led`: a lamp on `pin`."""

    def __init__(self, config: OutputConfig) -> None:
        super().__init__(config)
        self._lit = False

    def show(self, state: str, basis: str) -> float | None:
        """Lit and dark in turn; how long it is to stay as it is, seconds."""
        lit, dark = pattern(state, basis)
        self._lit = not dark or not self._lit
        self._set(self._lit)
        if not dark:
            return None
        return lit if self._lit else dark


class VerifiedPin(_Pin):
    """The driver `verified-pin`: `pin` is high while the time is as sure as `level` says."""

    def __init__(self, config: OutputConfig) -> None:
        super().__init__(config)
        self._anchored_only = config.level == "anchored"

    def show(self, state: str, basis: str) -> None:
        """High or low."""
        self._set(state == "verified" and (basis == "anchored" or not self._anchored_only))
