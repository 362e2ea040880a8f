"""UBX messages: what they say where their flags vouch for it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.drivers import Sawtooth
from pints.timescale import NS, Instant, iso
from pints_drivers.fake_receiver import ubx_burst
from pints_drivers.gnss.said import LeapEvent, Said
from pints_drivers.gnss.ubx import GPS_EPOCH, MESSAGES, decode, encode


def pvt(**changed: int) -> Said:
    """2026-11-23 12:00:00 with a 3D fix, but for what is changed."""
    fields = {
        "tow": 129_618_000, "year": 2026, "month": 11, "day": 23, "hour": 12, "minute": 0,
        "second": 0, "valid": 0b111, "accuracy": 20, "nano": 0, "fix": 3, "flags": 1, "used": 9,
    } | changed  # fmt: skip
    found = decode(encode(0x01, 0x07, struct.pack("<IHBBBBBBIiBBxB68x", *fields.values())))
    assert found is not None
    return found


def test_nav_pvt() -> None:
    assert iso(pvt().time or Instant(0)) == "2026-11-23T12:00:00Z"
    assert pvt() == Said("NAV-PVT", pvt().time, 43_200_000, True, 20e-9, 9, 18)


def test_nanoseconds_may_be_negative() -> None:
    said = pvt(nano=-119_216, tow=129_618_000)
    assert (said.time or 0) % NS == NS - 119_216
    assert (said.of_day, said.gps_ahead) == (43_200_000, 18)


@pytest.mark.parametrize("valid", [0, 0b001, 0b010, 0b011, 0b100, 0b101, 0b110])
def test_a_time_that_is_not_resolved_is_none(valid: int) -> None:
    assert pvt(valid=valid).time is None


@pytest.mark.parametrize(
    "wrong", [{"month": 13}, {"day": 31}, {"hour": 24}, {"second": 60}, {"year": 1979}, {"day": 0}]
)
def test_a_time_that_no_calendar_has_is_none(wrong: dict[str, int]) -> None:
    assert pvt(**wrong).time is None


@pytest.mark.parametrize(("fix", "good"), [(n, n in (2, 3, 4, 5)) for n in range(7)])
def test_whether_there_is_a_fix(fix: int, good: bool) -> None:
    assert pvt(fix=fix).good is good
    assert pvt(fix=fix, flags=0).good is False
    sol = decode(encode(0x01, 0x06, struct.pack("<10xBB35xB4x", fix, 0xDD, 7)))
    assert sol == Said("NAV-SOL", good=good, satellites=7)
    status = decode(encode(0x01, 0x03, struct.pack("<4xBB10x", fix, 0xDD)))
    assert status == Said("NAV-STATUS", good=good)


def timeutc(valid: int) -> Said | None:
    fields = (129_618_000, 30, 0, 2026, 11, 23, 12, 0, 0, valid)
    return decode(encode(0x01, 0x21, struct.pack("<IIiHBBBBBB", *fields)))


def test_nav_timeutc() -> None:
    said = timeutc(0b111)
    assert said == Said("NAV-TIMEUTC", pvt().time, 43_200_000, accuracy=30e-9, gps_ahead=18)
    doubted = timeutc(0b011)
    assert doubted is not None
    assert (doubted.time, doubted.of_day, doubted.gps_ahead) == (None, None, None)


def test_nav_timegps() -> None:
    def timegps(valid: int) -> Said | None:
        payload = struct.pack("<IiHbBI", 494_575_000, -112_313, 1977, 18, valid, 10)
        return decode(encode(0x01, 0x20, payload))

    said = timegps(0b111)
    assert said is not None
    assert said.time == Instant(1_512_148_957 * NS - 112_313)  # 2017-12-01T17:22:37
    assert (said.of_day, said.gps_ahead, said.good) == (62_557_000, 18, None)
    assert timegps(0b011) == Said("NAV-TIMEGPS")


@pytest.mark.parametrize(
    ("change", "due", "sources", "valid", "leap"),
    [
        (1, 3600, (2, 2), 0b11, LeapEvent(1, 3600)),
        (-1, 3600, (2, 2), 0b11, LeapEvent(2, 3600)),
        (0, 3600, (2, 2), 0b11, LeapEvent(0, 3600)),
        (1, 3600, (2, 2), 0b01, None),  # not valid
        (1, 3600, (2, 0), 0b11, None),  # from the firmware
        (1, -10, (2, 2), 0b11, LeapEvent(0, -10)),  # past
        (5, 3600, (2, 2), 0b11, LeapEvent(0, 3600)),
    ],
)
def test_nav_timels(
    change: int, due: int, sources: tuple[int, int], valid: int, leap: LeapEvent | None
) -> None:
    fields = (sources[0], 18, sources[1], change, due, valid)
    said = decode(encode(0x01, 0x26, struct.pack("<8xBbBbi7xB", *fields)))
    assert said == Said("NAV-TIMELS", gps_ahead=18, leap=leap)


def test_leap_seconds_of_the_firmware_are_not_known() -> None:
    for source, valid in ((0, 0b11), (2, 0b10)):
        payload = struct.pack("<8xBbBbi7xB", source, 15, 2, 0, 0, valid)
        said = decode(encode(0x01, 0x26, payload))
        assert said is not None
        assert said.gps_ahead is None


@pytest.mark.parametrize(
    ("flags", "reference", "told", "in_gps_time"),
    [
        (0b00000, 0, True, True),
        (0b00011, 0xF, True, False),
        (0b00001, 0xF, False, False),  # UTC is not available
        (0b00000, 1, False, False),  # GLONASS time
        (0b10011, 0xF, False, False),  # qErrInvalid
    ],
)
def test_tim_tp(flags: int, reference: int, told: bool, in_gps_time: bool) -> None:
    """A positive qErr is of a pulse that comes early."""
    payload = struct.pack("<I4xiHBB", 1000, 7_500, 2, flags, reference)
    said = decode(encode(0x0D, 0x01, payload))
    second = Instant(GPS_EPOCH + (14 * 86400 + 1) * NS)
    sawtooth = Sawtooth(second, -7.5e-9) if told else None
    assert said == Said("TIM-TP", sawtooth=sawtooth, in_gps_time=in_gps_time)


def test_others_are_counted() -> None:
    assert decode(encode(0x0A, 0x04, b"MON-VER")) == Said("0A-04")


@pytest.mark.parametrize(("key", "name"), [(k, m[0]) for k, m in MESSAGES.items()])
def test_one_that_is_too_short_says_nothing(key: tuple[int, int], name: str) -> None:
    size = MESSAGES[key][1].size
    assert decode(encode(*key, bytes(size - 1))) == Said(name)
    assert decode(encode(*key, bytes(size))) is not None
    assert decode(encode(*key, bytes(size + 8))) is not None, "later protocols say more"


def test_a_wrong_checksum_says_nothing() -> None:
    frame = bytearray(ubx_burst(Instant(1_790_000_000 * NS)))
    for place in range(2, len(frame)):
        wrong = frame.copy()
        wrong[place] ^= 0x10
        assert decode(bytes(wrong)) is None


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=120))
def test_whatever_is_in_it_a_message_is_read(key: tuple[int, int], payload: bytes) -> None:
    said = decode(encode(*key, payload))
    assert said is not None
    assert said.kind == MESSAGES[key][0]
