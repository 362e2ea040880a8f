"""What the core may be told: a closed set of values, handled in `pints.core.core.Core.handle`.

What the core may ask for in return is `pints.actions`.
"""

from typing import TYPE_CHECKING

from pints.lean import dataclass
from pints.timescale import Instant, Reading
from pints.values.worker_tasks import Result

if TYPE_CHECKING:
    from pints.drivers import Report, RtcReading


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """The instant that `Core.due` named has come."""


@dataclass(frozen=True, slots=True)
class PacketReceived:
    """A datagram came on the socket of a source's last request."""

    source: str
    data: bytes
    sent: Reading
    received: Reading
    error: float
    """Largest error of both readings together, seconds."""
    own: bytes = b""
    """The reference id by which a server would name this machine; empty: it serves nobody."""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The request to a source did not leave this machine."""

    source: str


@dataclass(frozen=True, slots=True)
class TaskDone:
    """The worker has done a task, or failed."""

    result: Result


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """A link or an address came up: a server that could not be reached may be reachable (R12)."""


@dataclass(frozen=True, slots=True)
class BeliefRecorded:
    """The answer to `RecordBelief`: whether it was written (R9)."""

    done: bool


@dataclass(frozen=True, slots=True)
class SaveRequested:
    """Everything that should outlast this daemon is to be saved now."""

    final: bool
    """Whether batches of cookies that were spent are to be replaced: at a clean stop."""


@dataclass(frozen=True, slots=True)
class TimeEntered:
    """The administrator says that it is `time` now (`pints settime`)."""

    time: Instant


@dataclass(frozen=True, slots=True)
class RtcRead:
    """The answer to `ReadRtc`."""

    chip: str
    reading: "RtcReading"


@dataclass(frozen=True, slots=True)
class RtcRefined:
    """The last reading again, after it was measured when a second of the chip begins."""

    reading: "RtcReading"


@dataclass(frozen=True, slots=True)
class RtcWritten:
    """The answer to `SetRtc`: what the chip reads after it was set."""

    reading: "RtcReading"


@dataclass(frozen=True, slots=True)
class RtcTrimmed:
    """The real-time clock was made to run faster by the fraction `change`."""

    change: float


@dataclass(frozen=True, slots=True)
class RefclockReported:
    """The driver of a refclock reports a fix, a pulse or a correction of one."""

    name: str
    report: "Report"


@dataclass(frozen=True, slots=True)
class RefclockLost:
    """A refclock was unplugged."""

    name: str


RtcEvent = RtcRead | RtcRefined | RtcWritten | RtcTrimmed
RefclockEvent = RefclockReported | RefclockLost
Event = (
    TimerExpired
    | PacketReceived
    | SendFailed
    | TaskDone
    | NetworkChanged
    | BeliefRecorded
    | SaveRequested
    | TimeEntered
    | RtcEvent
    | RefclockEvent
)
