"""NTPv4 packets (RFC 5905 section 7.3) and their 64-bit timestamps (section 6).

This is the only place that knows NTP's timestamps.  They count from 1900 and wrap every 136
years; `unfold` returns the instant nearest to one that is already known, so the wrap of
2036-02-07 is an instant like any other.
"""

import math
import struct

from pints.errors import WireError
from pints.lean import dataclass
from pints.timescale import NS, Instant

VERSION = 4
HEADER_LENGTH = 48
MAX_PACKET_LENGTH = 2304
"""Longer datagrams are refused unread: NTS with eight cookies of 256 octets still fits."""

NTP_PORT = 123
# Modes and leap indicators (RFC 5905 figures 9 and 10).
MODE_CLIENT = 3
MODE_SERVER = 4
LEAP_NONE = 0
LEAP_UNKNOWN = 3

MAX_STRATUM = 16
MAX_DISPERSION = 16.0
"""MAXDISP (RFC 5905 section 7.3): a clock whose root distance is as long as this, in seconds, has
no time to give."""
SHORT = 1 << 16
_UNIX_EPOCH = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01."""
_ERA = 1 << 32
_HEADER = struct.Struct(">BBbbII4sQQQQ")


@dataclass(frozen=True, slots=True)
class Packet:
    """An NTP header.  Timestamps are the wire's 64-bit numbers; 0 means none."""

    mode: int
    transmit: int
    version: int = VERSION
    leap: int = LEAP_NONE
    stratum: int = 0
    poll: int = 0
    """Log2 seconds."""
    precision: int = 0
    """Log2 seconds."""
    root_delay: float = 0.0
    """Seconds."""
    root_dispersion: float = 0.0
    """Seconds."""
    reference_id: bytes = bytes(4)
    reference: int = 0
    origin: int = 0
    receive: int = 0

    @property
    def kiss_code(self) -> str:
        """The Kiss-o'-Death code of a stratum 0 reply (RFC 5905 section 7.4), else ''.  Fit
        for a log: what is not printable reads as a question mark."""
        if self.mode != MODE_SERVER or self.stratum != 0:
            return ""
        code = self.reference_id.rstrip(b"\0")
        return "".join(chr(octet) if 0x20 < octet < 0x7F else "?" for octet in code)


def encode(packet: Packet) -> bytes:
    """The 48 octets of the header."""
    return _HEADER.pack(
        packet.leap << 6 | packet.version << 3 | packet.mode,
        packet.stratum,
        packet.poll,
        packet.precision,
        _short(packet.root_delay),
        _short(packet.root_dispersion),
        packet.reference_id,
        packet.reference,
        packet.origin,
        packet.receive,
        packet.transmit,
    )


def decode(data: bytes) -> Packet:
    """The header at the start of `data`; what follows it is `extension`'s to read."""
    if not HEADER_LENGTH <= len(data) <= MAX_PACKET_LENGTH:
        raise WireError(f"NTP packet of {len(data)} octets")
    (
        flags,
        stratum,
        poll,
        precision,
        root_delay,
        root_dispersion,
        reference_id,
        reference,
        origin,
        receive,
        transmit,
    ) = _HEADER.unpack_from(data)
    version = flags >> 3 & 7
    if version not in (3, 4):
        raise WireError(f"NTP version {version}")
    return Packet(
        mode=flags & 7,
        transmit=transmit,
        version=version,
        leap=flags >> 6,
        stratum=stratum,
        poll=poll,
        precision=precision,
        root_delay=root_delay / SHORT,
        root_dispersion=root_dispersion / SHORT,
        reference_id=reference_id,
        reference=reference,
        origin=origin,
        receive=receive,
    )


def fold(instant: Instant) -> int:
    """The 64-bit timestamp of an instant.  Its era is lost."""
    sec, nanos = divmod(instant, NS)
    return (sec + _UNIX_EPOCH) % _ERA << 32 | (nanos << 32) // NS


def unfold(timestamp: int, near: Instant) -> Instant:
    """The instant of a 64-bit timestamp, in the era that puts it within 68 years of `near`."""
    fraction = timestamp & (_ERA - 1)
    sec = (timestamp >> 32) - _UNIX_EPOCH
    anchor = near // NS
    sec += ((anchor - sec + _ERA // 2) // _ERA) * _ERA
    # Rounded up: fold() rounds down, so that a whole nanosecond survives the journey.
    return Instant(sec * NS + ((fraction * NS + _ERA - 1) >> 32))


def _short(value: float) -> int:
    """Seconds as 16.16 fixed point, rounded up: an error bound must not shrink on the wire."""
    return math.ceil(min(max(value * SHORT, 0.0), 0xFFFFFFFF))
