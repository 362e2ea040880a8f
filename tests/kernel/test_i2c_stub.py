"""Chips on I2C through a real kernel: i2c-dev, smbus2 and the kernel's own stub of a bus, whose
registers hold what is written to them.  It does not tick."""

from collections.abc import Iterator
from errno import ENODEV
from pathlib import Path

import pytest
from smbus2 import SMBus

from pints.drivers import I2C_CHIPS, RtcConfig, detect_rtcs, open_rtc
from pints.errors import DeviceError
from pints.shell.system_clock import SystemClock
from pints.timescale import NS, Instant, iso, midnight, nanoseconds
from pints_drivers.rtc_chips import CHIPS

SECOND = Instant(midnight(2026, 11, 26) + (15 * 3600 + 43 * 60 + 45) * NS)  # a Thursday
AGING, STATUS = 0x10, 0x0F
WRAP = 0x13
"""Registers of a DS3231, after which a transfer begins anew."""
REGISTERS = bytes.fromhex("45431505261126000000000000001c08001940")
"""A DS3231 that holds SECOND and is 25.25 degrees warm, the oscillator running."""

BY_ITSELF = {"mcp7940n": ("OSCRUN",)}
"""What the stub does not do: this chip's oscillator says that it runs."""


@pytest.fixture
def bus() -> Iterator[SMBus]:
    """The stub; zeros in the registers of all its chips."""
    (name,) = Path("/sys/class/i2c-dev").iterdir()
    with SMBus(int(name.name.removeprefix("i2c-"))) as bus:
        for address in {chip.address for chip in CHIPS.values()}:
            put(bus, address, bytes(256))
        yield bus


def put(bus: SMBus, address: int, registers: bytes) -> None:
    for begin in range(0, len(registers), 32):
        part = registers[begin : begin + 32]
        bus.write_i2c_block_data(address, begin, list(part))


def get(bus: SMBus, address: int, count: int) -> bytes:
    return bytes(bus.read_i2c_block_data(address, 0, count))


def test_a_ds3231_is_read(bus: SMBus, clock: SystemClock) -> None:
    put(bus, 0x68, REGISTERS)
    before = clock.read()
    rtc = open_rtc(RtcConfig("ds3231", bus=0), clock)
    reading = rtc.read()
    rtc.close()
    assert reading.time == SECOND + NS // 2
    assert reading.flags == ()
    assert reading.temperature == 25.25
    assert before.raw <= reading.at.raw <= clock.read().raw
    assert 0.5 <= reading.error < 1.0


def test_flags_of_a_flat_battery_are_told(bus: SMBus, clock: SystemClock) -> None:
    put(bus, 0x68, REGISTERS)
    bus.write_byte_data(0x68, STATUS, 0x88)
    rtc = open_rtc(RtcConfig("ds3231", bus=0), clock)
    assert rtc.read().flags == ("OSF",)
    rtc.close()


def test_a_ds3231_is_set_byte_for_byte(bus: SMBus, clock: SystemClock) -> None:
    """And nothing else is touched but the flag that is cleared."""
    found = bytearray(REGISTERS)
    found[:7], found[STATUS], found[AGING] = bytes(7), 0x88, 0xF6
    put(bus, 0x68, bytes(found))
    rtc = open_rtc(RtcConfig("ds3231", bus=0), clock)
    rtc.write(SECOND)
    rtc.close()
    found[:7], found[STATUS] = REGISTERS[:7], 0x08
    assert get(bus, 0x68, len(REGISTERS)) == found


@pytest.mark.parametrize("driver", I2C_CHIPS)
def test_every_chip_tells_what_it_was_set_to(bus: SMBus, clock: SystemClock, driver: str) -> None:
    put(bus, CHIPS[driver].address, b"\xff" * 32)
    rtc = open_rtc(RtcConfig(driver, bus=0), clock)
    rtc.write(Instant(SECOND + NS - nanoseconds(rtc.first_tick)))
    assert iso(rtc.read().time) == iso(Instant(SECOND + NS // 2))
    assert rtc.read().flags == BY_ITSELF.get(driver, ())
    rtc.close()


def test_a_chip_is_detected(bus: SMBus) -> None:
    """What is read past the last register is the first: so it is certain."""
    put(bus, 0x68, REGISTERS + REGISTERS[: 0x20 - WRAP])
    found = {one.place: one.drivers for one in detect_rtcs()}
    assert found["i2c-0 0x68"] == ("ds3231",)


def test_nobody_answers(bus: SMBus, clock: SystemClock) -> None:
    with pytest.raises(OSError, match=str(ENODEV)):
        bus.read_byte_data(0x69, 0)
    with pytest.raises(DeviceError, match="no answer"):
        open_rtc(RtcConfig("ds3231", bus=0, address=0x69), clock).read()


def test_a_bus_that_is_not_there(clock: SystemClock) -> None:
    with pytest.raises(DeviceError, match="/dev/i2c-7") as e:
        open_rtc(RtcConfig("ds3231", bus=7), clock)
    assert "i2c_arm" in e.value.hint


def test_a_kernel_without_a_clock(clock: SystemClock) -> None:
    with pytest.raises(DeviceError, match="/dev/rtc0") as e:
        open_rtc(RtcConfig("dev"), clock)
    assert "detect" in e.value.hint
