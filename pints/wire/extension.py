"""NTP extension fields (RFC 7822): what may follow the 48 octets of the header."""

import struct
from collections.abc import Iterator

from pints.errors import WireError
from pints.lean import dataclass

MIN_LENGTH = 16
"""Of a whole field (RFC 7822 section 3)."""
MIN_HIDDEN_LENGTH = 4
"""Of a whole field inside an encrypted one (RFC 8915 section 5.6): its head."""
MAX_MAC_LENGTH = 24
"""What is left and not longer than this is a legacy MAC, not a field (section 3)."""
_HEAD = struct.Struct(">HH")


@dataclass(frozen=True, slots=True)
class Field:
    """One extension field.  `start` is the offset of its type in the data it was read from."""

    type: int
    body: bytes
    start: int = 0


def encode(type: int, body: bytes) -> bytes:
    """A field, its body padded with zeros to a multiple of four and the least length."""
    length = max(MIN_LENGTH, 4 + (len(body) + 3) // 4 * 4)
    return _HEAD.pack(type, length) + body.ljust(length - 4, b"\0")


def decode(data: bytes, start: int, hidden: bool = False) -> Iterator[Field]:
    """The fields of `data` from `start` on, in order, lazily: what stands behind a field that
    makes the reader stop is never looked at.

    In a packet a short rest is taken for a MAC and left alone.  In the plaintext of an
    encrypted field (`hidden`) no MAC can stand, and fields may be arbitrarily short.
    """
    end = len(data)
    least = MIN_HIDDEN_LENGTH if hidden else MIN_LENGTH
    while start < end:
        rest = end - start
        if not hidden and rest <= MAX_MAC_LENGTH:
            return
        if rest < least:
            raise WireError(f"extension field cut short after {rest} octets")
        type, length = _HEAD.unpack_from(data, start)
        if length < least or length % 4 or length > rest:
            raise WireError(f"extension field 0x{type:04x} of length {length}, {rest} left")
        yield Field(type, data[start + 4 : start + length], start)
        start += length
