"""How often to ask: seldom while the prediction holds, often when it fails."""

from pints.sync.filter import PathFilter

CALM = 1.5
"""Surprises below this many standard deviations let the interval grow."""
ALARM = 3.0
"""Surprises above it halve the interval."""
PATIENCE = 3
"""Calm samples in a row for each doubling."""
SETTLED = 4
"""Samples before anything is concluded: the first burst."""


class PollControl:
    """The polling interval of one source, log2 s between its bounds."""

    def __init__(self, minpoll: int, maxpoll: int) -> None:
        self._bounds = (minpoll, maxpoll)
        self._calm = 0

    def after_sample(self, poll: int, path: PathFilter) -> int:
        """The next interval, once a sample has gone into its filter."""
        low, high = self._bounds
        size = abs(path.surprise)
        if size > ALARM:
            self._calm = 0
            return max(poll - 1, low)
        if size < CALM and path.samples > SETTLED:
            self._calm += 1
            if self._calm >= PATIENCE:
                self._calm = 0
                return min(poll + 1, high)
        return min(max(poll, low), high)
