"""The clocks on the board: what they say as evidence, what is learned of them, when the
real-time clock is set.

Guarantees: nothing here verifies the time; the real-time clock is set only from anchored time
(R7), and rarely.  The modules of clocks that nobody configured are never imported.
"""

import logging
from typing import TYPE_CHECKING

from pints.actions import Action, Log, ReadRtc, Save, SetRtc
from pints.config import Config, RefclockConfig
from pints.timescale import DAY, Boot, Instant, after

if TYPE_CHECKING:
    from pints.bootstrap.belief import Floors
    from pints.bootstrap.evidence import Evidence
    from pints.bootstrap.gps import Fixes
    from pints.bootstrap.rtc import Calibration
    from pints.bootstrap.rules import Refusal
    from pints.drivers import Fix, RtcReading
    from pints.sample import Sample

RTC_FILE = "rtc.json"
"""In the state folder: the real-time clock's calibration."""


class RtcKeeper:
    """The real-time clock of one boot."""

    def __init__(self, calibration: "Calibration | None") -> None:
        self.calibration = calibration
        self.name = "rtc"
        self.reading: RtcReading | None = None
        """What it said last."""
        self._read_due: Boot | None = None

    def begin(self) -> list[Action]:
        """Read it, at once."""
        return [ReadRtc()]

    def due(self) -> Boot | None:
        """When `handle_timer` has something to say next."""
        return self._read_due

    def handle_timer(self, now: Boot) -> list[Action]:
        """Compare it with true time once in a day."""
        if self._read_due is None or now < self._read_due:
            return []
        self._read_due = None
        return [ReadRtc()]

    def judge(self, name: str, reading: "RtcReading", floors: "Floors") -> "Evidence | Refusal":
        """What it says now is worth this."""
        from pints.bootstrap.rtc import rtc_evidence

        self.name, self.reading = name, reading
        return rtc_evidence(name, reading, self.calibration, floors)

    def compare(self, true: Instant, error: float, now: Boot) -> list[Action]:
        """Time is anchored, and was `true` within `error` s at the last reading: learn from
        it, set it where that is worth it, look again tomorrow."""
        from pints.bootstrap.rtc import encode_calibration, learn, worth_writing

        reading, self._read_due = self.reading, after(now, DAY)
        if reading is None:
            return []
        known = self.calibration
        why = worth_writing(self.name, reading, known, true, error)
        if why:
            text = f"real-time clock {self.name} is set: {why}"
            return [Log(logging.INFO, text), SetRtc()]
        if known is None:
            return []
        self.calibration = learn(known, reading, true, error)
        if self.calibration == known:
            return []
        return [Save(RTC_FILE, encode_calibration(self.calibration))]

    def written(self, back: "RtcReading", true: Instant, error: float) -> list[Action]:
        """It was set, and says this now."""
        from pints.bootstrap.rtc import encode_calibration, written

        self.reading = back
        self.calibration = written(self.name, back, self.calibration, true, error)
        return [Save(RTC_FILE, encode_calibration(self.calibration))]


class Receivers:
    """The receivers of one boot."""

    def __init__(self, config: Config, floors: "Floors") -> None:
        self.configs: dict[str, RefclockConfig] = {r.id: r for r in config.refclocks}
        self._fixes: dict[str, Fixes] = {}
        self._floors = floors

    def hear(self, name: str, fix: "Fix") -> "tuple[Evidence | Refusal | None, Sample | None]":
        """What a fix proves, and as what the clock filters take it."""
        from pints.bootstrap.gps import Fixes, fix_sample

        config = self.configs[name]
        if name not in self._fixes:
            self._fixes[name] = Fixes(name, config.trust, self._floors)
        fixes = self._fixes[name]
        said = fixes.hear(fix)
        usable = fixes.steady and not config.noselect
        return said, fix_sample(fix, name, self._floors) if usable else None

    def usable(self) -> list[str]:
        """Those that may be followed."""
        return [
            n for n, fixes in self._fixes.items() if fixes.steady and not self.configs[n].noselect
        ]
