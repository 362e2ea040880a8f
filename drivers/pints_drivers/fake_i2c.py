"""A fake I2C bus with real-time clocks on it: no hardware, the datasheets' rules.

`FakeBus` has the methods of `smbus2.SMBus` that pints uses, and its errors: nobody at an address
is EREMOTEIO, an address that the kernel holds EBUSY.  `FakeChip` keeps a chip's rules:
- it ticks by what `truth` says, at its own rate, while its oscillator runs;
- one transfer reads one moment, and goes on at register 0 after the last;
- writing to the seconds, or releasing what stops its divider, starts a second there;
- its flags are set when its power fails, and cleared by what the datasheet says and nothing else.

The layouts are written down here once more, apart from the drivers' tables: a register that is
wrong in one of them does not go unnoticed.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from errno import EBUSY, EINVAL, EREMOTEIO
from typing import NamedTuple

from pints.timescale import NS, nanoseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_BLOCK = 32
"""I2C_SMBUS_BLOCK_MAX, linux/i2c.h."""


class Layout(NamedTuple):
    """A chip as its datasheet has it."""

    address: int
    fresh: bytes
    """Its registers after power came and there was no battery."""
    order: str = "smhwdoy"
    """Seconds, minutes, hours, weekday, day, month, year, from register `first` on."""
    first: int = 0
    first_weekday: int | None = 1
    """Sunday's number; None: a bit for each."""
    runs: Callable[[bytes], bool] = lambda registers: True
    """Whether its oscillator and divider run."""
    first_tick: float = 1.0
    """After its divider was released or, without such a bit, its seconds written to, seconds."""
    divider: int | None = None
    """Register whose bit releases the divider."""
    twelve: tuple[int, int] | None = None
    """Register and bit of 12 hours."""


def _registers(size: int, **given: int) -> bytes:
    """`r0E=0x1C` and so on; the others are 0."""
    content = bytearray(size)
    for name, value in given.items():
        content[int(name[1:], 16)] = value
    return bytes(content)


def _dallas(size: int, **given: int) -> bytes:
    return _registers(size, r03=1, r04=1, r05=1, **given)


LAYOUTS = {
    "ds3231": Layout(
        0x68, _dallas(0x13, r0E=0x1C, r0F=0x88, r11=0x19, r12=0x40), twelve=(2, 0x40)
    ),
    "ds1307": Layout(
        0x68, _dallas(0x40, r00=0x80, r07=0x03), runs=lambda r: not r[0] & 0x80, twelve=(2, 0x40)
    ),
    "ds1338": Layout(
        0x68, _dallas(0x40, r00=0x80, r07=0xB3), runs=lambda r: not r[0] & 0x80, twelve=(2, 0x40)
    ),
    "pcf8523": Layout(
        0x68, _registers(0x14, r02=0xE0, r03=0x80, r06=1, r07=6, r08=1), "smhdwoy", 3, 0,
        lambda r: not r[0] & 0x20, 0.49994, 0, (0, 0x08),
    ),
    "pcf85063": Layout(
        0x51, _registers(0x12, r04=0x80, r07=1, r08=6, r09=1, r11=0x18), "smhdwoy", 4, 0,
        lambda r: not r[0] & 0xA0, 0.5079, 0, (0, 0x02),
    ),
    "pcf8563": Layout(
        0x51, _registers(0x10, r00=0x08, r02=0x80, r05=1, r07=1, r09=0x80, r0A=0x80), "smhdwoy", 2,
        0, lambda r: not r[0] & 0xA0, 0.5079, 0,
    ),
    "rv3028": Layout(
        0x52, _registers(0x40, r04=1, r05=1, r0E=0x01), first_weekday=0, twelve=(0x10, 0x02)
    ),
    "rv8803": Layout(
        0x32, _registers(0x30, r03=0x40, r04=1, r05=1, r0E=0x03), first_weekday=None,
        runs=lambda r: not r[0x0F] & 0x01, divider=0x0F,
    ),
    "mcp7940n": Layout(
        0x6F, _dallas(0x60, r06=1, r07=0x80), runs=lambda r: bool(r[0] & 0x80), twelve=(2, 0x40)
    ),
}  # fmt: skip
WIDTHS = {"s": 0x7F, "m": 0x7F, "h": 0x3F, "w": 0x07, "d": 0x3F, "o": 0x1F, "y": 0xFF}
ALL_WEEK = 0x7F


class FakeChip:
    """A chip of this name, whose power has just come."""

    def __init__(self, name: str, truth: Callable[[], int], drift: float = 0.0) -> None:
        """`truth` gives true time in ns; it runs fast by the fraction `drift`."""
        self.name = name
        self.layout = LAYOUTS[name]
        self.registers = bytearray(self.layout.fresh)
        self.drift = drift
        self.aging = 0
        """What the DS3231 uses of its Aging Offset: what it was at the last conversion."""
        self._truth = truth
        self._ticked = truth()
        """True time when it counted last, ns."""

    def power_fails(self) -> None:
        """Board and battery."""
        self.registers[:] = self.layout.fresh
        self._ticked = self._truth()

    def read(self, register: int, length: int) -> list[int]:
        """One transfer."""
        self._run()
        size = len(self.registers)
        return [self.registers[(register + n) % size] for n in range(length)]

    def write(self, register: int, data: list[int]) -> None:
        """One transfer."""
        self._run()
        layout, size = self.layout, len(self.registers)
        ran = layout.runs(bytes(self.registers))
        for n, value in enumerate(data):
            self._put((register + n) % size, value)
        written = range(register, register + len(data))
        released = not ran and layout.runs(bytes(self.registers))
        if released and layout.divider is not None:
            self._ticked = self._truth() - nanoseconds(1 - layout.first_tick)
        elif released or (layout.divider is None and layout.first in written):
            self._ticked = self._truth()
        if self.name == "mcp7940n":
            self._oscillates()

    def _put(self, register: int, value: int) -> None:
        """Bits that software can only clear stay clear."""
        before = self.registers[register]
        sticky = {"ds3231": (0x0F, 0x83), "ds1338": (0x07, 0x20), "rv3028": (0x0E, 0x7F),
                  "rv8803": (0x0E, 0x3F)}.get(self.name, (-1, 0))  # fmt: skip
        if register == sticky[0]:
            value = value & ~sticky[1] | value & before & sticky[1]
        if self.name == "ds3231" and register == 0x0E and value & 0x20:
            value &= ~0x20  # CONV is over when it is read again
            self.aging = self.registers[0x10]
        if self.name == "mcp7940n" and register == 3:
            value &= ~0x10  # any write clears PWRFAIL
        self.registers[register] = value

    def _oscillates(self) -> None:
        """OSCRUN is the oscillator's own, and nobody's to write."""
        run = 0x20 if self.layout.runs(bytes(self.registers)) else 0
        self.registers[3] = self.registers[3] & ~0x20 | run

    def _run(self) -> None:
        """Count the seconds that have passed."""
        if not self.layout.runs(bytes(self.registers)):
            self._ticked = self._truth()
            return
        second = NS / (1 + self.drift)
        passed = int((self._truth() - self._ticked) / second)
        if passed > 0:
            self._ticked += round(passed * second)
            self._show(self._counted() + timedelta(seconds=passed))

    def _place(self, what: str) -> int:
        return self.layout.first + self.layout.order.index(what)

    def _is_twelve(self) -> bool:
        twelve = self.layout.twelve
        return twelve is not None and bool(self.registers[twelve[0]] & twelve[1])

    def _counted(self) -> datetime:
        """What its registers say."""

        def number(what: str, mask: int) -> int:
            value = self.registers[self._place(what)] & mask
            return (value >> 4) * 10 + (value & 0xF)

        hour = number("h", 0x1F if self._is_twelve() else 0x3F)
        if self._is_twelve():
            hour = hour % 12 + 12 * bool(self.registers[self._place("h")] & 0x20)
        return datetime(
            2000 + number("y", 0xFF), number("o", 0x1F), number("d", 0x3F), hour,
            number("m", 0x7F), number("s", 0x7F), tzinfo=UTC,
        )  # fmt: skip

    def _show(self, time: datetime) -> None:
        """Put it into its registers, beside what else is in them."""
        hour = time.hour
        values = {"s": time.second, "m": time.minute, "d": time.day, "o": time.month,
                  "y": time.year % 100}  # fmt: skip
        bits = {what: value // 10 << 4 | value % 10 for what, value in values.items()}
        widths = dict(WIDTHS)
        if self._is_twelve():
            shown = (hour - 1) % 12 + 1
            bits["h"] = shown // 10 << 4 | shown % 10 | (0x20 if hour >= 12 else 0)
        else:
            bits["h"] = hour // 10 << 4 | hour % 10
        sunday = self.layout.first_weekday
        day = time.isoweekday() % 7
        if sunday is None:
            widths["w"], bits["w"] = ALL_WEEK, 1 << day
        else:
            bits["w"] = day + sunday
        for what, value in bits.items():
            place = self._place(what)
            self.registers[place] = self.registers[place] & ~widths[what] | value
        if time.year >= 2100 and self.name in ("ds3231", "pcf8563"):
            self.registers[self._place("o")] ^= 0x80  # the century has turned


class FakeRegisters:
    """Something else at an address: registers that keep what is written to them."""

    def __init__(self, registers: bytes) -> None:
        self.registers = bytearray(registers)

    def read(self, register: int, length: int) -> list[int]:
        """One transfer."""
        size = len(self.registers)
        return [self.registers[(register + n) % size] for n in range(length)]

    def write(self, register: int, data: list[int]) -> None:
        """One transfer."""
        for n, value in enumerate(data):
            self.registers[(register + n) % len(self.registers)] = value


class FakeBus:
    """A bus, as `smbus2.SMBus` has it."""

    def __init__(self, *chips: FakeChip) -> None:
        self.chips: dict[int, FakeChip | FakeRegisters] = {c.layout.address: c for c in chips}
        self.held: set[int] = set()
        """Addresses that a driver of the kernel holds."""
        self.deaf = 0
        """How many transfers to come nobody answers."""
        self.written: list[tuple[int, bytes]] = []
        """Register and bytes of every transfer that wrote."""
        self.open = True

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        """SMBus `I2C block read`."""
        if not 1 <= length <= MAX_BLOCK:
            raise OSError(EINVAL, "Invalid argument")
        return self._chip(i2c_addr).read(register, length)

    def write_i2c_block_data(self, i2c_addr: int, register: int, data: list[int]) -> None:
        """SMBus `I2C block write`."""
        if not 1 <= len(data) <= MAX_BLOCK:
            raise OSError(EINVAL, "Invalid argument")
        self._chip(i2c_addr).write(register, data)
        self.written.append((register, bytes(data)))

    def close(self) -> None:
        """Let go of it."""
        self.open = False

    def _chip(self, address: int) -> FakeChip | FakeRegisters:
        if address in self.held:
            raise OSError(EBUSY, "Device or resource busy")
        if self.deaf or address not in self.chips:
            self.deaf = max(0, self.deaf - 1)
            raise OSError(EREMOTEIO, "Remote I/O error")
        return self.chips[address]
