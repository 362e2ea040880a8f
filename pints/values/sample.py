"""One measurement of a server's clock, free of the clock that took it."""

from pints.lean import dataclass
from pints.timescale import Boot, Instant, Raw

LEAP_UNKNOWN = 3
"""NTP's leap indicator of who does not know whether a leap second is to come."""


@dataclass(frozen=True, slots=True)
class Sample:
    """At the raw instant `raw` (boot instant `boot`) true time was `time`, within `distance`.

    The instant is the middle of the exchange, where half the round trip's asymmetry is the
    error; the system clock does not occur in it, so stepping or slewing it spoils nothing.
    """

    source: str
    raw: Raw
    boot: Boot
    time: Instant
    delay: float
    """Round trip less the server's own time, seconds."""
    dispersion: float
    """Reading errors of both ends and drift during the exchange, seconds."""
    root_delay: float
    """The server's, to its reference, seconds."""
    root_dispersion: float
    """The server's, seconds."""
    stratum: int
    leap: int
    reference_id: bytes
    authenticated: bool
    from_saved_session: bool = False
    """Authenticated by keys that no certificate of this boot vouches for."""

    @property
    def distance(self) -> float:
        """Root distance: the hard bound of the error (RFC 5905 section 11.2), seconds."""
        return (self.delay + self.root_delay) / 2 + self.dispersion + self.root_dispersion
