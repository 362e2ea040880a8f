"""One source: when it is asked, and what its answers do to it.

Puts together when it is asked for the time (`schedule`) and for keys (`retry`), and what with
(`packets`).  Guarantees:
- an answer counts once, and only for the request it answers;
- what nobody authenticated (a kiss, a NAK) slows a source at most: it never deletes keys nor
  removes the source (rule R11);
- silence never lasts unnoticed, be it the server's, the network's or for want of keys.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from pints.client import packets
from pints.client.packets import Counters, Exchange, Pending, Request
from pints.client.retry import FRESH, Backoff, Retry
from pints.client.schedule import Schedule
from pints.client.session import Session
from pints.config.tables import SourceConfig
from pints.errors import PeerError, WireError
from pints.lean import dataclass
from pints.timescale import Boot, Instant, Reading, seconds
from pints.values.address import Address
from pints.values.sample import Sample
from pints.wire import ntp

LOST_AFTER = 3
"""Unanswered polls after which a source counts as lost."""
RESERVE = 2
"""Cookies of good keys that are not spent faster than once in a polling interval."""
INTERLEAVED_WITHIN = 2e-3
"""Round trip of the servers that are asked for interleaved answers where that is "auto", s: on
longer ways queues hide what they would tell."""
INTERLEAVED_POLL = 6
"""The longest interval at which they are, log2 s: what they tell is that old, and within a minute
crystals wander by less than a server takes from its program to its network card."""
ASK_NAME_EVERY = 32
"""Unanswered polls between look-ups of a plain source's name, once it is lost."""

_NAK_HINT = "it does not know the cookies that its own key server gave: its operator must see to it"
_NOT_LET_IN = "its access list does not let this machine in: use another server"
_NOT_SET_YET = "its own clock is not synchronized yet: it answers once that is"
_KISS_HINTS = {
    "RATE": "it is asked too often, by this machine or by others behind the same address",
    "DENY": _NOT_LET_IN,
    "RSTR": _NOT_LET_IN,
    "INIT": _NOT_SET_YET,
    "STEP": _NOT_SET_YET,
}
_OTHER_KISS_HINT = "RFC 5905 section 7.4 explains the codes of servers that do not tell the time"
_SPOILT_HINT = "what listens there is no NTP server, or somebody spoils its packets on the way"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something worth a line in the log."""

    level: int
    text: str
    hint: str = ""
    """What it means to somebody who asked just once."""
    rule: str = ""
    """That keeps it from doing more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, and what its reader can do about it: a line each."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


class Association:
    """The client's half of one source.  Every `now` is the boot clock's."""

    def __init__(
        self, config: SourceConfig, entropy: Callable[[int], bytes], backoff: Backoff = FRESH
    ) -> None:
        self.config = config
        self.id = config.id
        self.reach = 0
        """The last eight polls, the latest as the lowest bit (RFC 5905 section 9.2)."""
        self.unanswered = 0
        self.session: Session | None = None
        self.addresses: tuple[Address, ...] = ()
        self.counters = Counters()
        self.failure: Failure | None = None
        """Why there are no keys or addresses."""
        self.last_answer: Boot | None = None
        self.retry = Retry(entropy, backoff)
        self.schedule = Schedule(config.minpoll, config.maxpoll, entropy)
        self._entropy = entropy
        self._naks = 0
        self._turn = 0
        """Which address is asked: the next one after each unanswered request."""
        self._pending: Pending | None = None
        self._previous: Exchange | None = None
        """The last exchange, if an interleaved answer may tell of it."""
        self._ignored = False
        """A poll that did leave was not answered, and none has been since."""
        self._unasked = False
        """The last poll did not leave: there was nothing to ask with, or no way out."""

    @property
    def address(self) -> Address:
        """The one that is asked now: a dead one costs one poll, not all of them."""
        return self.addresses[self._turn % len(self.addresses)]

    @property
    def poll(self) -> int:
        """The polling interval, log2 s."""
        return self.schedule.poll

    @poll.setter
    def poll(self, poll: int) -> None:
        self.schedule.pace(poll)

    @property
    def attempts(self) -> int:
        """Key exchanges since an answer came under the keys of one."""
        return self.retry.backoff.attempts

    # --- what is due ---------------------------------------------------------------------

    def begin(self, now: Boot, session: Session | None = None, known: Sequence[str] = ()) -> None:
        """Start: with a saved session at once by NTP, else by asking for keys or addresses.
        `known` are addresses that the server's name had before."""
        self.session = session
        if session is not None:
            self.addresses = session.addresses
            self.schedule.begin(now)
            return
        self.retry.want(now)
        if not self.config.nts and (self.config.addresses or known):
            # Known beforehand: asked at once, whatever the resolver will say.
            port = self.config.port or ntp.NTP_PORT
            hosts = dict.fromkeys((*self.config.addresses, *known))
            self.addresses = tuple(Address(host, port) for host in hosts)
            self.schedule.begin(now)

    def due(self) -> Boot | None:
        """When `poll_request` or `wants_task` has something to say next."""
        times = self.schedule.next()
        if self.retry.due is not None and not self.retry.running:
            times.append(self.retry.due)
        return min(times, default=None)

    def wants_task(self, now: Boot) -> bool:
        """Whether keys (or, for plain NTP, addresses) should be fetched now.  A True must be
        answered by `found_keys`, `found_addresses` or `task_failed`."""
        return self.retry.start(now, burdens=self.config.nts)

    def poll_request(self, now: Boot) -> Request | None:
        """The request that is due, if one is."""
        in_turn = self.schedule.turn(now)
        if not in_turn and not self.schedule.repeat(now):
            return None
        if in_turn:
            self._note_unanswered(now)
        if not self.addresses or (self.config.nts and not self._usable(now)):
            self.retry.want(now)
            if in_turn:
                # What cannot even be asked does not answer: silence must not last unnoticed.
                self._unasked = self.reach > 0
                self.schedule.missed(now, again=self._unasked)
            return None
        previous, self._previous = self._previous, None
        request, self._pending = packets.compose(
            self.session, self.address, self._entropy, now, previous
        )
        self._unasked = False
        self.counters.requests += 1
        if in_turn:
            self.schedule.asked(now, self._rest(now))
        return request

    def unsent(self) -> None:
        """The last request did not leave this machine (no route, no such family of addresses):
        its cookie is kept, but the poll is as good as unanswered."""
        if self._pending is not None:
            self._pending.take_back()
            self._pending = None
            self._unasked = True
            self.counters.requests -= 1

    def network_changed(self, now: Boot) -> None:
        """The network may have come up.  What it kept from being asked is asked soon; what
        rule R12 says must wait, waits."""
        self._previous = None  # would tell the server that who came by another way is the same
        self.retry.hasten(now)
        pending = self._pending
        silent = self._unasked or (pending is not None and not pending.useful)
        if silent and self._can_spare(now):
            self.schedule.hasten(now, None if pending is None else pending.sent)

    # --- keys and addresses --------------------------------------------------------------

    def found_keys(self, session: Session, now: Boot) -> None:
        """A key exchange was good (and allowed): it replaces the session before it."""
        self._note_unanswered(now)
        self._pending = None
        self.session = session
        self._naks = 0
        self.counters.exchanges += 1
        self.counters.last_exchange = now
        self.found_addresses(session.addresses, now)

    def found_addresses(self, addresses: tuple[Address, ...], now: Boot) -> None:
        """Where the NTP server is."""
        self.addresses = addresses
        self._previous = None
        self._turn = 0
        self.retry.succeeded()
        self.failure = None
        self.schedule.begin(now, burst=self.unanswered > 0 or not self.reach)
        self._unasked = False

    def task_failed(self, failure: Failure, said_hello: bool, now: Boot) -> Remark | None:
        """The worker came back with nothing: try again later.  Said once, not each time."""
        self.retry.failed(said_hello, now)
        if failure == self.failure:
            return None
        self.failure = failure
        return Remark(logging.WARNING, f"{self.id}: {failure}")

    def drop_session(self, why: str, now: Boot) -> None:
        """Destroy the keys (rules R3, R6): what they authenticated no longer counts."""
        self.session = None
        self.failure = Failure(why)
        self._pending = None
        self.schedule.stop()
        self._unasked = False
        self.retry.postpone(now)

    def renew(self, now: Boot) -> None:
        """Ask for new keys in good time; the old ones serve until then."""
        if self.config.nts:
            self.retry.want(now)

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
            packet = packets.read(data, pending)
            cookies = packets.authenticate(packet, data, pending) if packet else ()
        except WireError as e:
            self.counters.refused += 1
            return Remark(logging.DEBUG, f"{self.id}: answer refused: {e}", _SPOILT_HINT)
        if packet is None:
            return None
        if cookies is None:
            return self._nak(pending)
        session = pending.session
        if session is not None:
            if not session.proven and not session.saved:
                self.retry.used()
            session.proven = True
            session.add_cookies(cookies)
            self._naks = 0
        pending.answered = session is not None or not packet.kiss_code
        if packet.kiss_code:
            return self._kiss(packet.kiss_code, received.boot)
        exchange = Exchange(sent, received, error, packet.receive)
        before = pending.previous if packet.origin == pending.receive else None
        try:
            sample = packets.measure(self.id, packet, before or exchange, near)
        except PeerError as e:
            self.counters.refused += 1
            return Remark(logging.INFO, f"{self.id}: {e}", e.hint or _SPOILT_HINT)
        if session is not None:
            sample = replace(sample, authenticated=True, from_saved_session=session.saved)
        pending.useful = True
        pending.counted = False
        self.unanswered = 0
        self._ignored = False
        self.reach = self.reach | 1
        self.counters.answers += 1
        self.counters.interleaved += before is not None
        self._previous = exchange if self._interleaves(sample.delay) else None
        self.last_answer = received.boot
        self.schedule.answered(pending.sent)
        return sample

    # --- private -------------------------------------------------------------------------

    def _usable(self, now: Boot) -> bool:
        """Whether the session can make a request; sees to new keys where they are needed."""
        session = self.session
        if session is None:
            return False
        if self._naks and session.switch_keys():
            self._naks = 0
        # A saved session has one cookie and no second chance: new keys are had beside it.
        silent = session.saved and not session.proven and self._ignored
        if self._naks > 1 or not session.cookies or silent:
            self.retry.want(now)
        return bool(session.cookies)

    def _interleaves(self, delay: float) -> bool:
        """Whether the next answer should tell when the last one had left."""
        wanted = self.config.interleaved
        worth = delay < INTERLEAVED_WITHIN and self.poll <= INTERLEAVED_POLL
        return self.schedule.steady and (wanted == "always" or (wanted == "auto" and worth))

    def _can_spare(self, now: Boot) -> bool:
        """Whether a request out of turn leaves something to ask with until new keys come."""
        cookies = self.session.cookies if self.session is not None else ()
        return not self.config.nts or len(cookies) > 1 or now >= self.retry.backoff.earliest

    def _rest(self, now: Boot) -> float:
        """Seconds to the next request at least, for the sake of the cookies."""
        session = self.session
        if session is None or self.unanswered < LOST_AFTER:
            return 0.0
        # They must last until new ones may be asked for (R12); and the keys that worked, saved
        # ones above all, are not given up within seconds.
        rest = seconds(self.retry.backoff.earliest - now) / (len(session.cookies) + 1)
        thrifty = session.proven and len(session.cookies) <= RESERVE
        return max(rest, float(1 << self.poll)) if thrifty else rest

    def _note_unanswered(self, now: Boot) -> None:
        """The turn of the last poll is over."""
        pending = self._pending
        if not self._unasked and (pending is None or pending.counted):
            return
        self.reach = self.reach << 1 & 0xFF
        useful = not self._unasked and pending is not None and pending.useful
        self._ignored = not useful and (self._ignored or not self._unasked)
        self._unasked = False
        if pending is not None:
            pending.counted = True  # though a late answer is still welcome
        if useful:
            return
        self.unanswered += 1
        self._turn += 1
        if not self.config.nts and self.unanswered % ASK_NAME_EVERY == LOST_AFTER:
            self.retry.want(now)  # the name may have moved on
        if self.unanswered == LOST_AFTER:
            self.schedule.lost()

    def _nak(self, pending: Pending) -> Remark:
        # Not `answered`: anybody on the path could have sent it; the real answer may follow.
        self.counters.naks += 1
        self._naks += not pending.refused
        pending.refused = True
        text = f"{self.id}: R11: NTS NAK; keys kept until new ones are had"
        return Remark(logging.INFO, text, _NAK_HINT, "R11")

    def _kiss(self, code: str, now: Boot) -> Remark:
        slower = code in ("RATE", "DENY", "RSTR")
        if slower:
            self.schedule.kissed(now)
        consequence = "polling slowly at most" if slower else "not an answer"
        text = f"{self.id}: R11: kiss {code!r}; {consequence}"
        return Remark(logging.INFO, text, _KISS_HINTS.get(code, _OTHER_KISS_HINT), "R11")
