"""The interleaved mode (RFC 9769): of a server that is near, the next answer tells when the
last one really left."""

import random
import select
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pints.client.association import INTERLEAVED_POLL, INTERLEAVED_WITHIN, Association, Remark
from pints.client.packets import Request
from pints.client.schedule import BURST
from pints.config.tables import SourceConfig
from pints.shell.system_clock import SystemClock
from pints.shell.udp import NetError, RequestSocket, Stamp
from pints.timescale import NS, Instant, Reading, nanoseconds, seconds
from pints.values.address import Address
from pints.values.sample import Sample
from pints.wire import ntp, nts
from tests.chronyd import chronyd, host_now, running
from tests.client.peer import ADDRESS, DELAY, TRUE, Peer

HELD = 50e-6
"""Seconds between what the server says in an answer and the answer's departure."""


class Interleaving(Peer):
    """A server that remembers when it answered what, for who asks by NTP without NTS."""

    def __init__(self, wanted: str = "always") -> None:
        super().__init__(nts=False)
        self.association.config = replace(self.association.config, interleaved=wanted)
        self.association.found_addresses((ADDRESS,), self.now)
        self.left: dict[int, int] = {}
        self.forgetful = False

    def reply(self, request: Request, lie: float = 0.0) -> bytes:
        asked = ntp.decode(request.packet)
        arrival = Instant(self.true() + nanoseconds(DELAY / 2))
        answer = ntp.decode(super().reply(request, lie))
        before = None if self.forgetful else self.left.get(asked.origin)
        if before is not None:
            answer = replace(answer, origin=asked.receive, transmit=before)
        self.left[answer.receive] = ntp.fold(Instant(arrival + nanoseconds(HELD)))
        return ntp.encode(answer)

    def give(self, data: bytes) -> Sample | Remark | None:
        """It comes HELD later than it would have to."""
        sent, received = self.reading(), self.reading(DELAY + HELD)
        return self.association.receive(data, sent, received, 0.0, self.true())

    def steady(self) -> Sample:
        """The last of the first burst."""
        samples = [self.round() for _ in range(BURST)]
        assert isinstance(samples[-1], Sample)
        return samples[-1]


def off(sample: Sample | Remark | None) -> float:
    """By how much a sample is off the truth, seconds."""
    assert isinstance(sample, Sample)
    return seconds(sample.time - TRUE) - seconds(sample.boot)


def test_the_departure_is_told_by_the_next_answer() -> None:
    peer = Interleaving()
    basic, last = peer.steady(), peer.reading()
    assert off(basic) == pytest.approx(-HELD / 2, abs=1e-6)
    exact = peer.round()
    assert isinstance(exact, Sample)
    assert off(exact) == pytest.approx(0.0, abs=1e-6)
    assert exact.delay == pytest.approx(DELAY, abs=1e-6)
    assert exact.boot == basic.boot, "the same exchange"
    assert exact.boot < last.boot + NS < peer.now
    assert peer.association.counters.interleaved == 1


def test_a_request_names_the_answer_before_it_and_nothing_else() -> None:
    peer = Interleaving()
    peer.steady()
    for _ in range(3):
        answer = ntp.decode(peer.reply(request := peer.ask()))
        peer.give(ntp.encode(answer))
        asked = ntp.decode(peer.ask().packet)
        assert asked.origin == answer.receive
        assert len({asked.receive, asked.transmit, ntp.decode(request.packet).transmit, 0}) == 4
        peer.give(peer.reply(peer.requests[-1]))


def test_what_was_not_answered_is_not_named() -> None:
    peer = Interleaving()
    peer.steady()
    peer.ask()
    request = ntp.decode(peer.ask().packet)
    assert (request.origin, request.receive) == (0, 0)


@pytest.mark.parametrize("event", ["network", "addresses"])
def test_nothing_is_named_to_who_may_be_another(event: str) -> None:
    peer = Interleaving()
    peer.steady()
    if event == "network":
        peer.association.network_changed(peer.now)
    else:
        peer.association.found_addresses((ADDRESS,), peer.now)
    assert ntp.decode(peer.ask().packet).origin == 0


def test_not_in_the_first_burst() -> None:
    peer = Interleaving()
    for _ in range(BURST):
        assert ntp.decode(peer.ask().packet).origin == 0
        assert peer.give(peer.reply(peer.requests[-1]))


def test_a_server_that_forgets_is_understood() -> None:
    peer = Interleaving()
    peer.steady()
    peer.round()
    peer.forgetful = True
    assert off(peer.round()) == pytest.approx(-HELD / 2, abs=1e-6)
    peer.forgetful = False
    peer.round()
    assert off(peer.round()) == pytest.approx(0.0, abs=1e-6)


def test_an_answer_without_an_origin_is_for_nobody() -> None:
    """Not even where no interleaved one is asked for."""
    peer = Interleaving("never")
    answer = ntp.decode(peer.reply(peer.ask()))
    assert peer.give(ntp.encode(replace(answer, origin=0))) is None
    assert peer.association.counters.answers == 0
    assert peer.give(ntp.encode(answer))


def test_a_departure_that_cannot_be_is_refused() -> None:
    peer = Interleaving()
    peer.steady()
    peer.round()
    answer = ntp.decode(peer.reply(peer.ask()))
    late = ntp.fold(Instant(peer.true() - 30 * NS))
    assert isinstance(peer.give(ntp.encode(replace(answer, transmit=late))), Remark)
    assert peer.association.counters.refused == 1


@pytest.mark.parametrize(
    ("wanted", "delay", "poll", "named"),
    [
        ("never", 1e-4, 6, False),
        ("auto", INTERLEAVED_WITHIN / 2, INTERLEAVED_POLL, True),
        ("auto", INTERLEAVED_WITHIN * 2, INTERLEAVED_POLL, False),
        ("auto", INTERLEAVED_WITHIN / 2, INTERLEAVED_POLL + 1, False),
        ("always", 0.2, 10, True),
    ],
)
def test_whom_it_is_asked_of(
    monkeypatch: pytest.MonkeyPatch, wanted: str, delay: float, poll: int, named: bool
) -> None:
    monkeypatch.setattr("tests.client.test_interleaved.DELAY", delay)
    monkeypatch.setattr("tests.client.peer.DELAY", delay)
    peer = Interleaving(wanted)
    peer.steady()
    peer.association.poll = poll
    peer.round()
    assert (ntp.decode(peer.ask().packet).origin != 0) == named


def test_the_fields_are_authenticated() -> None:
    """They stand in the header, which NTS's authenticator covers."""
    peer = Peer()
    peer.association.config = replace(peer.association.config, interleaved="always")
    peer.association.begin(peer.now)
    peer.exchange()
    for _ in range(BURST):
        peer.round()
    packet = bytearray(peer.ask().packet)
    assert ntp.decode(bytes(packet)).origin
    assert nts.open_request(bytes(packet), peer.responder.ring.open)  # type: ignore[union-attr]
    packet[24] ^= 1
    with pytest.raises(nts.NakError):
        nts.open_request(bytes(packet), peer.responder.ring.open)  # type: ignore[union-attr]


def test_real_chronyd(tmp_path: Path, peer: Callable[[str], Path], rng: random.Random) -> None:
    """It answers so whoever asks so; the way back gets shorter by its way to the kernel."""
    host = "127.0.0.41"
    server = chronyd(peer("chronyd-4.6"), tmp_path / "chronyd", host, host_now())
    clock = SystemClock()
    association = Association(SourceConfig(host, nts=False), rng.randbytes)
    with running([server]):
        association.found_addresses((Address(host, server.ntp_port),), clock.boot())
        samples = [exchange(association, clock) for _ in range(BURST + 4)]
    assert association.counters.interleaved >= 3, "chronyd remembers"
    for sample in samples:
        # Both ends read one clock.
        error = abs(seconds(sample.time - sample.raw) - offset_of(clock.read()))
        assert error <= sample.distance + clock.pairing_error


def offset_of(reading: Reading) -> float:
    """The system clock less the crystal, seconds."""
    return seconds(reading.real - reading.raw)


def exchange(association: Association, clock: SystemClock) -> Sample:
    """A request and its answer, on real sockets, before it is due."""
    due = association.schedule.due
    assert due is not None
    request = association.poll_request(due)
    assert request is not None
    sock = RequestSocket(clock, request.address)
    try:
        sent = sock.send(request.packet)
        assert not isinstance(sent, NetError)
        while True:
            for _, events in wait_for(sock):
                if events & (select.POLLERR | select.POLLPRI):
                    stamp = sock.on_error_queue()
                    sent = stamp if isinstance(stamp, Stamp) else sent
                    continue
                got = sock.on_readable()
                assert isinstance(got, tuple)
                error = sent.error + got[1].error
                outcome = association.receive(
                    got[0], sent.reading, got[1].reading, error, clock.read().real
                )
                assert isinstance(outcome, Sample)
                return outcome
    finally:
        sock.close()


def wait_for(sock: RequestSocket) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN | select.POLLPRI)
    ready = poll.poll(10_000)
    assert ready, "no answer"
    return ready
