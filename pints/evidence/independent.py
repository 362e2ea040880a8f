"""Everything besides NTS servers that is configured to tell the time: one field a kind.

Guarantees: nothing here verifies the time.  This module and what it needs are imported only where
the configuration names a real-time clock, a refclock or Roughtime servers.
"""

from collections.abc import Callable

from pints.actions import Action, ReadRtc
from pints.bootstrap.engine import Bootstrap
from pints.config.tables import Config
from pints.evidence.refclocks import Refclocks
from pints.evidence.roughtime import RoughtimePoll
from pints.evidence.rtc import Calibration
from pints.evidence.rtc_keeper import RtcKeeper
from pints.sync.discipline import Discipline
from pints.timescale import Boot, Reading


class Independent:
    """The real-time clock, the refclocks and the Roughtime servers of one boot.  Readings are
    without slews (`sync.slew`)."""

    def __init__(
        self,
        config: Config,
        calibration: Calibration | None,
        board: str,
        bootstrap: Bootstrap,
        discipline: Discipline,
        entropy: Callable[[int], bytes],
        now: Reading,
    ) -> None:
        self.rtc = RtcKeeper(calibration, board, bootstrap, discipline)
        self.refclocks = Refclocks(config.refclocks, bootstrap, discipline)
        self.roughtime = RoughtimePoll(config.bootstrap.roughtime, bootstrap, entropy, now)
        self._has_rtc = bool(config.rtc.driver)

    def begin(self) -> list[Action]:
        """Read the real-time clock, at once."""
        return [ReadRtc()] if self._has_rtc else []

    def due(self) -> Boot | None:
        """When `act` has something to do next."""
        times = [t for t in (self.rtc.due, self.roughtime.due()) if t is not None]
        return min(times, default=None)

    def act(self, number: Callable[[], int], now: Reading) -> list[Action]:
        """Do what is due; `number` yields one for a task of the worker."""
        return self.rtc.act(now) + self.roughtime.act(number, now)
