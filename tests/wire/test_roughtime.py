"""Roughtime on the wire: real answers of three implementations, and answers from the worst."""

import base64
import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.timescale import NS, Instant
from pints.wire import roughtime
from pints.wire.roughtime import (
    VERSIONS,
    Answer,
    Link,
    Request,
    chained_nonce,
    contradictions,
    decode_message,
    decode_packet,
    decode_request,
    decode_response,
    encode_message,
    encode_packet,
    encode_report,
    encode_request,
    server_tag,
)
from tests.roughtime_server import Roughtime

NOW = 1_795_000_000
NONCE = bytes(range(32))
INT08H_KEY = base64.b64decode("AW5uAoTSTDfG5NfY1bTh08GUnOqlRb+HVhbJ3ODJvsE=")
each_version = pytest.mark.parametrize("number", VERSIONS)


def server(number: int = 1, **fields: Any) -> Roughtime:
    return Roughtime(versions=(number,), clock=lambda: NOW, **fields)


def exchange(of: Roughtime, offered: tuple[int, ...] = tuple(VERSIONS)) -> tuple[bytes, bytes]:
    """A request and its response."""
    request = encode_request(NONCE, of.key, offered)
    response = of.respond(request)
    assert response is not None
    return request, response


def ask(of: Roughtime) -> Answer:
    request, response = exchange(of)
    return decode_response(response, request, of.key)


def refused(of: Roughtime) -> str:
    with pytest.raises(WireError) as caught:
        ask(of)
    assert str(caught.value).isprintable()
    return str(caught.value)


# Real answers


@pytest.mark.parametrize(("name", "count"), [("001", 1), ("010", 10)])
def test_cloudflares_server_in_draft_11(real_data: Path, name: str, count: int) -> None:
    path = real_data / "roughtime" / f"cloudflare_roughtime_ietf_draft11_{name}.json"
    vector = json.loads(path.read_text())
    seed = bytes.fromhex(vector["root_key"])
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    pairs = list(zip(vector["request"], vector["replies"], strict=True))
    assert len(pairs) == count
    for request, response in pairs:
        answer = decode_response(bytes.fromhex(response), bytes.fromhex(request), key)
        assert answer.version.number == 0x8000000B
        assert (answer.midpoint, answer.radius) == (50 * NS, 5.0)
        assert (answer.mint, answer.maxt) == (0, 100 * NS)


def test_roughenoughs_server_in_draft_14(real_data: Path) -> None:
    folder = real_data / "roughtime" / "roughenough"
    request = (folder / "rfc-request.071039e5").read_bytes()
    response = (folder / "rfc-response.071039e5").read_bytes()
    answer = decode_response(response, request, INT08H_KEY)
    assert answer.version.number == 0x8000000C
    assert answer.midpoint == 1_747_944_450 * NS
    assert answer.maxt == (2**64 - 1) * NS


def test_answer_to_another_request_of_the_same_tree(real_data: Path) -> None:
    folder = real_data / "roughtime" / "roughenough"
    request = (folder / "rfc-request.SRV.417aa962").read_bytes()
    response = (folder / "rfc-response.path8.index2.4c16c619").read_bytes()
    with pytest.raises(WireError, match="nonce"):
        decode_response(response, request, INT08H_KEY)


def test_the_rfcs_report_of_a_server_that_lies_by_a_day(real_data: Path) -> None:
    path = real_data / "roughtime" / "ietf_draft_appendix_b_malfeasance.json"
    report = json.loads(path.read_text())
    names = ("publicKey", "request", "response", "rand")
    links = [
        Link(*(base64.b64decode(part.get(name, "")) for name in names))
        for part in report["responses"]
    ]
    answers = [decode_response(link.response, link.request, link.key) for link in links]
    for before, link in pairwise(links):
        assert decode_request(link.request).server == server_tag(link.key)
        assert decode_request(link.request).nonce == chained_nonce(before.response, link.rand)
    assert contradictions(answers) == [(0, 1), (0, 2)]
    assert json.loads(encode_report(links)) == report


# Requests


def test_request_offers_all_versions_and_is_as_long_as_it_has_to_be() -> None:
    key = bytes(32)
    packet = encode_request(NONCE, key)
    assert len(packet) == 12 + 1024
    assert decode_request(packet) == Request(NONCE, tuple(VERSIONS), server_tag(key))
    assert list(VERSIONS) == sorted(VERSIONS)


def test_response_is_no_request() -> None:
    _, response = exchange(server())
    with pytest.raises(WireError, match="not a request"):
        decode_request(response)


# Answers


@each_version
@pytest.mark.parametrize(("siblings", "index"), [(0, 0), (1, 1), (5, 0b10110), (17, 1)])
def test_answer_of_each_version(number: int, siblings: int, index: int) -> None:
    answer = ask(server(number, siblings=siblings, index=index, radius=7))
    assert answer.version.number == number
    assert answer.midpoint == NOW * NS
    assert (answer.low, answer.high) == ((NOW - 7) * NS, (NOW + 7) * NS)
    assert answer.mint < answer.midpoint < answer.maxt


@each_version
def test_paths_in_the_drafts_order(number: int) -> None:
    of = server(number, siblings=3, index=0b010, node_first=True)
    if number == 1:
        assert "does not contain" in refused(of)
    else:
        assert ask(of).midpoint == NOW * NS


def test_version_1_is_signed_in_the_rfcs_spelling_and_in_the_drafts() -> None:
    assert VERSIONS[1].spellings == (b"Roughtime", b"RoughTime")
    assert ask(server(spelling=0)) == ask(server(spelling=1))


def test_unknown_tags_are_ignored() -> None:
    assert ask(server(extra={"AAAA": b"", "ZZZY": bytes(8)})).midpoint == NOW * NS


def test_midpoint_at_either_end_of_the_delegation() -> None:
    assert ask(server(mint=NOW)).mint == NOW * NS
    assert ask(server(maxt=NOW)).maxt == NOW * NS


@each_version
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"grease": 1}, "bad signature of the response"),
        ({"bad_delegation": True}, "bad signature of the delegation"),
        ({"expired": True}, "outside the delegation"),
        ({"mint": NOW + 1}, "outside the delegation"),
        ({"wrong_nonce": True}, "another request's nonce"),
        ({"other_request": True}, "does not contain our request"),
        ({"radius": 0}, "a radius of 0"),
        ({"siblings": 2, "index": 4}, "the index goes beyond the path"),
        ({"extra": {"INDX": bytes(8)}}, "INDX of 8 octets"),
        ({"extra": {"PATH": bytes(36)}}, "path of 36 octets"),
        ({"extra": {"SIG": bytes(60)}}, "SIG of 60 octets"),
        ({"extra": {"CERT": bytes(152)}}, "0 tags"),
        ({"extra": {"SREP": b""}}, "message of 0 octets"),
        ({"extra": {"AAAA": bytes(700)}}, "response of"),
    ],
)
def test_what_is_refused_and_why(number: int, fields: dict[str, Any], why: str) -> None:
    assert why in refused(server(number, **fields))


def test_path_of_33_nodes() -> None:
    of = server(siblings=33)
    asked = {"VER": roughtime.encode_numbers([1]), "NONC": NONCE, "TYPE": bytes(4)}
    request = encode_packet(asked | {"ZZZZ": bytes(roughtime.MAX_PACKET_LENGTH - 84)})
    response = of.respond(request)
    assert response is not None
    assert len(response) == len(request) == roughtime.MAX_PACKET_LENGTH
    with pytest.raises(WireError, match="path of 1056 octets"):
        decode_response(response, request, of.key)


def test_signature_of_another_key() -> None:
    of = server()
    request, response = exchange(of)
    for key in (server().key, bytes(32), b"\xff" * 32, b""):
        with pytest.raises(WireError, match="bad signature of the delegation"):
            decode_response(response, request, key)


@each_version
def test_version_that_was_not_offered(number: int) -> None:
    of = server(number)
    request, response = exchange(of)
    others = tuple(v for v in VERSIONS if v != number)
    with pytest.raises(WireError, match="not offered"):
        decode_response(response, encode_request(NONCE, of.key, others), of.key)
    assert of.respond(encode_request(NONCE, of.key, others)) is None
    assert decode_response(response, request, of.key).version.number == number


def test_version_where_nobody_signs_it() -> None:
    of = server(0x8000000B)
    of.extra = {"VER": roughtime.encode_numbers([1]), "TYPE": roughtime.encode_numbers([1])}
    assert "VER is not where" in refused(of)
    of.extra = {"VER": roughtime.encode_numbers([0x8000000B, 1])}
    assert "not offered" in refused(of)


@each_version
def test_version_that_is_signed_is_the_one_that_counts(number: int) -> None:
    of = server(number, signed_version=True, extra={"VER": roughtime.encode_numbers([7])})
    assert ask(of).version.number == number


def test_version_that_the_server_does_not_claim() -> None:
    signed = encode_message(
        {
            "VER": roughtime.encode_numbers([1]), "VERS": roughtime.encode_numbers([0x8000000C]),
            "RADI": bytes(4), "MIDP": bytes(8), "ROOT": bytes(32),
        }
    )  # fmt: skip
    assert "does not claim" in refused(server(extra={"SREP": signed}))


def test_type_of_a_request_or_none() -> None:
    assert "not a response" in refused(server(extra={"TYPE": bytes(4)}))
    assert "not a response" in refused(server(extra={"TYPE": b""}))


# Anything at all


@given(st.binary(max_size=400))
def test_any_octets_raise_nothing_but_wire_errors(data: bytes) -> None:
    request = encode_request(NONCE, bytes(32))
    framed = struct.pack("<8sI", b"ROUGHTIM", len(data)) + data
    for packet in (data, framed):
        with pytest.raises(WireError):
            decode_response(packet, request, bytes(32))
        with pytest.raises(WireError):
            decode_request(packet)


@each_version
def test_each_octet_counts(number: int) -> None:
    of = server(number, siblings=2, index=2)
    request, response = exchange(of, (number,))
    for n in range(len(response)):
        for flip in (0x01, 0x80, 0xFF):
            bad = bytearray(response)
            bad[n] ^= flip
            with pytest.raises(WireError):
                decode_response(bytes(bad), request, of.key)


@each_version
def test_each_length_counts(number: int) -> None:
    of = server(number, siblings=2, index=2)
    request, response = exchange(of, (number,))
    for n in range(len(response)):
        with pytest.raises(WireError):
            decode_response(response[:n], request, of.key)
    with pytest.raises(WireError):
        decode_response(response + bytes(4), request, of.key)


@given(st.data())
def test_mutilated_answers_are_refused(data: st.DataObject) -> None:
    number = data.draw(st.sampled_from(list(VERSIONS)))
    of = server(number, siblings=1)
    request, response = exchange(of, (number,))
    start = data.draw(st.integers(0, len(response)))
    end = data.draw(st.integers(start, len(response)))
    bad = response[:start] + data.draw(st.binary(max_size=64)) + response[end:]
    if bad != response:
        with pytest.raises(WireError):
            decode_response(bad, request, of.key)


values = st.dictionaries(
    st.from_regex(r"\A[A-Z]{1,4}\Z"),
    st.binary(max_size=16).map(lambda value: value * 4),
    min_size=1,
    max_size=8,
)


@given(values)
def test_messages_survive_the_wire(message: dict[str, bytes]) -> None:
    by_number = {int.from_bytes(tag.encode(), "little"): v for tag, v in message.items()}
    assert decode_message(encode_message(message)) == by_number
    assert decode_packet(encode_packet(message)) == by_number


def test_messages_out_of_order() -> None:
    good = encode_message({"AAAA": bytes(4), "BBBB": bytes(4), "CCCC": bytes(4)})
    count, first, second, *tags = struct.unpack("<6I", good[:24])
    for header in (
        (count, second, first, *tags),
        (count, first, 16, *tags),
        (count, 2, second, *tags),
        (count, first, second, *reversed(tags)),
        (count, first, second, tags[0], tags[0], tags[2]),
        (0, first, second, *tags),
        (1 << 31, first, second, *tags),
    ):
        with pytest.raises(WireError):
            decode_message(struct.pack("<6I", *header) + good[24:])


# Sequences


def said(midpoint: int, radius: int) -> Answer:
    return Answer(VERSIONS[1], Instant(midpoint * NS), float(radius), Instant(0), Instant(1 << 63))


def test_an_answer_may_not_lie_wholly_before_an_earlier_one() -> None:
    assert contradictions([]) == []
    assert contradictions([said(100, 3), said(94, 3)]) == []
    assert contradictions([said(100, 3), said(93, 3)]) == [(0, 1)]
    # Far ahead is no contradiction, until the round begins again.
    assert contradictions([said(100, 3), said(200, 3)]) == []
    assert contradictions([said(100, 3), said(200, 3), said(100, 3)]) == [(1, 2)]
