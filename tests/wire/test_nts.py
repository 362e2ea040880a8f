"""NTS extension fields: what opens, what is refused, and what is owed a NAK."""

import json
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.timescale import NS
from pints.wire import extension, ntp, nts
from pints.wire.aead import ALGORITHMS, GCM_SIV, SIV, Aead, Algorithm
from tests.wire.pcap import datagrams

REQUEST = ntp.encode(ntp.Packet(mode=ntp.MODE_CLIENT, transmit=0x0123456789ABCDEF))
REPLY = ntp.encode(
    ntp.Packet(mode=ntp.MODE_SERVER, stratum=1, origin=0x0123456789ABCDEF, transmit=1 << 63)
)
KISS = ntp.Packet(mode=ntp.MODE_SERVER, leap=3, transmit=0, reference_id=b"NTSN")
ID = bytes(range(32))
OTHER_ID = bytes(range(1, 33))
COOKIE = bytes(range(100, 200))
FRESH = bytes(range(150, 250))
NONCE = bytes(range(60, 76))
KEYS = nts.Keys(Aead(SIV, bytes(range(32))), Aead(SIV, bytes(range(32, 64))))


def keys_of(algorithm: Algorithm) -> nts.Keys:
    length = algorithm.key_length
    return nts.Keys(Aead(algorithm, b"c" * length), Aead(algorithm, b"s" * length))


def jar(keys: nts.Keys = KEYS, cookie: bytes = COOKIE) -> Callable[[bytes], nts.Keys | None]:
    """A server's cookie opener that knows one cookie."""
    return lambda asked: keys if asked == cookie else None


def request(placeholders: int = 0, cookie: bytes = COOKIE) -> bytes:
    return nts.seal_request(REQUEST, ID, cookie, placeholders, KEYS.c2s, NONCE)


def response(*cookies: bytes, header: bytes = REPLY, identifier: bytes = ID) -> bytes:
    return nts.seal_response(header, identifier, cookies or (FRESH,), KEYS.s2c, NONCE)


def authenticated(
    associated: bytes, aead: Aead, *, hidden: bytes = b"", nonce: bytes = NONCE, padding: int = 0
) -> bytes:
    """The packet with an authenticator of this very form, which the writers would never make."""
    sealed = aead.seal(nonce, hidden, associated)
    body = struct.pack(">HH", len(nonce), len(sealed))
    for part in (nonce, sealed):
        body += part + bytes(-len(part) % 4)
    return associated + extension.encode(nts.AUTHENTICATOR, body + bytes(padding))


IDENTIFIER_FIELD = extension.encode(nts.UNIQUE_IDENTIFIER, ID)
COOKIE_FIELD = extension.encode(nts.COOKIE, COOKIE)
PLACEHOLDER_FIELD = extension.encode(nts.COOKIE_PLACEHOLDER, bytes(100))
LONGER_PLACEHOLDER = extension.encode(nts.COOKIE_PLACEHOLDER, bytes(104))
UNKNOWN_FIELD = extension.encode(0x2005, bytes(24))
SHORT_HIDDEN_FIELD = bytes.fromhex("20050008 01020304")

ALGORITHM = st.sampled_from(list(ALGORITHMS.values()))
IDENTIFIERS = st.integers(8, 20).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
COOKIES = st.integers(3, 64).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))


# Round trips.


@given(ALGORITHM, IDENTIFIERS, COOKIES, st.integers(0, 7))
def test_a_request_opens(algorithm: Algorithm, identifier: bytes, cookie: bytes, more: int) -> None:
    keys = keys_of(algorithm)
    nonce = NONCE[: algorithm.nonce_length]
    data = nts.seal_request(REQUEST, identifier, cookie, more, keys.c2s, nonce)
    assert nts.open_request(data, jar(keys, cookie)) == nts.OpenedRequest(
        identifier, keys, 1 + more
    )


@given(ALGORITHM, IDENTIFIERS, st.lists(COOKIES, min_size=1, max_size=8))
def test_a_response_opens(algorithm: Algorithm, identifier: bytes, cookies: list[bytes]) -> None:
    keys = keys_of(algorithm)
    nonce = NONCE[: algorithm.nonce_length]
    data = nts.seal_response(REPLY, identifier, cookies, keys.s2c, nonce)
    opened = nts.open_response(data, identifier, keys.s2c)
    assert opened == nts.OpenedResponse(tuple(cookies))


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda a: a.name)
@pytest.mark.parametrize("length", [100, nts.MAX_COOKIE_LENGTH])
@pytest.mark.parametrize("cookies", [1, 2, 8])
def test_an_answer_is_exactly_as_long_as_its_question(
    algorithm: Algorithm, length: int, cookies: int
) -> None:
    keys, nonce, cookie = keys_of(algorithm), NONCE[: algorithm.nonce_length], bytes(length)
    question = nts.seal_request(REQUEST, ID, cookie, cookies - 1, keys.c2s, nonce)
    answer = nts.seal_response(REPLY, ID, [cookie] * cookies, keys.s2c, nonce)
    assert len(answer) == len(question) <= ntp.MAX_PACKET_LENGTH
    if length == 100:
        assert len(question) < 1280  # no fragments on any IPv6 path (section 5.7)


def test_the_layout_of_a_request() -> None:
    fields = list(extension.decode(request(2), ntp.HEADER_LENGTH))
    assert [(f.type, len(f.body)) for f in fields] == [
        (nts.UNIQUE_IDENTIFIER, 32),
        (nts.COOKIE, 100),
        (nts.COOKIE_PLACEHOLDER, 100),
        (nts.COOKIE_PLACEHOLDER, 100),
        (nts.AUTHENTICATOR, 36),
    ]
    assert fields[2].body == bytes(100)
    assert fields[4].body[:20] == bytes.fromhex("00100010") + NONCE
    assert request(2)[: ntp.HEADER_LENGTH] == REQUEST


# Tampering.


def test_no_bit_of_a_request_can_be_flipped() -> None:
    data = request(1)
    for bit in range(8 * len(data)):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        with suppress(WireError):
            # A length that lies can hide all fields: then it is a packet without NTS.
            assert nts.open_request(bytes(spoilt), jar()) is None


def test_no_bit_of_a_response_can_be_flipped() -> None:
    data = response()
    for bit in range(8 * len(data)):
        spoilt = bytearray(data)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            nts.open_response(bytes(spoilt), ID, KEYS.s2c)


@pytest.mark.parametrize("cut", [4, 8, 16, 40, 100])
def test_no_octet_can_be_cut_off(cut: int) -> None:
    with pytest.raises(WireError):
        nts.open_request(request()[:-cut], jar())
    with pytest.raises(WireError):
        nts.open_response(response()[:-cut], ID, KEYS.s2c)


BEHIND = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            IDENTIFIER_FIELD,
            COOKIE_FIELD,
            PLACEHOLDER_FIELD * 7,
            LONGER_PLACEHOLDER,
            extension.encode(nts.AUTHENTICATOR, bytes(40)),
            bytes.fromhex("0104 0000") + bytes(40),
        ]
    ),
)


@given(BEHIND)
def test_what_stands_behind_the_authenticator_is_ignored(behind: bytes) -> None:
    assert nts.open_request(request(1) + behind, jar()) == nts.OpenedRequest(ID, KEYS, 2)
    opened = nts.open_response(response() + behind, ID, KEYS.s2c)
    assert opened == nts.OpenedResponse((FRESH,))


# A client reads responses.


def test_a_response_to_another_request_is_refused() -> None:
    with pytest.raises(WireError, match="not ours"):
        nts.open_response(response(identifier=OTHER_ID), ID, KEYS.s2c)


def test_a_response_without_an_identifier_is_refused() -> None:
    with pytest.raises(WireError, match="not ours"):
        nts.open_response(authenticated(REPLY + UNKNOWN_FIELD, KEYS.s2c), ID, KEYS.s2c)


def test_an_identifier_behind_the_authenticator_does_not_count() -> None:
    data = authenticated(REPLY + UNKNOWN_FIELD, KEYS.s2c) + IDENTIFIER_FIELD
    with pytest.raises(WireError, match="not ours"):
        nts.open_response(data, ID, KEYS.s2c)


def test_a_response_with_two_identifiers_is_refused() -> None:
    with pytest.raises(WireError, match="two unique identifiers"):
        nts.open_response(authenticated(REPLY + IDENTIFIER_FIELD * 2, KEYS.s2c), ID, KEYS.s2c)


def test_a_request_thrown_back_is_no_response() -> None:
    with pytest.raises(WireError, match="does not verify"):
        nts.open_response(request(), ID, KEYS.s2c)


@pytest.mark.parametrize("rest", [b"", IDENTIFIER_FIELD, IDENTIFIER_FIELD + COOKIE_FIELD])
def test_a_response_without_an_authenticator_is_refused(rest: bytes) -> None:
    with pytest.raises(WireError, match="no authenticator"):
        nts.open_response(REPLY + rest, ID, KEYS.s2c)


def test_an_unencrypted_cookie_is_not_taken() -> None:
    data = authenticated(REPLY + IDENTIFIER_FIELD + COOKIE_FIELD, KEYS.s2c)
    assert nts.open_response(data, ID, KEYS.s2c).cookies == ()


def test_unknown_fields_change_nothing_wherever_they_stand() -> None:
    data = authenticated(
        REPLY + UNKNOWN_FIELD + IDENTIFIER_FIELD + UNKNOWN_FIELD,
        KEYS.s2c,
        hidden=SHORT_HIDDEN_FIELD + extension.encode(nts.COOKIE, FRESH) + SHORT_HIDDEN_FIELD,
    )
    assert nts.open_response(data, ID, KEYS.s2c).cookies == (FRESH,)


def test_a_hidden_field_that_lies_about_its_length_is_refused() -> None:
    data = authenticated(REPLY + IDENTIFIER_FIELD, KEYS.s2c, hidden=bytes.fromhex("02040000"))
    with pytest.raises(WireError, match="of length 0"):
        nts.open_response(data, ID, KEYS.s2c)


def test_cookies_beyond_the_eighth_and_the_overlong_are_left() -> None:
    overlong = bytes(nts.MAX_COOKIE_LENGTH + 4)
    many = [bytes([n]) * 100 for n in range(10)]
    opened = nts.open_response(response(overlong, *many), ID, KEYS.s2c)
    assert opened.cookies == tuple(many[:8])


def test_an_empty_cookie_is_left() -> None:
    data = authenticated(REPLY + IDENTIFIER_FIELD, KEYS.s2c, hidden=bytes.fromhex("02040004"))
    assert nts.open_response(data, ID, KEYS.s2c).cookies == ()


@pytest.mark.parametrize("length", [1, 4, 13, 16, 17, 32])
def test_a_server_may_choose_any_nonce_and_needs_no_additional_padding(length: int) -> None:
    data = authenticated(REPLY + IDENTIFIER_FIELD, KEYS.s2c, nonce=bytes(length))
    assert nts.open_response(data, ID, KEYS.s2c).cookies == ()


# A server reads requests.


@pytest.mark.parametrize("rest", [b"", bytes(4), bytes(20), bytes(24), UNKNOWN_FIELD])
def test_packets_without_nts(rest: bytes) -> None:
    assert nts.open_request(REQUEST + rest, jar()) is None


@pytest.mark.parametrize(
    "rest",
    [
        IDENTIFIER_FIELD,
        IDENTIFIER_FIELD + COOKIE_FIELD,
        COOKIE_FIELD,
        PLACEHOLDER_FIELD,
        PLACEHOLDER_FIELD + COOKIE_FIELD + IDENTIFIER_FIELD,
    ],
)
def test_a_request_without_an_authenticator_gets_no_answer(rest: bytes) -> None:
    with pytest.raises(WireError, match="without an authenticator") as error:
        nts.open_request(REQUEST + rest, jar())
    assert not isinstance(error.value, nts.NakError)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (COOKIE_FIELD, "without identifier or cookie"),
        (IDENTIFIER_FIELD, "without identifier or cookie"),
        (IDENTIFIER_FIELD + PLACEHOLDER_FIELD, "without identifier or cookie"),
        (IDENTIFIER_FIELD * 2 + COOKIE_FIELD, "two unique identifiers"),
        (IDENTIFIER_FIELD + COOKIE_FIELD * 2, "two cookies"),
        (extension.encode(nts.UNIQUE_IDENTIFIER, ID[:28]) + COOKIE_FIELD, "or a short one"),
        (IDENTIFIER_FIELD + COOKIE_FIELD + LONGER_PLACEHOLDER, "as long as the cookie"),
        (IDENTIFIER_FIELD + LONGER_PLACEHOLDER + COOKIE_FIELD, "as long as the cookie"),
    ],
)
def test_authentic_but_malformed_requests_get_no_answer(fields: bytes, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint) as error:
        nts.open_request(authenticated(REQUEST + fields, KEYS.c2s), jar())
    assert not isinstance(error.value, nts.NakError)


@pytest.mark.parametrize(
    "fields",
    [
        IDENTIFIER_FIELD + COOKIE_FIELD + PLACEHOLDER_FIELD * 2,
        PLACEHOLDER_FIELD + IDENTIFIER_FIELD + PLACEHOLDER_FIELD + COOKIE_FIELD,
        UNKNOWN_FIELD + COOKIE_FIELD + PLACEHOLDER_FIELD * 2 + UNKNOWN_FIELD + IDENTIFIER_FIELD,
    ],
)
def test_fields_may_come_in_any_order(fields: bytes) -> None:
    data = authenticated(REQUEST + fields, KEYS.c2s)
    assert nts.open_request(data, jar()) == nts.OpenedRequest(ID, KEYS, 3)


def test_placeholders_may_be_hidden() -> None:
    data = authenticated(
        REQUEST + IDENTIFIER_FIELD + COOKIE_FIELD + PLACEHOLDER_FIELD,
        KEYS.c2s,
        hidden=SHORT_HIDDEN_FIELD + PLACEHOLDER_FIELD * 2,
    )
    assert nts.open_request(data, jar()) == nts.OpenedRequest(ID, KEYS, 4)


@pytest.mark.parametrize("hidden", [LONGER_PLACEHOLDER, bytes.fromhex("03040004"), bytes(5)])
def test_hidden_placeholders_are_no_way_around_the_length(hidden: bytes) -> None:
    data = authenticated(REQUEST + IDENTIFIER_FIELD + COOKIE_FIELD, KEYS.c2s, hidden=hidden)
    with pytest.raises(WireError) as error:
        nts.open_request(data, jar())
    assert not isinstance(error.value, nts.NakError)


def test_a_cookie_may_not_be_hidden() -> None:
    data = authenticated(REQUEST + IDENTIFIER_FIELD, KEYS.c2s, hidden=COOKIE_FIELD)
    with pytest.raises(WireError, match="without identifier or cookie"):
        nts.open_request(data, jar())


def test_nobody_gets_more_than_eight_cookies() -> None:
    opened = nts.open_request(request(15), jar())
    assert opened is not None
    assert opened.cookies_wanted == 8


@pytest.mark.parametrize(("length", "padding"), [(1, 12), (4, 12), (5, 8), (12, 4), (4, 100)])
def test_a_short_nonce_needs_room_for_the_servers(length: int, padding: int) -> None:
    associated = REQUEST + IDENTIFIER_FIELD + COOKIE_FIELD
    data = authenticated(associated, KEYS.c2s, nonce=bytes(length), padding=padding)
    assert nts.open_request(data, jar()) == nts.OpenedRequest(ID, KEYS, 1)
    if padding < 100:
        data = authenticated(associated, KEYS.c2s, nonce=bytes(length), padding=padding - 4)
        with pytest.raises(WireError, match="additional padding") as error:
            nts.open_request(data, jar())
        assert not isinstance(error.value, nts.NakError)


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda a: a.name)
def test_what_is_written_leaves_that_room(algorithm: Algorithm) -> None:
    keys = keys_of(algorithm)
    length = algorithm.nonce_length
    data = nts.seal_request(REQUEST, ID, COOKIE, 0, keys.c2s, bytes(length))
    assert nts.open_request(data, jar(keys)) == nts.OpenedRequest(ID, keys, 1)


def test_a_short_nonce_is_written_with_that_room() -> None:
    data = nts.seal_request(REQUEST, ID, COOKIE, 0, KEYS.c2s, b"odd")
    assert len(data) == len(request())
    assert nts.open_request(data, jar()) == nts.OpenedRequest(ID, KEYS, 1)


@pytest.mark.skipif(GCM_SIV.id not in ALGORITHMS, reason="the library's AES-GCM-SIV is unsound")
def test_gcm_siv_needs_room_for_12_octets_only() -> None:
    keys = keys_of(GCM_SIV)
    data = authenticated(REQUEST + IDENTIFIER_FIELD + COOKIE_FIELD, keys.c2s, nonce=bytes(12))
    assert nts.open_request(data, jar(keys)) == nts.OpenedRequest(ID, keys, 1)


# What is owed a NAK.


def test_a_cookie_that_is_not_ours_is_owed_a_nak() -> None:
    with pytest.raises(nts.NakError) as error:
        nts.open_request(request(cookie=FRESH), jar())
    assert error.value.unique_identifier == ID


def test_an_authenticator_that_does_not_verify_is_owed_a_nak() -> None:
    with pytest.raises(nts.NakError) as error:
        nts.open_request(authenticated(request()[:-40], KEYS.s2c), jar())
    assert error.value.unique_identifier == ID


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (bytes(24), "do not fit"),
        (bytes.fromhex("0010 0010") + bytes(20), "do not fit"),
        (bytes.fromhex("0000 0010") + bytes(32), "do not fit"),
        (bytes.fromhex("0010 000f") + bytes(32), "do not fit"),
        (bytes.fromhex("ffff 0010") + bytes(32), "do not fit"),
        (bytes.fromhex("0010 ffff") + bytes(32), "do not fit"),
        (bytes.fromhex("ffff ffff") + bytes(32), "do not fit"),
    ],
)
def test_a_malformed_authenticator_is_owed_nothing(body: bytes, complaint: str) -> None:
    field = extension.encode(nts.AUTHENTICATOR, body)
    associated = REQUEST + IDENTIFIER_FIELD + COOKIE_FIELD
    with pytest.raises(WireError, match=complaint) as error:
        nts.open_request(associated + field, jar())
    assert not isinstance(error.value, nts.NakError)
    with pytest.raises(WireError, match=complaint):
        nts.open_response(REPLY + IDENTIFIER_FIELD + field, ID, KEYS.s2c)


def test_a_nak_is_known_by_its_identifier() -> None:
    data = nts.nak(ntp.encode(KISS), ID)
    assert len(data) < len(request())
    assert nts.is_nak(ntp.decode(data), data, ID)
    assert not nts.is_nak(ntp.decode(data), data, OTHER_ID)
    with pytest.raises(WireError, match="no authenticator"):
        nts.open_response(data, ID, KEYS.s2c)


@pytest.mark.parametrize(
    "header",
    [
        ntp.Packet(mode=ntp.MODE_SERVER, transmit=0, reference_id=b"RATE"),
        ntp.Packet(mode=ntp.MODE_SERVER, transmit=0, reference_id=b"NTSN", stratum=1),
        ntp.Packet(mode=ntp.MODE_CLIENT, transmit=0, reference_id=b"NTSN"),
    ],
)
def test_what_is_no_nak(header: ntp.Packet) -> None:
    assert not nts.is_nak(header, nts.nak(ntp.encode(header), ID), ID)


@pytest.mark.parametrize("rest", [b"", UNKNOWN_FIELD, extension.encode(0x0304, ID)])
def test_a_kiss_without_the_identifier_is_no_nak(rest: bytes) -> None:
    assert not nts.is_nak(KISS, ntp.encode(KISS) + rest, ID)


# Any bytes.

TYPES = st.sampled_from([0x0104, 0x0204, 0x0304, 0x0404, 0x2005])
BODIES = st.one_of(
    st.sampled_from([ID, COOKIE, bytes(100), bytes.fromhex("00100010") + bytes(32)]),
    st.binary(max_size=120),
)
FIELDS = st.lists(
    st.one_of(st.builds(extension.encode, TYPES, BODIES), st.binary(max_size=40)), max_size=6
).map(b"".join)


@given(st.sampled_from([REQUEST, REPLY, ntp.encode(KISS)]), FIELDS, st.booleans())
def test_any_fields_are_a_value_or_a_wire_error(header: bytes, rest: bytes, cut: bool) -> None:
    data = (header + rest)[: -1 if cut else None]
    with pytest.raises(WireError):
        nts.open_response(data, ID, KEYS.s2c)
    with suppress(WireError):
        assert nts.open_request(data, jar()) is None
    with suppress(WireError):
        nts.is_nak(KISS, data, ID)


@given(FIELDS)
def test_any_hidden_fields_are_a_value_or_a_wire_error(hidden: bytes) -> None:
    data = authenticated(REPLY + IDENTIFIER_FIELD, KEYS.s2c, hidden=hidden)
    try:
        opened = nts.open_response(data, ID, KEYS.s2c)
    except WireError:
        pass
    else:
        assert len(opened.cookies) <= nts.MAX_COOKIES
    data = authenticated(REQUEST + IDENTIFIER_FIELD + COOKIE_FIELD, KEYS.c2s, hidden=hidden)
    try:
        asked = nts.open_request(data, jar())
    except nts.NakError:
        raise
    except WireError:
        pass
    else:
        assert asked is not None
        assert asked.cookies_wanted * 104 <= max(104, len(data) - 48 - 36 - 40)


# Real packets.

SIV_512 = Algorithm(17, "AES-SIV-CMAC-512", 64, 16, 16)
"""Which pints does not offer, but what was captured was sealed with it."""


def vectors(real_data: Path) -> dict[str, tuple[bytes, bytes]]:
    packets = json.loads((real_data / "nts/ntpdrs_ntp_packets.json").read_text())["packets"]
    return {
        p["test"]: (bytes.fromhex(p["hex"]), bytes.fromhex(p.get("key") or "")) for p in packets
    }


def identifier_of(data: bytes) -> bytes:
    return next(extension.decode(data, ntp.HEADER_LENGTH)).body


def test_a_captured_request_opens(real_data: Path) -> None:
    data, key = vectors(real_data)["test_nts_captured_client"]
    aead = Aead(SIV_512, key)
    keys = nts.Keys(aead, aead)
    opened = nts.open_request(data, lambda cookie: keys if len(cookie) == 168 else None)
    assert opened == nts.OpenedRequest(identifier_of(data), keys, 1)
    with pytest.raises(nts.NakError):
        nts.open_request(data[:47] + b"?" + data[48:], lambda _: keys)
    # It is as we would have written it.
    fields = list(extension.decode(data, ntp.HEADER_LENGTH))
    nonce = fields[2].body[4:20]
    again = nts.seal_request(data[:48], fields[0].body, fields[1].body, 0, aead, nonce)
    assert again == data


def test_a_captured_response_opens(real_data: Path) -> None:
    data, key = vectors(real_data)["test_nts_captured_server"]
    asked, _ = vectors(real_data)["test_nts_captured_client"]
    opened = nts.open_response(data, identifier_of(asked), Aead(SIV_512, key))
    assert [len(cookie) for cookie in opened.cookies] == [168]
    assert ntp.decode(data).origin == ntp.decode(asked).transmit
    with pytest.raises(WireError, match="not ours"):
        nts.open_response(data, ID, Aead(SIV_512, key))


def test_a_captured_cookie_that_lies_about_its_length_is_owed_a_nak(real_data: Path) -> None:
    """Its reader rejects what is inside the cookie; to us that is the cookie opener's matter."""
    ((data, _),) = [v for name, v in vectors(real_data).items() if "cookie" in name]
    seen: list[bytes] = []
    with pytest.raises(nts.NakError):
        nts.open_request(data, lambda cookie: seen.append(cookie))
    assert [len(cookie) for cookie in seen] == [20]


def test_a_captured_exchange_reads_as_tcpdump_reads_it(real_data: Path) -> None:
    packets = [d.payload for d in datagrams(real_data / "nts/tcpdump_ntp-time-ef.pcap")]
    text = (real_data / "nts/tcpdump_ntp-time-ef--vvv.out").read_text()
    reports = re.split(r"^ +\d+  \d{4}-", text, flags=re.MULTILINE)[1:]
    assert len(packets) == len(reports) == 2
    for data, report in zip(packets, reports, strict=True):
        agrees(data, report)
    asked, answered = map(ntp.decode, packets)
    assert answered.origin == asked.transmit
    with pytest.raises(nts.NakError):
        nts.open_request(packets[0], lambda cookie: None)
    with pytest.raises(WireError, match="does not verify"):
        nts.open_response(packets[1], identifier_of(packets[0]), KEYS.s2c)


def agrees(data: bytes, report: str) -> None:
    packet = ntp.decode(data)

    def said(pattern: str) -> str:
        match = re.search(pattern, report)
        assert match, pattern
        return match[1]

    assert packet.version == int(said(r"NTPv(\d)"))
    assert packet.mode == {"Client": 3, "Server": 4}[said(r"NTPv4, (\w+)")]
    assert len(data) == int(said(r"NTPv4, \w+, length (\d+)"))
    assert packet.stratum == int(said(r"Stratum (\d+)"))
    assert packet.poll == int(said(r"poll (\d+)"))
    assert packet.precision == int(said(r"precision (-?\d+)"))
    assert packet.root_delay == pytest.approx(float(said(r"Root Delay: ([\d.]+)")), abs=1e-6)
    assert packet.root_dispersion == pytest.approx(float(said(r"dispersion: ([\d.]+)")), abs=1e-6)
    for name in ("Reference", "Origin", "Receive", "Transmit"):
        sec, nanos = said(rf"\n\s+{name} Timestamp: +([\d.]+)").split(".")
        stamp = getattr(packet, name.lower())
        assert stamp >> 32 == int(sec)
        assert abs((stamp & 0xFFFFFFFF) * NS / 2**32 - int(nanos)) <= 1

    heads = re.findall(r"\(0x([0-9a-f]{4})\), length (\d+)\n", report)
    dumps = re.split(r"\(0x[0-9a-f]{4}\), length \d+\n", report)[1:]
    fields = list(extension.decode(data, ntp.HEADER_LENGTH))
    assert [(f"{f.type:04x}", str(4 + len(f.body))) for f in fields] == heads
    for field, dump in zip(fields, dumps, strict=True):
        words = re.findall(r"0x[0-9a-f]{4}:  ([0-9a-f ]+)", dump)
        assert field.body == bytes.fromhex("".join(words))
    assert [b.start - a.start for a, b in pairwise(fields)] == [
        4 + len(f.body) for f in fields[:-1]
    ]
