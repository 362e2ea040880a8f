"""What the daemon asks of hardware that tells the time or shows what is known of it, and where it
finds its drivers.

A driver is one file with one of three small protocols; it is imported only when the
configuration names it.  It is a class, called with its section of the configuration and, if it
tells the time, the machine's clock.  Drivers raise DeviceError for whatever the device does wrong,
name it, and may be asked again later.  All that they need from pints is here, in
`pints.timescale` and in `pints.errors`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from pints.config.options import nearest
from pints.config.tables import OutputConfig as OutputConfig
from pints.config.tables import RefclockConfig as RefclockConfig
from pints.config.tables import RtcConfig as RtcConfig
from pints.errors import ConfigError, DeviceError
from pints.lean import dataclass
from pints.timescale import NS, Instant, Reading
from pints.values.sample import LEAP_UNKNOWN as LEAP_UNKNOWN


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
    to another.  The default holds for a compensated chip (DS3231, RV-8803, RV-3032); a bare
    watch crystal (RV-3028 included) on a machine that stands outdoors in winter makes it 30e-6."""
    warnings: tuple[str, ...] = ()
    """What its owner should see to though the time is good, by the datasheet's names (`BLF`:
    its battery is low)."""
    temperature: float | None = None
    """Of the chip, degrees Celsius, where it has a thermometer."""
    shared: bool = False
    """Others set it as well, and leave no trace: the kernel, while the system's clock counts as
    synchronized.  What it says proves nothing."""


class RealTimeClock(Protocol):
    """A clock with a battery.  One whose rate can be set has `trim(change: float) -> float`
    besides: run faster by the fraction `change`, as nearly as it can; by how much it does."""

    name: str
    """As reports say it: `ds3231 i2c-1 0x68`."""
    first_tick: float
    """How long after `write` it counts its next second, seconds, at most 1.  `write` is called
    when true time is so far from the next one."""

    def read(self) -> RtcReading:
        """Read it at once, to the second that it is in."""

    def write(self, time: Instant) -> None:
        """Set it to what true time is now, so that it counts on in `first_tick`; clears its
        flags."""

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
    leap: int = LEAP_UNKNOWN
    """NTP's leap indicator: 0 only if the receiver tells that no leap second is near."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A second began when the machine's clocks stood at `at`.  Which one it does not say."""

    at: Reading
    error: float
    """Bound of all that lies between the second's beginning and `at`, seconds, but for what the
    configuration corrects: the antenna's cable, the time from an edge to its stamp."""
    after: float | None = None
    """How long after the line's other edge it came, seconds below one: short after the edge that
    begins a pulse, this one ends it.  None where the driver does not see the other."""


def after_edge(real: int, other: int) -> float | None:
    """That, of two edges' times in ns; None when the other one is too long ago to tell."""
    return (real - other) % NS / NS if abs(real - other) < 2 * NS else None


@dataclass(frozen=True, slots=True)
class Sawtooth:
    """By how much a receiver knows that one of its pulses misses the second: it can place it on
    an edge of its own oscillator only (UBX TIM-TP qErr).  Said before or after the pulse."""

    time: Instant
    """The second that the pulse begins, near enough to tell it from its neighbours, weeks rolled
    over as in a Fix."""
    error: float
    """By how much the pulse comes late, seconds; negative: early."""


Report = Fix | Pulse | Sawtooth


class ReferenceClock(Protocol):
    """A receiver that tells the time, or the beginning of each second, by itself."""

    name: str
    """As reports say it: `gps /dev/ttyAMA0`."""

    def fileno(self) -> int:
        """Readable when there is something for `reports`; -1 where nothing wakes: then it is called
        twice a second."""

    def reports(self) -> Iterable[Report]:
        """Read once what is there, and give every complete report in it; none is common."""

    def close(self) -> None:
        """Let go of the device."""


@runtime_checkable
class Patient(Protocol):
    """A receiver most of whose bytes can wait: no driver needs to be one."""

    def pause(self) -> float:
        """For how long, seconds, it may be left alone, whatever comes; asked after each `reports`,
        which is called when that time is over, even if nothing came.  0: it wakes."""


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
class Details:
    """What a receiver tells of itself besides the time; None for what it does not."""

    fix: bool
    """Whether it sees enough of the sky."""
    satellites: int | None
    """Used for the fix."""
    speed: int | None
    """Of its serial line, baud."""
    sentences: Mapping[str, int]
    """How often which kind of sentence or message came."""
    noise: int
    """Bytes that belonged to none."""


@runtime_checkable
class Detailed(Protocol):
    """A receiver that has details: no driver needs to be one."""

    def details(self) -> Details:
        """For `pints gps`, whenever somebody asks."""


@dataclass(frozen=True, slots=True)
class FoundRtc:
    """What was found where a real-time clock may be."""

    place: str
    """As a person says it: `i2c-1 0x68`, `/dev/rtc0`."""
    drivers: tuple[str, ...]
    """Those that may be right; several where it cannot be told which, none where none is."""
    note: str = ""
    """What else there is to know."""
    bus: int | None = None
    address: int | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """Where a driver is."""

    place: str
    """Module and class, or a function that makes one: `pints_drivers.fake_rtc:FakeRtc`."""
    extra: str = ""
    """The extra of the distribution that brings the libraries it imports; empty: none."""


I2C_CHIPS = (
    "ds1307", "ds1338", "ds3231", "mcp7940n", "pcf85063", "pcf8523", "pcf8563", "rv3028", "rv8803",
)  # fmt: skip
RTCS: Mapping[str, Driver] = {
    "dev": Driver("pints_drivers.dev_rtc:DevRtc"),
    "fake-rtc": Driver("pints_drivers.fake_rtc:FakeRtc"),
    **dict.fromkeys(I2C_CHIPS, Driver("pints_drivers.i2c_rtc:open_chip", "rtc")),
}
REFCLOCKS: Mapping[str, Driver] = {
    "fake-gps": Driver("pints_drivers.fake_gps:FakeGps"),
    "fake-pps": Driver("pints_drivers.fake_pps:FakePps"),
    "gpio-pps": Driver("pints_drivers.gpio_pps:GpioPps", "gpio"),
    "gps": Driver("pints_drivers.gps:Gps", "gps"),
    "pps": Driver("pints_drivers.pps:Pps"),
    "shm": Driver("pints_drivers.shm:Shm"),
    "sock": Driver("pints_drivers.sock:Sock"),
}
OUTPUTS: Mapping[str, Driver] = {
    "kernel-led": Driver("pints_drivers.kernel_led:KernelLed"),
    "led": Driver("pints_drivers.gpio_outputs:GpioLed", "gpio"),
    "verified-pin": Driver("pints_drivers.gpio_outputs:VerifiedPin", "gpio"),
}
"""The built-in names.  A name with a colon in it is the place of somebody else's driver."""
DETECTOR = Driver("pints_drivers.rtc_detect:detect", "rtc")
NO_RTC = "no real-time clock is configured"
NO_RTC_HINT = "which one is there: pints rtc detect"


def open_rtc(config: RtcConfig, clock: MachineClock) -> RealTimeClock:
    """The real-time clock that [rtc] names.  ConfigError for an unknown driver, DeviceError for
    one that does not load or finds no device."""
    found = _find("[rtc] driver", config.driver, RTCS)
    return cast(RealTimeClock, found(config, clock))


def detect_rtcs() -> list[FoundRtc]:
    """The real-time clocks of this machine.  Nothing is written to anything that answers."""
    return cast(list[FoundRtc], _find("pints rtc detect", "detect", {"detect": DETECTOR})())


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
