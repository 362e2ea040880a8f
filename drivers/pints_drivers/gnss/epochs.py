"""From what a receiver says to the times that it tells.

A receiver sends a burst of sentences and messages each second (or more often): its epoch.  All
that bear a time bear that of the epoch, and the first of them is the first of the burst.

What this guarantees:
- an epoch gives at most one fix, and only if a sentence with a date and one that vouches for a fix
  by satellites say so, and none that is fresh says otherwise;
- the fix is stamped with the first byte of its burst.
"""

from pints.drivers import LEAP_UNKNOWN, Fix, Report, Sawtooth
from pints.timescale import DAY, NS, Instant, Raw, Reading, nanoseconds, seconds
from pints_drivers.gnss.said import Said
from pints_drivers.gnss.stream import Heard

LAG = 0.7
"""How long after its second a burst begins at most, seconds.  The sky is computed first: that takes
u-blox some 50 ms, others up to 600, and there must be room for the burst before the next one.  A
message that is exact to nanoseconds lags no less."""
JITTER = 0.2
"""By how much a lag that somebody measured, and configured as `offset`, wanders, seconds."""
FRESH = 2.5
"""For how long the word of a fix holds, seconds: receivers repeat it each second, or each other."""
KINDS = 32
"""No more kinds of sentences are counted apart: who sends them chooses their names."""


class Epochs:
    """One receiver.  `measured`: its lag is known, and corrected elsewhere."""

    def __init__(self, measured: bool) -> None:
        self.counts: dict[str, int] = {}
        """How often which kind of sentence or message came."""
        self.satellites: int | None = None
        self._low, self._high = (-JITTER, JITTER) if measured else (0.0, LAG)
        self._words: dict[str, tuple[bool, Raw]] = {}
        """Whether there is a fix, by the kind of sentence that said so last, and when."""
        self._of_day: int | None = None
        self._kinds: set[str] = set()
        """Sentences of this epoch that bear its time."""
        self._began: Reading | None = None
        self._late = 0.0
        self._told = False
        self._ahead: int | None = None
        self._leap, self._leap_due = LEAP_UNKNOWN, Raw(0)

    def hear(self, heard: Heard) -> Report | None:
        """What follows from the next sentence or message."""
        said = heard.said
        self._count(said.kind)
        self._note(said, heard.began.raw)
        if said.of_day is not None:
            self._enter(said.of_day, heard)
        if said.sawtooth is not None:
            return self._sawtooth(said.sawtooth, said.in_gps_time)
        if said.time is None or self._told or not self.fixed(heard.began.raw):
            return None
        return self._fix(said.time, said.accuracy)

    def fixed(self, raw: Raw) -> bool:
        """Whether there is a fix, by all who said so or otherwise of late."""
        fresh = [good for good, at in self._words.values() if seconds(raw - at) <= FRESH]
        return bool(fresh) and all(fresh)

    def _count(self, kind: str) -> None:
        kind = kind if kind in self.counts or len(self.counts) < KINDS else "others"
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _note(self, said: Said, raw: Raw) -> None:
        if said.good is not None:
            self._words[said.kind] = (said.good, raw)
        if said.satellites is not None:
            self.satellites = said.satellites
        if said.gps_ahead is not None:
            self._ahead = said.gps_ahead
        if said.leap is not None:
            self._leap = said.leap.indicator
            self._leap_due = Raw(raw + nanoseconds(said.leap.due))

    def _enter(self, of_day: int, heard: Heard) -> None:
        kind = heard.said.kind
        # Without a fix, the time of some stands still: a kind that is back begins a burst.
        if of_day != self._of_day or (kind in self._kinds and not self._told):
            self._of_day, self._began, self._late = of_day, heard.began, heard.late
            self._told = False
            self._kinds.clear()
        self._kinds.add(kind)

    def _fix(self, time: Instant, accuracy: float) -> Fix:
        assert self._began is not None  # who says a time says which of the day it is
        self._told = True
        low, high = self._low, self._high + self._late
        error = (high - low) / 2 + accuracy
        left = seconds(self._leap_due - self._began.raw)
        # NTP announces a leap second on its day.
        leap = self._leap if self._leap == LEAP_UNKNOWN or 0 < left <= DAY else 0
        return Fix(Instant(time + nanoseconds((low + high) / 2)), error, self._began, leap)

    def _sawtooth(self, sawtooth: Sawtooth, in_gps_time: bool) -> Sawtooth | None:
        if not in_gps_time:
            return sawtooth
        if self._ahead is None:
            return None
        return Sawtooth(Instant(sawtooth.time - self._ahead * NS), sawtooth.error)
