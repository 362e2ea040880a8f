"""What a quorum agreed on, kept for the next boot: the same one, strict, confirms it (R6).

Guarantees: it is bound to the board that saw it, and a witness confirms only with a certificate
that is not older than the one it showed then, for no server goes back to an expired one.
"""

import json
from collections.abc import Mapping

from pints.errors import StateError
from pints.frozen import dataclass
from pints.timescale import Instant

QUORUM_FILE = "quorum.json"
"""In the state folder."""


@dataclass(frozen=True, slots=True)
class QuorumRecord:
    """A quorum that reached `verified` in a boot."""

    boot_id: str
    members: Mapping[str, Instant]
    """Its sources, and since when the certificate of each was good."""
    time: Instant
    """What they agreed on, at least."""

    def confirmed_by(self, source: str, leaf_not_before: Instant) -> bool:
        """Whether a source of the present boot was in it, with no newer certificate."""
        return source in self.members and leaf_not_before >= self.members[source]


def encode_quorum(record: QuorumRecord, board: str) -> bytes:
    """As a state file of this board."""
    return (
        json.dumps(
            {
                "pints-quorum": 1,
                "board": board,
                "boot": record.boot_id,
                "members": dict(record.members),
                "time": record.time,
            }
        ).encode()
        + b"\n"
    )


def decode_quorum(data: bytes, board: str) -> QuorumRecord | None:
    """The record of a state file; None if another board's; StateError if torn or foreign."""
    try:
        row = json.loads(data)
        if row["pints-quorum"] != 1:
            raise ValueError
        members = {str(s): Instant(int(since)) for s, since in row["members"].items()}
        record = QuorumRecord(str(row["boot"]), members, Instant(int(row["time"])))
        return record if row["board"] == board else None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise StateError("record of a quorum is torn or foreign") from None
