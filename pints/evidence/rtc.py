"""A real-time clock as evidence: what its reading is worth, how it drifts, when to set it.

What this guarantees:
- a chip is independent evidence only if pints set it last, from ratcheted time, and nothing
  about its reading says otherwise; any other chip proves nothing (`Strength.LOCAL`), nor does one
  that the kernel sets as well, which does so as soon as the time is verified;
- the interval contains true time as long as the chip keeps to its stability and nobody sets
  it; somebody who does is noticed as soon as true time is known (`learn`);
- drift is measured over a day or more, and what is known of it is an interval: a measurement
  that fits narrows it, one that does not widens it.

Pure: true time, where it is known, is an argument and means the instant of the reading.
"""

import json
from dataclasses import asdict, replace

from pints.bootstrap.rules import Refusal
from pints.drivers import RtcReading
from pints.errors import StateError
from pints.lean import dataclass
from pints.timescale import DAY, HOUR, YEAR, Instant, iso, nanoseconds, seconds, span
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength
from pints.values.files import decoding, json_line

UNMEASURED = 100e-6
"""Bound of a watch crystal's drift that nobody has measured, from -20 to +70 degrees."""
BASELINE = DAY
"""Shortest time to measure drift over, seconds."""
SPEAKS_FOR = 2 * YEAR
"""A chip confirms or disputes nothing when it was set longer ago, seconds.  Crystals age, and
a date far ahead is more often a chip's mistake than a machine's long sleep."""
STRANGER = 14 * HOUR + UNMEASURED * 10 * YEAR
"""Error of a chip that pints did not set, seconds: people set clocks to local time, which is up
to 14 h from UTC, and a battery lasts ten years."""
WRITE_ABOVE = 1.0
"""By how much the chip must have moved since it was set to be set again, seconds: what it is
off is known and corrected, so only others who read it gain by that."""
WRITE_EVERY = DAY
"""Shortest time between two settings, seconds.  Who else sets the chip is not fought."""
MEASURE_FOR = 7 * DAY
"""How long a chip that merely drifts is left alone, seconds: the longer the span, the better
its drift is known."""
CONFIRMED = 1.0
"""A chip that was just set and reads further off than this did not take it, seconds: one
second is the resolution of all of them."""
TRIM_UNSURE = 0.5
"""By how much of itself a change of rate may differ from what the datasheet calls typical."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of a chip since true time was last known to be on it."""

    chip: str
    """Its name, as its driver gives it."""
    set_at: Instant
    """True time when it was set, or compared because it had jumped."""
    offset: float
    """Chip less true time then, seconds."""
    error: float
    """Bound of the error of `offset`, seconds."""
    ratcheted: bool
    """Whether pints set it then, from anchored time, and nobody has been seen to set it since."""
    drift: float = 0.0
    """By what fraction it runs fast."""
    drift_error: float = UNMEASURED
    """Bound of the error of `drift` at the temperatures it was measured at."""

    def remaining(self, stability: float) -> float:
        """What may be left of its drift once `drift` is taken off."""
        return UNMEASURED if self.drift_error >= UNMEASURED else self.drift_error + stability

    def expected(self, true_time: Instant, stability: float) -> tuple[float, float]:
        """The chip's offset at another instant, and the bound of its error, seconds."""
        passed = seconds(true_time - self.set_at)
        grown = self.error + self.remaining(stability) * abs(passed)
        return self.offset + self.drift * passed, grown


def encode_calibration(calibration: Calibration, board: str) -> bytes:
    """As `rtc.json` keeps it: bound to the board, for another one has another chip."""
    return json_line({"board": board, **asdict(calibration)})


def decode_calibration(data: bytes, board: str) -> Calibration | None:
    """None if another board's; StateError if torn, foreign or out of range."""
    with decoding("calibration of the real-time clock"):
        fields = json.loads(data)
        if fields["board"] != board:
            return None
        chip, set_at, ratcheted = fields["chip"], fields["set_at"], fields["ratcheted"]
        if (type(chip), type(set_at), type(ratcheted)) != (str, int, bool):
            raise TypeError
        numbers = [float(fields[name]) for name in ("offset", "error", "drift", "drift_error")]
    offset, error, drift, drift_error = numbers
    if not (
        0 < set_at < 1 << 63
        and abs(offset) < 1e10
        and 0 <= error < 1e6
        and abs(drift) < 5e-4
        and 0 <= drift_error < 5e-4
    ):
        raise StateError("out of range")
    return Calibration(chip, Instant(set_at), offset, error, ratcheted, drift, drift_error)


def rtc_evidence(
    chip: str, reading: RtcReading, calibration: Calibration | None, floors: Floors
) -> Evidence | Refusal:
    """What the reading of the chip of that name proves; R1 refuses it by its own flags and
    outside floor and ceiling."""
    if reading.flags:
        flags = ", ".join(reading.flags)
        return Refusal("R1", "rtc", f"{chip} says {iso(reading.time)}, but its flags say {flags}")
    known = _corrected(chip, reading, calibration)
    strength = Strength.LOCAL if known is None else Strength.INDEPENDENT
    # A stranger's error is doubt of its whole reading, not a reason to move it past the floor.
    time, error = known or (reading.time, 0.0)
    if time + nanoseconds(error) < floors.hard:
        return Refusal("R1", "rtc", f"{chip} says {iso(time)}, floor is {iso(floors.hard)}")
    if time - nanoseconds(error) > floors.ceiling:
        return Refusal("R1", "rtc", f"{chip} says {iso(time)}, ceiling is {iso(floors.ceiling)}")
    reach = nanoseconds(error if known else STRANGER + reading.error)
    return Evidence("rtc", strength, reading.at.boot, Instant(time - reach), Instant(time + reach))


def learn(
    calibration: Calibration, reading: RtcReading, true_time: Instant, error: float
) -> Calibration:
    """The calibration after the same chip was compared with true time, known within `error`
    seconds.  It no longer counts as set by pints if it stopped meanwhile or jumped.  Only for
    anchored time: anything less could talk pints out of a chip that contradicts it."""
    offset = seconds(reading.time - true_time)
    unsure = reading.error + error
    compared = replace(calibration, set_at=true_time, offset=offset, error=unsure, ratcheted=False)
    if reading.flags:
        return compared
    expected, bound = calibration.expected(true_time, reading.stability)
    if abs(offset - expected) > bound + unsure:
        return replace(compared, drift=0.0, drift_error=UNMEASURED)
    passed = seconds(true_time - calibration.set_at)
    if passed < BASELINE:
        return calibration
    drift = (offset - calibration.offset) / passed
    drift_error = (calibration.error + unsure) / passed
    return _with_drift(calibration, drift, drift_error)


def worth_writing(
    chip: str,
    reading: RtcReading,
    calibration: Calibration | None,
    true_time: Instant,
    error: float,
) -> str:
    """Why the chip should be set to true time now; '' if it should not.  Only for anchored
    time: what is set becomes independent evidence of the next boots."""
    if calibration is None or calibration.chip != chip:
        return "pints has never set it"
    if abs(seconds(true_time - calibration.set_at)) < WRITE_EVERY:
        return ""
    if reading.flags:
        return f"its flags say {', '.join(reading.flags)}"
    if not calibration.ratcheted:
        return "somebody else has set it"
    moved = seconds(reading.time - true_time) - calibration.offset
    rested = abs(seconds(true_time - calibration.set_at)) >= MEASURE_FOR
    if rested and abs(moved) > WRITE_ABOVE + reading.error + error:
        return f"it has drifted by {span(moved)}"
    return ""


def written(
    chip: str,
    back: RtcReading,
    calibration: Calibration | None,
    true_time: Instant,
    error: float,
) -> Calibration:
    """The calibration once pints has set the chip from anchored time and read it `back`.
    What was known of its drift stays known."""
    offset = seconds(back.time - true_time)
    unsure = back.error + error
    taken = not back.flags and abs(offset) <= CONFIRMED + unsure
    if calibration is None or calibration.chip != chip:
        return Calibration(chip, true_time, offset, unsure, taken)
    return replace(calibration, set_at=true_time, offset=offset, error=unsure, ratcheted=taken)


def trimmed(calibration: Calibration, change: float) -> Calibration:
    """The calibration of a chip that has been made to run faster by the fraction `change`.  It
    speaks for nothing until it is set again: the offset was of another rate."""
    error = calibration.drift_error + TRIM_UNSURE * abs(change)
    return replace(
        calibration, drift=calibration.drift + change, drift_error=error, ratcheted=False
    )


def _corrected(
    chip: str, reading: RtcReading, calibration: Calibration | None
) -> tuple[Instant, float] | None:
    """True time by a chip that pints set, and its error in seconds; None for any other, and
    for a reading that such a chip cannot have come to."""
    if calibration is None or not calibration.ratcheted or calibration.chip != chip:
        return None
    if reading.shared:
        return None
    run = seconds(reading.time - calibration.set_at) - calibration.offset
    passed = run / (1 + calibration.drift)
    time = Instant(calibration.set_at + nanoseconds(passed))
    _, grown = calibration.expected(time, reading.stability)
    # Bounds are counted in true seconds and these are the chip's: a thousandth is ample.
    error = (grown + reading.error) * 1.001
    return (time, error) if -error <= passed <= SPEAKS_FOR else None


def _with_drift(calibration: Calibration, drift: float, error: float) -> Calibration:
    """With a new measurement of drift.  Both intervals hold what they measured, so the truth is
    in what they share; where they share nothing, temperature moves the chip more than either
    shows, and it is anywhere in between."""
    lows = (calibration.drift - calibration.drift_error, drift - error)
    highs = (calibration.drift + calibration.drift_error, drift + error)
    low, high = max(lows), min(highs)
    if low > high:
        low, high = min(lows), max(highs)
    return replace(calibration, drift=(low + high) / 2, drift_error=(high - low) / 2)
