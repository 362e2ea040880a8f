"""What is to be told of a real-time clock: what it says, and what is known of it (`pints rtc`).

Seconds unless a name says otherwise; instants in ISO 8601; `None` for what is not known.
"""

from typing import Any

from pints.drivers import RtcReading
from pints.evidence.rtc import UNMEASURED, Calibration
from pints.lean import dataclass
from pints.timescale import iso, seconds


@dataclass(frozen=True, slots=True)
class Compared:
    """A reading that was held against true time."""

    offset: float
    """Chip less true time, seconds."""
    error: float
    age: float


def rtc_account(
    name: str, reading: RtcReading, calibration: Calibration | None, compared: Compared | None
) -> dict[str, Any]:
    """The document."""
    known = calibration if calibration is not None and calibration.chip == name else None
    measured = known if known is not None and known.drift_error < UNMEASURED else None
    return {
        "chip": name,
        "time": iso(reading.time),
        "flags": list(reading.flags),
        "warnings": list(reading.warnings),
        "temperature": reading.temperature,
        "ahead_of_clock": seconds(reading.time - reading.at.real),
        "ahead_of_clock_error": reading.error,
        "ahead_of_true_time": compared.offset if compared else None,
        "ahead_of_true_time_error": compared.error if compared else None,
        "compared_ago": compared.age if compared else None,
        "drift_ppm": measured.drift * 1e6 if measured else None,
        "drift_error_ppm": measured.drift_error * 1e6 if measured else None,
        "stability_ppm": reading.stability * 1e6,
        "set_at": iso(known.set_at) if known else None,
        "set_by_pints": bool(known and known.ratcheted),
        "shared": reading.shared,
    }
