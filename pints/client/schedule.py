"""When one source is asked for the time.

- It answers: a first burst, then once in a polling interval.
- It has not answered yet, or not any more: after 1, 2, 4 ... s, up to the shortest polling
  interval (rule R12).
- It does not want us (a kiss): at its longest polling interval, whatever else happens.
- All of it is spread a little, to keep a house full of clients, all woken by one power cut, apart.
"""

from collections.abc import Callable

from pints.client.retry import LINK_UP_SPREAD
from pints.timescale import Boot, after

BURST = 4
"""Requests of the first burst, hence samples: the first that is answered, and those after it."""
BURST_INTERVAL = 2.0
"""Seconds between them: what public servers bear (RFC 5905 section 11.1, RFC 8633)."""
FIRST_PROBE = 1.0
"""Seconds after which a request is repeated whose source does not answer; then doubled."""


class Schedule:
    """The timing of one source.  `minpoll`, `maxpoll` and `poll` are log2 s; `entropy` yields
    random octets."""

    def __init__(self, minpoll: int, maxpoll: int, entropy: Callable[[int], bytes]) -> None:
        self.poll = minpoll
        self.due: Boot | None = None
        """The next turn; None: nothing is asked until `begin`."""
        self.repeat_due: Boot | None = None
        """When an unanswered poll is repeated out of turn: the network came up."""
        self.unwelcome = False
        """Kissed off since the last good answer."""
        self._minpoll = minpoll
        self._maxpoll = maxpoll
        self._entropy = entropy
        self._burst = BURST
        self._asked = Boot(0)
        """The last turn's request."""
        self._probe: int | None = 0
        """Which request since it fell silent comes next; None while it answers."""

    @property
    def steady(self) -> bool:
        """Whether it answers, and the first burst is over."""
        return self._probe is None and not self._burst

    def begin(self, now: Boot, burst: bool = False) -> None:
        """There is something new to ask with: at once, and again soon if it is not answered."""
        self.due = now
        self._probe = 0
        if burst and not self.unwelcome:
            self._burst = BURST

    def stop(self) -> None:
        """There is nothing to ask with."""
        self.due = self.repeat_due = None

    def next(self) -> list[Boot]:
        """When `turn` or `repeat` will be so."""
        return [t for t in (self.due, self.repeat_due) if t is not None]

    def turn(self, now: Boot) -> bool:
        """Whether a poll is due."""
        return self.due is not None and now >= self.due

    def repeat(self, now: Boot) -> bool:
        """Whether the last poll should be repeated before the next one's turn, now."""
        if self.due is None or self.repeat_due is None or now < self.repeat_due:
            return False
        self.repeat_due = None
        return True

    def asked(self, now: Boot, rest: float = 0.0) -> None:
        """The request of this turn leaves.  `rest` are seconds to the next at least."""
        self._asked = now
        if self._probe is None or self.unwelcome:
            self._burst -= self._burst > 0
            wait = self._interval()
        else:
            wait = min(FIRST_PROBE * 2.0**self._probe, float(1 << self._minpoll))
            self._probe = min(self._probe + 1, self._minpoll)
        self.due = after(now, max(wait * self._spread(), rest))

    def missed(self, now: Boot, again: bool) -> None:
        """There was nothing to ask with in this turn.  `again`: wait for the next one."""
        self.due = after(now, float(1 << self.poll)) if again else None

    def answered(self, sent: Boot) -> None:
        """The request that left at `sent` brought the time."""
        self.unwelcome = False
        self.repeat_due = None
        if self._probe is not None:
            self._probe = None
            self._burst = max(self._burst - 1, 0)
            self.due = after(sent, self._interval() * self._spread())

    def pace(self, poll: int) -> None:
        """The interval from now on, log2 s, also for the turn that comes next."""
        if poll == self.poll:
            return
        self.poll = poll
        if self.due is not None and self._probe is None and not self.unwelcome:
            self.due = after(self._asked, self._interval() * self._spread())

    def lost(self) -> None:
        """Nobody answers any more: look soon, and often, whether it comes back."""
        if self._probe is None:
            self._probe = self._burst = 0
        if not self.unwelcome:
            self.poll = self._minpoll

    def kissed(self, now: Boot) -> None:
        """It was told to stay away: it slows down, and does not stop (rule R11)."""
        self._burst = 0
        self.unwelcome = True
        self.poll = self._maxpoll
        self.repeat_due = None
        self.due = after(now, float(1 << self.poll) * self._spread())

    def hasten(self, now: Boot, sent: Boot | None) -> None:
        """The network may have come up, and the request that left at `sent`, if any did, is
        not answered: repeat it soon."""
        if self.due is None or self.unwelcome:
            return
        rested = now if sent is None else max(now, after(sent, FIRST_PROBE))
        soon = after(rested, LINK_UP_SPREAD * self._entropy(1)[0] / 255)
        if self._probe is None:
            self.repeat_due = soon  # beside the poll's turn: it does not count twice
        else:
            self._probe = 0
            self.due = min(self.due, soon)

    def _interval(self) -> float:
        """Seconds between the requests to a source that answers."""
        interval = float(1 << self.poll)
        return min(BURST_INTERVAL, interval) if self._burst else interval

    def _spread(self) -> float:
        return 0.99 + 0.02 * self._entropy(1)[0] / 255
