"""What a quorum agreed on and for how long, kept for the next boots: the same one, strict,
confirms it when all that comes to an hour (R6).

Guarantees: it is bound to the board that saw it, and a witness goes on only with a certificate
that is not older than the one it showed then, for no server goes back to an expired one.
"""

import json
from collections.abc import Mapping
from dataclasses import field

from pints.lean import dataclass
from pints.timescale import DAY, Instant
from pints.values.files import decoding, json_line


@dataclass(frozen=True, slots=True)
class QuorumRecord:
    """A quorum that reached `verified` in a boot."""

    boot_id: str
    members: Mapping[str, Instant]
    """Its sources, and since when the certificate of each was good."""
    time: Instant
    """What they agreed on, at least."""
    agreed: Mapping[str, float] = field(default_factory=dict)
    """For how long each has, in that boot and those before it, seconds."""

    def agreed_for(self, source: str, leaf_not_before: Instant) -> float:
        """For how long a source that shows this certificate now has agreed, seconds."""
        since = self.members.get(source)
        return 0.0 if since is None or leaf_not_before < since else self.agreed.get(source, 0.0)


def encode_quorum(record: QuorumRecord, board: str) -> bytes:
    """As a state file of this board."""
    return json_line(
        {
            "pints-quorum": 1,
            "board": board,
            "boot": record.boot_id,
            "members": dict(record.members),
            "time": record.time,
            "agreed": dict(record.agreed),
        }
    )


def decode_quorum(data: bytes, board: str) -> QuorumRecord | None:
    """The record of a state file; None if another board's; StateError if torn or foreign."""
    with decoding("record of a quorum"):
        row = json.loads(data)
        if row["pints-quorum"] != 1:
            raise ValueError
        members = {str(s): Instant(int(since)) for s, since in row["members"].items()}
        agreed = {str(s): min(max(float(span), 0.0), DAY) for s, span in row["agreed"].items()}
        record = QuorumRecord(str(row["boot"]), members, Instant(int(row["time"])), agreed)
        return record if row["board"] == board else None
