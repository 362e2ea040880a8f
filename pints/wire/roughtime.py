"""Roughtime messages (RFC 10049, and the drafts that servers still speak), for both ends.

A response is taken for its sender's worst: its size is limited by the request's, every length
and offset is checked before it is used, and nothing of it is believed before both signatures
and the path from the request to the signed root are verified.  Tags that nobody knows are
ignored (section 7); whatever else is not as it should be raises WireError.

What an answer proves is that its server signed that time after it had seen the request.  That
the time is right it does not prove.
"""

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA512, Hash

from pints.errors import WireError
from pints.lean import dataclass
from pints.timescale import NS, Instant

PORT = 2002
KEY_LENGTH = 32
NONCE_LENGTH = 32
RAND_LENGTH = 32
MESSAGE_LENGTH = 1024
"""Octets of a request's message (section 5.1): its answer may not be longer."""
MAX_PACKET_LENGTH = 1472
"""What fits one datagram on an Ethernet.  Longer packets are refused unread."""
MAX_VERSIONS = 32
MAX_PATH = 32
"""Hashes of a PATH (section 5.2.4)."""
RESPONSE = b" v1 response signature\0"
"""What is signed before SREP, after a spelling of the protocol's name."""
_MAGIC = b"ROUGHTIM"
_FRAME = struct.Struct("<8sI")
_HASH_LENGTH = 32
_SIGNATURE_LENGTH = 64
_REQUEST, _RESPONSE = 0, 1
"""Values of TYPE."""


@dataclass(frozen=True, slots=True)
class Version:
    """What differs between versions.  All count in seconds and hash by truncated SHA-512."""

    number: int
    name: str
    spellings: tuple[bytes, ...]
    """Of the protocol's name in what is signed before SREP and DELE."""
    delegation: bytes
    """What is signed before DELE, after the name."""
    packet_leaf: bool
    """The tree's leaf is the whole request packet, not its nonce alone."""
    loose_path: bool
    """Where the index has a 0 (and the other way round where it has a 1), the path's node may
    be hashed before what was hashed so far: so the drafts said up to 14, while Cloudflare's
    servers always did as the RFC does.  Either order proves as much."""
    signed_version: bool
    """VER has to stand in SREP, with VERS beside it; else also in the message, unsigned."""
    typed: bool
    """The message has a TYPE."""


_OLD = b" v1 delegation signature--\0"
_NEW = b" v1 delegation signature\0"
# The drafts' own example of version 1 still has their spelling, and so may have servers.
_RFC = (b"Roughtime", b"RoughTime")
_DRAFTS = (b"RoughTime",)
#           number      name              spellings delegation leaf   loose  signed typed
_TABLE = (
    Version(0x00000001, "1",              _RFC,     _NEW,      True,  False, True,  True),
    Version(0x80000008, "draft 8",        _DRAFTS,  _OLD,      False, True,  False, False),
    Version(0x8000000B, "draft 11",       _DRAFTS,  _OLD,      False, True,  False, False),
    Version(0x8000000C, "draft 14 to 19", _DRAFTS,  _NEW,      True,  True,  True,  True),
)  # fmt: skip
VERSIONS = {version.number: version for version in _TABLE}
"""By number, ascending.  Drafts 12 and 13 share the last one's number, not its TYPE."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks."""

    nonce: bytes
    versions: tuple[int, ...]
    server: bytes = b""
    """SRV: hash of the long-term key that it expects; empty: any."""
    typed: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose signatures and path are good."""

    version: Version
    midpoint: Instant
    radius: float
    """Seconds: true time was within it of the midpoint when the response was signed."""
    mint: Instant
    """The key that signed was delegated from here ..."""
    maxt: Instant
    """... to here; the midpoint lies between."""

    @property
    def low(self) -> Instant:
        return Instant(self.midpoint - round(self.radius * NS))

    @property
    def high(self) -> Instant:
        return Instant(self.midpoint + round(self.radius * NS))


@dataclass(frozen=True, slots=True)
class Link:
    """One response of a measurement sequence, with what proves its place in it (section 8.4)."""

    key: bytes
    """The server's long-term public key."""
    request: bytes
    response: bytes
    rand: bytes = b""
    """What made the request's nonce, with the response before; empty for the first."""


# --- messages (section 4) ---------------------------------------------------------------------


def encode_message(values: Mapping[str, bytes]) -> bytes:
    """Tags and values, each value a multiple of four octets, in the order that is wanted."""
    tags = sorted((_tag(name), value) for name, value in values.items())
    offsets, end = [], 0
    for _, value in tags[:-1]:
        end += len(value)
        offsets.append(end)
    header = struct.pack(f"<{2 * len(tags)}I", len(tags), *offsets, *(number for number, _ in tags))
    return header + b"".join(value for _, value in tags)


def decode_message(data: bytes) -> dict[int, bytes]:
    """Values by tag.  Offsets and tags must be in order, and all of `data` accounted for."""
    if len(data) < 8 or len(data) % 4:
        raise WireError(f"message of {len(data)} octets")
    (count,) = struct.unpack_from("<I", data)
    if not 0 < count <= len(data) // 8:
        raise WireError(f"{count} tags in a message of {len(data)} octets")
    numbers = struct.unpack_from(f"<{2 * count - 1}I", data, 4)
    body = data[8 * count :]
    offsets, tags = (0, *numbers[: count - 1], len(body)), numbers[count - 1 :]
    if any(a >= b for a, b in pairwise(tags)):
        raise WireError("tags not in ascending order")
    if any(a > b or b % 4 for a, b in pairwise(offsets)):
        raise WireError("offsets not in order or not multiples of four")
    return {tag: body[offsets[n] : offsets[n + 1]] for n, tag in enumerate(tags)}


def encode_packet(values: Mapping[str, bytes]) -> bytes:
    """A message in its frame (section 5)."""
    message = encode_message(values)
    return _FRAME.pack(_MAGIC, len(message)) + message


def decode_packet(data: bytes) -> dict[int, bytes]:
    """The message of a packet, values by tag."""
    if not _FRAME.size < len(data) <= MAX_PACKET_LENGTH:
        raise WireError(f"packet of {len(data)} octets")
    magic, length = _FRAME.unpack_from(data)
    if magic != _MAGIC:
        raise WireError("not a Roughtime packet")
    if length != len(data) - _FRAME.size:
        raise WireError(f"message of {length} octets in a packet of {len(data)}")
    return decode_message(data[_FRAME.size :])


# --- requests (section 5.1) -------------------------------------------------------------------


def encode_request(nonce: bytes, key: bytes, versions: Sequence[int] = tuple(VERSIONS)) -> bytes:
    """The packet that asks the server with the long-term `key`.  One request serves all
    versions: who does not know a tag ignores it."""
    values = {
        "VER": encode_numbers(sorted(versions)),
        "SRV": server_tag(key),
        "NONC": nonce,
        "TYPE": encode_numbers([_REQUEST]),
        "ZZZZ": b"",
    }
    values["ZZZZ"] = bytes(MESSAGE_LENGTH - len(encode_message(values)))
    return encode_packet(values)


def decode_request(data: bytes) -> Request:
    """What is asked, or WireError."""
    message = decode_packet(data)
    kind = message.get(_tag("TYPE"))
    if kind is not None and kind != encode_numbers([_REQUEST]):
        raise WireError("not a request")
    return Request(
        _sized(message, "NONC", NONCE_LENGTH),
        _versions(message, "VER"),
        message.get(_tag("SRV"), b""),
        kind is not None,
    )


def server_tag(key: bytes) -> bytes:
    """SRV: which long-term key is asked (section 5.1.4)."""
    return digest(b"\xff", key)


# --- responses (section 5.2) ------------------------------------------------------------------


def decode_response(data: bytes, request: bytes, key: bytes) -> Answer:
    """What the server with the long-term `key` answers to the packet `request`, once all that
    section 5.4 asks for was checked; WireError names what is wrong."""
    asked = decode_request(request)
    if len(data) > len(request):
        raise WireError(f"response of {len(data)} octets to a request of {len(request)}")
    message = decode_packet(data)
    signed = decode_message(_value(message, "SREP"))
    version = _negotiated(message, signed, asked.versions)
    if version.typed and _value(message, "TYPE") != encode_numbers([_RESPONSE]):
        raise WireError("not a response")
    if _value(message, "NONC") != asked.nonce:
        raise WireError("another request's nonce")
    mint, maxt, online = _delegation(_value(message, "CERT"), version, key)
    signature = _sized(message, "SIG", _SIGNATURE_LENGTH)
    if not _verify(online, signature, version.spellings, RESPONSE + _value(message, "SREP")):
        raise WireError("bad signature of the response")
    leaf = digest(b"\0", request if version.packet_leaf else asked.nonce)
    roots = [_root(message, leaf, node_first) for node_first in (False, version.loose_path)]
    if _value(signed, "ROOT") not in roots:
        raise WireError("the signed tree does not contain our request")
    midpoint, radius = _number(signed, "MIDP", 8), _number(signed, "RADI", 4)
    if not mint <= midpoint <= maxt:
        raise WireError(f"midpoint {midpoint} outside the delegation, {mint} to {maxt}")
    if radius == 0:
        raise WireError("a radius of 0")
    return Answer(
        version, Instant(midpoint * NS), float(radius), Instant(mint * NS), Instant(maxt * NS)
    )


def _negotiated(
    message: Mapping[int, bytes], signed: Mapping[int, bytes], offered: Sequence[int]
) -> Version:
    """The version of a response: one of those that were offered."""
    inside = _tag("VER") in signed
    (number, *more) = _versions(signed if inside else message, "VER")
    version = VERSIONS.get(number)
    if version is None or number not in offered or more:
        raise WireError(f"server answers in version 0x{number:x}, which was not offered")
    if version.signed_version and not inside:
        raise WireError("VER is not where its version has it")
    if version.signed_version and number not in _versions(signed, "VERS"):
        raise WireError("the server does not claim the version it answers in")
    return version


def _delegation(cert: bytes, version: Version, key: bytes) -> tuple[int, int, bytes]:
    """MINT and MAXT, seconds, and the key that signs in the long-term key's stead."""
    parts = decode_message(cert)
    dele = _value(parts, "DELE")
    signature = _sized(parts, "SIG", _SIGNATURE_LENGTH)
    if not _verify(key, signature, version.spellings, version.delegation + dele):
        raise WireError("bad signature of the delegation")
    delegation = decode_message(dele)
    return (
        _number(delegation, "MINT", 8),
        _number(delegation, "MAXT", 8),
        _sized(delegation, "PUBK", KEY_LENGTH),
    )


def _root(message: Mapping[int, bytes], leaf: bytes, node_first: bool) -> bytes:
    """The root that INDX and PATH lead to (section 5.3.1)."""
    path, index = _value(message, "PATH"), _number(message, "INDX", 4)
    if len(path) % _HASH_LENGTH or len(path) > MAX_PATH * _HASH_LENGTH:
        raise WireError(f"path of {len(path)} octets")
    found = leaf
    for start in range(0, len(path), _HASH_LENGTH):
        node = path[start : start + _HASH_LENGTH]
        found = digest(b"\1", *((node, found) if node_first ^ (index & 1) else (found, node)))
        index >>= 1
    if index:
        raise WireError("the index goes beyond the path")
    return found


def _verify(key: bytes, signature: bytes, spellings: Sequence[bytes], content: bytes) -> bool:
    """Whether `content` is signed under the protocol's name in one of its spellings."""
    for spelling in spellings:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, spelling + content)
        except (InvalidSignature, ValueError):  # ValueError: no such key
            continue
        return True
    return False


# --- sequences (sections 8.2 and 8.4) ---------------------------------------------------------


def chained_nonce(response: bytes, rand: bytes) -> bytes:
    """The nonce of the request after `response`, which proves their order."""
    return digest(response, rand)


def contradictions(answers: Sequence[Answer]) -> list[tuple[int, int]]:
    """Pairs of answers, in the order received, of which the later one lies wholly before the
    earlier one: one of the two servers lied."""
    return [
        (i, j)
        for j, later in enumerate(answers)
        for i, earlier in enumerate(answers[:j])
        if earlier.low > later.high
    ]


def encode_report(links: Sequence[Link]) -> str:
    """A malfeasance report: JSON that proves the order of the answers to anybody."""
    parts = [
        {"rand": link.rand, "publicKey": link.key, "request": link.request}
        | {"response": link.response}
        for link in links
    ]
    return json.dumps(
        {
            "responses": [
                {name: base64.b64encode(value).decode() for name, value in part.items() if value}
                for part in parts
            ]
        }
    )


# --- values -----------------------------------------------------------------------------------


def digest(*parts: bytes) -> bytes:
    """H() of section 5.3: SHA-512, the first half.  By the library that is there already."""
    state = Hash(SHA512())
    for part in parts:
        state.update(part)
    return state.finalize()[:_HASH_LENGTH]


def encode_numbers(numbers: Sequence[int]) -> bytes:
    """A list of uint32."""
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _tag(name: str) -> int:
    return int.from_bytes(name.encode("ascii"), "little")


def _value(message: Mapping[int, bytes], name: str) -> bytes:
    value = message.get(_tag(name))
    if value is None:
        raise WireError(f"no {name}")
    return value


def _sized(message: Mapping[int, bytes], name: str, length: int) -> bytes:
    value = _value(message, name)
    if len(value) != length:
        raise WireError(f"{name} of {len(value)} octets")
    return value


def _number(message: Mapping[int, bytes], name: str, length: int) -> int:
    return int.from_bytes(_sized(message, name, length), "little")


def _versions(message: Mapping[int, bytes], name: str) -> tuple[int, ...]:
    value = _value(message, name)
    count = len(value) // 4
    if not 0 < count <= MAX_VERSIONS:
        raise WireError(f"{name} of {len(value)} octets")
    return struct.unpack(f"<{count}I", value)
