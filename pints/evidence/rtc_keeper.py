"""Keeps the real-time clock: when it is read, what is learned of its drift, when it is set.

Guarantees: it is set only from anchored time (R7), and rarely; a reading of it verifies nothing.
"""

import logging

from pints.actions import Action, Log, ReadRtc, Save, SetRtc
from pints.bootstrap.engine import Bootstrap
from pints.drivers import RtcReading
from pints.errors import NotAnchoredError, PintsError
from pints.events import RtcEvent, RtcRead, RtcRefined, RtcTrimmed, RtcWritten
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
from pints.sync.discipline import Discipline
from pints.timescale import DAY, Boot, Reading, after
from pints.values.files import RTC_FILE


class RtcKeeper:
    """The real-time clock of one boot.  Readings are without slews (`sync.slew`)."""

    def __init__(
        self,
        calibration: Calibration | None,
        board: str,
        bootstrap: Bootstrap,
        discipline: Discipline,
    ) -> None:
        self.calibration = calibration
        self.chip = ""
        """Its name, once it was read."""
        self.reading: RtcReading | None = None
        """The last one."""
        self.due: Boot | None = None
        """When it is read next; None while a reading is awaited."""
        self._board = board
        self._bootstrap = bootstrap
        self._discipline = discipline

    def act(self, now: Reading) -> list[Action]:
        """Read it, if that is due."""
        if self.due is None or now.boot < self.due:
            return []
        self.due = None
        return [ReadRtc()]

    def handle(self, event: RtcEvent, now: Reading) -> list[Action]:
        """Return what follows from an event."""
        match event:
            case RtcRead(chip, reading):
                return self._read(chip, reading, now)
            case RtcRefined(reading):
                # As evidence a second more or less is nothing, so this is for its drift alone.
                self.reading = reading
                return self.compare()
            case RtcWritten(reading):
                return self._written(reading)
            case RtcTrimmed(change):
                return self._trimmed(change)

    def compare(self) -> list[Action]:
        """Compare the last reading with anchored time: learn the drift from it, and set the
        chip where that is worth it."""
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
        return [] if self.calibration == known else self._save()

    def drift_to_trim(self) -> float:
        """Return the fraction by which the chip runs fast.  PintsError where that is not known,
        or where the chip could not be set afterwards (R7)."""
        known = self.calibration
        if not self._bootstrap.anchored:
            raise NotAnchoredError
        if known is None or known.chip != self.chip or known.drift_error >= UNMEASURED:
            raise PintsError("its drift is not measured yet", "that takes a day: pints rtc")
        return known.drift

    # --- private -------------------------------------------------------------------------

    def _read(self, chip: str, reading: RtcReading, now: Reading) -> list[Action]:
        self.chip, self.reading = chip, reading
        self.due = after(now.boot, DAY)
        floors = self._bootstrap.lenient_floors
        evidence = rtc_evidence(chip, reading, self.calibration, floors)
        return self._bootstrap.offer(evidence, now) + self.compare()

    def _written(self, back: RtcReading) -> list[Action]:
        true = self._discipline.true_time(back.at.raw)
        if true is None or not self._bootstrap.anchored:
            return []
        error = self._discipline.bound(back.at.raw)
        self.reading = back
        self.calibration = written(self.chip, back, self.calibration, true, error)
        return self._save()

    def _trimmed(self, change: float) -> list[Action]:
        assert self.calibration is not None, "drift_to_trim has refused"
        self.calibration = trimmed(self.calibration, change)
        text = f"real-time clock {self.chip} is trimmed by {change * 1e6:+.2f} ppm, and set"
        return [Log(logging.INFO, text), *self._save(), SetRtc()]

    def _save(self) -> list[Action]:
        assert self.calibration is not None
        return [Save(RTC_FILE, encode_calibration(self.calibration, self._board))]
