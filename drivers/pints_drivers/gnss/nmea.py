"""NMEA 0183 sentences that tell the time or how good it is: RMC, ZDA, GGA, GNS, GLL.

What this guarantees: no sentence without its checksum says anything; whatever talker it comes
from, and however it is malformed, it says what it should or nothing.

The time in a sentence is that of its fix.  Its year has two digits but in ZDA.
"""

import re
from collections.abc import Callable, Sequence
from functools import reduce
from operator import xor

from pints_drivers.gnss.said import Said, instant, ms_of_day, ns_of_day

LONGEST = 256
"""Bytes.  The standard has 82; some of the proprietary ones are longer."""
SENTENCE = re.compile(rb"\$([0-9A-Z]{4,15}(?:,[ -#%-)+-~]*)?)\*([0-9A-Fa-f]{2})")
TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.(\d{0,9}))?", re.ASCII)
DATE = re.compile(r"(\d\d)(\d\d)(\d\d)", re.ASCII)
FULL_DATE = re.compile(r"(\d\d?),(\d\d?),(\d{4})", re.ASCII)
CENTURY_BEGINS = 80
"""Years of two digits from here on are of the 20th century, in which GPS began."""
SATELLITES_ALONE = frozenset("ADFPR")
"""Mode indicators of a fix by satellites: autonomous, differential, real-time kinematic as float,
precise, real-time kinematic.  Not: E estimated, M manual, S simulator, N none."""
QUALITIES = frozenset("12345")
"""The same as GGA's figure.  Not: 0 none, 6 estimated, 7 manual, 8 simulator."""


def encode(body: str) -> bytes:
    """The sentence of `GPZDA,...`, with its checksum and its end."""
    return f"${body}*{_checksum(body.encode('ascii')):02X}\r\n".encode("ascii")


def decode(line: bytes) -> Said | None:
    """What a sentence says, from `$` to its checksum; None if it is none."""
    found = SENTENCE.fullmatch(line)
    if found is None or _checksum(found[1]) != int(found[2], 16):
        return None
    address, _, rest = found[1].decode("ascii").partition(",")
    if address.startswith("P"):
        return Said(address[:5])  # somebody's own: P and who
    kind = address[2:8]
    parse = _KINDS.get(kind)
    # Fields that are left out at the end are empty ones.
    return parse(kind, [*rest.split(","), *[""] * 13]) if parse else Said(kind)


def _checksum(body: bytes) -> int:
    return reduce(xor, body, 0)


def _rmc(kind: str, fields: Sequence[str]) -> Said:
    time, status, date, mode = fields[0], fields[1], fields[8], fields[11]
    of_day = _of_day(time)
    found = None
    if of_day is not None and (match := DATE.fullmatch(date)):
        day, month, year = map(int, match.groups())
        found = instant(year + (1900 if year >= CENTURY_BEGINS else 2000), month, day, of_day)
    return Said(kind, found, _ms(of_day), _active(status, mode))


def _zda(kind: str, fields: Sequence[str]) -> Said:
    of_day = _of_day(fields[0])
    found = None
    if of_day is not None and (match := FULL_DATE.fullmatch(",".join(fields[1:4]))):
        day, month, year = map(int, match.groups())
        found = instant(year, month, day, of_day)
    return Said(kind, found, _ms(of_day))


def _gga(kind: str, fields: Sequence[str]) -> Said:
    return Said(
        kind, None, _ms(_of_day(fields[0])), fields[5] in QUALITIES,
        satellites=_count(fields[6]),
    )  # fmt: skip


def _gns(kind: str, fields: Sequence[str]) -> Said:
    """It has a mode for each constellation, one of which is enough."""
    modes = set(fields[5])
    good = bool(modes & SATELLITES_ALONE) and modes <= SATELLITES_ALONE | {"N"}
    return Said(kind, None, _ms(_of_day(fields[0])), good, satellites=_count(fields[6]))


def _gll(kind: str, fields: Sequence[str]) -> Said:
    return Said(kind, None, _ms(_of_day(fields[4])), _active(fields[5], fields[6]))


_KINDS: dict[str, Callable[[str, Sequence[str]], Said]] = {
    "RMC": _rmc, "ZDA": _zda, "GGA": _gga, "GNS": _gns, "GLL": _gll,
}  # fmt: skip


def _active(status: str, mode: str) -> bool:
    """Receivers from before NMEA 2.3 have no mode."""
    return status == "A" and (not mode or mode in SATELLITES_ALONE)


def _of_day(text: str) -> int | None:
    match = TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = map(int, match.groups()[:3])
    return ns_of_day(hour, minute, second, int((match[4] or "").ljust(9, "0")))


def _ms(of_day: int | None) -> int | None:
    return None if of_day is None else ms_of_day(of_day)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else None
