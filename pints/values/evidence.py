"""Evidence: what anything says of the time, with whose word it is and how much that is worth.

A value is an interval or a bound, held against the boot clock; no evidence is ever more than
its strength says.  Witnesses' words (`quorum.Testimony`) carry certificates besides, and are
the only ones that can verify.
"""

from dataclasses import replace
from enum import Enum

from pints.lean import dataclass
from pints.timescale import Boot, Instant, iso, nanoseconds, seconds, span


class Strength(Enum):
    """What evidence may do at most; the value is how reports say it."""

    BOUND = "bounds the time"
    """Floors and the ceiling."""
    LOCAL = "restores the clock, proves nothing"
    """A real-time clock that pints did not set, a GPS without `trust`."""
    BELIEF = "makes a belief, verifies nothing"
    """Bootstrap anchors and the operator."""
    WITNESS = "counts for the quorum"
    """An authenticated source of the administrator's."""
    INDEPENDENT = "confirms or disputes the quorum"
    """No certificate under judgement is behind it: a saved session, a real-time clock that
    pints set, a quorum of Roughtime servers, a GPS with `trust`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """At the boot instant `boot` true time was not before `low` nor after `high`."""

    origin: str
    """Whose word it is, as people know it: `rtc`, `roughtime`, `gps /dev/ttyAMA0`."""
    strength: Strength
    boot: Boot
    low: Instant | None
    """None: not bounded from below."""
    high: Instant | None = None
    """None: not bounded from above."""

    def at(self, boot: Boot, drift: float) -> "Evidence":
        """The same later, grown by what a crystal may have drifted (a fraction)."""
        passed = boot - self.boot
        grown = nanoseconds(drift * abs(seconds(passed)))
        return replace(
            self,
            boot=boot,
            low=None if self.low is None else Instant(self.low + passed - grown),
            high=None if self.high is None else Instant(self.high + passed + grown),
        )

    def admits(self, low: Instant, high: Instant) -> bool:
        """Whether it shares an instant with an interval of the same boot instant."""
        above = self.low is not None and high < self.low
        below = self.high is not None and self.high < low
        return not above and not below

    @property
    def middle(self) -> Instant:
        """Of an interval; of a bound, the bound."""
        if self.low is None or self.high is None:
            return self.low or self.high or Instant(0)
        return Instant((self.low + self.high) // 2)

    @property
    def error(self) -> float:
        """Half the interval, seconds; 0 for a bound."""
        if self.low is None or self.high is None:
            return 0.0
        return seconds(self.high - self.low) / 2

    def __str__(self) -> str:
        if self.high is None:
            return f"not before {iso(self.middle)}"
        if self.low is None:
            return f"not after {iso(self.middle)}"
        return f"{iso(self.middle)} +- {span(self.error)}"
