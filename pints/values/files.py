"""The files that outlast a run: their names, their form, and one way to refuse a damaged one.

Guarantees: whatever a damaged file makes of a decoder, the caller sees `StateError`.

The saved time is not listed: early boot reads it without any other module (`pints.restore`,
TIME_FILE), and that module repeats the names that `pints restore --forget` removes.  The key
server's keys are its own (`pints.server.cookies`).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pints.errors import StateError

# In the state folder.
DRIFT_FILE = "drift.json"
"""Frequency of the crystal and its skew."""
NAMES_FILE = "names.json"
"""Addresses of the sources."""
QUORUM_FILE = "quorum.json"
"""Who verified a boot, and for how long they have agreed."""
RTC_FILE = "rtc.json"
"""Calibration of the real-time clock."""
MALFEASANCE_FILE = "malfeasance.json"
"""Proof that a Roughtime server lied."""

# In the runtime folder, which is empty after a boot.
BELIEF_FILE = "belief"
"""What this boot has verified (R9)."""
BACKOFFS_FILE = "backoffs"
"""How often this boot has asked for keys (R12)."""

MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What Python raises for JSON of another content than the decoder expects."""


def batch_file(number: int) -> str:
    """The file in the state folder of a batch of cookies, counted from 0."""
    return f"sessions/{number}.json"


def json_line(document: Mapping[str, object]) -> bytes:
    """A file's content: one line of JSON."""
    return json.dumps(document).encode() + b"\n"


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn all that a decoder raises for a damaged file into StateError, which names `what`."""
    try:
        yield
    except MALFORMED:
        raise StateError(f"{what} is torn or foreign") from None
