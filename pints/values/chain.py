"""What is left of a certificate chain once it was checked: when it is good, and whose it is."""

from pints.lean import dataclass
from pints.timescale import Instant


@dataclass(frozen=True, slots=True)
class Window:
    """Instants, both ends included, at which a chain verifies."""

    start: Instant
    end: Instant

    def contains(self, start: Instant, end: Instant) -> bool:
        """Whether the whole interval lies inside."""
        return self.start <= start and end <= self.end


@dataclass(frozen=True, slots=True)
class Chain:
    """What the daemon must know of a certificate chain that verifies at *some* instant for the
    right name, key usage and anchor.  No certificate is needed to judge it at any instant."""

    windows: tuple[Window, ...]
    """All instants at which it verifies by any path to an anchor, ascending, disjoint."""
    leaf_not_before: Instant
    leaf_key: str
    """SHA-256 of the leaf's SubjectPublicKeyInfo, hex."""
    roots: tuple[str, ...]
    """The same of every anchor by which it verifies at some instant, sorted."""
    issuer: str = ""
    """For people: the leaf's issuer."""

    def good(self, start: Instant, end: Instant) -> bool:
        """Whether it verifies during the whole of an interval."""
        return any(window.contains(start, end) for window in self.windows)

    def window(self, at: Instant) -> Window | None:
        """The window that an instant lies in; None if it does not verify then."""
        return next((window for window in self.windows if window.contains(at, at)), None)

    @property
    def end(self) -> Instant:
        """The last instant at which it verifies."""
        return self.windows[-1].end
