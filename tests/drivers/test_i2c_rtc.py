"""Chips on I2C: their registers byte for byte, their flags, what they do when they misbehave."""

import random
import sys
from errno import EACCES, ENOENT
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.config.load import merge
from pints.config.tables import Config
from pints.drivers import I2C_CHIPS, RTCS, RtcConfig, RtcReading, open_rtc
from pints.errors import ConfigError, DeviceError
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, NS, Instant, iso, nanoseconds, seconds
from pints_drivers import i2c_bus
from pints_drivers.fake_i2c import LAYOUTS, FakeBus, FakeChip
from pints_drivers.i2c_rtc import I2cRtc, decode, encode
from pints_drivers.rtc_chips import CHIPS

START = Instant(1_793_802_599 * NS)
"""2026-11-04T14:29:59Z, a Wednesday."""


class Board:
    """A chip on a bus, and true time, which is moved by hand."""

    def __init__(self, name: str, drift: float = 0.0) -> None:
        self.now = int(START)
        self.clock = SoftwareClock(Instant(0), timebase=lambda: self.now)
        self.fake = FakeChip(name, lambda: self.now, drift)
        self.bus = FakeBus(self.fake)
        self.chip = CHIPS[name]
        self.rtc = I2cRtc(name, self.chip, self.bus, self.fake.layout.address, self.clock)

    def sleep(self, span: float) -> None:
        self.now += nanoseconds(span)

    def set(self) -> None:
        """When a second is as far off as the chip wants it."""
        self.sleep(1 - self.rtc.first_tick)
        self.rtc.write(Instant(self.now))

    def off(self) -> float:
        return seconds(self.rtc.read().time - self.now)


def test_every_chip_is_a_driver_and_has_a_fake() -> None:
    assert set(CHIPS) == set(LAYOUTS) == set(I2C_CHIPS) <= set(RTCS)
    assert {name: chip.address for name, chip in CHIPS.items()} == {
        name: layout.address for name, layout in LAYOUTS.items()
    }


WRITTEN = {
    # Control: EOSC is 0 already.  Status: OSF off, EN32kHz stays.
    "ds3231": ["00: 59 29 14 04 04 11 26", "0F: 08"],
    "ds1307": ["00: 59 29 14 04 04 11 26"],
    "ds1338": ["00: 59 29 14 04 04 11 26", "07: 93"],
    # PM 000; STOP; time; STOP off.
    "pcf8523": ["02: 00", "00: 20", "03: 59 29 14 04 03 11 26", "00: 00"],
    "pcf85063": ["00: 20", "04: 59 29 14 04 03 11 26", "00: 00"],
    "pcf8563": ["00: 28", "02: 59 29 14 04 03 11 26", "00: 08"],
    "rv3028": ["00: 59 29 14 03 04 11 26", "0E: 00"],
    "rv8803": ["0F: 01", "00: 59 29 14 08 04 11 26", "0F: 00", "0E: 00"],
    # ST and VBATEN on.
    "mcp7940n": ["00: D9 29 14 0C 04 11 26"],
}


@pytest.mark.parametrize("name", CHIPS)
def test_what_a_fresh_chip_is_written(name: str) -> None:
    board = Board(name)
    board.set()
    written = [f"{register:02X}: {data.hex(' ').upper()}" for register, data in board.bus.written]
    assert written == WRITTEN[name]


FRESH = {
    "ds3231": ("OSF",),
    "ds1307": ("CH",),
    "ds1338": ("CH", "OSF"),
    "pcf8523": ("OS",),
    "pcf85063": ("OS",),
    "pcf8563": ("VL",),
    "rv3028": ("PORF",),
    "rv8803": ("V2F",),
    "mcp7940n": ("ST", "OSCRUN"),
}


@pytest.mark.parametrize("name", CHIPS)
def test_flags_of_a_chip_without_power_until_it_is_set(name: str) -> None:
    board = Board(name)
    for _ in range(2):
        assert board.rtc.read().flags[: len(FRESH[name])] == FRESH[name]
    board.set()
    assert board.rtc.read().flags == ()
    board.sleep(10 * DAY)
    assert board.rtc.read().flags == ()
    assert abs(board.off()) <= 0.5
    board.fake.power_fails()
    assert board.rtc.read().flags[: len(FRESH[name])] == FRESH[name]


@pytest.mark.parametrize("name", CHIPS)
def test_it_is_set_on_the_boundary_of_a_second(name: str) -> None:
    """Whatever starts when it is written to: a second, or the middle of one."""
    board = Board(name)
    board.set()
    board.sleep(3)
    board.now = board.now // NS * NS - 5_000_000
    before = board.rtc.read().time
    board.sleep(0.010)
    after = board.rtc.read().time
    assert seconds(after - before) == 1
    assert after - NS // 2 == board.now // NS * NS


@pytest.mark.parametrize("name", CHIPS)
@given(st.integers(946_684_800, 4_102_444_798))
def test_what_is_set_is_what_is_read(name: str, second: int) -> None:
    board = Board(name)
    time = Instant(second * NS)
    board.rtc.write(Instant(time + NS - nanoseconds(board.rtc.first_tick)))
    said = board.rtc.read()
    assert (said.time, said.flags) == (time + NS // 2, ())


@pytest.mark.parametrize("name", CHIPS)
def test_it_ticks_over_every_edge_of_the_calendar(name: str, seed: int) -> None:
    spans = random.Random(seed)
    board = Board(name, drift=20e-6)
    board.set()
    for _ in range(200):
        board.sleep(spans.uniform(0, 40 * DAY))
        gained = 20e-6 * seconds(board.now - START)
        assert board.off() == pytest.approx(gained, abs=0.51)


@pytest.mark.parametrize("name", [name for name, chip in CHIPS.items() if chip.twelve])
@pytest.mark.parametrize(
    ("hours", "hour"), [(0x12, 0), (0x01, 1), (0x11, 11), (0x32, 12), (0x21, 13), (0x31, 23)]
)
def test_twelve_hours(name: str, hours: int, hour: int) -> None:
    board = Board(name)
    board.set()
    twelve = board.chip.twelve
    assert twelve
    place = board.chip.seconds + 2
    mode = twelve.mask if twelve.register == place else 0
    board.fake.registers[twelve.register] |= twelve.mask
    board.fake.registers[place] = hours | mode
    said = board.rtc.read()
    assert iso(said.time)[11:] == f"{hour:02d}:29:59Z"
    board.sleep(3600)
    assert board.rtc.read().time - said.time == 3600 * NS
    board.set()
    assert not board.fake.registers[twelve.register] & twelve.mask
    assert abs(board.off()) <= 0.5


@pytest.mark.parametrize("name", ["ds3231", "pcf8563"])
def test_a_century_bit_that_somebody_set_moves_nothing(name: str) -> None:
    board = Board(name)
    board.set()
    board.fake.registers[board.chip.seconds + 5] |= 0x80
    assert abs(board.off()) <= 0.5


@pytest.mark.parametrize("name", CHIPS)
def test_after_2099_its_years_begin_anew(name: str) -> None:
    board = Board(name)
    board.rtc.write(Instant(4_102_444_799 * NS))
    board.sleep(1.5)
    assert iso(board.rtc.read().time) == "2000-01-01T00:00:00Z"


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("place", range(7))
def test_registers_that_are_no_time_are_a_flag(name: str, place: int) -> None:
    chip = CHIPS[name]
    good = bytearray(chip.registers)
    good[chip.seconds : chip.seconds + 7] = encode(chip, START)
    if place == (4 if chip.date_first else 3):
        return  # the weekday: any will do
    for value in (0x0A, 0x7F, 0x1F):
        said = bytearray(good)
        said[chip.seconds + place] = value
        assert decode(chip, bytes(said))[1][-1] == "bad BCD"


@pytest.mark.parametrize("name", CHIPS)
def test_no_thirtieth_of_february(name: str) -> None:
    chip = CHIPS[name]
    said = bytearray(chip.registers)
    said[chip.seconds : chip.seconds + 7] = encode(chip, START)
    day = chip.seconds + (3 if chip.date_first else 4)
    said[day], said[chip.seconds + 5] = 0x30, 0x02
    assert decode(chip, bytes(said))[1][-1] == "bad date"


@pytest.mark.parametrize("name", CHIPS)
@given(st.data())
def test_any_bytes_are_read(name: str, data: st.DataObject) -> None:
    chip = CHIPS[name]
    said = data.draw(st.binary(min_size=chip.registers, max_size=chip.registers))
    time, _ = decode(chip, said)
    assert "2000" <= iso(time) < "2100"


def test_the_battery_is_watched() -> None:
    board = Board("pcf8523")
    board.set()
    board.fake.registers[2] |= 0x04
    said = board.rtc.read()
    assert (said.flags, said.warnings) == ((), ("BLF",))
    board = Board("ds3231")
    board.fake.registers[0x0E] |= 0x80
    assert board.rtc.read().warnings == ("EOSC",)
    board.set()
    assert board.rtc.read().warnings == ()
    assert board.bus.written[0] == (0x0E, b"\x1c")


@pytest.mark.parametrize(
    ("registers", "degrees"), [(b"\x19\x40", 25.25), (b"\xff\xc0", -0.25), (b"\xd8\x00", -40.0)]
)
def test_the_thermometer(registers: bytes, degrees: float) -> None:
    board = Board("ds3231")
    board.fake.registers[0x11:0x13] = registers
    assert board.rtc.read().temperature == degrees
    assert Board("ds1307").rtc.read().temperature is None


@pytest.mark.parametrize(
    ("name", "before", "change", "after", "done"),
    [
        # Aging Offset, two's complement: a chip that runs 1.23 ppm fast is slowed by 12 counts.
        ("ds3231", 0x00, -1.23e-6, 0x0C, -1.2e-6),
        ("ds3231", 0x0C, 2.0e-6, 0xF8, 2.0e-6),
        ("ds3231", 0xFE, -30e-6, 0x7F, -12.9e-6),
        ("ds3231", 0x00, 30e-6, 0x80, 12.8e-6),
        ("ds3231", 0x05, 0.04e-6, 0x05, 0.0),
        # OFFSET, seven bits; MODE is left alone.
        ("pcf8523", 0x00, -14.648e-6, 0x03, -13.02e-6),
        ("pcf85063", 0x83, 20e-6, 0xFE, 21.7e-6),
        ("pcf85063", 0x3F, 400e-6, 0x63, 399.28e-6),
        ("pcf85063", 0x00, 400e-6, 0x40, 277.76e-6),
        # OSCTRIM, sign and magnitude: SIGN adds clocks.
        ("mcp7940n", 0x00, -10e-6, 0x0A, -10.17e-6),
        ("mcp7940n", 0x0A, 20e-6, 0x8A, 20.35e-6),
        ("mcp7940n", 0x81, -1e-6, 0x00, -1.017e-6),
        ("mcp7940n", 0x00, 500e-6, 0xFF, 129.2e-6),
    ],
)
def test_it_is_trimmed(name: str, before: int, change: float, after: int, done: float) -> None:
    board = Board(name)
    trim = board.chip.trim
    assert trim
    board.fake.registers[trim.register] = before
    assert board.rtc.trim(change) == pytest.approx(done, rel=1e-3, abs=1e-12)
    assert board.fake.registers[trim.register] == after
    written = [trim.register, trim.use.register] if trim.use else [trim.register]
    assert [register for register, _ in board.bus.written] == written * (before != after)


def test_an_aging_offset_is_used_at_once() -> None:
    board = Board("ds3231")
    board.rtc.trim(-1e-6)
    assert (board.fake.aging, board.fake.registers[0x0E]) == (0x0A, 0x1C)


def test_it_has_nothing_to_be_trimmed_by() -> None:
    with pytest.raises(DeviceError, match="ds1307 has no register"):
        Board("ds1307").rtc.trim(1e-6)


def test_a_chip_that_was_left_stopped_says_so_and_is_started() -> None:
    board = Board("pcf85063")
    board.set()
    board.fake.write(0, [0x20])
    board.sleep(5)
    assert board.rtc.read().flags == ("STOP",)
    board.set()
    assert board.rtc.read().flags == ()


@pytest.mark.parametrize(("name", "flag"), [("pcf8563", "TEST1"), ("pcf85063", "EXT_TEST")])
def test_a_chip_that_was_left_in_its_test_mode_says_so_and_is_started(name: str, flag: str) -> None:
    """There it counts pulses on a pin, which nobody sends."""
    board = Board(name)
    board.set()
    board.fake.write(0, [0x80])
    board.sleep(5)
    assert board.rtc.read().flags == (flag,)
    board.set()
    board.sleep(5)
    assert board.rtc.read().flags == ()
    assert abs(board.off()) <= 0.5


def test_unused_bits_of_a_pcf8563_are_written_as_zeros() -> None:
    board = Board("pcf8563")
    board.fake.registers[0] = 0x57
    board.set()
    assert [data[0] for register, data in board.bus.written if register == 0] == [0x00, 0x20, 0x00]


def test_a_read_in_which_a_second_begins_is_made_again() -> None:
    """The RV-8803 does not latch: a transfer may show half of the old minute."""
    board = Board("rv8803")
    board.set()
    torn = [0x59, *board.fake.read(1, 15)]
    honest = board.fake.read
    answers = [torn, honest(0, 16), honest(0, 16)]
    board.fake.read = lambda register, length: answers.pop(0)  # type: ignore[method-assign]
    answers[1][0] = answers[2][0] = 0x00
    assert iso(board.rtc.read().time).endswith(":00Z")
    assert answers == []


def test_a_chip_of_which_no_two_readings_agree() -> None:
    board = Board("rv8803")
    noise = random.Random(1)
    board.fake.read = lambda register, length: list(noise.randbytes(length))  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="no two readings agree"):
        board.rtc.read()


def test_years_it_cannot_hold() -> None:
    board = Board("ds3231")
    for second in (946_684_799, 4_102_444_800):
        with pytest.raises(DeviceError, match="cannot hold"):
            board.rtc.write(Instant(second * NS))
    assert board.bus.written == []


def test_nobody_answers() -> None:
    board = Board("ds3231")
    board.bus.chips.clear()
    with pytest.raises(DeviceError, match=r"^ds3231: no answer$") as e:
        board.rtc.read()
    assert "pints rtc detect" in e.value.hint


def test_a_chip_that_is_deaf_for_a_moment_is_asked_again() -> None:
    board = Board("rv8803")
    board.bus.deaf = 2
    board.rtc.read()


# --- opened by its configuration -------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Board:
    """A machine with a DS3231 on bus 1, and a /sys of its own."""
    board = Board("ds3231")

    def opened(number: int) -> FakeBus:
        if number == 7:
            raise PermissionError(EACCES, "Permission denied")
        if number != 1:
            raise FileNotFoundError(ENOENT, "No such file or directory")
        return board.bus

    monkeypatch.setitem(sys.modules, "smbus2", SimpleNamespace(SMBus=opened))
    monkeypatch.setattr(i2c_bus, "DEVICES", str(tmp_path))
    return board


def read(**options: object) -> RtcReading:
    config = merge(Config(), {"rtc": options}, "pints.toml").rtc
    rtc = open_rtc(config, SoftwareClock(Instant(0)))
    try:
        return rtc.read()
    finally:
        rtc.close()


def test_it_is_found_by_its_configuration(machine: Board) -> None:
    rtc = open_rtc(RtcConfig("ds3231"), machine.clock)
    assert rtc.name == "ds3231 i2c-1 0x68"
    assert rtc.read().flags == ("OSF",)
    rtc.close()
    assert not machine.bus.open


@pytest.mark.parametrize(
    ("options", "what", "hint"),
    [
        ({"bus": 3}, "^/dev/i2c-3: No such file", "dtparam=i2c_arm=on"),
        ({"bus": 7}, "^/dev/i2c-7: Permission denied", "rtc.conf"),
        ({"address": 0x69}, "^ds3231 i2c-1 0x69: no answer", "detect"),
    ],
)
def test_what_is_not_there(
    machine: Board, options: dict[str, object], what: str, hint: str
) -> None:
    with pytest.raises(DeviceError, match=what) as e:
        read(driver="ds3231", **options)
    assert hint in e.value.hint


def test_an_address_that_was_taken_meanwhile_is_not_forced(machine: Board) -> None:
    machine.bus.held.add(0x68)
    with pytest.raises(DeviceError, match="busy"):
        read(driver="ds3231")


def test_it_has_no_file(machine: Board) -> None:
    with pytest.raises(ConfigError, match="device"):
        read(driver="ds3231", device="/dev/i2c-1")


def test_the_library_is_missing(machine: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", None)
    with pytest.raises(DeviceError, match="smbus2") as e:
        read(driver="ds3231")
    assert "pints-time[rtc]" in e.value.hint
