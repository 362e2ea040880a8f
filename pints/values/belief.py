"""Floors and belief: the instants before which, and the interval within which, true time lies."""

from pints.errors import StateError
from pints.lean import dataclass
from pints.timescale import NS, YEAR, Boot, Instant, nanoseconds, seconds
from pints.values.files import decoding

DRIFT_UNSTEERED = 500e-6
"""By how much a crystal that nobody has measured may run off, in any direction."""
DRIFT_STEERED = 100e-6
"""The same once it follows true time: what a slew may add for a while."""

CEILING = 20 * YEAR
"""Seconds after the build epoch beyond which nothing is believed."""


@dataclass(frozen=True, slots=True)
class Floors:
    """What the disk knows.  `ratcheted` and `seen` are 0 where nothing was saved."""

    build_epoch: Instant
    ratcheted: Instant = Instant(0)
    seen: Instant = Instant(0)

    @property
    def hard(self) -> Instant:
        """Below it no evidence is believed and the clock is never taken (R1)."""
        return max(self.build_epoch, self._ratcheted)

    @property
    def soft(self) -> Instant:
        """Orders the logs; proves nothing."""
        return max(self.hard, self.seen if self.seen <= self.ceiling else Instant(0))

    @property
    def ceiling(self) -> Instant:
        """Above it no evidence is believed and the clock is never taken (R1)."""
        return Instant(self.build_epoch + nanoseconds(CEILING))

    @property
    def poisoned(self) -> bool:
        """Whether the saved time lies beyond what a clock of this build can have seen."""
        return self.ratcheted > self.ceiling

    @property
    def _ratcheted(self) -> Instant:
        return Instant(0) if self.poisoned else self.ratcheted


@dataclass(frozen=True, slots=True)
class Belief:
    """At the boot instant `boot` true time was within `error` seconds of `time`."""

    time: Instant
    boot: Boot
    error: float
    drift: float = DRIFT_STEERED
    """By what fraction `error` grows."""

    def at(self, boot: Boot) -> "Belief":
        """The same belief later, grown by what the crystal may have drifted."""
        span = boot - self.boot
        grown = self.error + self.drift * abs(seconds(span))
        return Belief(Instant(self.time + span), boot, grown, self.drift)

    @property
    def low(self) -> Instant:
        return Instant(self.time - nanoseconds(self.error))

    @property
    def high(self) -> Instant:
        return Instant(self.time + nanoseconds(self.error))

    def encode(self, boot_id: str, basis: str) -> str:
        """As /run keeps it for a daemon that is started again (R9)."""
        error = max(self.error, 1e-9)
        return f"pints-belief 1 {boot_id} {self.boot} {self.time} {error:.9f} {basis}\n"


def decode_belief(text: str, boot_id: str) -> tuple[Belief, str] | None:
    """Belief and basis of this boot; None if they are another boot's; StateError if torn."""
    with decoding("recorded belief"):
        name, version, boot, at, time, error, basis = text.split()
        if (name, version) != ("pints-belief", "1"):
            raise ValueError
        belief = Belief(Instant(int(time)), Boot(int(at)), float(error))
    if not 0 < belief.error < 1e6 or belief.time < NS:
        raise StateError("recorded belief is out of range")
    return (belief, basis) if boot == boot_id else None
