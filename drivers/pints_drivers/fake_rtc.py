"""A fake real-time clock: no hardware, a real chip's rules.  For tests and demonstrations.

The rules it keeps:
- it counts whole seconds, and setting it starts a second;
- its year has two digits: 2000 to 2099, then 2000 again;
- its flags go away when it is set, and never otherwise;
- it runs on while nobody looks, at its own rate.

`MemoryRtc` keeps its chip in memory; `FakeRtc`, the driver `fake-rtc`, in a small text file, so
that it outlives the process.  `good`, `flat`, `reset`, `ahead` and `local` make the chips that
machines wake up with.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pints.drivers import MachineClock, RtcConfig, RtcReading
from pints.errors import DeviceError
from pints.timescale import DAY, HOUR, NS, Instant, iso, nanoseconds, seconds

FIRST = Instant(946_684_800 * NS)
"""2000-01-01, where two digits begin, and what chips say that lost their power."""
CENTURY = nanoseconds(36525 * DAY)
"""Chips take every fourth year for a leap year, which holds from 2000 to 2099."""
RESOLUTION = 1.0
CLOCKS = {"real": time.CLOCK_REALTIME, "boot": time.CLOCK_BOOTTIME}
"""What a chip in a file is held against: true where the system's clock is, or unmoved by
whatever happens to that."""


@dataclass(frozen=True, slots=True)
class Chip:
    """What a chip holds, as what it would say of a reference that is read instead."""

    offset: float = 0.0
    """Chip less reference when the latter stood at `since`, seconds."""
    drift: float = 0.0
    """By what fraction it runs fast from then on."""
    flags: tuple[str, ...] = ()
    since: int = 0
    """Of the reference, ns."""
    against: str = "real"
    """The reference of a chip in a file: `real` or `boot`."""

    def at(self, reference: int) -> Instant:
        """Its counter, before seconds and centuries are cut off."""
        gained = self.offset + self.drift * seconds(reference - self.since)
        return Instant(reference + nanoseconds(gained))


def good(now: int, drift: float = 0.0) -> Chip:
    """Right at `now`."""
    return Chip(0.0, drift, (), now)


def flat(now: int) -> Chip:
    """Its battery was empty: it starts at 2000, and its flag says so."""
    return replace(reset(now), flags=("OSF",))


def reset(now: int) -> Chip:
    """The same, and no flag says so."""
    return Chip(seconds(FIRST - now), 0.0, (), now)


def ahead(now: int, years: int = 10) -> Chip:
    """Somebody mistyped the year."""
    return Chip(years * 365.25 * DAY, 0.0, (), now)


def local(now: int, hours: float = 2.0) -> Chip:
    """Somebody set it to local time, so many hours east of UTC."""
    return Chip(hours * HOUR, 0.0, (), now)


def encode_chip(chip: Chip) -> str:
    """As the file holds it: one `name value` per line."""
    return (
        f"against {chip.against}\nsince {chip.since}\noffset {chip.offset!r}\n"
        f"drift {chip.drift!r}\nflags {' '.join(chip.flags)}\n"
    )


def decode_chip(text: str) -> Chip:
    """What a file says; what it leaves out has its default.  ValueError for anything else."""
    chip = Chip()
    for line in text.splitlines():
        name, _, value = line.partition("#")[0].strip().partition(" ")
        if name == "against" and value in CLOCKS:
            chip = replace(chip, against=value)
        elif name == "since":
            chip = replace(chip, since=int(value))
        elif name == "offset":
            chip = replace(chip, offset=float(value))
        elif name == "drift":
            chip = replace(chip, drift=float(value))
        elif name == "flags":
            chip = replace(chip, flags=tuple(value.split()))
        elif name:
            raise ValueError(line)
    return chip


class MemoryRtc:
    """A fake chip in memory, held against what `truth` says."""

    def __init__(
        self,
        truth: Callable[[], int],
        clock: MachineClock,
        chip: Chip | None = None,
        name: str = "fake-rtc",
    ) -> None:
        """`truth` gives true time in ns; without a chip, the battery was just put in."""
        self.name = name
        self.first_tick = 1.0
        self.chip = flat(truth()) if chip is None else chip
        self.plugged = True
        self.writes = 0
        self._truth = truth
        self._clock = clock

    def read(self) -> RtcReading:
        """The second it is in, so half a second more or less."""
        self._check()
        at = self._clock.read()
        counter = FIRST + (self.chip.at(self._truth()) - FIRST) % CENTURY
        middle = Instant(counter - counter % NS + NS // 2)
        return RtcReading(middle, RESOLUTION / 2, self.chip.flags, at)

    def write(self, time: Instant) -> None:
        """Set it to the nearest second, which starts now."""
        self._check()
        if not FIRST <= time < FIRST + CENTURY - NS:
            raise DeviceError(f"{self.name}: cannot hold {iso(time)}", "it has years 2000 to 2099")
        now = self._truth()
        second = (time + NS // 2) // NS * NS
        self.chip = replace(self.chip, offset=seconds(second - now), since=now, flags=())
        self.writes += 1

    def close(self) -> None:
        """There is nothing to let go of."""

    def _check(self) -> None:
        if not self.plugged:
            raise DeviceError(f"{self.name}: no answer", "check its wires")


class FakeRtc(MemoryRtc):
    """The driver `fake-rtc`: a fake chip in the text file that `device` names."""

    def __init__(self, config: RtcConfig, clock: MachineClock) -> None:
        self._path = config.device
        name = f"fake-rtc {config.device}"
        super().__init__(self._reference, clock, Chip(), name)
        self._check()

    def write(self, time: Instant) -> None:
        """Set it; the file is as durable as a battery is."""
        super().write(time)
        there = f"{self._path}.new"
        try:
            with open(there, "w", encoding="ascii") as file:
                file.write(encode_chip(self.chip))
            os.replace(there, self._path)
        except OSError as e:
            raise DeviceError(f"{self.name}: {e.strerror}") from None

    def _check(self) -> None:
        """The file is the chip: it is read whenever the chip is, and unplugged when gone."""
        try:
            with open(self._path, encoding="ascii") as file:
                self.chip = decode_chip(file.read())
        except OSError as e:
            raise DeviceError(f"{self.name}: {e.strerror}", "device: path of its file") from None
        except ValueError as e:
            raise DeviceError(f"{self.name}: not a fake chip: {e}") from None

    def _reference(self) -> int:
        return time.clock_gettime_ns(CLOCKS[self.chip.against])
