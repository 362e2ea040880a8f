"""The hard bound: where true time must be, whatever the queues did.

No packet arrives before it was sent, so each exchange confines the phase to an interval of its
root distance around what it measured (RFC 5905 section 11.2).  An interval of before still holds
when it is moved on and widened by all that the crystal may have done since; the truth is in
each, hence in what they share.
"""


class Bound:
    """The interval of one source, moved from sample to sample.  Phases, seconds."""

    def __init__(self) -> None:
        self._interval: tuple[float, float] | None = None

    def add(
        self, phase: float, distance: float, moved: float, learned: float, reach: float
    ) -> bool:
        """A sample says `phase` within `distance`.  Since the last one the phase has moved by
        `moved`; up to `learned` more or less if the crystal is what it was learned to be, up to
        `reach` whatever it did.  False if even that cannot be: then somebody set the server's
        clock, or the crystal jumped."""
        low, high = phase - distance, phase + distance
        before, self._interval = self._interval, (low, high)
        if before is None:
            return True
        low, high = max(low, before[0] + moved - learned), min(high, before[1] + moved + learned)
        if low <= high:
            self._interval = low, high
            return True
        # What was said before is no help; this sample's interval holds alone.
        return low - high <= 2 * (reach - learned)

    def after(self, moved: float, reach: float) -> tuple[float, float]:
        """The interval, moved on and widened.  There has been a sample."""
        assert self._interval is not None
        low, high = self._interval
        return low + moved - reach, high + moved + reach
