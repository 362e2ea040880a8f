"""One source: what is sent, what counts as an answer, and how it is asked again."""

import logging
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.client.association import (
    LOST_AFTER,
    Association,
    Failure,
    Remark,
)
from pints.client.packets import DRIFT
from pints.client.retry import (
    KE_RETRY,
    KE_RETRY_FACTOR,
    KE_RETRY_MAX,
    UNREACHED_RETRY_MAX,
    Backoff,
)
from pints.client.schedule import BURST, BURST_INTERVAL
from pints.client.session import revive
from pints.config.tables import SourceConfig
from pints.server.responder import unsynchronized
from pints.timescale import DAY, NS, Boot, Instant, nanoseconds, seconds
from pints.values.address import Address
from pints.values.sample import Sample
from pints.wire import extension, ntp, nts
from pints.wire.aead import ALGORITHMS, SIV, Aead
from tests.client.peer import ADDRESS, DELAY, TRUE, Peer
from tests.client.test_session import saved_of

UID = slice(ntp.HEADER_LENGTH + 4, ntp.HEADER_LENGTH + 36)


@pytest.fixture
def peer() -> Peer:
    """A peer whose association has its first keys."""
    peer = Peer()
    peer.association.begin(peer.now)
    peer.exchange()
    return peer


def kiss(request: bytes, code: bytes, identifier: bytes | None = None) -> bytes:
    origin = ntp.decode(request).transmit
    packet = ntp.Packet(ntp.MODE_SERVER, transmit=1, leap=3, reference_id=code, origin=origin)
    return nts.nak(ntp.encode(packet), request[UID] if identifier is None else identifier)


def fields(packet: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for f in extension.decode(packet, ntp.HEADER_LENGTH):
        found.setdefault(f.type, []).append(f.body)
    return found


# --- what is sent -----------------------------------------------------------------------------


def test_no_request_repeats_anything(peer: Peer) -> None:
    for turn in range(300):
        request = peer.ask()
        if turn % 3:  # some are lost
            peer.give(peer.reply(request))
        if peer.association.wants_task(peer.now):
            peer.association.found_keys(peer.session(), peer.now)
    packets = [r.packet for r in peer.requests]
    stamps = {ntp.decode(p).transmit for p in packets}
    cookies = {fields(p)[nts.COOKIE][0] for p in packets}
    identifiers = {fields(p)[nts.UNIQUE_IDENTIFIER][0] for p in packets}
    assert len(stamps) == len(cookies) == len(identifiers) == len(packets) == 300


def test_a_request_says_nothing_of_our_clock(peer: Peer) -> None:
    """All but mode and version are zero, but for a random transmit timestamp."""
    header = ntp.decode(peer.ask().packet)
    assert header == ntp.Packet(ntp.MODE_CLIENT, header.transmit)
    assert header.transmit != 0
    near = ntp.fold(peer.reading().real) >> 32
    assert abs((header.transmit >> 32) - near) > 1000


def test_it_asks_for_the_cookies_that_are_missing(peer: Peer) -> None:
    session = peer.association.session
    assert session is not None
    for missing in (1, 2, 3):
        request = peer.ask()
        assert len(fields(request.packet).get(nts.COOKIE_PLACEHOLDER, [])) == missing - 1
    peer.give(peer.reply(request))
    assert len(session.cookies) == nts.MAX_COOKIES


def test_long_cookies_do_not_make_packets_that_no_path_takes(peer: Peer) -> None:
    session = peer.association.session
    assert session is not None
    session.cookies = [bytes([n]) * 256 for n in range(2)]
    assert len(peer.ask().packet) < 1280


def test_a_burst_then_the_polling_interval(peer: Peer) -> None:
    gaps, last = [], None
    for _ in range(BURST + 3):
        peer.round()
        if last is not None:
            gaps.append(peer.elapsed - last)
        last = peer.elapsed
    assert gaps[: BURST - 1] == [pytest.approx(BURST_INTERVAL, rel=0.011)] * (BURST - 1)
    assert gaps[BURST - 1 :] == [pytest.approx(64.0, rel=0.011)] * 3
    assert len(set(gaps)) > 3, "spread by chance"


def test_dead_addresses_cost_one_poll_each(peer: Peer) -> None:
    peer.association.addresses = (ADDRESS, Address("192.0.2.2", 123))
    assert [peer.ask().address.host[-1] for _ in range(4)] == ["1", "2", "1", "2"]


# --- what counts as an answer -----------------------------------------------------------------


def test_an_answer_is_a_sample(peer: Peer) -> None:
    sample = peer.round()
    assert isinstance(sample, Sample)
    middle = peer.true() + DELAY / 2 * NS
    assert abs(sample.time - middle) < 1000
    assert sample.raw == peer.reading(DELAY / 2).raw
    assert sample.boot == peer.reading(DELAY / 2).boot
    assert sample.delay == pytest.approx(DELAY)
    assert DELAY / 2 < sample.distance < DELAY / 2 + 1e-5
    assert sample.authenticated
    assert not sample.from_saved_session
    assert peer.association.reach == 1


def test_an_answer_counts_once(peer: Peer) -> None:
    reply = peer.reply(peer.ask())
    assert isinstance(peer.give(reply), Sample)
    session = peer.association.session
    assert session is not None
    cookies = list(session.cookies)
    assert peer.give(reply) is None
    assert session.cookies == cookies


def test_an_answer_to_an_earlier_request_is_none(peer: Peer) -> None:
    late = peer.reply(peer.ask())
    request = peer.ask()
    assert peer.give(late) is None
    assert isinstance(peer.give(peer.reply(request)), Sample)


def test_an_answer_nobody_asked_for(peer: Peer) -> None:
    assert peer.give(bytes(48)) is None


@pytest.mark.parametrize("octet", [0, 1, 30, 39, 47, 60, 90, -1])
def test_an_answer_with_one_wrong_bit(peer: Peer, octet: int) -> None:
    request = peer.ask()
    reply = bytearray(peer.reply(request))
    reply[octet] ^= 1
    assert not isinstance(peer.give(bytes(reply)), Sample)
    assert isinstance(peer.give(peer.reply(request)), Sample), "the real one still counts"


@pytest.mark.parametrize("cut", [0, 47, 48, 60, 100])
def test_an_answer_cut_short(peer: Peer, cut: int) -> None:
    """A bare header is what an NTP server without NTS would send: no answer to us."""
    request = peer.ask()
    assert not isinstance(peer.give(peer.reply(request)[:cut]), Sample)


def test_an_answer_in_client_mode(peer: Peer) -> None:
    request = peer.ask()
    assert peer.give(request.packet) is None


def test_a_server_that_does_not_know_the_time(peer: Peer) -> None:
    """Its cookies are taken; but it is as good as silent, and lost in the end."""
    peer.round()
    peer.responder.state = unsynchronized(-20)
    for _ in range(LOST_AFTER + 1):
        assert isinstance(peer.round(), Remark)
    assert peer.association.unanswered == LOST_AFTER
    session = peer.association.session
    assert session is not None
    assert len(session.cookies) == nts.MAX_COOKIES


def held_for(peer: Peer, held: float) -> Sample | Remark | None:
    """What comes of an answer whose server says that it held the request for so long, seconds."""
    request = peer.ask()
    arrived = peer.true()
    reply = peer.responder.answer(
        request.packet, arrived, lambda: type(arrived)(arrived + max(int(held * NS), 0)),
        peer.rng.randbytes,
    )  # fmt: skip
    assert reply is not None
    if held < 0:  # no server's code makes such: swap the stamps, and seal it anew
        stamp = ntp.fold(type(arrived)(arrived + int(held * NS))).to_bytes(8, "big")
        header = reply[:40] + stamp
        session = peer.association.session
        assert session is not None
        reply = nts.seal_response(header, request.packet[UID], (), session.ciphers.s2c, bytes(16))
    return peer.give(reply)


@pytest.mark.parametrize("held", [-1.0, -1.1e-3, DELAY + 0.0011, 1.0, 1e6])
def test_a_server_that_claims_to_have_held_it_too_long(peer: Peer, held: float) -> None:
    remark = held_for(peer, held)
    assert isinstance(remark, Remark)
    assert "held" in remark.text


def test_a_server_whose_stamps_are_of_two_clocks_is_less_sure(peer: Peer) -> None:
    """It sent the answer a little before the request came, says it: its kernel stamps one of
    the two.  Its word is heard, and known less well by as much."""
    at_once = held_for(peer, 0.0)
    backwards = held_for(peer, -0.5e-3)
    assert isinstance(at_once, Sample)
    assert isinstance(backwards, Sample)
    assert backwards.dispersion - at_once.dispersion == pytest.approx(0.5e-3, rel=1e-2)
    assert backwards.distance > at_once.distance + 0.7e-3


@pytest.mark.parametrize("changes", [{"stratum": 16}, {"leap": 3}])
def test_an_authentic_header_that_means_no_time(peer: Peer, changes: dict[str, int]) -> None:
    peer.responder.state = replace(peer.state, **changes)  # type: ignore[arg-type]
    assert isinstance(peer.round(), Remark)


def test_plain_ntp_is_not_authenticated() -> None:
    peer = Peer(nts=False)
    peer.association.begin(peer.now)
    assert peer.association.wants_task(peer.now)
    peer.association.found_addresses((ADDRESS,), peer.now)
    request = peer.ask()
    assert len(request.packet) == ntp.HEADER_LENGTH
    sample = peer.give(peer.reply(request))
    assert isinstance(sample, Sample)
    assert not sample.authenticated


# --- silence ----------------------------------------------------------------------------------


def test_reach_and_unanswered_tell_the_last_polls(peer: Peer) -> None:
    association = peer.association
    for answered in (True, True, False, True):
        request = peer.ask()
        if answered:
            peer.give(peer.reply(request))
    assert association.reach == 0b1101
    assert association.unanswered == 0
    for lost in range(1, 4):
        peer.ask()
        assert association.unanswered == lost - 1
    peer.ask()
    assert association.unanswered == LOST_AFTER


def test_a_server_that_gives_no_cookies_is_lost_too(peer: Peer) -> None:
    """What cannot be asked any more does not answer."""
    session = peer.association.session
    assert session is not None
    peer.round()
    session.cookies.clear()
    peer.wait()
    for expected in range(LOST_AFTER + 1):
        assert peer.association.poll_request(peer.now) is None
        assert peer.association.unanswered == expected
        assert peer.association.wants_task(peer.now) is (expected == 0)
        peer.elapsed += 64


def test_cookies_last_until_new_ones_may_be_asked_for() -> None:
    """Nobody answers, and key exchanges have become rare: what is at hand is spread over the
    time until the next, so that a server that comes back is heard long before."""
    peer = Peer()
    association = peer.association
    association.begin(peer.now)
    association.retry.backoff = Backoff(attempts=10)
    peer.exchange()
    start, sent = peer.elapsed, []
    while not association.wants_task(peer.now):
        peer.wait()
        if association.poll_request(peer.now) is not None:
            sent.append(peer.elapsed - start)
    wait = peer.elapsed - start
    assert wait > 0.8 * KE_RETRY * KE_RETRY_FACTOR**10
    assert len(sent) == 8
    assert max(b - a for a, b in pairwise([*sent, wait])) < wait / 3


# --- kisses and NAKs (R11) --------------------------------------------------------------------


@pytest.mark.parametrize("code", [b"RATE", b"DENY", b"RSTR"])
def test_a_kiss_that_nobody_authenticated_is_nothing(peer: Peer, code: bytes) -> None:
    request = peer.ask()
    assert not isinstance(peer.give(kiss(request.packet, code)), Sample)
    assert peer.association.poll == peer.association.config.minpoll
    assert isinstance(peer.give(peer.reply(request)), Sample)


@pytest.mark.parametrize("code", [b"RATE", b"DENY", b"RSTR"])
def test_a_kiss_slows_to_maxpoll_at_most(code: bytes) -> None:
    peer = Peer(nts=False)
    peer.association.begin(peer.now)
    peer.association.wants_task(peer.now)
    peer.association.found_addresses((ADDRESS,), peer.now)
    request = peer.ask()
    origin = ntp.decode(request.packet).transmit
    packet = ntp.Packet(ntp.MODE_SERVER, 1, leap=3, reference_id=code, origin=origin)
    assert isinstance(peer.give(ntp.encode(packet)), Remark)
    assert peer.association.poll == 10
    assert peer.association.addresses == (ADDRESS,)
    assert isinstance(peer.give(peer.reply(request)), Sample), "and the real answer still counts"


def test_an_authentic_kiss_counts_once_and_its_cookies_are_taken(peer: Peer) -> None:
    request = peer.ask()
    session = peer.association.session
    assert session is not None
    header = kiss(request.packet, b"RATE")[: ntp.HEADER_LENGTH]
    reply = nts.seal_response(
        header, request.packet[UID], (b"fresh" * 20,), session.ciphers.s2c, bytes(16)
    )
    assert isinstance(peer.give(reply), Remark)
    assert peer.association.poll == 10
    assert peer.give(reply) is None
    assert session.cookies.count(b"fresh" * 20) == 1
    peer.ask()
    assert peer.association.unanswered == 1, "it told no time"


def test_a_nak_of_another_identifier_is_dropped(peer: Peer) -> None:
    request = peer.ask()
    remark = peer.give(kiss(request.packet, b"NTSN", bytes(32)))
    assert not isinstance(remark, Sample)
    assert peer.association.counters.naks == 0


def test_a_nak_deletes_nothing_and_the_real_answer_still_counts(peer: Peer) -> None:
    request, session = peer.ask(), peer.association.session
    for _ in range(5):
        assert isinstance(peer.give(kiss(request.packet, b"NTSN")), Remark)
    assert peer.association.session is session
    assert isinstance(peer.give(peer.reply(request)), Sample)
    peer.ask()
    assert not peer.association.wants_task(peer.now)


def test_naks_to_one_request_are_one_nak(peer: Peer) -> None:
    """A new exchange only after the next poll fails too."""
    peer.round()
    request = peer.ask()
    for _ in range(5):
        peer.give(kiss(request.packet, b"NTSN"))
    request = peer.ask()
    assert not peer.association.wants_task(peer.now)
    peer.give(kiss(request.packet, b"NTSN"))
    peer.ask()
    assert peer.association.wants_task(peer.now)


def test_the_old_session_lives_until_the_exchange_succeeds(peer: Peer) -> None:
    peer.round()
    old = peer.association.session
    peer.forget_keys()
    for _ in range(2):
        peer.round()
    peer.ask()
    assert peer.association.wants_task(peer.now)
    peer.association.task_failed(Failure("no answer"), True, peer.now)
    assert peer.association.session is old
    peer.ask()
    peer.elapsed += 20
    peer.exchange()
    assert peer.association.session is not old
    assert isinstance(peer.round(), Sample)


def test_the_other_keys_are_tried_after_a_nak() -> None:
    """AES-128-GCM-SIV: two ways to derive keys are about, the server's NAK tells which."""
    for algorithm in ALGORITHMS.values():
        peer = Peer()
        peer.association.begin(peer.now)
        assert peer.association.wants_task(peer.now)
        session = peer.session(algorithm, wrong=1)
        peer.association.found_keys(session, peer.now)
        assert isinstance(peer.round(), Remark)
        sample = peer.round()
        assert isinstance(sample, Sample)
        assert peer.association.counters.naks == 1


def test_forged_naks_do_not_destroy_the_right_keys(peer: Peer) -> None:
    """Anybody on the path can send one: the pair it was about must not be gone."""
    session = peer.session(wrong=1)
    session.keys.reverse()
    session._use(session.keys[0])
    pairs = set(session.keys)
    peer.association.found_keys(session, peer.now)
    for _ in range(3):
        peer.give(kiss(peer.ask().packet, b"NTSN"))
    peer.ask()
    assert set(session.keys) == pairs
    peer.elapsed += 1.2 * KE_RETRY * KE_RETRY_FACTOR
    assert peer.association.wants_task(peer.now), "and an exchange sorts it out"


# --- key exchanges again (R12) ----------------------------------------------------------------


def waits(peer: Peer, number: int, said_hello: bool = True) -> list[float]:
    """Seconds between the attempts, each failing at once."""
    found: list[float] = []
    association = peer.association
    association.begin(peer.now)
    last = None
    while len(found) < number:
        peer.wait()
        assert association.wants_task(peer.now)
        association.task_failed(Failure("no"), said_hello, peer.now)
        if last is not None:
            found.append(peer.elapsed - last)
        last = peer.elapsed
    return found


def test_r12_ten_seconds_growing_by_half_up_to_a_day() -> None:
    found = waits(Peer(), 40)
    for n, wait in enumerate(found):
        base = min(KE_RETRY * KE_RETRY_FACTOR**n, KE_RETRY_MAX)
        assert 0.79 * base <= wait <= 1.21 * base, n
    assert len(set(found)) == len(found), "jittered"


def test_r12_two_clients_do_not_keep_step() -> None:
    assert waits(Peer(1), 5) != waits(Peer(2), 5)


def test_r12_who_was_never_reached_is_tried_each_minute_for_ever() -> None:
    found = waits(Peer(), 3000, said_hello=False)
    assert found[:3] == [pytest.approx(2.0**n, rel=0.21) for n in range(3)]
    assert max(found) <= 1.21 * UNREACHED_RETRY_MAX


def test_r12_only_a_success_that_was_used_resets(peer: Peer) -> None:
    """Exchanges that yield keys which nobody honours come as seldom as failing ones."""
    association = peer.association
    times = []
    for _ in range(6):
        peer.forget_keys()
        while not association.wants_task(peer.now):
            peer.wait()
            request = association.poll_request(peer.now)
            if request is not None:
                peer.give(peer.reply(request))
        times.append(peer.elapsed)
        association.found_keys(peer.session(), peer.now)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[-1] > KE_RETRY * KE_RETRY_FACTOR**4
    assert association.attempts > 5
    assert isinstance(peer.round(), Sample)
    assert association.attempts == 0


def test_r12_the_old_sessions_answers_do_not_reset(peer: Peer) -> None:
    """Keys are to be renewed, the key server is broken, the old keys still work."""
    peer.round()
    association = peer.association
    association.renew(peer.now)
    starts = []
    end = peer.elapsed + DAY
    while peer.elapsed < end:
        peer.wait()
        if association.wants_task(peer.now):
            starts.append(peer.elapsed)
            association.task_failed(Failure("no"), True, peer.now)
        request = association.poll_request(peer.now)
        if request is not None:
            peer.give(peer.reply(request))
    assert len(starts) < 25
    assert association.reach == 0xFF


def test_a_reason_is_said_once(peer: Peer) -> None:
    association = peer.association
    first = association.task_failed(Failure("no route"), False, peer.now)
    assert first is not None
    assert first.level == logging.WARNING
    assert association.task_failed(Failure("no route"), False, peer.now) is None
    assert association.task_failed(Failure("refused"), True, peer.now) is not None


def test_one_task_at_a_time() -> None:
    peer = Peer()
    peer.association.begin(peer.now)
    assert peer.association.wants_task(peer.now)
    peer.elapsed += DAY
    assert not peer.association.wants_task(peer.now)


def test_destroyed_keys_authenticate_nothing(peer: Peer) -> None:
    reply = peer.reply(peer.ask())
    peer.association.drop_session("R6: not good", peer.now)
    assert peer.give(reply) is None
    assert peer.association.poll_request(peer.now) is None
    peer.wait()
    assert peer.elapsed >= 1.0 + 0.8 * KE_RETRY
    assert peer.association.wants_task(peer.now)


def test_it_begins_with_a_saved_session() -> None:
    peer = Peer()
    session = revive(saved_of(peer.session()))
    assert session is not None
    peer.association.begin(peer.now, session)
    assert not peer.association.wants_task(peer.now)
    sample = peer.round()
    assert isinstance(sample, Sample)
    assert sample.from_saved_session
    assert len(session.cookies) == nts.MAX_COOKIES


def test_a_saved_session_without_an_answer_is_replaced() -> None:
    """Its one cookie is spent: the next poll asks for keys."""
    peer = Peer()
    session = revive(saved_of(peer.session()))
    peer.association.begin(peer.now, session)
    peer.ask()
    peer.wait()
    assert peer.association.poll_request(peer.now) is None
    assert peer.association.wants_task(peer.now)


def test_due_at_the_very_start_of_the_boot_clock() -> None:
    association = Association(SourceConfig("ntp.a.test"), bytes)
    start = Peer().reading(-1.0).boot
    assert start == 0
    association.begin(start)
    assert association.due() == 0


# --- any source, any path, any jitter ---------------------------------------------------------

PLAIN = SourceConfig("ntp.a.test", nts=False)
OTHER = Address("192.0.2.2", 123)
KISSES = ("RATE", "DENY", "RSTR")
ERROR = 50e-6
"""How far the readings of a `Lab` may be off, seconds."""


class Lab(Peer):
    """A peer of a source of any configuration, which begins with keys or an address.  `octet`
    is what all jitter is drawn as; middle is no jitter."""

    def __init__(self, config: SourceConfig = PLAIN, octet: int = 127, start: float = 1.0) -> None:
        super().__init__(nts=config.nts)
        self.elapsed = start
        self.octet = octet
        self.association = Association(config, self.entropy)

    def entropy(self, length: int) -> bytes:
        return bytes([self.octet]) if length == 1 else self.rng.randbytes(length)

    def begun(self) -> "Lab":
        self.association.begin(self.now)
        if self.association.config.nts:
            self.exchange()
        elif self.association.wants_task(self.now):
            self.association.found_addresses((ADDRESS,), self.now)
        return self

    def kiss(self, code: str) -> Remark:
        remark = self.give(kiss(self.ask().packet, code.encode(), bytes(32)))
        assert isinstance(remark, Remark)
        return remark

    def gaps(self, number: int, answered: bool = True) -> list[float]:
        """Seconds between requests."""
        times = []
        for _ in range(number + 1):
            request = self.ask()
            if answered:
                assert isinstance(self.give(self.reply(request)), Sample)
            times.append(self.elapsed)
        return [b - a for a, b in pairwise(times)]

    def over(self, out: float, stay: float, back: float) -> Sample | Remark | None:
        """One exchange of packets over a path of any two lengths."""
        request = self.ask()
        arrival = Instant(self.true() + nanoseconds(out))
        reply = self.responder.answer(
            request.packet, arrival, lambda: Instant(arrival + nanoseconds(stay)), self.entropy
        )
        assert reply is not None
        return self.association.receive(
            reply, self.reading(), self.reading(out + stay + back), ERROR, self.true()
        )


def standing(association: Association) -> tuple[object, ...]:
    """All that a packet which is nothing must leave alone."""
    session = association.session
    return (
        association.reach, association.unanswered, association.poll, association.addresses,
        session, tuple(session.cookies) if session else (), association.due(),
        association.counters.answers, association.last_answer,
    )  # fmt: skip


BOTH = pytest.mark.parametrize("config", [SourceConfig("ntp.a.test"), PLAIN], ids=["nts", "plain"])


@BOTH
def test_the_same_request_leaves_in_any_year(config: SourceConfig) -> None:
    assert Lab(config, start=1.0).begun().ask() == Lab(config, start=5e7).begun().ask()


@pytest.mark.parametrize("octet", [0, 127, 255])
@pytest.mark.parametrize("poll", [3, 6, 10, 17])
def test_intervals_spread_by_one_percent_either_way(octet: int, poll: int) -> None:
    share = 0.99 + 0.02 * octet / 255
    peer = Lab(octet=octet).begun()
    peer.association.poll = poll
    found = peer.gaps(BURST + 1)
    assert found[: BURST - 1] == [pytest.approx(BURST_INTERVAL * share)] * 3
    assert found[BURST - 1 :] == [pytest.approx(2.0**poll * share)] * 2


def test_a_burst_is_never_slower_than_the_poll() -> None:
    assert max(Lab(replace(PLAIN, minpoll=0)).begun().gaps(6)) <= 1.01


def test_nothing_is_sent_before_it_is_due() -> None:
    peer = Lab().begun()
    for _ in range(10):
        due = peer.association.due()
        assert due is not None
        assert peer.association.poll_request(Boot(due - 1)) is None
        assert isinstance(peer.round(), Sample)


def test_reach_holds_the_last_eight_polls(rng: random.Random) -> None:
    peer = Lab().begun()
    heard: list[bool] = []
    for _ in range(60):
        silent = next((n for n, good in enumerate(reversed(heard)) if good), len(heard))
        request = peer.ask()
        assert peer.association.unanswered == silent
        heard.append(rng.random() < 0.5)
        if heard[-1]:
            peer.give(peer.reply(request))
        bits = sum(1 << n for n, good in enumerate(reversed(heard[-8:])) if good)
        assert peer.association.reach == bits


def test_a_lost_source_is_probed_and_then_polled_as_often_as_allowed() -> None:
    peer = Lab().begun()
    peer.gaps(BURST)
    peer.association.poll = 10
    peer.ask()
    polls = []
    for _ in range(LOST_AFTER + 2):
        polls.append((peer.association.unanswered, peer.association.poll))
        peer.ask()
    assert polls == [(0, 10), (1, 10), (2, 10), (3, 6), (4, 6)]
    # The probes after 1, 2 and 4 s went out in the loop.
    expected = [8.0, 16.0, 32.0, 64.0, 64.0]
    assert peer.gaps(5, answered=False) == [pytest.approx(s, rel=0.011) for s in expected]
    peer.gaps(1)
    assert min(peer.gaps(2)) > 63, "no burst when it comes back"


def test_a_lost_plain_source_has_its_name_looked_up_again() -> None:
    peer = Lab().begun()
    peer.round()
    for _ in range(LOST_AFTER):
        peer.ask()
        assert not peer.association.wants_task(peer.now)
    peer.ask()
    assert peer.association.wants_task(peer.now)
    peer.association.found_addresses((OTHER,), peer.now)
    assert peer.ask().address == OTHER


def test_new_keys_bring_a_burst_after_silence_only() -> None:
    peer = Lab(SourceConfig("ntp.a.test")).begun()
    peer.gaps(BURST)
    peer.association.renew(peer.now)
    peer.exchange()
    assert min(peer.gaps(2)) > 60
    for _ in range(LOST_AFTER + 1):
        peer.ask()
    peer.elapsed += 1000
    peer.association.renew(peer.now)
    peer.exchange()
    assert peer.gaps(BURST)[: BURST - 1] == [pytest.approx(BURST_INTERVAL, rel=0.011)] * 3


def test_a_dead_first_address_costs_one_poll() -> None:
    peer = Lab().begun()
    peer.association.addresses = (ADDRESS, OTHER)
    asked = []
    for _ in range(8):
        request = peer.ask()
        asked.append(request.address)
        if request.address == OTHER:
            peer.give(peer.reply(request))
    assert asked == [ADDRESS] + [OTHER] * 7


def test_configured_addresses_of_a_plain_source_are_asked_at_once() -> None:
    peer = Lab(replace(PLAIN, addresses=("192.0.2.9", "2001:db8::9")))
    peer.association.begin(peer.now)
    request = peer.association.poll_request(peer.now)
    assert request is not None
    assert request.address == Address("192.0.2.9", 123)
    assert peer.association.wants_task(peer.now), "its name is looked up beside"
    peer.association.task_failed(Failure("no resolver"), False, peer.now)
    assert isinstance(peer.give(peer.reply(request)), Sample)
    assert peer.association.addresses[1] == Address("2001:db8::9", 123)


def test_configured_addresses_of_an_nts_source_are_its_key_servers() -> None:
    association = Lab(SourceConfig("ntp.a.test", addresses=("192.0.2.9",))).association
    association.begin(Boot(1))
    assert association.poll_request(Boot(1)) is None
    assert association.wants_task(Boot(1))


def test_a_source_of_one_cookie_that_lost_it_asks_for_a_task() -> None:
    peer = Peer()
    peer.association.begin(peer.now)
    session = peer.exchange(cookies=1)
    peer.ask()
    peer.wait()
    assert peer.association.poll_request(peer.now) is None
    peer.elapsed += 1.2 * KE_RETRY
    assert peer.association.wants_task(peer.now)
    assert peer.association.session is session


# --- kisses to who can be fooled by them ------------------------------------------------------


@pytest.mark.parametrize("code", KISSES)
def test_kisses_slow_to_maxpoll_and_remove_nothing(code: str) -> None:
    peer = Lab().begun()
    for _ in range(LOST_AFTER):
        remark = peer.kiss(code)
        assert "R11" in remark.text
        assert code in remark.text
        assert peer.association.poll == PLAIN.maxpoll
    assert peer.association.addresses == (ADDRESS,)
    assert isinstance(peer.round(), Sample)


@pytest.mark.parametrize("code", ["XFAC", "STEP", "NTSN", "INIT", "rate"])
def test_other_kisses_do_not_even_slow(code: str) -> None:
    peer = Lab().begun()
    assert "slow" not in peer.kiss(code).text
    assert peer.association.poll == PLAIN.minpoll
    assert isinstance(peer.round(), Sample)


@pytest.mark.parametrize(
    ("code", "word"),
    [("RATE", "too often"), ("DENY", "access list"), ("RSTR", "access list"),
     ("INIT", "not synchronized"), ("STEP", "not synchronized"), ("XFAC", "RFC 5905")],
)  # fmt: skip
def test_the_hint_explains_the_code_that_came(code: str, word: str) -> None:
    assert word in Lab().begun().kiss(code).hint


@pytest.mark.parametrize("code", KISSES)
def test_who_was_kissed_off_does_not_ask_again_in_two_seconds(code: str) -> None:
    peer = Lab().begun()
    peer.kiss(code)
    before = peer.elapsed
    peer.ask()
    assert peer.elapsed - before > 0.98 * 2**PLAIN.maxpoll


@pytest.mark.parametrize("code", KISSES)
def test_who_is_kissed_off_each_time_does_not_ask_faster_for_it(code: str) -> None:
    peer = Lab().begun()
    peer.kiss(code)
    peer.kiss(code)
    times = []
    for _ in range(LOST_AFTER + 2):
        peer.kiss(code)
        times.append(peer.elapsed)
    assert min(b - a for a, b in pairwise(times)) > 0.98 * 2**PLAIN.maxpoll


def test_proven_keys_are_not_turned_from_for_a_nak(peer: Peer) -> None:
    session = peer.association.session
    assert session is not None
    right = session.keys[0]
    session.keys.append((bytes(32), bytes(32)))
    peer.round()
    peer.give(kiss(peer.ask().packet, b"NTSN"))
    assert isinstance(peer.round(), Sample)
    assert session.keys[0] == right


# --- what is nothing --------------------------------------------------------------------------


def changed(data: bytes, **values: int | float | bytes) -> bytes:
    """With another header."""
    header = replace(ntp.decode(data), **values)  # type: ignore[arg-type]
    return ntp.encode(header) + data[ntp.HEADER_LENGTH :]


@BOTH
@pytest.mark.parametrize(
    "values",
    [{"origin": 0}, {"origin": 1}, {"mode": 1}, {"mode": 2}, {"mode": 3}, {"mode": 5},
     {"mode": 6}, {"mode": 7}, {"version": 3}, {"version": 5}],
    ids=str,
)  # fmt: skip
def test_an_answer_that_is_not_ours_leaves_no_trace(
    config: SourceConfig, values: dict[str, int | bytes]
) -> None:
    peer = Lab(config).begun()
    request = peer.ask()
    before = standing(peer.association)
    assert not isinstance(peer.give(changed(peer.reply(request), **values)), Sample)
    assert standing(peer.association) == before
    assert isinstance(peer.give(peer.reply(request)), Sample), "the real one still counts"


@BOTH
def test_late_and_second_answers_leave_no_trace(config: SourceConfig) -> None:
    peer = Lab(config).begun()
    late = peer.reply(peer.ask())
    request = peer.ask()
    before = standing(peer.association)
    assert peer.give(late) is None
    assert standing(peer.association) == before
    replies = [peer.reply(request), peer.reply(request)]
    assert isinstance(peer.give(replies[0]), Sample)
    before = standing(peer.association)
    for reply in [*replies, late]:
        assert peer.give(reply) is None
        assert standing(peer.association) == before


def test_an_answer_under_other_keys_or_to_another_identifier_leaves_no_trace(peer: Peer) -> None:
    session = peer.association.session
    assert session is not None
    request = peer.ask()
    header, own = peer.reply(request)[: ntp.HEADER_LENGTH], request.packet[UID]
    before = standing(peer.association)
    ours, other = session.ciphers.s2c, Aead(SIV, bytes(SIV.key_length))
    for data in (
        nts.seal_response(header, own, (), other, bytes(16)),
        nts.seal_response(header, own, (), session.ciphers.c2s, bytes(16)),
        nts.seal_response(header, bytes(32), (), ours, bytes(16)),
        nts.nak(header, own),
    ):
        assert isinstance(peer.give(data), Remark)
        assert standing(peer.association) == before
    assert isinstance(peer.give(nts.seal_response(header, own, (), ours, bytes(16))), Sample)


@given(st.data())
def test_no_bit_of_an_authentic_answer_can_be_flipped(data: st.DataObject) -> None:
    peer = Lab(SourceConfig("ntp.a.test")).begun()
    reply = peer.reply(peer.ask())
    bit = data.draw(st.integers(0, 8 * len(reply) - 1))
    flipped = bytearray(reply)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not isinstance(peer.give(bytes(flipped)), Sample)
    assert isinstance(peer.give(reply), Sample)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fall_over(tail: bytes) -> None:
    for config in (SourceConfig("ntp.a.test"), PLAIN):
        peer = Lab(config).begun()
        request = peer.ask()
        for data in (tail, peer.reply(request)[:48] + tail, kiss(request.packet, b"NTSN", tail)):
            peer.give(data)


@pytest.mark.parametrize(
    ("values", "good"),
    [
        ({"stratum": 1}, True),
        ({"stratum": 15}, True),
        ({"stratum": 16}, False),
        ({"stratum": 255}, False),
        ({"stratum": 0, "reference_id": bytes(4)}, False),
        ({"leap": 1}, True),
        ({"leap": 2}, True),
        ({"leap": 3}, False),
        ({"receive": 0}, False),
        ({"transmit": 0}, False),
        # RFC 5905, A.5.1.1: root distance below MAXDISP, last set before the answer left.
        ({"root_dispersion": 15.9}, True),
        ({"root_dispersion": 16.0}, False),
        ({"root_delay": 31.8}, True),
        ({"root_delay": 40.0}, False),
        ({"root_delay": 16.0, "root_dispersion": 8.0}, False),
        ({"reference": ntp.fold(TRUE)}, True),
        ({"reference": ntp.fold(Instant(TRUE + 86_400 * NS))}, False),
        ({"reference": 0}, True),
    ],
    ids=str,
)
def test_what_a_header_must_say_to_be_believed(
    values: dict[str, int | float | bytes], good: bool
) -> None:
    peer = Lab().begun()
    outcome = peer.give(changed(peer.reply(peer.ask()), **values))
    assert isinstance(outcome, Sample if good else Remark)
    assert peer.association.reach == good


# --- samples ----------------------------------------------------------------------------------


def test_the_sample_of_an_asymmetric_path() -> None:
    peer = Lab(SourceConfig("ntp.a.test")).begun()
    peer.responder.state = replace(
        peer.state, stratum=2, leap=1, root_delay=0.010, root_dispersion=0.002, dispersion_rate=0.0,
        reference_id=b"\xc0\0\2\1", precision=-10,
    )  # fmt: skip
    out, stay, back = 0.030, 0.004, 0.010
    sample = peer.over(out, stay, back)
    assert isinstance(sample, Sample)
    trip = out + stay + back
    assert (sample.raw, sample.boot) == (peer.reading(trip / 2).raw, peer.reading(trip / 2).boot)
    # The middle of the server's part comes (out - back) / 2 after the middle of the exchange.
    error = seconds(sample.time - peer.true()) - trip / 2
    assert error == pytest.approx((out - back) / 2, abs=2e-9)
    assert sample.delay == pytest.approx(out + back, abs=2e-9)
    assert sample.dispersion == pytest.approx(2**-10 + ERROR + DRIFT * trip, rel=1e-9)
    assert 0.010 <= sample.root_delay < 0.010 + 2 / ntp.SHORT
    assert 0.002 <= sample.root_dispersion < 0.002 + 2 / ntp.SHORT
    assert sample.distance == pytest.approx(
        (sample.delay + sample.root_delay) / 2 + sample.dispersion + sample.root_dispersion
    )
    assert (sample.stratum, sample.leap, sample.reference_id) == (2, 1, b"\xc0\0\2\1")
    assert peer.association.last_answer == peer.reading(trip).boot


ways = st.floats(0, 2)


@given(ways, ways, ways)
def test_the_truth_lies_within_the_distance_whatever_the_path(
    out: float, stay: float, back: float
) -> None:
    peer = Lab().begun()
    sample = peer.over(out, stay, back)
    assert isinstance(sample, Sample)
    truth = peer.true() + (sample.raw - peer.reading().raw)
    assert abs(seconds(sample.time - truth)) <= sample.delay / 2 + 1e-8
    assert abs(seconds(sample.time - truth)) <= sample.distance
    assert sample.delay > 0


@pytest.mark.parametrize(
    ("stay", "good"), [(0.0, True), (DELAY, True), (DELAY + 0.9e-3, True), (DELAY + 1.1e-3, False)]
)
def test_a_coarse_clock_may_seem_to_have_held_it_a_little_too_long(stay: float, good: bool) -> None:
    outcome = Lab().begun().over(0.0, stay, DELAY - stay)
    assert isinstance(outcome, Sample if good else Remark)
    assert not isinstance(outcome, Sample) or outcome.delay > 0


def test_the_era_is_that_of_what_is_known_already() -> None:
    peer = Lab().begun()
    reply = peer.reply(peer.ask())
    near = Instant(peer.true() + (2**32 + 10**9) * NS)
    sample = peer.association.receive(reply, peer.reading(), peer.reading(DELAY), ERROR, near)
    assert isinstance(sample, Sample)
    assert seconds(sample.time - peer.true()) == pytest.approx(2.0**32, abs=1.0)


# --- jitter of key exchanges (R12) ------------------------------------------------------------


@pytest.mark.parametrize(("octet", "share"), [(0, 0.8), (255, 1.2)])
def test_r12_twenty_percent_either_way(octet: int, share: float) -> None:
    expected = [pytest.approx(share * min(10 * 1.5**n, 86400.0)) for n in range(30)]
    assert waits(Lab(SourceConfig("ntp.a.test"), octet), 30) == expected


@BOTH
@pytest.mark.parametrize(("octet", "share"), [(0, 0.8), (255, 1.2)])
def test_r12_unreached_servers_from_one_second_to_a_minute(
    config: SourceConfig, octet: int, share: float
) -> None:
    peer = Lab(config, octet)
    expected = [pytest.approx(share * min(2.0**n, 64.0)) for n in range(9)]
    assert waits(peer, 9, said_hello=False) == expected
    assert peer.association.attempts == 0, "no server was burdened"


def test_r12_a_slow_failure_is_not_retried_in_the_same_second() -> None:
    peer = Peer()
    peer.association.begin(peer.now)
    assert peer.association.wants_task(peer.now)
    peer.elapsed += 3600
    peer.association.task_failed(Failure("slow"), True, peer.now)
    assert not peer.association.wants_task(peer.now)
    peer.wait()
    assert peer.elapsed == pytest.approx(3602)
    assert peer.association.wants_task(peer.now)


# --- probes (R12) -----------------------------------------------------------------------------


@BOTH
def test_r12_who_never_answered_is_asked_after_1_2_4_seconds(config: SourceConfig) -> None:
    gaps = Lab(config).begun().gaps(7, answered=False)
    if config.nts:  # eight cookies
        gaps = gaps[:7]
    expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    assert gaps == [pytest.approx(s, rel=0.011) for s in expected]


@BOTH
@pytest.mark.parametrize("silent", [0, 1, 5])
def test_the_first_burst_begins_with_the_first_answer(config: SourceConfig, silent: int) -> None:
    peer = Lab(config).begun()
    for _ in range(silent):
        peer.ask()
    gaps = peer.gaps(BURST)
    assert gaps[:-1] == [pytest.approx(BURST_INTERVAL, rel=0.011)] * (BURST - 1)
    assert gaps[-1] == pytest.approx(64.0, rel=0.011)


def test_keys_that_worked_are_not_given_up_within_seconds(peer: Peer) -> None:
    """A silence of minutes must not cost a saved session, which no certificate replaces."""
    peer.round()
    session = peer.association.session
    assert session is not None
    while not peer.association.unanswered:
        peer.ask()
    start = peer.elapsed
    while session.cookies:
        peer.ask()
    assert peer.elapsed - start > 3 * 60


def saved(peer: Peer) -> None:
    """Begin with a saved session."""
    session = revive(saved_of(peer.session()))
    peer.association.begin(peer.now, session)


def test_a_saved_session_that_is_silent_for_a_second_is_helped_by_an_exchange() -> None:
    peer = Peer()
    saved(peer)
    late = peer.reply(peer.ask())
    start = peer.elapsed
    peer.wait()
    assert peer.elapsed - start == pytest.approx(1.0, rel=0.011)
    assert peer.association.poll_request(peer.now) is None, "its one cookie is spent"
    assert peer.association.wants_task(peer.now)
    sample = peer.give(late)
    assert isinstance(sample, Sample), "a slow path's answer is still welcome"
    assert sample.from_saved_session
    assert (peer.association.reach, peer.association.unanswered) == (1, 0)
    assert isinstance(peer.round(), Sample)


def test_an_answer_to_keys_that_were_replaced_is_none() -> None:
    peer = Peer()
    saved(peer)
    late = peer.reply(peer.ask())
    peer.wait()
    assert peer.association.poll_request(peer.now) is None
    peer.exchange()
    assert peer.give(late) is None
    assert isinstance(peer.round(), Sample)


# --- a network that is late -------------------------------------------------------------------


def test_a_cookie_that_never_left_is_not_lost() -> None:
    peer = Peer()
    saved(peer)
    cookies = []
    for expected in (1.0, 2.0, 4.0):
        cookies.append(fields(peer.ask().packet)[nts.COOKIE])
        peer.association.unsent()
        start = peer.elapsed
        due = peer.association.schedule.due
        assert due is not None
        assert due / NS - start == pytest.approx(expected, rel=0.011)
    assert peer.association.counters.requests == 0
    assert isinstance(peer.round(), Sample)
    assert len(set(map(tuple, cookies))) == 1
    session = peer.association.session
    assert session is not None
    assert tuple(session.cookies) not in set(map(tuple, cookies))


def test_requests_that_cannot_leave_are_unanswered(peer: Peer) -> None:
    peer.round()
    for expected in range(LOST_AFTER + 1):
        peer.ask()
        assert peer.association.unanswered == expected
        peer.association.unsent()
        peer.association.unsent()
    assert peer.association.wants_task(peer.now) is False, "cookies are there"


@BOTH
def test_r12_link_up_repeats_at_once_what_nobody_answered(config: SourceConfig) -> None:
    peer = Lab(config, octet=255).begun()
    peer.gaps(5, answered=False)
    peer.elapsed += 5
    peer.association.network_changed(peer.now)
    start = peer.elapsed
    peer.ask()
    assert peer.elapsed - start == pytest.approx(0.5)
    peer.ask()
    assert peer.elapsed - start == pytest.approx(1.5, rel=0.011), "and then 1, 2, 4 s again"


def test_r12_link_up_repeats_a_poll_out_of_turn_once(peer: Peer) -> None:
    """It is one poll still: a cable that is plugged in does not lose anybody."""
    while peer.association.schedule._burst:
        peer.round()
    peer.ask()
    due = peer.association.schedule.due
    for _ in range(LOST_AFTER + 1):
        peer.elapsed += 2
        peer.association.network_changed(peer.now)
        peer.wait()
        assert peer.association.poll_request(peer.now) is not None
        assert peer.association.unanswered == 0
    assert peer.association.schedule.due == due
    peer.elapsed += 2
    peer.association.network_changed(peer.now)
    peer.wait()
    request = peer.association.poll_request(peer.now)
    assert request is not None
    assert isinstance(peer.give(peer.reply(request)), Sample)
    peer.association.network_changed(peer.now)
    assert peer.association.due() == due, "it was answered"


def test_r12_a_link_that_flaps_does_not_spend_the_last_cookie() -> None:
    peer = Lab(SourceConfig("ntp.a.test"))
    peer.association.retry.backoff = Backoff(attempts=10)
    peer.begun()
    sent = 0
    for _ in range(100):
        peer.elapsed += 1.0
        peer.association.network_changed(peer.now)
        sent += peer.association.poll_request(peer.now) is not None
    assert sent == 7
    session = peer.association.session
    assert session is not None
    assert len(session.cookies) == 1


def test_r12_link_up_does_not_hasten_who_was_kissed_off() -> None:
    peer = Lab().begun()
    peer.kiss("RATE")
    due = peer.association.due()
    peer.association.network_changed(peer.now)
    assert peer.association.due() == due


def test_a_plain_source_asks_the_addresses_of_last_time() -> None:
    peer = Lab(replace(PLAIN, addresses=("192.0.2.9",)))
    peer.association.begin(peer.now, known=("192.0.2.8", "192.0.2.9"))
    hosts = [address.host for address in peer.association.addresses]
    assert hosts == ["192.0.2.9", "192.0.2.8"]
    assert peer.association.poll_request(peer.now) is not None
