"""UBX messages of u-blox receivers that tell the time or how good it is.

Names, layouts and flags are those of the interface description (u-blox M8: UBX-13003221, F9:
UBX-18010854).  What this guarantees: a message with a wrong checksum says nothing, and a time is
said only where the receiver's own flags call it valid.
"""

import struct
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from pints.drivers import Sawtooth
from pints.timescale import DAY, NS, Instant, midnight
from pints_drivers.gnss.said import MS, LeapEvent, Said, instant, ms_of_day, ns_of_day

SYNC = b"\xb5b"
HEADER = struct.Struct("<2xBBH")
"""After the sync characters: class, id, length of the payload."""
AROUND = HEADER.size + 2
"""Bytes of a message beside its payload: the header, and the checksum at its end."""
LONGEST = 2048
"""Bytes of payload: NAV-SIG with all signals that there are."""
GPS_EPOCH = midnight(1980, 1, 6)
WEEK = 7 * int(DAY)
ROLLOVER = 1024 * WEEK * NS
"""After so many ns a week number of 10 bits begins anew."""
ALL_VALID = 0b111
FIXES = (2, 3, 4, 5)
"""gpsFix and fixType: 2D, 3D, with dead reckoning, time only.  Not: none, dead reckoning alone."""
FIX_OK = 0b1
UTC_BASE, UTC_AVAILABLE, QERR_INVALID = 0b1, 0b10, 0b10000
TIME_REF_GNSS, GPS = 0b1111, 0
"""refInfo: the time base where it is not UTC."""
VALID_CURR_LS, VALID_TIME_TO_LS_EVENT = 0b01, 0b10
NO_SOURCE = 0
"""srcOfCurrLs, srcOfLsChange: known from nothing but the firmware."""
LEAPS = {1: 1, -1: 2}
"""lsChange, as NTP's leap indicator."""
LARGEST_AHEAD = 127
"""leapS is one signed byte."""


def encode(group: int, number: int, payload: bytes) -> bytes:
    """A message, framed."""
    body = struct.pack("<BBH", group, number, len(payload)) + payload
    return SYNC + body + _checksum(body)


def decode(frame: bytes) -> Said | None:
    """What a message says, from its sync characters to its checksum; None if it is none."""
    if _checksum(frame[2:-2]) != frame[-2:]:
        return None
    group, number, length = HEADER.unpack_from(frame)
    payload = frame[HEADER.size : -2]
    if (group, number) not in MESSAGES:
        return Said(f"{group:02X}-{number:02X}")
    name, layout, parse = MESSAGES[group, number]
    return parse(name, *layout.unpack_from(payload)) if length >= layout.size else Said(name)


def _checksum(body: bytes) -> bytes:
    """The 8-bit Fletcher algorithm (RFC 1145)."""
    return bytes((sum(body) & 0xFF, sum(accumulate(body)) & 0xFF))


def _nav_pvt(name: str, *fields: Any) -> Said:
    tow, year, month, day, hour, minute, second, valid, accuracy, nano, fix, flags, used = fields
    time = _utc(year, month, day, hour, minute, second, nano, valid)
    return Said(
        name, time, _of_day(time), bool(flags & FIX_OK) and fix in FIXES, accuracy / NS, used,
        None if time is None else _ahead(tow, time),
    )  # fmt: skip


def _nav_timeutc(name: str, *fields: Any) -> Said:
    tow, accuracy, nano, year, month, day, hour, minute, second, valid = fields
    time = _utc(year, month, day, hour, minute, second, nano, valid)
    ahead = None if time is None else _ahead(tow, time)
    return Said(name, time, _of_day(time), accuracy=accuracy / NS, gps_ahead=ahead)


def _nav_timegps(name: str, *fields: Any) -> Said:
    tow, fraction, week, leaps, valid, accuracy = fields
    if valid & ALL_VALID != ALL_VALID:
        return Said(name)
    time = Instant(_gps(week, tow) + fraction - leaps * NS)
    return Said(name, time, _of_day(time), accuracy=accuracy / NS, gps_ahead=leaps)


def _nav_timels(name: str, *fields: Any) -> Said:
    current_source, current, change_source, change, due, valid = fields
    known = valid & VALID_CURR_LS and current_source != NO_SOURCE
    told = valid & VALID_TIME_TO_LS_EVENT and change_source != NO_SOURCE
    return Said(
        name, gps_ahead=current if known else None,
        leap=LeapEvent(LEAPS.get(change, 0) if due > 0 else 0, due) if told else None,
    )  # fmt: skip


def _nav_sol(name: str, fix: int, flags: int, used: int) -> Said:
    return Said(name, good=bool(flags & FIX_OK) and fix in FIXES, satellites=used)


def _nav_status(name: str, fix: int, flags: int) -> Said:
    return Said(name, good=bool(flags & FIX_OK) and fix in FIXES)


def _tim_tp(name: str, tow: int, error: int, week: int, flags: int, reference: int) -> Said:
    """qErr is what has to be added to the pulse's stamp: a positive one is of an early pulse
    (measured with a counter: anderswallin.net, uBlox F9T qErr correction)."""
    in_utc = bool(flags & UTC_BASE)
    known = flags & UTC_AVAILABLE if in_utc else reference & TIME_REF_GNSS == GPS
    if flags & QERR_INVALID or not known:
        return Said(name)
    sawtooth = Sawtooth(_gps(week, tow), -error * 1e-12)
    return Said(name, sawtooth=sawtooth, in_gps_time=not in_utc)


MESSAGES: dict[tuple[int, int], tuple[str, struct.Struct, Callable[..., Said]]] = {
    (0x01, 0x03): ("NAV-STATUS", struct.Struct("<4xBB10x"), _nav_status),
    (0x01, 0x06): ("NAV-SOL", struct.Struct("<10xBB35xB4x"), _nav_sol),
    (0x01, 0x07): ("NAV-PVT", struct.Struct("<IHBBBBBBIiBBxB60x"), _nav_pvt),
    (0x01, 0x20): ("NAV-TIMEGPS", struct.Struct("<IiHbBI"), _nav_timegps),
    (0x01, 0x21): ("NAV-TIMEUTC", struct.Struct("<IIiHBBBBBB"), _nav_timeutc),
    (0x01, 0x26): ("NAV-TIMELS", struct.Struct("<8xBbBbi7xB"), _nav_timels),
    (0x0D, 0x01): ("TIM-TP", struct.Struct("<I4xiHBB"), _tim_tp),
}
"""Class and id: name, the fields that are read, what is made of them."""


def _utc(*fields: int) -> Instant | None:
    """`nano` may be negative: the second is rounded."""
    year, month, day, hour, minute, second, nano, valid = fields
    of_day = ns_of_day(hour, minute, second, nano)
    if of_day is None or valid & ALL_VALID != ALL_VALID:
        return None
    return instant(year, month, day, of_day)


def _of_day(time: Instant | None) -> int | None:
    return None if time is None else ms_of_day(time)


def _gps(week: int, tow: int) -> Instant:
    """A week and ms of it, as if GPS time were UTC."""
    return Instant(GPS_EPOCH + week * WEEK * NS + tow * MS)


def _ahead(tow: int, time: Instant) -> int | None:
    """By how much GPS time is ahead of UTC, from one instant in both."""
    ahead = round((_gps(0, tow) - time) / NS) % WEEK
    return ahead if ahead <= LARGEST_AHEAD else None
