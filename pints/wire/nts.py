"""NTS for NTPv4: the extension fields of RFC 8915 section 5, for both ends.

A packet that opens here was made by a holder of the key, over every octet that precedes the
authenticator; what follows the authenticator is never looked at.
"""

import struct
from _operator import _compare_digest as compare_digest  # hmac's own, without hmac's 3 MB
from collections.abc import Callable, Sequence

from pints.errors import WireError
from pints.lean import dataclass
from pints.wire import extension
from pints.wire.aead import TAG_LENGTH, Aead
from pints.wire.ntp import HEADER_LENGTH, Packet

# Extension field types (RFC 8915 section 7.5).
UNIQUE_IDENTIFIER = 0x0104
COOKIE = 0x0204
COOKIE_PLACEHOLDER = 0x0304
AUTHENTICATOR = 0x0404

UNIQUE_IDENTIFIER_LENGTH = 32
"""The least that section 5.3 allows."""
MAX_COOKIES = 8
"""What a client should hold, so what a server sends at most (section 6)."""
MAX_COOKIE_LENGTH = 256
"""Octets; a longer one would make packets that do not get through."""
NAK = "NTSN"
_LENGTHS = struct.Struct(">HH")


@dataclass(frozen=True, slots=True)
class OpenedResponse:
    """What an authentic response held, beside the header."""

    cookies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """A session's two ciphers."""

    c2s: Aead
    s2c: Aead


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """What a server must know of an authentic request to answer it."""

    unique_identifier: bytes
    keys: Keys
    cookies_wanted: int


class NakError(WireError):
    """The server owes a NAK: cookie or authenticator is not of its making (section 5.7)."""

    def __init__(self, unique_identifier: bytes) -> None:
        super().__init__("cookie or authenticator not ours")
        self.unique_identifier = unique_identifier


def seal_request(
    header: bytes,
    unique_identifier: bytes,
    cookie: bytes,
    placeholders: int,
    c2s: Aead,
    nonce: bytes,
) -> bytes:
    """A client's packet: asks for 1 + `placeholders` new cookies."""
    return _seal(
        header
        + extension.encode(UNIQUE_IDENTIFIER, unique_identifier)
        + extension.encode(COOKIE, cookie)
        + extension.encode(COOKIE_PLACEHOLDER, bytes(len(cookie))) * placeholders,
        b"",
        c2s,
        nonce,
    )


def open_response(data: bytes, unique_identifier: bytes, s2c: Aead) -> OpenedResponse:
    """The content of a server's packet, or WireError."""
    found = None
    for field in extension.decode(data, HEADER_LENGTH):
        if field.type == UNIQUE_IDENTIFIER:
            if found is not None:
                raise WireError("two unique identifiers")
            found = field.body
        elif field.type == AUTHENTICATOR:
            if found is None or not compare_digest(found, unique_identifier):
                raise WireError("unique identifier is not ours")
            sealed = _authenticator(field)
            inside = s2c.open(sealed.nonce, sealed.ciphertext, data[: field.start])
            return OpenedResponse(
                tuple(
                    f.body
                    for f in extension.decode(inside, 0, hidden=True)
                    if f.type == COOKIE and 0 < len(f.body) <= MAX_COOKIE_LENGTH
                )[:MAX_COOKIES]
            )
    raise WireError("no authenticator")


def is_nak(packet: Packet, data: bytes, unique_identifier: bytes) -> bool:
    """Whether the packet is an NTS NAK for the request of that identifier.

    Nothing authenticates a NAK but the identifier, which only somebody on the path has seen.
    """
    if packet.kiss_code != NAK:
        return False
    return any(
        f.type == UNIQUE_IDENTIFIER and compare_digest(f.body, unique_identifier)
        for f in extension.decode(data, HEADER_LENGTH)
    )


def open_request(data: bytes, open_cookie: Callable[[bytes], Keys | None]) -> OpenedRequest | None:
    """The server's side: None for a packet without NTS fields, NakError where a NAK is due,
    another WireError where the packet deserves no answer."""
    identifier = cookie = None
    lengths: list[int] = []  # of the cookie and its placeholders, which come in any order
    for field in extension.decode(data, HEADER_LENGTH):
        if field.type == UNIQUE_IDENTIFIER:
            if identifier is not None or len(field.body) < UNIQUE_IDENTIFIER_LENGTH:
                raise WireError("two unique identifiers, or a short one")
            identifier = field.body
        elif field.type == COOKIE:
            if cookie is not None:
                raise WireError("two cookies")
            cookie = field.body
            lengths.append(len(field.body))
        elif field.type == COOKIE_PLACEHOLDER:
            lengths.append(len(field.body))
        elif field.type == AUTHENTICATOR:
            if identifier is None or cookie is None:
                raise WireError("authenticator without identifier or cookie")
            sealed = _authenticator(field)
            keys = open_cookie(cookie)
            if keys is None:
                raise NakError(identifier)
            if sealed.room_for_nonce < keys.c2s.algorithm.required_nonce:
                raise WireError("authenticator without its additional padding")
            try:
                inside = keys.c2s.open(sealed.nonce, sealed.ciphertext, data[: field.start])
            except WireError:
                raise NakError(identifier) from None
            lengths += [
                len(hidden.body)
                for hidden in extension.decode(inside, 0, hidden=True)
                if hidden.type == COOKIE_PLACEHOLDER
            ]
            # Section 5.5: so that the answer is not longer than the question.
            if len(set(lengths)) != 1:
                raise WireError("placeholder not as long as the cookie")
            return OpenedRequest(identifier, keys, min(len(lengths), MAX_COOKIES))
    if identifier is None and not lengths:
        return None
    raise WireError("NTS fields without an authenticator")


def seal_response(
    header: bytes, unique_identifier: bytes, cookies: Sequence[bytes], s2c: Aead, nonce: bytes
) -> bytes:
    """A server's packet.  As long as the request at most: one cookie in for one cookie out."""
    inside = b"".join(extension.encode(COOKIE, cookie) for cookie in cookies)
    outside = extension.encode(UNIQUE_IDENTIFIER, unique_identifier)
    return _seal(header + outside, inside, s2c, nonce)


def nak(header: bytes, unique_identifier: bytes) -> bytes:
    """The reply that says: your cookie is not (or no longer) mine.  `header` is the KoD."""
    return header + extension.encode(UNIQUE_IDENTIFIER, unique_identifier)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The body of an authenticator (section 5.6)."""

    nonce: bytes
    ciphertext: bytes
    room_for_nonce: int
    """Octets of the nonce with its padding and the additional padding."""


def _seal(associated: bytes, plaintext: bytes, aead: Aead, nonce: bytes) -> bytes:
    ciphertext = aead.seal(nonce, plaintext, associated)
    body = (
        _LENGTHS.pack(len(nonce), len(ciphertext))
        + _padded(nonce)
        + _padded(ciphertext)
        + bytes(max(0, aead.algorithm.required_nonce - len(_padded(nonce))))
    )
    return associated + extension.encode(AUTHENTICATOR, body)


def _authenticator(field: extension.Field) -> _Sealed:
    body = field.body  # of at least 12 octets: no field of a packet is shorter
    nonce_length, length = _LENGTHS.unpack_from(body)
    start = _LENGTHS.size + (nonce_length + 3) // 4 * 4
    end = start + (length + 3) // 4 * 4
    if end > len(body) or length < TAG_LENGTH or nonce_length < 1:
        raise WireError("authenticator's lengths do not fit")
    return _Sealed(
        nonce=body[_LENGTHS.size : _LENGTHS.size + nonce_length],
        ciphertext=body[start : start + length],
        room_for_nonce=len(body) - _LENGTHS.size - (end - start),
    )


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
