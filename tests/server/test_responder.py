"""What the server answers, and to what it keeps silent."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.server.cookies import ROTATION, KeyRing
from pints.server.responder import (
    LOCAL,
    MAX_SEALING,
    Responder,
    ServerState,
    local,
    unsynchronized,
)
from pints.timescale import NS, Instant
from pints.wire import extension, ntp, nts
from pints.wire.aead import ALGORITHMS, SIV, Aead, Algorithm

NOW = Instant(1_800_000_000 * NS)
CLIENT_TIME = 0x0123456789ABCDEF
UNIQUE = bytes(range(32))
STATE = ServerState(
    leap=ntp.LEAP_NONE,
    stratum=2,
    precision=-23,
    root_delay=0.010,
    root_dispersion=0.002,
    reference_id=bytes((192, 0, 2, 1)),
    reference=Instant(NOW - 100 * NS),
    synchronized=True,
)
ANY_ALGORITHM = pytest.mark.parametrize(
    "algorithm", ALGORITHMS.values(), ids=lambda algorithm: algorithm.name
)


def entropy_of(start: int = 0) -> Callable[[int], bytes]:
    numbers = itertools.count(start)
    return lambda n: b"".join(next(numbers).to_bytes(4, "big") for _ in range((n + 3) // 4))[:n]


def ticking(start: int = NOW + 30_000, step: int = 5_000) -> Callable[[], Instant]:
    """A clock that each look at moves on."""
    times = itertools.count(start, step)
    return lambda: Instant(next(times))


class Client:
    """A client with a session of its own, and the server it talks to."""

    def __init__(self, algorithm: Algorithm = SIV, state: ServerState = STATE) -> None:
        self.entropy = entropy_of()
        self.ring = KeyRing.fresh(NOW, self.entropy)
        self.server = Responder(self.ring, state)
        length = algorithm.key_length
        self.c2s_key, self.s2c_key = b"c" * length, b"s" * length
        self.c2s, self.s2c = Aead(algorithm, self.c2s_key), Aead(algorithm, self.s2c_key)
        self.nonce = b"n" * algorithm.nonce_length
        self.cookie = self.ring.seal(algorithm.id, self.c2s_key, self.s2c_key, self.entropy)

    def request(self, placeholders: int = 0) -> bytes:
        return nts.seal_request(plain(), UNIQUE, self.cookie, placeholders, self.c2s, self.nonce)

    def ask(self, data: bytes) -> bytes | None:
        return self.server.answer(data, NOW, ticking(), self.entropy)

    def open(self, reply: bytes | None) -> nts.OpenedResponse:
        assert reply is not None
        return nts.open_response(reply, UNIQUE, self.s2c)


def plain(version: int = 4, mode: int = ntp.MODE_CLIENT) -> bytes:
    return ntp.encode(ntp.Packet(mode=mode, transmit=CLIENT_TIME, version=version, poll=6))


def plain_server(state: ServerState = STATE) -> Responder:
    return Responder(None, state)


def ask(server: Responder, data: bytes) -> bytes | None:
    return server.answer(data, NOW, ticking(), entropy_of())


# Plain NTP


@pytest.mark.parametrize("version", [3, 4])
def test_a_plain_request_gets_the_time_in_its_own_version(version: int) -> None:
    reply = ask(plain_server(), plain(version))
    assert reply is not None
    assert ntp.decode(reply) == ntp.Packet(
        mode=ntp.MODE_SERVER,
        version=version,
        leap=ntp.LEAP_NONE,
        stratum=2,
        poll=6,
        precision=-23,
        root_delay=656 / ntp.SHORT,  # 0.010 rounded up
        root_dispersion=230 / ntp.SHORT,  # 0.002 + 100 s * 15 ppm, rounded up
        reference_id=bytes((192, 0, 2, 1)),
        reference=ntp.fold(Instant(NOW - 100 * NS)),
        origin=CLIENT_TIME,
        receive=ntp.fold(NOW),
        transmit=ntp.fold(Instant(NOW + 30_000)),
    )
    assert len(reply) == 48


def test_a_server_without_the_time_says_so() -> None:
    state = dataclasses.replace(STATE, synchronized=False)
    reply = ask(plain_server(state), plain())
    assert reply is not None
    packet = ntp.decode(reply)
    assert (packet.leap, packet.stratum, packet.reference_id) == (3, 0, bytes(4))
    assert packet.kiss_code == ""
    assert packet.reference == 0
    assert (packet.root_delay, packet.root_dispersion) == (1.0, 1.0)
    assert packet.origin == CLIENT_TIME


def test_a_local_clock_claims_its_stratum_and_no_more() -> None:
    reply = ask(plain_server(local(10, -20, Instant(NOW - NS))), plain())
    assert reply is not None
    packet = ntp.decode(reply)
    assert (packet.leap, packet.stratum, packet.reference_id) == (0, 10, LOCAL)


@pytest.mark.parametrize("mode", [mode for mode in range(8) if mode != ntp.MODE_CLIENT])
@pytest.mark.parametrize("version", range(8))
def test_no_other_mode_is_ever_answered(mode: int, version: int) -> None:
    data = bytes([version << 3 | mode]) + plain()[1:]
    assert ask(plain_server(), data) is None
    assert Client().ask(data) is None


@pytest.mark.parametrize("version", [0, 1, 2, 5, 6, 7])
def test_no_other_version_is_answered(version: int) -> None:
    assert ask(plain_server(), bytes([version << 3 | 3]) + plain()[1:]) is None


@pytest.mark.parametrize("length", [0, 1, 47, 49, 51])
def test_an_odd_length_is_not_answered(length: int) -> None:
    assert ask(plain_server(), (plain() + bytes(8))[:length]) is None


@pytest.mark.parametrize(
    "mac",
    [bytes(4), b"\0\0\0\1" + bytes(16), b"\0\0\0\1" + bytes(20)],
    ids=["crypto-NAK", "MD5", "SHA-1"],
)
@pytest.mark.parametrize("version", [3, 4])
def test_a_request_with_a_mac_is_not_answered(mac: bytes, version: int) -> None:
    assert ask(plain_server(), plain(version) + mac) is None
    field = extension.encode(0x2005, bytes(24))
    assert ask(plain_server(), plain() + field + mac) is None


def test_fields_of_others_are_ignored() -> None:
    data = plain() + extension.encode(0xF323, bytes(24))
    reply = ask(plain_server(), data)
    assert reply is not None
    assert len(reply) == 48
    assert ntp.decode(reply).stratum == 2


def test_a_clock_set_back_in_between_makes_no_reply() -> None:
    transmit = ticking(NOW - 1, 0)
    assert plain_server().answer(plain(), NOW, transmit, entropy_of()) is None
    client = Client()
    assert client.server.answer(client.request(), NOW, transmit, client.entropy) is None
    assert client.server.counters.dropped == 1


def test_the_wrap_of_2036_is_an_instant_like_any_other() -> None:
    wrap = Instant(2_085_978_496 * NS)
    state = dataclasses.replace(STATE, reference=Instant(wrap - 5))
    transmit = ticking(wrap + 10, 0)
    reply = plain_server(state).answer(plain(), Instant(wrap - 1), transmit, entropy_of())
    assert reply is not None
    packet = ntp.decode(reply)
    assert packet.transmit < packet.receive
    assert ntp.unfold(packet.receive, wrap) == wrap - 1
    assert ntp.unfold(packet.transmit, wrap) == wrap + 10


# NTS


@ANY_ALGORITHM
@pytest.mark.parametrize("placeholders", range(8))
def test_a_cookie_for_each_that_was_asked_for_and_equal_lengths(
    algorithm: Algorithm, placeholders: int
) -> None:
    client = Client(algorithm)
    request = client.request(placeholders)
    reply = client.ask(request)
    opened = client.open(reply)
    assert reply is not None
    assert len(reply) == len(request)
    assert len(set(opened.cookies)) == 1 + placeholders
    packet = ntp.decode(reply)
    assert (packet.origin, packet.receive, packet.stratum) == (CLIENT_TIME, ntp.fold(NOW), 2)
    for cookie in opened.cookies:
        assert len(cookie) == len(client.cookie)
        client.cookie = cookie
        client.open(client.ask(client.request()))


def test_more_cookies_than_a_client_should_hold_are_not_made() -> None:
    client = Client()
    few, many = (client.ask(client.request(placeholders)) for placeholders in (7, 12))
    assert few is not None
    assert many is not None
    assert len(few) == len(many)
    assert len(client.open(many).cookies) == nts.MAX_COOKIES


def test_placeholders_hidden_in_the_authenticator_count() -> None:
    client = Client()
    header = plain() + extension.encode(nts.UNIQUE_IDENTIFIER, UNIQUE)
    header += extension.encode(nts.COOKIE, client.cookie)
    hidden = extension.encode(nts.COOKIE_PLACEHOLDER, bytes(len(client.cookie))) * 2
    sealed = client.c2s.seal(client.nonce, hidden, header)
    body = b"\0\x10" + len(sealed).to_bytes(2, "big") + client.nonce + sealed
    request = header + extension.encode(nts.AUTHENTICATOR, body)
    reply = client.ask(request)
    assert reply is not None
    assert len(reply) == len(request)
    assert len(client.open(reply).cookies) == 3


def test_a_server_without_the_time_says_so_authentically_and_gives_cookies() -> None:
    client = Client(state=unsynchronized(-20))
    reply = client.ask(client.request())
    assert len(client.open(reply).cookies) == 1
    assert reply is not None
    assert ntp.decode(reply).leap == ntp.LEAP_UNKNOWN
    assert ntp.decode(reply).stratum == 0


def assert_nak(client: Client, request: bytes) -> None:
    reply = client.ask(request)
    assert reply is not None
    assert len(reply) <= len(request)
    packet = ntp.decode(reply)
    assert nts.is_nak(packet, reply, UNIQUE)
    assert (packet.leap, packet.origin) == (ntp.LEAP_UNKNOWN, CLIENT_TIME)
    assert [f.type for f in extension.decode(reply, 48)] == [nts.UNIQUE_IDENTIFIER]
    assert client.server.counters.naks == 1


def test_a_cookie_under_a_key_that_is_gone_gets_a_nak() -> None:
    client = Client()
    for week in range(1, 4):
        ring = client.server.ring
        assert ring is not None
        client.open(client.ask(client.request()))
        client.server.ring = ring.rotated(Instant(NOW + week * ROTATION), client.entropy)
    client.server.counters.naks = 0
    assert_nak(client, client.request())


def test_an_authenticator_under_another_key_gets_a_nak() -> None:
    client = Client()
    client.c2s = Aead(SIV, b"?" * 32)
    assert_nak(client, client.request())


@given(st.data())
def test_a_request_with_any_octet_changed_gets_no_cookies(data: st.DataObject) -> None:
    client = Client()
    request = bytearray(client.request())
    place = data.draw(st.integers(0, len(request) - 1))
    request[place] ^= data.draw(st.integers(1, 255))
    reply = client.ask(bytes(request))
    assert client.server.counters.nts == 0
    if reply is not None:
        with pytest.raises(WireError):
            nts.open_response(reply, UNIQUE, client.s2c)


def test_a_server_without_nts_does_not_answer_nts() -> None:
    client = Client()
    client.server.ring = None
    assert client.ask(client.request()) is None
    assert client.server.counters.dropped == 1


def test_nts_needs_version_4() -> None:
    client = Client()
    request = bytearray(client.request())
    request[0] = 3 << 3 | ntp.MODE_CLIENT
    assert client.ask(bytes(request)) is None


def test_what_follows_the_authenticator_changes_nothing() -> None:
    client = Client()
    reply = client.ask(client.request() + extension.encode(nts.COOKIE, bytes(24)))
    assert len(client.open(reply).cookies) == 1


# Time stamps under seal


def test_the_transmit_time_is_read_after_the_cookies_are_made() -> None:
    client = Client()
    order = []

    def entropy(n: int) -> bytes:
        order.append("entropy")
        return client.entropy(n)

    def transmit() -> Instant:
        order.append("transmit")
        return NOW

    client.server.answer(client.request(7), NOW, transmit, entropy)
    assert order == ["entropy", "transmit", "transmit"]


def test_what_the_last_seal_takes_is_learnt_and_added() -> None:
    client = Client()
    stamps = []
    for _ in range(200):
        reply = client.server.answer(
            client.request(), NOW, ticking(NOW + 1000, step=40_000), client.entropy
        )
        assert reply is not None
        stamps.append(ntp.unfold(ntp.decode(reply).transmit, NOW) - NOW)
    assert stamps[0] == 1000
    assert set(stamps[1:]) == {41_000}


def test_an_interruption_is_not_taken_for_cryptography() -> None:
    client = Client()
    for step in (NS, -NS):  # a preempted process; a clock that was set back
        client.server.answer(client.request(), NOW, ticking(NOW, step), client.entropy)
    reply = client.server.answer(client.request(), NOW, ticking(NOW, 0), client.entropy)
    assert reply is not None
    assert 0 <= ntp.unfold(ntp.decode(reply).transmit, NOW) - NOW <= MAX_SEALING


# Whatever comes


@given(st.binary(max_size=2100))
def test_no_bytes_make_it_raise_or_say_more_than_was_said(data: bytes) -> None:
    client = Client()
    for server in (client.server, plain_server()):
        reply = ask(server, data)
        assert reply is None or len(reply) <= len(data)


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            [nts.UNIQUE_IDENTIFIER, nts.COOKIE, nts.COOKIE_PLACEHOLDER, nts.AUTHENTICATOR, 0x2005]
        ),
        st.sampled_from([UNIQUE, b"cookie", b"authenticator", bytes(104), bytes(28), bytes(12)]),
    ),
    max_size=12,
)


@given(FIELDS, st.sampled_from([3, 4]))
def test_no_fields_in_any_order_do_either(fields: list[tuple[int, bytes]], version: int) -> None:
    client = Client()
    data = plain(version)
    for kind, body in fields:
        if body == b"cookie":
            body = client.cookie
        elif body == b"authenticator":
            sealed = client.c2s.seal(client.nonce, b"", data)
            body = b"\0\x10\0\x10" + client.nonce + sealed
        data += extension.encode(kind, body)
    for server in (client.server, plain_server()):
        reply = ask(server, data)
        if reply is None:
            continue
        assert len(reply) <= len(data)
        # Cookies are for those who have shown the key, and under its seal.
        in_the_open = {f.type for f in extension.decode(reply, ntp.HEADER_LENGTH)}
        assert nts.COOKIE not in in_the_open
        if server.counters.nts:
            client.open(reply)
        else:
            assert nts.AUTHENTICATOR not in in_the_open


def test_every_request_has_one_fate() -> None:
    client = Client()
    stranger = Client()
    stranger.c2s = Aead(SIV, b"?" * 32)
    stranger.cookie = client.cookie
    for data in (client.request(), plain(), plain(), stranger.request(), b"", plain(mode=6)):
        client.ask(data)
    for data in (plain(), client.request()):
        client.server.slow_down(data, NOW, ticking())
    counters = client.server.counters
    assert dataclasses.asdict(counters) == {
        "requests": 8, "replies": 3, "nts": 1, "naks": 1, "kods": 1, "dropped": 3,
    }  # fmt: skip
    assert counters.requests == counters.replies + counters.naks + counters.kods + counters.dropped


def test_who_is_too_fast_is_told_so_in_a_reply_of_equal_length() -> None:
    reply = plain_server().slow_down(plain(3), NOW, ticking())
    assert reply is not None
    packet = ntp.decode(reply)
    assert (packet.kiss_code, packet.version, packet.leap) == ("RATE", 3, ntp.LEAP_UNKNOWN)
    assert packet.origin == CLIENT_TIME
    assert len(reply) == 48


@pytest.mark.parametrize("mode", [1, 2, 4, 5, 6, 7])
def test_the_word_slow_down_goes_to_clients_only(mode: int) -> None:
    assert plain_server().slow_down(plain(mode=mode), NOW, ticking()) is None


def test_captured_packets(real_data: Path) -> None:
    """Client packets from the wire are answered, server packets are not."""
    captured = json.loads((real_data / "nts" / "ntpdrs_ntp_packets.json").read_text())
    answered = 0
    for row in captured["packets"]:
        data = bytes.fromhex(row["hex"])
        reply = ask(plain_server(), data)
        answered += reply is not None
        if len(data) == 48 and data[0] & 7 == 3 and data[0] >> 3 & 7 in (3, 4):
            assert reply is not None
        if len(data) and data[0] & 7 != 3:
            assert reply is None
    assert answered
