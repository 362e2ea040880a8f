"""Reads what earlier runs left on disk, at the start of the daemon.

Guarantees: a file that is torn or foreign is set aside, logged and survived.  A batch of cookies
is durably unlinked before any of it is handed out, and none is handed out where that cannot be
had.
"""

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pints import restore
from pints.bootstrap.record import decode_quorum
from pints.client.batches import batch_names
from pints.client.names import Names
from pints.client.retry import decode_backoffs
from pints.client.session import SavedSession, decode_batch
from pints.core.snapshot import Snapshot
from pints.errors import DeviceError, StateError
from pints.shell.clock import Clock
from pints.storage.store import Store
from pints.sync.crystal import FREQUENCY_PRIOR, MAX_FREQUENCY
from pints.timescale import Instant
from pints.values.belief import Floors, decode_belief
from pints.values.files import (
    BACKOFFS_FILE,
    BELIEF_FILE,
    DRIFT_FILE,
    NAMES_FILE,
    QUORUM_FILE,
    RTC_FILE,
    decoding,
)

if TYPE_CHECKING:
    from pints.evidence.rtc import Calibration

log = logging.getLogger("pints")

T = TypeVar("T")


def load_snapshot(
    store: Store,
    runtime: Store,
    clock: Clock,
    build_epoch: Instant,
    board: str,
    has_rtc: bool = False,
) -> Snapshot:
    """What earlier runs left in the state folder, and those of this boot in the other.

    Not to be called in vain: it spends a batch of cookies.
    """
    ratcheted, seen = read_time(store) or (0, 0)
    floors = Floors(build_epoch, Instant(ratcheted), Instant(seen))
    boot_id = clock.boot_id()
    # Without a drift of ours, the one another daemon left in the kernel is a good guess.
    left = min(max(clock.rate(), -MAX_FREQUENCY), MAX_FREQUENCY)
    frequency, skew = _read(store, DRIFT_FILE, _decode_drift) or (left, FREQUENCY_PRIOR)
    durable = store.durable()
    if not durable:
        log.warning(
            "%s forgets with the power: no cookie is saved or sent from it", store.directory
        )
    sessions, batches = _spend_batch(store, board) if durable else ([], 0)
    return Snapshot(
        floors, boot_id, board, frequency, skew, sessions, batches,
        _of_this_boot(runtime, BELIEF_FILE, partial(decode_belief, boot_id=boot_id)), durable,
        _read(store, QUORUM_FILE, partial(decode_quorum, board=board)),
        _read(store, NAMES_FILE, Names.decode) or Names(),
        _of_this_boot(runtime, BACKOFFS_FILE, partial(decode_backoffs, boot_id=boot_id)) or {},
        _calibration(store, board) if has_rtc else None,
    )  # fmt: skip


def _spend_batch(store: Store, board: str) -> tuple[list[SavedSession], int]:
    """Take one batch of cookies from the disk: gone for good before any is sent."""
    names = batch_names()
    for n, name in enumerate(names):
        sessions = _read(store, name, partial(decode_batch, board=board))
        if sessions is None:
            continue
        if not store.unlink(name):
            log.warning("%s cannot be unlinked for good: its cookies are not sent", name)
            return [], 0
        if sessions:
            return sessions, len(names) - n - 1
        log.warning("%s was saved by another machine: destroyed unsent", name)
    return [], 0


def _of_this_boot(runtime: Store, name: str, decode: Callable[[str], T | None]) -> T | None:
    """What an earlier daemon of this boot left; None where there is none to be had."""
    try:
        data = runtime.read(name)
        return decode(data.decode("utf-8", "replace")) if data else None
    except (StateError, DeviceError) as e:
        log.warning("%s: ignored", e)
        return None


def _read(store: Store, name: str, decode: Callable[[bytes], T], strict: bool = False) -> T | None:
    """A decoded file of the state folder; None where there is none to be had.  If `strict`,
    DeviceError where that cannot be told."""
    try:
        data = store.read(name)
        return None if data is None else decode(data)
    except StateError as e:
        store.set_aside(name, str(e))
    except DeviceError as e:
        if strict:
            raise
        log.warning("%s", e)
    return None


def _calibration(store: Store, board: str) -> "Calibration | None":
    from pints.evidence.rtc import decode_calibration  # for those who have a chip

    return _read(store, RTC_FILE, partial(decode_calibration, board=board))


def read_time(store: Store, strict: bool = False) -> tuple[int, int] | None:
    """Saved time, ratcheted and seen; None where there is none to be had.  If `strict`,
    DeviceError where that cannot be told."""
    return _read(store, restore.TIME_FILE, _decode_time, strict)


def _decode_time(data: bytes) -> tuple[int, int]:
    saved = restore.decode(data)
    if saved is None:
        raise StateError("torn or foreign")
    return saved


def _decode_drift(data: bytes) -> tuple[float, float]:
    with decoding("drift"):
        drift = json.loads(data)
        frequency, skew = float(drift["frequency"]), float(drift["skew"])
    if not (abs(frequency) < 1e-3 and 0 < skew < 1e-3):
        raise StateError("out of range")
    # A crystal that slept meanwhile woke at another temperature.
    return frequency, max(skew, 1e-6)
