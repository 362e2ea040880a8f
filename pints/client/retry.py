"""When a source's keys (or addresses) may be asked for: rule R12.

- Who was sent a ClientHello is asked again after 10 s, 15 s, 22 s ... up to a day (RFC 8915
  section 4.2).  Only an exchange that was of use, because an authentic answer came under its
  keys, ends this growth, and not even that if such come in quick succession.
- An attempt that never came so far burdened no server: again after 1, 2, 4 ... 64 s, and when
  the network comes up.
- All of it is jittered: a region that comes back after a blackout must not stampede.
- An attempt counts from its start, and a `Backoff` is plain data that can be recorded before
  it: a daemon that is killed and started again, however often, asks no more than one that runs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, replace

from pints.lean import dataclass
from pints.timescale import HOUR, Boot, after, nanoseconds
from pints.values.files import decoding

KE_RETRY, KE_RETRY_FACTOR, KE_RETRY_MAX = 10.0, 1.5, 86400.0
"""RFC 8915 section 4.2: 10 s, growing 1.5-fold, up to a day."""
UNREACHED_RETRY_MAX = 64.0
"""Attempts that never said hello to a server double from 1 s up to this."""
JITTER = 0.2
"""Share by which a wait may be longer or shorter."""
LINK_UP_SPREAD = 0.5
"""Seconds over which those are spread who all see the network come up."""
REST = 1.0
"""Seconds from an attempt to the next at least, however often the network comes up."""
FREE_USES = 3
"""Exchanges of use, each within an hour of the one before, that are asked for at once."""
MOST_SURPLUS = 9
"""What more of them count for at most: six minutes."""
_LIMIT = 1 << 62
"""Of the integers in a record: nanoseconds of a century and a half."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """What one source's key exchanges have come to, in this boot."""

    attempts: int = 0
    """Since the last one that was of use."""
    earliest: Boot = Boot(0)
    """Before it no other may start."""
    began: Boot = Boot(0)
    """When the last one did."""
    uses: int = 0
    """Exchanges of use, each begun within an hour of the one before."""


FRESH = Backoff()


class Retry:
    """The attempts of one source.  `entropy` yields random octets, for the jitter."""

    def __init__(self, entropy: Callable[[int], bytes], kept: Backoff = FRESH) -> None:
        self.backoff = kept
        self.due: Boot | None = None
        """When an attempt is wanted; None for not at all."""
        self.running = False
        self._entropy = entropy
        self._before = kept
        self._began = Boot(0)
        self._unreached = 0
        self._hurried = False
        """The network came up during the attempt."""

    def want(self, now: Boot) -> None:
        """Ask for an attempt, as soon as one may start."""
        if self.due is None and not self.running:
            self.due = max(now, self.backoff.earliest)

    def start(self, now: Boot, burdens: bool) -> bool:
        """Whether an attempt starts now.  `burdens`: it is a key exchange, no mere look-up."""
        if self.running or self.due is None or now < self.due:
            return False
        self.running, self._hurried, self._began = True, False, now
        self._before = old = self.backoff
        if burdens:
            wait = min(KE_RETRY * KE_RETRY_FACTOR ** min(old.attempts, 40), KE_RETRY_MAX)
            uses = old.uses if now < after(old.began, HOUR) else 0
            self.backoff = Backoff(old.attempts + 1, after(now, self._jitter() * wait), now, uses)
        return True

    def failed(self, said_hello: bool, now: Boot) -> None:
        """The attempt came to nothing: see when the next one starts."""
        self.running = False
        if said_hello:
            self.due = max(self.backoff.earliest, after(now, REST))
            return
        self.backoff = self._before
        wait = self._jitter() * min(2.0 ** min(self._unreached, 10), UNREACHED_RETRY_MAX)
        self._unreached += 1
        self.due = after(now, wait)
        if self._hurried:
            self.hasten(now)

    def succeeded(self) -> None:
        """The attempt brought what was wanted; whether it is of any use will be seen."""
        self.running = False
        self.due = None
        self._unreached = 0

    def used(self) -> None:
        """An authentic answer came under the keys of the last exchange.  The growth is over,
        unless that happens again and again: a daemon that dies of each answer, or keys that
        live for minutes."""
        uses = self.backoff.uses + 1
        surplus = min(max(uses - FREE_USES, 0), MOST_SURPLUS)
        earliest = self.backoff.earliest if surplus else Boot(0)
        self.backoff = replace(self.backoff, attempts=surplus, earliest=earliest, uses=uses)

    def postpone(self, now: Boot) -> None:
        """What the last exchange brought was worth nothing."""
        if not self.running:
            self.due = max(self.backoff.earliest, after(now, KE_RETRY))

    def hasten(self, now: Boot) -> None:
        """The network may have come up: repeat soon what never reached a server."""
        self._hurried = self.running
        if self.running or self.due is None or not self._unreached:
            return
        self._unreached = 0
        spread = LINK_UP_SPREAD * self._entropy(1)[0] / 255
        soon = after(max(now, after(self._began, REST)), spread)
        self.due = max(min(self.due, soon), self.backoff.earliest)

    def _jitter(self) -> float:
        return 1.0 - JITTER + 2 * JITTER * self._entropy(1)[0] / 255


def encode_backoffs(backoffs: Mapping[str, Backoff], boot_id: str) -> str:
    """Those of all sources, for a daemon that is started again in this boot: a line of JSON."""
    rows = {source: astuple(backoff) for source, backoff in backoffs.items() if backoff != FRESH}
    return json.dumps({"pints-backoffs": 1, "boot": boot_id, "sources": rows}) + "\n"


def decode_backoffs(text: str, boot_id: str) -> dict[str, Backoff] | None:
    """Those of this boot; None if they are another boot's; StateError if torn or foreign."""
    with decoding("record of key exchanges"):
        document = json.loads(text)
        if document["pints-backoffs"] != 1:
            raise ValueError
        found = {str(source): _backoff(row) for source, row in document["sources"].items()}
        boot = document["boot"]
    return found if boot == boot_id else None


def _backoff(row: list[object]) -> Backoff:
    """Of one source.  No record holds an exchange back for longer than R12 does."""
    values = [value for value in row if type(value) is int and 0 <= value < _LIMIT]
    attempts, earliest, began, uses = values
    if len(values) != len(row) or earliest - began > nanoseconds((1 + JITTER) * KE_RETRY_MAX):
        raise ValueError
    return Backoff(attempts, Boot(earliest), Boot(began), uses)
