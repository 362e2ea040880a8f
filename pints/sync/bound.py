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

    def add(self, phase: float, distance: float, moved: float, reach: float) -> bool:
        """A sample says `phase` within `distance`.  Since the last one the phase has moved by
        `moved`, or up to `reach` more or less.  False if that cannot be: the interval is then
        this sample's alone, for somebody set the server's clock, or the crystal jumped, and what
        was said before is no help."""
        low, high = phase - distance, phase + distance
        if self._interval is not None:
            before_low, before_high = self.after(moved, reach)
            if before_low > high or low > before_high:
                self._interval = low, high
                return False
            low, high = max(low, before_low), min(high, before_high)
        self._interval = low, high
        return True

    def after(self, moved: float, reach: float) -> tuple[float, float]:
        """The interval, moved on and widened as in `add`.  There has been a sample."""
        assert self._interval is not None
        low, high = self._interval
        return low + moved - reach, high + moved + reach
