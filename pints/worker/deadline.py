"""The moment by which something has to be over, whatever the other end does.

The worker is too short-lived for a timescale of its own: CLOCK_MONOTONIC, which Python's
`time.monotonic` reads, stands still while the machine sleeps, and so does the network.
"""

import select
import time

from pints.errors import PeerError


class Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, never negative."""
        return max(0.0, self._at - time.monotonic())

    def within(self, seconds: float) -> "Deadline":
        """This deadline, or one that is `seconds` from now if that comes first."""
        return Deadline(min(seconds, self.left()))

    def wait(self, fd: int, events: int, late: str) -> None:
        """Until `fd` is ready; PeerError with the text `late` if it is not in time."""
        poll = select.poll()
        poll.register(fd, events)
        # An interrupted or early poll comes round again; a millisecond more than is left, lest
        # rounding down makes the last one spin.
        while (left := self.left()) > 0:
            if poll.poll(left * 1000 + 1):
                return
        raise PeerError(late)
