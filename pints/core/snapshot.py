"""What earlier runs left on disk, as one value that `pints.storage.load` makes."""

from dataclasses import field
from typing import TYPE_CHECKING

from pints.bootstrap.record import QuorumRecord
from pints.client.names import Names
from pints.client.retry import Backoff
from pints.client.session import SavedSession
from pints.lean import dataclass
from pints.sync.crystal import FREQUENCY_PRIOR
from pints.values.belief import Belief, Floors

if TYPE_CHECKING:
    from pints.evidence.rtc import Calibration


@dataclass(slots=True)
class Snapshot:
    """What earlier runs left, as the shell read it."""

    floors: Floors
    boot_id: str
    board: str = ""
    frequency: float = 0.0
    skew: float = FREQUENCY_PRIOR
    sessions: list[SavedSession] = field(default_factory=list)
    """Of one batch, which the shell has spent (durably unlinked) before."""
    batches: int = 0
    """Batches still on disk."""
    belief: tuple[Belief, str] | None = None
    """Recorded by an earlier daemon of this very boot."""
    durable: bool = True
    """Whether the state folder outlasts the boot: else no cookie is ever laid aside."""
    quorum: QuorumRecord | None = None
    """The last one that was kept."""
    names: Names = field(default_factory=Names)
    """Addresses that the servers had last time."""
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    """How often an earlier daemon of this boot asked for keys."""
    calibration: "Calibration | None" = None
    """Of the real-time clock."""
