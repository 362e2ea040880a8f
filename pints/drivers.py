"""What the daemon asks of hardware that tells the time, and where it finds its drivers.

A driver is one file with one of two small protocols; it is imported only when the
configuration names it.  Drivers raise DeviceError for whatever the device does wrong, name it,
and may be asked again later.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pints.timescale import Instant, Reading


@dataclass(frozen=True, slots=True)
class RtcReading:
    """What a real-time clock said when the machine's clocks stood at `at`."""

    time: Instant
    error: float
    """Half the resolution and the reading's own uncertainty, seconds."""
    flags: tuple[str, ...]
    """Why the chip itself does not vouch for it, by the datasheet's names (`OSF`, `VL`, `CH`,
    `bad BCD`); empty: it ran without a break since it was set."""
    at: Reading


class RealTimeClock(Protocol):
    """A clock with a battery."""

    name: str
    """As reports say it: `ds3231 i2c-1 0x68`."""

    def read(self) -> RtcReading:
        """Read it, on the boundary of a second where that can be had cheaply."""

    def write(self, time: Instant) -> None:
        """Set it to what true time is now; clears its flags."""

    def close(self) -> None:
        """Let go of the device."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What a receiver (GPS, GNSS) said of the instant when the machine's clocks stood at `at`."""

    time: Instant
    """As the receiver says it.  Its week number may have rolled over: the date may be off by
    a multiple of 1024 weeks, which `bootstrap.gps` unfolds."""
    error: float
    """Bound of all that lies between the antenna and `at`, seconds."""
    at: Reading
    leap: int = 0
    """NTP's leap indicator, where the receiver tells of a coming leap second."""


class ReferenceClock(Protocol):
    """A receiver that tells the time by itself."""

    name: str
    """As reports say it: `gps /dev/ttyAMA0`."""

    def fileno(self) -> int:
        """Readable when there is something for `fixes`."""

    def fixes(self) -> Iterable[Fix]:
        """Read once what is there, and give every complete fix in it; none is common."""

    def close(self) -> None:
        """Let go of the device."""
