"""How often to ask: as seldom as the crystal can be predicted without that spoiling anything.

Until the next sample comes, the prediction goes wrong by what the crystal wanders meanwhile, and
by the frequency's error.  The latter is learned by waiting, but never better than the wander
allows; so both together have to be small beside a sample's noise, or to be mostly the wander's
fault.
"""

import math

from pints.client.schedule import BURST
from pints.sync.estimator import Estimator

WANDERED = 0.52
"""The crystal's wander within an interval, at most, in units of a sample's noise."""
GROWN = 0.22
"""The whole that is added to the prediction's error within it, at most, in the same units ..."""
UNLEARNABLE = 8.0
"""... or in units of that wander."""
RECEIVER_INTERVAL = 16.0
"""Seconds between the fixes of a receiver that are taken in, which tells the time unasked."""
START = 2
"""The first interval after the burst, log2 s.  From there it doubles up to the shortest regular
one."""
OFTEN = 3
"""How often each of these is used while the error is large."""
SMALL = 0.5e-3
"""An error that is not large, seconds."""
STEP = 0.25
"""How finely the interval is chosen, log2 s."""


class PollControl:
    """The polling interval of one source, log2 s between its bounds."""

    def __init__(self, minpoll: int, maxpoll: int) -> None:
        self._bounds = (minpoll, maxpoll)
        self._start = START
        self._used = 0
        """How often the present interval of the start was used."""
        self._owed = 0.0
        """By how much the intervals so far were too short, log2 s."""

    def after_sample(self, poll: int, path: Estimator) -> int:
        """The next interval, once a sample was taken in: one step up at most.  What lies between
        two whole numbers is had by turns."""
        if self._start < self._bounds[0] and path.samples >= BURST:
            return self._starting(path)
        low, high = self._bounds
        wanted = float(min(poll + 1, high))
        while wanted > low and not _predictable(path, 2.0**wanted):
            wanted -= STEP
        wanted = max(wanted, float(low))
        chosen = min(max(int(wanted + self._owed), low), high)
        self._owed = min(max(self._owed + wanted - chosen, 0.0), 1.0 - STEP)
        return chosen

    def _starting(self, path: Estimator) -> int:
        # What is learned of queues grows with the number of samples, not with its root.
        large = path.noise / path.samples > SMALL
        now = self._start
        self._used += 1
        if self._used == OFTEN or not large:
            self._start, self._used = now + 1, 0
        return now


def _predictable(path: Estimator, span: float) -> bool:
    wandered = path.wander * math.sqrt(span**3 / 3)
    return wandered <= WANDERED * path.noise and path.grown(span) <= max(
        GROWN * path.noise, UNLEARNABLE * wandered
    )
