"""What the core may ask of the shell: a closed set of values, carried out in `daemon`."""

from pints.lean import dataclass
from pints.timescale import Boot, Instant
from pints.values.address import Address
from pints.values.belief import Belief
from pints.values.worker_tasks import Task


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request from a fresh socket; the socket of the source's last request closes."""

    source: str
    address: Address
    packet: bytes


@dataclass(frozen=True, slots=True)
class Start:
    """Give a task to the worker."""

    task: Task


@dataclass(frozen=True, slots=True)
class SetClock:
    """Step the system clock so that it reads `time` when the boot clock reads `boot`."""

    time: Instant
    boot: Boot


@dataclass(frozen=True, slots=True)
class Steer:
    """Let the system clock run faster than the crystal by this fraction."""

    rate: float


@dataclass(frozen=True, slots=True)
class ReportClock:
    """Tell the kernel how good its clock is: bound and estimate of its error, seconds."""

    synchronized: bool
    max_error: float
    est_error: float


@dataclass(frozen=True, slots=True)
class RecordBelief:
    """Write the belief where it outlives the daemon but not the boot, and tell by
    `BeliefRecorded` whether that worked: nothing is announced before (rule R9)."""

    belief: Belief
    basis: str


@dataclass(frozen=True, slots=True)
class Save:
    """Replace a file of the state folder, durably."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SaveTime:
    """Replace the line of saved time that early boot reads, durably.  0 for none."""

    ratcheted: Instant
    seen: Instant
    sure: bool
    """Whether `seen` was verified and anchored, so that others may be told."""


@dataclass(frozen=True, slots=True)
class SaveForBoot:
    """Replace a file of the runtime folder, which a reboot empties."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadRtc:
    """Read the real-time clock, and tell by `RtcRead`; then, once it is known when its seconds
    begin, by `RtcRefined`."""


@dataclass(frozen=True, slots=True)
class SetRtc:
    """Set the real-time clock, as a second begins, to `Core.time_for_rtc`, and tell by
    `RtcWritten`; once more when it is known when its seconds begin now."""


@dataclass(frozen=True, slots=True)
class Announce:
    """The trust state changed: tell the service manager and whoever waits for it."""

    state: str
    basis: str
    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """A line of the log.  `level` is logging's; `rule` counts a refusal in the metrics."""

    level: int
    text: str
    rule: str = ""


Action = (
    Send
    | Start
    | SetClock
    | Steer
    | ReportClock
    | RecordBelief
    | Save
    | SaveTime
    | SaveForBoot
    | ReadRtc
    | SetRtc
    | Announce
    | Log
)
