"""What confirms or disputes the witnesses besides themselves: the clocks on the board, and
Roughtime.

Guarantees: nothing here verifies the time; the real-time clock is set only from anchored time
(R7), and rarely; Roughtime is asked until the time is anchored and not after.  This module and
what it needs are imported only where something of it is configured.
"""

import logging
from collections.abc import Callable

from pints.actions import Action, Log, ReadRtc, Save, SetRtc, Start
from pints.bootstrap.engine import Bootstrap
from pints.config.tables import Config
from pints.drivers import RtcReading
from pints.errors import NotAnchoredError, PintsError
from pints.evidence.refclocks import Receivers
from pints.evidence.roughtime import judge
from pints.evidence.rtc import (
    UNMEASURED,
    Calibration,
    encode_calibration,
    learn,
    rtc_evidence,
    trimmed,
    worth_writing,
    written,
)
from pints.roughtime_poll import RoughtimePoll
from pints.sync.discipline import Discipline
from pints.sync.slew import SlewAccount
from pints.timescale import DAY, Boot, Reading, after, seconds
from pints.values.files import MALFEASANCE_FILE, RTC_FILE
from pints.values.worker_tasks import Failed, Result, RoughtimeHeard

SLEPT = 1.0
"""The worker ages its readings by a clock that stops in sleep: by more than this, they are
worth nothing, seconds."""


class Corroboration:
    """The real-time clock, the receivers and the Roughtime servers of one boot.  Readings are
    without slews (`sync.slew`)."""

    def __init__(
        self,
        config: Config,
        calibration: Calibration | None,
        board: str,
        bootstrap: Bootstrap,
        discipline: Discipline,
        slews: SlewAccount,
        entropy: Callable[[int], bytes],
        now: Reading,
    ) -> None:
        self.calibration = calibration
        self._board = board
        self.chip = ""
        """The real-time clock's name, once it was read."""
        self.reading: RtcReading | None = None
        """What it said last."""
        self._bootstrap = bootstrap
        self._discipline = discipline
        self._has_rtc = bool(config.rtc.driver)
        self._read_due: Boot | None = None
        self._roughtime = RoughtimePoll(config.bootstrap.roughtime, entropy, now.boot)
        self._asked = now
        """When the servers were."""
        self.receivers = Receivers(config.refclocks, bootstrap, discipline, slews)

    def begin(self) -> list[Action]:
        """Read the real-time clock, at once."""
        return [ReadRtc()] if self._has_rtc else []

    def due(self) -> Boot | None:
        """When `act` has something to do next."""
        asking = None if self._bootstrap.anchored else self._roughtime.due()
        times = [t for t in (self._read_due, asking) if t is not None]
        return min(times, default=None)

    def act(self, number: Callable[[], int], now: Reading) -> list[Action]:
        """Do what is due; `number` yields one for a task."""
        actions: list[Action] = []
        if self._read_due is not None and now.boot >= self._read_due:
            self._read_due = None
            actions.append(ReadRtc())
        if not self._bootstrap.anchored:
            task = self._roughtime.task(number, now.boot)
            self._asked = self._asked if task is None else now
            actions += [] if task is None else [Start(task)]
        return actions

    def network_changed(self, now: Boot) -> None:
        """The network may have come up."""
        self._roughtime.network_changed(now)

    # --- the real-time clock ---

    def handle_rtc(self, name: str, reading: RtcReading, now: Reading) -> list[Action]:
        """It was read."""
        self.chip, self.reading = name, reading
        self._read_due = after(now.boot, DAY)
        floors = self._bootstrap.lenient_floors
        said = rtc_evidence(name, reading, self.calibration, floors)
        return self._bootstrap.offer(said, now) + self.compare_rtc()

    def rtc_refined(self, reading: RtcReading) -> list[Action]:
        """It is known when its seconds begin.  As evidence a second more or less is nothing, so
        this is for its drift alone."""
        self.reading = reading
        return self.compare_rtc()

    def compare_rtc(self) -> list[Action]:
        """Hold its last reading against anchored time: learn from it, set it where that is
        worth it."""
        reading = self.reading
        true = self._discipline.true_time(reading.at.raw) if reading else None
        if reading is None or true is None or not self._bootstrap.anchored:
            return []
        error = self._discipline.bound(reading.at.raw)
        known = self.calibration
        if known is not None:
            self.calibration = learn(known, reading, true, error)
        why = worth_writing(self.chip, reading, known, true, error)
        if why:
            text = f"real-time clock {self.chip} is set: {why}"
            return [Log(logging.INFO, text), SetRtc()]
        return [] if self.calibration == known else self._keep_calibration()

    def rtc_written(self, back: RtcReading) -> list[Action]:
        """It was set, and says this now."""
        true = self._discipline.true_time(back.at.raw)
        if true is None or not self._bootstrap.anchored:
            return []
        error = self._discipline.bound(back.at.raw)
        self.reading = back
        self.calibration = written(self.chip, back, self.calibration, true, error)
        return self._keep_calibration()

    def drift_to_trim(self) -> float:
        """By what fraction the chip runs fast.  PintsError where that is not known, or where it
        could not be set afterwards (R7)."""
        known = self.calibration
        if not self._bootstrap.anchored:
            raise NotAnchoredError
        if known is None or known.chip != self.chip or known.drift_error >= UNMEASURED:
            raise PintsError("its drift is not measured yet", "that takes a day: pints rtc")
        return known.drift

    def rtc_trimmed(self, change: float) -> list[Action]:
        """It was made to run faster by the fraction `change`."""
        assert self.calibration is not None
        self.calibration = trimmed(self.calibration, change)
        text = f"real-time clock {self.chip} is trimmed by {change * 1e6:+.2f} ppm, and set"
        return [Log(logging.INFO, text), *self._keep_calibration(), SetRtc()]

    def _keep_calibration(self) -> list[Action]:
        assert self.calibration is not None
        return [Save(RTC_FILE, encode_calibration(self.calibration, self._board))]

    # --- Roughtime ---

    def handle_roughtime(self, result: Result, now: Reading) -> list[Action]:
        """The servers answered: a quorum of their operators is independent evidence."""
        slept = seconds(now.boot - self._asked.boot) - seconds(now.raw - self._asked.raw)
        if not isinstance(result, RoughtimeHeard) or slept > SLEPT:
            reason = result.reason if isinstance(result, Failed) else "the machine slept meanwhile"
            self._roughtime.done(False, now.boot)
            return [Log(logging.WARNING, f"roughtime: {reason}")]
        operators, floors = self._roughtime.operators, self._bootstrap.lenient_floors
        evidence, refusals = judge(result.readings, operators, floors, now.boot)
        actions: list[Action] = [Log(logging.WARNING, str(r), r.rule) for r in refusals]
        actions += [Log(logging.INFO, f"roughtime: {line}") for line in result.failures]
        if result.malfeasance:
            actions.append(Save(MALFEASANCE_FILE, result.malfeasance.encode()))
            text = f"roughtime: servers contradict each other: proof kept as {MALFEASANCE_FILE}"
            actions.append(Log(logging.ERROR, text))
        self._roughtime.done(evidence is not None, now.boot)
        return actions if evidence is None else actions + self._bootstrap.offer(evidence, now)
