"""One source: when it is asked, with what, and what its answers are worth.

Guarantees:
- no packet repeats a cookie, a unique identifier or a transmit timestamp, and the latter says
  nothing of our clock (data minimization);
- an answer counts once, and only for the request it answers;
- what nobody authenticated (a kiss, a NAK) slows a source at most: it never deletes keys nor
  removes the source (rule R11);
- a key exchange is asked for again only at growing intervals (rule R12).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from pints.address import Address
from pints.client.session import Session
from pints.config import SourceConfig
from pints.errors import PeerError, WireError
from pints.sample import Sample
from pints.timescale import NS, Boot, Instant, Raw, Reading, after, seconds
from pints.wire import ntp, nts

LOST_AFTER = 3
"""Unanswered polls after which a source counts as lost."""
ASK_NAME_EVERY = 32
"""Unanswered polls between look-ups of a plain source's name, once it is lost."""
BURST = 4
"""Requests of the first burst, and of one after a loss."""
BURST_INTERVAL = 2.0
"""Seconds between them: what public servers bear (RFC 5905 section 11.1, RFC 8633)."""
DRIFT = 15e-6
"""PHI: frequency tolerance that enters every dispersion (RFC 5905 section 7.2)."""
MAX_REQUEST_COOKIES = 1024
"""Octets of cookie and placeholders in one request: it must fit every path's MTU."""
KE_RETRY, KE_RETRY_FACTOR, KE_RETRY_MAX = 10.0, 1.5, 86400.0
"""RFC 8915 section 4.2: 10 s, growing 1.5-fold, up to a day."""
UNREACHED_RETRY_MAX = 64.0
"""Attempts that never said hello to a server double from 1 s up to this."""

_NAK_HINT = "it does not know the cookies that its own key server gave: its operator must see to it"
_KISS_HINT = "it does not want to serve this machine: RATE is too often, the rest its access list"
_SPOILT_HINT = "what listens there is no NTP server, or somebody spoils its packets on the way"


@dataclass(frozen=True, slots=True)
class Request:
    """A packet to send."""

    address: Address
    packet: bytes


@dataclass(frozen=True, slots=True)
class Remark:
    """Something worth a line in the log."""

    level: int
    text: str
    hint: str = ""
    """What it means to somebody who asked just once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, and what its reader can do about it: a line each."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


@dataclass(slots=True)
class _Pending:
    """The one request that an answer may come to."""

    transmit: int
    identifier: bytes
    session: Session | None
    answered: bool = False
    """An answer came: no other one is looked at."""
    useful: bool = False
    """And it told the time: else the poll counts as unanswered."""
    refused: bool = False
    """A NAK came, which may be anybody's."""


@dataclass(slots=True)
class Counters:
    """What `pints authdata` and `pints sources` count."""

    requests: int = 0
    answers: int = 0
    refused: int = 0
    naks: int = 0
    exchanges: int = 0
    last_exchange: Boot | None = None


class Association:
    """The client's half of one source.  Every `now` is the boot clock's."""

    def __init__(self, config: SourceConfig, entropy: Callable[[int], bytes]) -> None:
        self.config = config
        self.id = config.id
        self.poll = config.minpoll
        self.reach = 0
        """The last eight polls, the latest as the lowest bit (RFC 5905 section 9.2)."""
        self.unanswered = 0
        self.session: Session | None = None
        self.addresses: tuple[Address, ...] = ()
        self.counters = Counters()
        self.failure: Failure | None = None
        """Why there are no keys or addresses."""
        self.last_answer: Boot | None = None
        self._entropy = entropy
        self._burst = BURST
        self._poll_due: Boot | None = None
        self._seek_due: Boot | None = None
        self._seeking = False
        self.attempts = 0
        """Key exchanges since an answer came under the keys of one."""
        self._earliest = Boot(0)
        """When the next one may start."""
        self._unreached = 0
        self._naks = 0
        self._turn = 0
        """Which address is asked: the next one after each unanswered request."""
        self._unwelcome = False
        """Kissed off since the last good answer."""
        self._pending: _Pending | None = None
        self._unasked = False
        """The last poll found nothing to ask with."""

    @property
    def address(self) -> Address:
        """The one that is asked now: a dead one costs one poll, not all of them."""
        return self.addresses[self._turn % len(self.addresses)]

    # --- what is due ---------------------------------------------------------------------

    def begin(self, now: Boot, session: Session | None = None) -> None:
        """Start: with a saved session at once by NTP, else by asking for keys or addresses."""
        self.session = session
        if session is not None:
            self.addresses = session.addresses
            self._poll_due = now
            return
        self._seek_due = now
        if not self.config.nts and self.config.addresses:
            # Known beforehand: asked at once, whatever the resolver will say.
            port = self.config.port or ntp.NTP_PORT
            self.addresses = tuple(Address(host, port) for host in self.config.addresses)
            self._poll_due = now

    def due(self) -> Boot | None:
        """When `poll_request` or `wants_task` has something to say next."""
        seek_due = None if self._seeking else self._seek_due
        times = [t for t in (self._poll_due, seek_due) if t is not None]
        return min(times) if times else None

    def wants_task(self, now: Boot) -> bool:
        """Whether keys (or, for plain NTP, addresses) should be fetched now.  A True must be
        answered by `found_keys`, `found_addresses` or `task_failed`."""
        if self._seeking or self._seek_due is None or now < self._seek_due:
            return False
        self._seeking = True
        if self.config.nts:
            growth = KE_RETRY_FACTOR ** min(self.attempts, 40)
            self._earliest = after(now, self._jitter() * min(KE_RETRY * growth, KE_RETRY_MAX))
            self.attempts += 1
        return True

    def poll_request(self, now: Boot) -> Request | None:
        """The request that is due, if one is."""
        if self._poll_due is None or now < self._poll_due:
            return None
        self._note_unanswered(now)
        if not self.addresses or (self.config.nts and not self._usable(now)):
            self._seek(now)
            # What cannot even be asked does not answer: silence must not last unnoticed.
            self._poll_due = after(now, float(1 << self.poll)) if self.reach else None
            self._unasked = self._poll_due is not None
            return None
        request = self._build()
        self.counters.requests += 1
        self._burst -= self._burst > 0
        interval = float(1 << self.poll)
        wait = min(BURST_INTERVAL, interval) if self._burst else interval
        # A spread of 2 % keeps a house full of clients, all woken by one power cut, apart.
        wait *= 0.99 + 0.02 * self._entropy(1)[0] / 255
        if self.session is not None and self.unanswered >= LOST_AFTER:
            # Cookies that nobody answers must last until new ones may be asked for (R12).
            wait = max(wait, seconds(self._earliest - now) / (len(self.session.cookies) + 1))
        self._poll_due = after(now, wait)
        return request

    # --- keys and addresses --------------------------------------------------------------

    def found_keys(self, session: Session, now: Boot) -> None:
        """A key exchange was good (and allowed): it replaces the session before it."""
        self.session = session
        self._naks = 0
        self.counters.exchanges += 1
        self.counters.last_exchange = now
        self.found_addresses(session.addresses, now)

    def found_addresses(self, addresses: tuple[Address, ...], now: Boot) -> None:
        """Where the NTP server is."""
        self.addresses = addresses
        self._turn = 0
        self._seeking = False
        self._seek_due = None
        self.failure = None
        self._unreached = 0
        if self.unanswered or not self.reach:
            self._burst = max(self._burst, BURST)
        self._poll_due = now
        self._unasked = False

    def task_failed(self, failure: Failure, said_hello: bool, now: Boot) -> Remark | None:
        """The worker came back with nothing: try again later.  Said once, not each time."""
        self._seeking = False
        if said_hello:
            self._seek_due = max(self._earliest, after(now, 1.0))
        else:
            self.attempts = max(self.attempts - 1, 0)
            wait = min(2.0 ** min(self._unreached, 10), UNREACHED_RETRY_MAX)
            self._seek_due = after(now, self._jitter() * wait)
            self._unreached += 1
        if failure == self.failure:
            return None
        self.failure = failure
        return Remark(logging.WARNING, f"{self.id}: {failure}")

    def drop_session(self, why: str, now: Boot) -> None:
        """Destroy the keys (rules R3, R6): what they authenticated no longer counts."""
        self.session = None
        self.failure = Failure(why)
        self._pending = None
        self._poll_due = None
        self._unasked = False
        if not self._seeking:
            self._seek_due = max(self._earliest, after(now, KE_RETRY))

    def renew(self, now: Boot) -> None:
        """Ask for new keys in good time; the old ones serve until then."""
        if self.config.nts:
            self._seek(now)

    # --- answers -------------------------------------------------------------------------

    def receive(
        self, data: bytes, sent: Reading, received: Reading, error: float, near: Instant
    ) -> Sample | Remark | None:
        """Judge an answer: a sample, a remark, or None for what is not for us.

        `sent` and `received` are when the request left and the answer came, `error` how far
        these readings may be off (s), `near` any instant within 68 years of the truth.
        """
        pending = self._pending
        if pending is None or pending.answered:
            return None
        try:
            packet = ntp.decode(data)
            mine = packet.mode == ntp.MODE_SERVER and packet.version == ntp.VERSION
            if not mine or packet.origin != pending.transmit:
                return None
            cookies = self._authenticate(packet, data, pending)
        except WireError as e:
            self.counters.refused += 1
            return Remark(logging.DEBUG, f"{self.id}: answer refused: {e}", _SPOILT_HINT)
        if cookies is None:
            return self._nak(pending)
        session = pending.session
        if session is not None:
            if not session.proven:  # the exchange was good for something (R12)
                self.attempts = 0
                self._earliest = Boot(0)
            session.proven = True
            session.add_cookies(cookies)
            self._naks = 0
        pending.answered = session is not None or not packet.kiss_code
        if packet.kiss_code:
            return self._kiss(packet.kiss_code, received.boot)
        try:
            sample = self._measure(packet, sent, received, error, near)
        except PeerError as e:
            self.counters.refused += 1
            return Remark(logging.INFO, f"{self.id}: {e}", e.hint or _SPOILT_HINT)
        if session is not None:
            sample = replace(sample, authenticated=True, from_saved_session=session.saved)
        pending.useful = True
        self._unwelcome = False
        self.unanswered = 0
        self.reach = self.reach | 1
        self.counters.answers += 1
        self.last_answer = received.boot
        return sample

    # --- private -------------------------------------------------------------------------

    def _usable(self, now: Boot) -> bool:
        """Whether the session can make a request; sees to new keys where they are needed."""
        session = self.session
        if session is None:
            return False
        if self._naks and session.switch_keys():
            self._naks = 0
        if self._naks > 1 or not session.cookies:
            self._seek(now)
        return bool(session.cookies)

    def _build(self) -> Request:
        entropy = self._entropy
        transmit = int.from_bytes(entropy(8), "big") | 1
        header = ntp.encode(ntp.Packet(ntp.MODE_CLIENT, transmit))
        session, identifier = self.session, b""
        packet = header
        if session is not None:
            cookie = session.take_cookie()
            identifier = entropy(nts.UNIQUE_IDENTIFIER_LENGTH)
            missing = nts.MAX_COOKIES - len(session.cookies)
            fitting = MAX_REQUEST_COOKIES // (len(cookie) + 4)
            packet = nts.seal_request(
                header, identifier, cookie, max(0, min(missing, fitting) - 1),
                session.ciphers.c2s, entropy(session.algorithm.nonce_length),
            )  # fmt: skip
        self._pending = _Pending(transmit, identifier, session)
        return Request(self.address, packet)

    def _note_unanswered(self, now: Boot) -> None:
        if self._pending is None and not self._unasked:
            return
        self._unasked = False
        if self._pending is None or not self._pending.useful:
            self.unanswered += 1
            self._turn += 1
            if not self.config.nts and self.unanswered % ASK_NAME_EVERY == LOST_AFTER:
                self._seek(now)  # the name may have moved on
            if self.unanswered == LOST_AFTER:
                self._burst = 0
                if not self._unwelcome:
                    self.poll = self.config.minpoll  # to see it come back
        self._pending = None
        self.reach = self.reach << 1 & 0xFF

    def _authenticate(
        self, packet: ntp.Packet, data: bytes, pending: _Pending
    ) -> tuple[bytes, ...] | None:
        """The new cookies of an authentic answer; None for a NAK; else WireError."""
        if pending.session is None:
            return ()
        if nts.is_nak(packet, data, pending.identifier):
            return None
        return nts.open_response(data, pending.identifier, pending.session.ciphers.s2c).cookies

    def _nak(self, pending: _Pending) -> Remark:
        # Not `answered`: anybody on the path could have sent it; the real answer may follow.
        self.counters.naks += 1
        self._naks += not pending.refused
        pending.refused = True
        return Remark(
            logging.INFO, f"{self.id}: R11: NTS NAK; keys kept until new ones are had", _NAK_HINT
        )

    def _kiss(self, code: str, now: Boot) -> Remark:
        if code in ("RATE", "DENY", "RSTR"):
            self._burst = 0
            self._unwelcome = True
            self.poll = self.config.maxpoll
            spread = 0.99 + 0.02 * self._entropy(1)[0] / 255
            self._poll_due = after(now, float(1 << self.poll) * spread)
        return Remark(
            logging.INFO, f"{self.id}: R11: kiss {code!r}; polling slowly at most", _KISS_HINT
        )

    def _measure(
        self, packet: ntp.Packet, sent: Reading, received: Reading, error: float, near: Instant
    ) -> Sample:
        if packet.leap == ntp.LEAP_UNKNOWN or not 0 < packet.stratum < ntp.MAX_STRATUM:
            raise PeerError(
                "server says it is not synchronized",
                "it has no time to give yet: try another one, or later",
            )
        if not packet.receive or not packet.transmit:
            raise PeerError("answer without timestamps")
        arrival = ntp.unfold(packet.receive, near)
        departure = ntp.unfold(packet.transmit, near)
        trip = received.raw - sent.raw
        stay = departure - arrival
        if not 0 <= stay <= trip + NS // 1000:
            raise PeerError(f"server claims to have held the request {seconds(stay):.6f} s")
        precision = 2.0 ** min(packet.precision, 0) if packet.precision else 1e-9
        return Sample(
            source=self.id,
            raw=Raw(sent.raw + trip // 2),
            boot=Boot(sent.boot + (received.boot - sent.boot) // 2),
            time=Instant(arrival + stay // 2),
            delay=max(seconds(trip - stay), precision),
            dispersion=precision + error + DRIFT * seconds(trip),
            root_delay=packet.root_delay,
            root_dispersion=packet.root_dispersion,
            stratum=packet.stratum,
            leap=packet.leap,
            reference_id=packet.reference_id,
            authenticated=False,
        )

    def _seek(self, now: Boot) -> None:
        if self._seek_due is None and not self._seeking:
            self._seek_due = max(now, self._earliest)

    def _jitter(self) -> float:
        """Spreads the retries of a region that comes back after a blackout (rule R12)."""
        return 0.8 + 0.4 * self._entropy(1)[0] / 255
