"""All sources together: their filters, the choice among them, the estimate to steer by."""

from collections.abc import Mapping

from pints.sample import Sample
from pints.sync.filter import FREQUENCY_PRIOR, PathFilter
from pints.sync.select import Candidate, Selection, select
from pints.timescale import NS, Instant, Raw, nanoseconds, seconds

DRIFT = 15e-6
"""PHI (RFC 5905): by how much a source's bound grows per second since its last sample."""


class Discipline:
    """Knows true time against the crystal, from the samples of every source."""

    def __init__(self, frequency: float = 0.0, skew: float = FREQUENCY_PRIOR) -> None:
        """`frequency` and `skew` are what the crystal was last known to do."""
        self.frequency = frequency
        self.skew = skew
        self.selection: Selection | None = None
        self.filters: dict[str, PathFilter] = {}
        self.last: dict[str, Sample] = {}
        self._base: int | None = None
        self._at = Raw(0)

    def add(self, sample: Sample) -> PathFilter:
        """Take a sample into its source's filter."""
        if self._base is None:
            self._base = sample.time - sample.raw
        path = self.filters.get(sample.source)
        if path is None:
            path = PathFilter(self._base, self.frequency, self.skew)
            self.filters[sample.source] = path
        path.add(sample)
        self.last[sample.source] = sample
        return path

    def forget(self, source: str) -> None:
        """A source turned out a liar: what it taught goes too."""
        self.filters.pop(source, None)
        self.last.pop(source, None)

    def choose(self, raw: Raw, usable: Mapping[str, bool]) -> Selection | None:
        """Select and combine at a raw instant, among the sources in `usable` (value: whether
        it authenticates itself).  Keeps the last good choice's estimate when there is none."""
        candidates = []
        for source, authenticated in usable.items():
            estimate = self.filters[source].at(raw) if source in self.filters else None
            if estimate is None:
                continue
            sample = self.last[source]
            candidates.append(
                Candidate(
                    source,
                    estimate.phase,
                    estimate.deviation,
                    sample.distance + DRIFT * seconds(max(raw - sample.raw, 0)),
                    estimate.frequency,
                    estimate.skew,
                    authenticated,
                    sample.stratum,
                )
            )
        found = select(candidates)
        if found is not None:
            self.selection, self._at = found, raw
            self.frequency, self.skew = found.frequency, found.skew
        return found

    def true_time(self, raw: Raw) -> Instant | None:
        """The estimate of true time at a raw instant; None while nothing was ever chosen."""
        if self.selection is None or self._base is None:
            return None
        span = (raw - self._at) / NS
        phase = self.selection.phase + self.selection.frequency * span
        return Instant(raw + self._base + nanoseconds(phase))

    def bound(self, raw: Raw) -> float:
        """Hard bound of that estimate, seconds."""
        if self.selection is None:
            return float("inf")
        return self.selection.distance + DRIFT * seconds(max(raw - self._at, 0))
