"""The NTP server's mind: one request in, at most one reply out (RFC 5905, RFC 8915 section 5).

- Only requests in client mode, of NTPv3 and NTPv4, are answered: no control, private,
  symmetric or broadcast packet ever makes this machine send anything.
- A reply is never longer than its request, and to an NTS request of ours as long: no
  amplification, and no asymmetry from the time that octets take on a slow link.
- A server without the time says so (leap 3, stratum 0) instead of being silent or lying.
  Its replies to NTS requests stay authentic, and carry new cookies.
- A request with a legacy MAC gets nothing: we hold no symmetric keys, and a plain answer to
  who asked for an authentic one would only pass for it.
- What cannot be parsed gets nothing.  A request whose cookie or authenticator is not ours
  gets a NAK, if it is a whole NTS request otherwise.

The transmit timestamp is read when all but the last seal is done: no seal can be over a time
that is not known yet.  How long that seal takes is measured at every reply, and the average is
added, so that a slow processor's cryptography does not look like a slow network.
"""

from collections.abc import Callable

from pints.errors import WireError
from pints.lean import dataclass
from pints.server.cookies import NONCE_LENGTH, Entropy, KeyRing, Session
from pints.timescale import Instant, seconds
from pints.wire import extension, ntp, nts

MAX_SEALING = 1_000_000
"""Most ns that a last seal is believed to take: what took longer was interrupted."""
PHI = 15e-6
"""Frequency tolerance of RFC 5905: how fast the error of a clock grows that nobody corrects."""
LOCAL = bytes((127, 127, 1, 1))
"""Reference id of a clock that follows no source (the one chrony and ntpd use)."""
_TRANSMIT = 40
"""Offset of the transmit timestamp, the header's last."""


PRECISION = -20
"""Log2 seconds: about a microsecond, what reading a clock from Python costs."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server says of its clock (RFC 5905's system variables)."""

    leap: int
    stratum: int
    precision: int
    """Log2 seconds."""
    root_delay: float
    """Seconds."""
    root_dispersion: float
    """Seconds, at `reference`."""
    reference_id: bytes
    reference: Instant
    """When the clock was last corrected."""
    synchronized: bool
    """Whether to serve time at all.  When not, all but the precision is ignored."""
    dispersion_rate: float = PHI
    """Growth of the root dispersion after `reference`, seconds per second."""


def unsynchronized(precision: int) -> ServerState:
    """The state of a server without the time.  Root delay and dispersion as chrony sends them."""
    return ServerState(
        ntp.LEAP_UNKNOWN, ntp.MAX_STRATUM, precision, 1.0, 1.0, bytes(4), Instant(0), False, 0.0
    )


def local(stratum: int, precision: int, reference: Instant) -> ServerState:
    """The state of a server whose own clock is, by definition, right."""
    return ServerState(ntp.LEAP_NONE, stratum, precision, 0.0, 0.0, LOCAL, reference, True, 0.0)


@dataclass(slots=True)
class Counters:
    """Requests by fate, since the start.  requests = replies + naks + kods + dropped."""

    requests: int = 0
    replies: int = 0
    """With time in them, those of `nts` included."""
    nts: int = 0
    """Authenticated replies."""
    naks: int = 0
    kods: int = 0
    """Kiss-o'-Death RATE."""
    dropped: int = 0


class Responder:
    """Answers requests for the state and under the key ring that it is given.

    Without a ring it does not speak NTS, and such requests get nothing.
    """

    def __init__(self, ring: KeyRing | None, state: ServerState) -> None:
        self.ring = ring
        self.state = state
        self.counters = Counters()
        self._sealing = 0
        """What the last seal takes, ns: a moving average over about 16 replies."""

    def answer(
        self,
        data: bytes,
        received: Instant,
        transmit: Callable[[], Instant],
        entropy: Entropy,
    ) -> bytes | None:
        """The reply to a datagram that came at `received`, or None where none is due.

        `transmit` reads the clock that `received` was taken from.  No reply is given when it
        was set back in between: such timestamps would lie.
        """
        self.counters.requests += 1
        try:
            reply = self._answer(data, received, transmit, entropy)
        except WireError:
            reply = None
        if reply is None:
            self.counters.dropped += 1
        return reply

    def slow_down(
        self, data: bytes, received: Instant, transmit: Callable[[], Instant]
    ) -> bytes | None:
        """A Kiss-o'-Death RATE, for a client beyond its limit.  Only to a plain request: NTS
        clients believe no such kiss unless it is authentic, and to make it so is the very work
        that the limit saves."""
        self.counters.requests += 1
        try:
            request = _request(data)
        except WireError:
            request = None
        if request is None or len(data) != ntp.HEADER_LENGTH:
            self.counters.dropped += 1
            return None
        self.counters.kods += 1
        return _stamped(_kiss(request, received, b"RATE"), transmit())

    def _answer(
        self,
        data: bytes,
        received: Instant,
        transmit: Callable[[], Instant],
        entropy: Entropy,
    ) -> bytes | None:
        request = _request(data)
        if request is None:
            return None
        if len(data) > ntp.HEADER_LENGTH:
            try:
                opened = nts.open_request(data, self._open)
            except nts.NakError as e:
                if self.ring is None:
                    return None
                self.counters.naks += 1
                kiss = _kiss(request, received, nts.NAK.encode("ascii"))
                return nts.nak(_stamped(kiss, transmit()), e.unique_identifier)
            if opened is not None:
                header = self._header(request, received)
                return self._sealed(len(data), header, opened, received, transmit, entropy)
            if _has_mac(data):
                return None
        header = self._header(request, received)
        now = transmit()
        if now < received:
            return None
        self.counters.replies += 1
        return _stamped(header, now)

    def _open(self, cookie: bytes) -> Session | None:
        return None if self.ring is None else self.ring.open(cookie)

    def _header(self, request: ntp.Packet, received: Instant) -> bytes:
        """The reply's header but for the transmit timestamp."""
        state = self.state
        if not state.synchronized:
            state = unsynchronized(state.precision)
        age = max(0.0, seconds(received - state.reference))
        return ntp.encode(
            ntp.Packet(
                mode=ntp.MODE_SERVER,
                transmit=0,
                version=request.version,
                leap=state.leap,
                # RFC 5905 section 7.3: what is 16 inside is 0 on the wire.
                stratum=state.stratum % ntp.MAX_STRATUM,
                poll=request.poll,
                precision=state.precision,
                root_delay=state.root_delay,
                root_dispersion=state.root_dispersion + state.dispersion_rate * age,
                reference_id=state.reference_id,
                reference=ntp.fold(state.reference) if state.synchronized else 0,
                origin=request.transmit,
                receive=ntp.fold(received),
            )
        )

    def _sealed(
        self,
        limit: int,
        header: bytes,
        opened: nts.OpenedRequest,
        received: Instant,
        transmit: Callable[[], Instant],
        entropy: Entropy,
    ) -> bytes | None:
        """The authentic reply to an authentic request, with the cookies it asked for."""
        session = opened.keys
        assert self.ring is not None and isinstance(session, Session)
        nonce_length = session.s2c.algorithm.nonce_length
        count = opened.cookies_wanted
        random = entropy(nonce_length + count * NONCE_LENGTH)
        cookies = [
            self.ring.renew(session.plaintext, random[start : start + NONCE_LENGTH])
            for start in range(nonce_length, len(random), NONCE_LENGTH)
        ]
        start = transmit()
        if start < received:
            return None
        reply = nts.seal_response(
            _stamped(header, Instant(start + self._sealing)),
            opened.unique_identifier,
            cookies,
            session.s2c,
            random[:nonce_length],
        )
        if len(reply) > limit:
            return None  # cannot be: each cookie takes the place of one that came
        took = min(max(transmit() - start, 0), MAX_SEALING)
        self._sealing += (took - self._sealing) // 16 if self._sealing else took
        self.counters.replies += 1
        self.counters.nts += 1
        return reply


def _request(data: bytes) -> ntp.Packet | None:
    """The header of a request that may be answered; None or WireError for any other."""
    if len(data) % 4:
        return None
    packet = ntp.decode(data)
    if packet.mode != ntp.MODE_CLIENT:
        return None
    # NTPv3 knows no extension fields: whatever follows the header is a MAC.
    return packet if packet.version == ntp.VERSION or len(data) == ntp.HEADER_LENGTH else None


def _has_mac(data: bytes) -> bool:
    """Whether something that is no extension field ends the packet."""
    end = ntp.HEADER_LENGTH
    for field in extension.decode(data, ntp.HEADER_LENGTH):
        end = field.start + 4 + len(field.body)
    return end != len(data)


def _kiss(request: ntp.Packet, received: Instant, code: bytes) -> bytes:
    """The header of a Kiss-o'-Death (RFC 5905 section 7.4) but for the transmit timestamp."""
    return ntp.encode(
        ntp.Packet(
            mode=ntp.MODE_SERVER,
            transmit=0,
            version=request.version,
            leap=ntp.LEAP_UNKNOWN,
            poll=request.poll,
            reference_id=code,
            origin=request.transmit,
            receive=ntp.fold(received),
        )
    )


def _stamped(header: bytes, transmit: Instant) -> bytes:
    return header[:_TRANSMIT] + ntp.fold(transmit).to_bytes(8, "big")
