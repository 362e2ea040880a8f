"""Which chip is there is told by reading alone, and what cannot be told is said to be open."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pints.drivers import detect_rtcs
from pints.errors import DeviceError
from pints.timescale import NS
from pints_drivers import i2c_bus, rtc_detect
from pints_drivers.fake_i2c import LAYOUTS, FakeBus, FakeChip, FakeRegisters
from pints_drivers.i2c_rtc import setting
from pints_drivers.rtc_chips import CHIPS
from pints_drivers.rtc_detect import on_bus

NOW = 1_793_802_599 * NS


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBus:
    """Bus 1 of a machine with a /dev and a /sys of its own."""
    bus = FakeBus()
    for folder in ("dev", "i2c", "rtc"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dev" / "i2c-1").touch()
    (tmp_path / "dev" / "i2c-stub").touch()
    monkeypatch.setitem(sys.modules, "smbus2", SimpleNamespace(SMBus=lambda number: bus))
    monkeypatch.setattr(i2c_bus, "DEVICES", str(tmp_path / "i2c"))
    monkeypatch.setattr(rtc_detect, "DEV", str(tmp_path / "dev"))
    monkeypatch.setattr(rtc_detect, "CLOCKS", str(tmp_path / "rtc"))
    return bus


def chip(name: str, is_set: bool = True) -> FakeChip:
    fake = FakeChip(name, lambda: NOW)
    for register, data in setting(CHIPS[name], bytes(fake.registers), NOW) if is_set else ():  # type: ignore[arg-type]
        fake.write(register, list(data))
    return fake


ALIKE = {"ds1307": ("ds1307", "ds1338")}
"""A DS1338 is a DS1307 that has one bit more, which is 0 while all is well."""


@pytest.mark.parametrize("is_set", [True, False], ids=["set", "fresh"])
@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_is_told_from_its_neighbours(bus: FakeBus, name: str, is_set: bool) -> None:
    fake = chip(name, is_set)
    bus.chips[fake.layout.address] = fake
    (found,) = on_bus(1)
    expected = ALIKE["ds1307"] if name == "ds1307" or (name == "ds1338" and is_set) else (name,)
    assert set(found.drivers) == set(expected)
    assert (found.bus, found.address) == (1, LAYOUTS[name].address)
    assert bool(found.note) == (len(expected) > 1)
    assert bus.written == []
    assert not bus.open


def test_the_smaller_pcf85063_ends_after_its_years(bus: FakeBus) -> None:
    bus.chips[0x51] = FakeRegisters(bytes(chip("pcf85063").registers[:0x0B]))
    (found,) = on_bus(1)
    assert found.drivers == ("pcf85063",)


def test_a_pcf8563_whose_unused_bits_are_anything(bus: FakeBus) -> None:
    fake = chip("pcf8563")
    for register, unused in enumerate((0x57, 0xE0, 0, 0x80, 0xC0, 0xC0, 0xF8, 0x60)):
        fake.registers[register] |= unused
    bus.chips[0x51] = fake
    (found,) = on_bus(1)
    assert found.drivers == ("pcf8563",)


def test_a_dallas_chip_with_memory_in_use(bus: FakeBus) -> None:
    fake = chip("ds1307")
    fake.registers[8:] = os.urandom(56)
    bus.chips[0x68] = fake
    assert set(on_bus(1)[0].drivers) == {"ds1307", "ds1338"}


def test_a_chip_that_is_only_registers_is_as_open_as_it_is(bus: FakeBus) -> None:
    """As i2c-stub of the kernel has it: nothing wraps."""
    bus.chips[0x68] = FakeRegisters(bytes(chip("ds3231").registers) + bytes(237))
    (found,) = on_bus(1)
    assert "ds3231" in found.drivers
    assert "told apart" in found.note


def test_a_motion_sensor_is_no_clock(bus: FakeBus) -> None:
    registers = bytearray(128)
    registers[0x75] = 0x68
    bus.chips[0x68] = FakeRegisters(bytes(registers))
    (found,) = on_bus(1)
    assert found.drivers == ()
    assert "MPU-6050" in found.note


@pytest.mark.parametrize("address", [0x32, 0x51, 0x52, 0x68, 0x6F])
def test_memory_that_is_empty_is_no_clock(bus: FakeBus, address: int) -> None:
    bus.chips[address] = FakeRegisters(b"\xff" * 256)
    (found,) = on_bus(1)
    assert found.drivers == ()
    assert "no clock that pints knows" in found.note


def test_what_the_kernel_holds_is_not_touched(bus: FakeBus, tmp_path: Path) -> None:
    place = tmp_path / "i2c" / "1-0068"
    place.mkdir()
    (place / "driver").symlink_to("../../bus/i2c/drivers/rtc-ds1307")
    (tmp_path / "rtc" / "rtc0").mkdir()
    (tmp_path / "rtc" / "rtc0" / "name").write_text("rtc-ds1307 1-0068\n")
    (tmp_path / "rtc" / "rtc0" / "device").symlink_to(place)
    bus.held.add(0x51)
    kernel, busy, held = detect_rtcs()
    assert (kernel.place, kernel.drivers, kernel.device) == ("/dev/rtc0", ("dev",), "/dev/rtc0")
    assert kernel.note == "held by the kernel: rtc-ds1307 at 1-0068"
    assert (held.place, held.drivers) == ("i2c-1 0x68", ())
    assert "rtc-ds1307" in held.note
    assert (busy.place, busy.note) == ("i2c-1 0x51", "held by a driver of the kernel")


def test_nobody_there(bus: FakeBus, tmp_path: Path) -> None:
    assert detect_rtcs() == []
    (tmp_path / "dev" / "i2c-1").unlink()
    with pytest.raises(DeviceError, match="no I2C bus") as e:
        detect_rtcs()
    assert "dtparam" in e.value.hint
