"""The packets of one source: requests are made here, and answers judged.

Guarantees:
- no packet repeats a cookie, a unique identifier or a transmit timestamp, and the latter says
  nothing of our clock (data minimization);
- an answer is good only for the request it answers, and, where keys are had, under them.

In the interleaved mode (RFC 9769) a request names the answer before it, by the server's receive
timestamp, and is answered with the moment when that one really left: later by a polling
interval, but without the server's way from its program to its network card.
"""

from collections.abc import Callable
from dataclasses import replace

from pints.client.session import Session
from pints.errors import PeerError
from pints.lean import dataclass
from pints.timescale import NS, Boot, Instant, Raw, Reading, seconds
from pints.values.address import Address
from pints.values.sample import Sample
from pints.wire import ntp, nts

DRIFT = 15e-6
"""PHI: frequency tolerance that enters every dispersion (RFC 5905 section 7.2)."""
MAX_REQUEST_COOKIES = 1024
"""Octets of cookie and placeholders in one request: it must fit every path's MTU."""
STAMPS_APART = NS // 1000
"""By how much a server's two stamps may contradict each other, ns: one of them is the kernel's or
the network card's, the other the program's, and they need not read one clock."""


@dataclass(frozen=True, slots=True)
class Request:
    """A packet to send."""

    address: Address
    packet: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as seen from here."""

    sent: Reading
    """When the request left."""
    received: Reading
    """When the answer came."""
    error: float
    """How far these two may be off, seconds."""
    arrival: int
    """When the request came, by the server's wire timestamp."""


@dataclass(slots=True)
class Counters:
    """What `pints authdata` and `pints sources` count."""

    requests: int = 0
    answers: int = 0
    refused: int = 0
    naks: int = 0
    interleaved: int = 0
    """Of the answers, those that told when the one before had left."""
    exchanges: int = 0
    last_exchange: Boot | None = None


@dataclass(slots=True)
class Pending:
    """The one request that an answer may come to."""

    sent: Boot
    transmit: int
    receive: int | None = None
    """An interleaved answer repeats this instead; None: none was asked for."""
    previous: Exchange | None = None
    """What such an answer tells of."""
    identifier: bytes = b""
    session: Session | None = None
    cookie: bytes = b""
    answered: bool = False
    """An answer came: no other one is looked at."""
    useful: bool = False
    """And it told the time: else the poll counts as unanswered."""
    refused: bool = False
    """A NAK came, which may be anybody's."""
    counted: bool = False
    """It went down as unanswered."""

    def take_back(self) -> None:
        """It never left this machine: its cookie is as good as new."""
        if self.session is not None:
            self.session.cookies.insert(0, self.cookie)


def compose(
    session: Session | None,
    address: Address,
    entropy: Callable[[int], bytes],
    now: Boot,
    previous: Exchange | None = None,
) -> tuple[Request, Pending]:
    """A request, with a cookie of the session if there is one.  With a previous exchange, an
    interleaved answer that tells of it is welcome."""
    transmit = int.from_bytes(entropy(8), "big") | 1
    pending = Pending(now, transmit)
    header = ntp.Packet(ntp.MODE_CLIENT, transmit)
    if previous is not None:
        # Never `transmit`, whose last bit is set: the answer must show which of them it meant.
        pending.receive = int.from_bytes(entropy(8), "big") & ~1 or 2
        pending.previous = previous
        header = replace(header, origin=previous.arrival, receive=pending.receive)
    packet = ntp.encode(header)
    if session is None:
        return Request(address, packet), pending
    cookie = session.take_cookie()
    identifier = entropy(nts.UNIQUE_IDENTIFIER_LENGTH)
    missing = nts.MAX_COOKIES - len(session.cookies)
    fitting = MAX_REQUEST_COOKIES // (len(cookie) + 4)
    packet = nts.seal_request(
        packet, identifier, cookie, max(0, min(missing, fitting) - 1),
        session.ciphers.c2s, entropy(session.algorithm.nonce_length),
    )  # fmt: skip
    pending.identifier, pending.session, pending.cookie = identifier, session, cookie
    return Request(address, packet), pending


def read(data: bytes, pending: Pending) -> ntp.Packet | None:
    """The header of an answer to this request; None if it is none.  WireError for nonsense."""
    packet = ntp.decode(data)
    mine = packet.mode == ntp.MODE_SERVER and packet.version == ntp.VERSION
    return packet if mine and packet.origin in (pending.transmit, pending.receive) else None


def authenticate(packet: ntp.Packet, data: bytes, pending: Pending) -> tuple[bytes, ...] | None:
    """The new cookies of an authentic answer; None for a NAK; else WireError."""
    if pending.session is None:
        return ()
    if nts.is_nak(packet, data, pending.identifier):
        return None
    return nts.open_response(data, pending.identifier, pending.session.ciphers.s2c).cookies


def measure(source: str, packet: ntp.Packet, exchange: Exchange, near: Instant) -> Sample:
    """What an answer says of the time, not authenticated yet: of its own exchange, or of the one
    before if it is interleaved.  PeerError if that is nothing.

    `near` is any instant within 68 years of the truth.
    """
    if packet.leap == ntp.LEAP_UNKNOWN or not 0 < packet.stratum < ntp.MAX_STRATUM:
        raise PeerError(
            "server says it is not synchronized",
            "it has no time to give yet: try another one, or later",
        )
    if not exchange.arrival or not packet.transmit:
        raise PeerError("answer without timestamps")
    _check_root(packet, near)
    arrival = ntp.unfold(exchange.arrival, near)
    departure = ntp.unfold(packet.transmit, near)
    sent, received = exchange.sent, exchange.received
    trip = received.raw - sent.raw
    stay = departure - arrival
    if not -STAMPS_APART <= stay <= trip + STAMPS_APART:
        raise PeerError(f"server claims to have held the request {seconds(stay):.6f} s")
    # Stamps that say it came before it was sent, or was answered before it came, are that wrong.
    apart = seconds(max(-stay, stay - trip, 0))
    precision = 2.0 ** min(packet.precision, 0) if packet.precision else 1e-9
    return Sample(
        source=source,
        raw=Raw(sent.raw + trip // 2),
        boot=Boot(sent.boot + (received.boot - sent.boot) // 2),
        time=Instant(arrival + stay // 2),
        delay=max(seconds(trip - stay), precision),
        dispersion=precision + exchange.error + apart + DRIFT * seconds(trip),
        root_delay=packet.root_delay,
        root_dispersion=packet.root_dispersion,
        stratum=packet.stratum,
        leap=packet.leap,
        reference_id=packet.reference_id,
        authenticated=False,
    )


def _check_root(packet: ntp.Packet, near: Instant) -> None:
    """PeerError for a header that RFC 5905, A.5.1.1 calls invalid."""
    distance = packet.root_delay / 2 + packet.root_dispersion
    if distance >= ntp.MAX_DISPERSION:
        raise PeerError(
            f"server's root distance is {distance:.3f} s, not below {ntp.MAX_DISPERSION:.0f} s",
            "it has lost its own sources: try another one, or later",
        )
    # An interleaved answer names an earlier departure, but this request's own arrival.
    last = max(ntp.unfold(stamp, near) for stamp in (packet.transmit, packet.receive) if stamp)
    ahead = ntp.unfold(packet.reference, near) - last if packet.reference else 0
    if ahead > STAMPS_APART:
        raise PeerError(
            f"server claims to have been set {seconds(ahead):.6f} s after its answer left",
            "its clock was stepped, or it is broken: try another one",
        )
