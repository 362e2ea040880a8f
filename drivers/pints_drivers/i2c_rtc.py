"""Real-time clocks on I2C, in user space: one engine for all the chips of `rtc_chips`.

Reading: everything that a chip says, time and flags, comes from one transfer, so it is of one
moment.  Its resolution is a second; where seconds begin is found by whoever reads it again and
again (`pints.shell.refclock_devices`), and no read here waits.

Setting: `write` is called when `first_tick` seconds later a second of true time begins, and
sets the second before that one.  Most chips start a second when they are written to; those of
NXP, which are stopped meanwhile, start in the middle of one.  What the call was late by is the
chip's offset from then on, milliseconds, and measured like any other.

An address that a driver of the kernel holds is left to it: then this is the kernel's clock.
"""

import logging

from pints.drivers import MachineClock, RealTimeClock, RtcConfig, RtcReading
from pints.errors import ConfigError, DeviceError
from pints.timescale import NS, Instant, Reading, civil, iso, midnight, nanoseconds, seconds
from pints_drivers.i2c_bus import Bus, again, holder, kernel_clock, open_bus
from pints_drivers.rtc_chips import CHIPS, Bit, Chip, Setting, Trim

log = logging.getLogger("pints")

FIRST = midnight(2000, 1, 1)
"""Where two digits of a year begin."""
LAST = midnight(2100, 1, 1)
BAD_BCD = "bad BCD"
BAD_DATE = "bad date"
PM = 0x20
READS = 3
"""Of a chip that does not latch: a second begins during one of them at most."""


def open_chip(config: RtcConfig, clock: MachineClock) -> RealTimeClock:
    """The chip that [rtc] names, or the kernel's clock where the kernel has that chip already."""
    chip = CHIPS[config.driver]
    if config.device:
        raise ConfigError(
            f"[rtc] device: driver '{config.driver}' has none", "set bus, and address if need be"
        )
    address = config.address or chip.address
    name = f"{config.driver} i2c-{config.bus} 0x{address:02x}"
    held = holder(config.bus, address)
    if not held:
        return I2cRtc(name, chip, open_bus(config.bus), address, clock)
    rtc = kernel_clock(config.bus, address)
    if not rtc:
        raise DeviceError(
            f"{name}: held by the kernel's driver {held}, which makes no clock of it",
            "check what is at this address: pints rtc detect",
        )
    from pints_drivers.dev_rtc import KernelRtc

    log.info("%s: held by the kernel's driver %s: used as /dev/%s", name, held, rtc)
    return KernelRtc(name, f"/dev/{rtc}", clock)


class I2cRtc:
    """A chip at an address of a bus."""

    def __init__(self, name: str, chip: Chip, bus: Bus, address: int, clock: MachineClock) -> None:
        self.name = name
        self.first_tick = chip.first_tick
        self._chip = chip
        self._bus = bus
        self._address = address
        self._clock = clock

    def read(self) -> RtcReading:
        """The second it is in, so half a second more or less, and what the transfer took."""
        before, said = self._at_one_moment()
        took = seconds(self._clock.read().raw - before.raw)
        second, flags = decode(self._chip, said)
        return RtcReading(
            Instant(second + NS // 2), 0.5 + took, flags, before, self._chip.stability,
            told(self._chip.warnings, said), temperature(self._chip, said),
        )  # fmt: skip

    def write(self, time: Instant) -> None:
        """Set it to the second that true time is `first_tick` from the end of."""
        second = Instant((time + nanoseconds(self.first_tick) + NS // 2) // NS * NS - NS)
        if not FIRST <= second < LAST:
            hint = "it has years 2000 to 2099"
            raise DeviceError(f"{self.name}: cannot hold {iso(second)}", hint)
        for register, data in setting(self._chip, self._registers(), second):
            self._write(register, data)

    def trim(self, change: float) -> float:
        """Run faster by the fraction `change` from now on, as nearly as a register can tell it;
        by how much it does, as the datasheet has it."""
        trim = self._chip.trim
        if trim is None:
            raise DeviceError(f"{self.name} has no register to trim it by")
        said = self._registers()
        wanted, change = trimmed(trim, said[trim.register], change)
        if wanted != said[trim.register]:
            self._write(trim.register, bytes([wanted]))
            if trim.use:
                register, mask, value = trim.use
                self._write(register, bytes([said[register] & ~mask | value]))
        return change

    def close(self) -> None:
        """Close the bus."""
        self._bus.close()

    def _at_one_moment(self) -> tuple[Reading, bytes]:
        """What all registers say, and when that was begun to be read."""
        before, said = self._clock.read(), self._registers()
        if self._chip.latched:
            return before, said
        for _ in range(READS):
            last, before, said = said, self._clock.read(), self._registers()
            if said == last:
                return before, said
        raise DeviceError(f"{self.name}: no two readings agree", "check its wires")

    def _registers(self) -> bytes:
        count = self._chip.registers

        def transfer() -> list[int]:
            return self._bus.read_i2c_block_data(self._address, 0, count)

        said = bytes(again(self.name, transfer))
        if len(said) != count:
            raise DeviceError(f"{self.name}: {len(said)} of {count} registers", "check its wires")
        return said

    def _write(self, register: int, data: bytes) -> None:
        again(
            self.name,
            lambda: self._bus.write_i2c_block_data(self._address, register, list(data)),
        )


# --- registers and time ----------------------------------------------------------------------


def decode(chip: Chip, said: bytes) -> tuple[Instant, tuple[str, ...]]:
    """The second that all its registers tell, and why it is not to be relied on."""
    flags = told(chip.flags, said)
    second, minute, hour, *days, month, year = said[chip.seconds : chip.seconds + 7]
    day = days[0] if chip.date_first else days[1]
    twelve = chip.twelve is not None and bool(said[chip.twelve.register] & chip.twelve.mask)
    digits = (
        second & 0x7F, minute & 0x7F, hour & (0x1F if twelve else 0x3F),
        day & 0x3F, month & 0x1F, year,
    )  # fmt: skip
    if any(d & 0xF > 9 or d >> 4 > 9 for d in digits):
        return FIRST, (*flags, BAD_BCD)
    s, m, h, day, mon, y = (10 * (d >> 4) + (d & 0xF) for d in digits)
    # Some have a bit for the century beside the month.  Nobody knows what it means: until 2016
    # Linux always set the DS3231's, and the PCF8563's is undefined until somebody has a use for it.
    y += 2000
    right = 1 <= mon <= 12 and s <= 59 and m <= 59 and (1 <= h <= 12 if twelve else h <= 23)
    if not right or civil(midnight(y, mon, day)) != (y, mon, day):
        return FIRST, (*flags, BAD_DATE)
    if twelve:
        h = h % 12 + (12 if hour & PM else 0)
    return Instant(midnight(y, mon, day) + (h * 3600 + m * 60 + s) * NS), flags


def encode(chip: Chip, second: Instant) -> bytes:
    """The seven registers of time, in 24 hours; bits 7 that are flags among them are cleared."""
    year, month, day = civil(second)
    rest = second // NS % 86400
    # 1970 began on a Thursday.
    weekday = chip.weekdays[(second // NS // 86400 + 4) % 7]
    days = (_bcd(day), weekday) if chip.date_first else (weekday, _bcd(day))
    time = (
        _bcd(rest % 60), _bcd(rest // 60 % 60), _bcd(rest // 3600), *days, _bcd(month),
        _bcd(year % 100),
    )  # fmt: skip
    return bytes(t | b for t, b in zip(time, chip.beside, strict=True))


def setting(chip: Chip, said: bytes, second: Instant) -> list[tuple[int, bytes]]:
    """The writes that set it, in order, given its registers: only what differs is written."""
    now = bytearray(said)

    def put(settings: tuple[Setting, ...]) -> list[tuple[int, bytes]]:
        changed = []
        for register, mask, value in settings:
            wanted = now[register] & ~mask | value
            if wanted != now[register]:
                now[register] = wanted
                changed.append((register, bytes([wanted])))
        return changed

    stop = () if chip.stop is None else (chip.stop,)
    release = tuple(s._replace(value=0) for s in stop)
    return [
        *put(chip.settings), *put(stop), (chip.seconds, encode(chip, second)), *put(release),
        *put(chip.cleared),
    ]  # fmt: skip


def trimmed(trim: Trim, register: int, change: float) -> tuple[int, float]:
    """What its register must hold for it to run faster by `change` than by what it holds now,
    and by how much that makes it faster."""
    top = 1 << trim.bits - 1
    magnitude, negative = register & top - 1, bool(register & top)
    if trim.two_complement:
        before = magnitude - top if negative else magnitude
        least = -top
    else:
        before = -magnitude if negative else magnitude
        least = 1 - top
    after = min(max(before - round(change / trim.step), least), top - 1)
    bits = after % (2 * top) if trim.two_complement or after >= 0 else top - after
    return register & ~(2 * top - 1) | bits, (before - after) * trim.step


def told(bits: tuple[Bit, ...], said: bytes) -> tuple[str, ...]:
    """The names of those that are in the state that matters."""
    return tuple(b.name for b in bits if bool(said[b.register] & b.mask) is b.bad)


def temperature(chip: Chip, said: bytes) -> float | None:
    """Degrees Celsius, where the chip has a thermometer: two's complement, in quarters."""
    if chip.temperature is None:
        return None
    whole = said[chip.temperature]
    return (whole - 256 if whole & 0x80 else whole) + (said[chip.temperature + 1] >> 6) / 4


def _bcd(number: int) -> int:
    return number // 10 << 4 | number % 10
