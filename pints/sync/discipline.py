"""All sources together: their filters, the choice among them, the estimate to steer by."""

from collections.abc import Mapping

from pints.sample import Sample
from pints.sync.filter import DRIFT, FREQUENCY_PRIOR, PathFilter
from pints.sync.select import COMBINED, SELECTED, Candidate, Selection, select
from pints.timescale import NS, Instant, Raw, nanoseconds, seconds


class Discipline:
    """Knows true time against the crystal, from the samples of every source."""

    def __init__(self, frequency: float = 0.0, skew: float = FREQUENCY_PRIOR) -> None:
        """`frequency` and `skew` are what the crystal was last known to do."""
        self.frequency = frequency
        self.skew = skew
        self._prior = (frequency, skew)
        self.selection: Selection | None = None
        self.filters: dict[str, PathFilter] = {}
        self.last: dict[str, Sample] = {}
        self._base: int | None = None
        self._at = Raw(0)
        self._growth = DRIFT
        """By what fraction of the time since then the bound of that choice grows."""

    def add(self, sample: Sample) -> PathFilter:
        """Take a sample into its source's filter."""
        if self._base is None:
            self._base = sample.time - sample.raw
        path = self.filters.get(sample.source)
        if path is None:
            path = PathFilter(self._base, *self._known())
            self.filters[sample.source] = path
        if path.add(sample):
            self.last[sample.source] = sample
        return path

    def forget(self, source: str) -> None:
        """A source turned out a liar: what it taught goes too."""
        self.filters.pop(source, None)
        self.last.pop(source, None)

    def shift(self, step: int) -> None:
        """UTC's count stepped by `step` ns, at a leap second: all that is known goes with it."""
        if self._base is not None:
            self._base += step
        for path in self.filters.values():
            path.shift(step)

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
                    self.filters[source].bound(raw),
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
            used = [s for s in usable if found.marks.get(s) in (SELECTED, COMBINED)]
            self._growth = max((self.filters[s].growth for s in used), default=DRIFT)
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
        # As the filters were then: what they have heard since, of those who are followed no
        # more, makes nothing of it surer.
        return self.selection.distance + self._growth * seconds(raw - self._at)

    def _known(self) -> tuple[float, float]:
        """Frequency and skew to begin a filter with: the surest filter's.  Not the combined
        ones, for filters that all began with the same have not each found it out anew."""
        learned = [e for path in self.filters.values() if (e := path.at(self._at))]
        best = min(learned, key=lambda e: e.skew, default=None)
        return (best.frequency, best.skew) if best else self._prior
