"""What the daemon asks of hardware that tells the time or shows what is known of it, and where it
finds its drivers.

A driver is one file with one of three small protocols; it is imported only when the
configuration names it.  It is a class, called with its section of the configuration and, if it
tells the time, the machine's clock.  Drivers raise DeviceError for whatever the device does wrong,
name it, and may be asked again later.  All that they need from pints is here, in
`pints.timescale` and in `pints.errors`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from pints.config import OutputConfig as OutputConfig
from pints.config import RefclockConfig as RefclockConfig
from pints.config import RtcConfig as RtcConfig
from pints.errors import ConfigError, DeviceError
from pints.frozen import dataclass
from pints.options import nearest
from pints.timescale import Instant, Reading


class MachineClock(Protocol):
    """What a driver asks of the machine's own clock; every `pints.shell.clock.Clock` is one."""

    def read(self) -> Reading:
        """Real, boot and raw time, read together."""

    def stamp(self, host_real: int) -> Reading | None:
        """The reading at the recent moment when the host's CLOCK_REALTIME stood at `host_real`,
        by which the kernel stamps pulses; None when it cannot be placed."""


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
    stability: float = 2e-6
    """By how much (a fraction) temperature may change the chip's rate from one long span of time
    to another.  The default holds for a compensated chip (DS3231, RV-3028, RV-3032); a bare
    watch crystal on a machine that stands outdoors in winter makes it 30e-6."""


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


class StatusOutput(Protocol):
    """Shows how far the clock may be trusted."""

    name: str
    """As the log says it: `kernel-led ACT`."""

    def show(self, state: str, basis: str) -> float | None:
        """Show the trust state and what `verified` rests on, by the names of docs/trust.md.  In
        how many seconds it is to be called again with the same; None: not before they change."""

    def close(self) -> None:
        """Show nothing any more and let go of the device, which may be gone: no error."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Where a driver is."""

    place: str
    """Module and class: `pints_drivers.fake_rtc:FakeRtc`."""
    extra: str = ""
    """The extra of the distribution that brings the libraries it imports; empty: none."""


RTCS: Mapping[str, Driver] = {
    "fake-rtc": Driver("pints_drivers.fake_rtc:FakeRtc"),
}
REFCLOCKS: Mapping[str, Driver] = {
    "fake-gps": Driver("pints_drivers.fake_gps:FakeGps"),
}
OUTPUTS: Mapping[str, Driver] = {
    "kernel-led": Driver("pints_drivers.kernel_led:KernelLed"),
    "led": Driver("pints_drivers.gpio_outputs:GpioLed", "gpio"),
    "verified-pin": Driver("pints_drivers.gpio_outputs:VerifiedPin", "gpio"),
}
"""The built-in names.  A name with a colon in it is the place of somebody else's driver."""


def open_rtc(config: RtcConfig, clock: MachineClock) -> RealTimeClock:
    """The real-time clock that [rtc] names.  ConfigError for an unknown driver, DeviceError for
    one that does not load or finds no device."""
    found = _find("[rtc] driver", config.driver, RTCS)
    return cast(RealTimeClock, found(config, clock))


def open_refclock(config: RefclockConfig, clock: MachineClock) -> ReferenceClock:
    """The receiver that a [[refclock]] names.  ConfigError for an unknown driver, DeviceError
    for one that does not load or finds no device."""
    found = _find("[[refclock]] driver", config.driver, REFCLOCKS)
    return cast(ReferenceClock, found(config, clock))


def open_output(config: OutputConfig) -> StatusOutput:
    """The lamp or pin that an [[output]] names.  Errors as above."""
    found = _find("[[output]] driver", config.driver, OUTPUTS)
    return cast(StatusOutput, found(config))


def _find(option: str, name: str, table: Mapping[str, Driver]) -> Any:
    """The class of a driver; its module is imported now, and its libraries with it."""
    driver = Driver(name) if ":" in name else table.get(name)
    if driver is None:
        raise ConfigError(f"{option}: unknown driver '{name}'", nearest(name, list(table)))
    module, _, attribute = driver.place.partition(":")
    from importlib import import_module

    try:
        return getattr(import_module(module), attribute)
    except ImportError as e:
        install = f"install what it needs: pip install 'pints-time[{driver.extra}]'"
        hint = install if driver.extra else f"check that {module} is installed where pints runs"
        raise DeviceError(f"driver '{name}' does not load: {e}", hint) from None
    except (AttributeError, ValueError):
        raise ConfigError(
            f"{option}: '{name}': no class '{attribute}' in module '{module}'",
            "another's driver is named module:class",
        ) from None
