"""What outlasts a run, on the real file system; `tests/world/test_power.py` plays its failures."""

import logging
import os
from pathlib import Path

import pytest

from pints import restore
from pints.errors import DeviceError
from pints.shell.attempts import Attempts
from pints.shell.software_clock import SoftwareClock
from pints.storage.keep import Keeper
from pints.storage.load import load_snapshot
from pints.storage.store import Store
from pints.timescale import NS, Instant
from pints.values.belief import Belief

EPOCH = Instant(1_790_000_000 * NS)
NOW = Instant(1_795_000_000 * NS)


class Kept:
    """A keeper, its folders, and systemd's saved clock beside them."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder / "state"), durable=True)
        self.runtime = Store(str(folder / "run"))
        self.timesync = folder / "clock"
        self.attempts = Attempts()
        self.keeper = Keeper(
            self.store, self.runtime, "this-boot", self.attempts, str(self.timesync)
        )

    def stamp(self, instant: int) -> None:
        self.timesync.touch()
        os.utime(self.timesync, ns=(instant, instant))

    def stamped(self) -> int:
        return self.timesync.stat().st_mtime_ns


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_saved_time_names_the_boot_it_was_saved_in(kept: Kept) -> None:
    assert kept.keeper.save_time(EPOCH, NOW, sure=True)
    line = kept.store.read(restore.TIME_FILE)
    assert line is not None
    assert restore.decode(line) == (EPOCH, NOW)
    assert b" boot=this-boot " in line
    assert not kept.timesync.exists(), "not ours to make"


def test_what_is_kept_is_remembered(kept: Kept) -> None:
    clock = SoftwareClock(NOW, boot_id="this-boot")
    kept.keeper.save_time(EPOCH, NOW, sure=True)
    kept.keeper.save("drift.json", b'{"frequency": 1e-5, "skew": 2e-6}')
    belief = Belief(NOW, clock.boot(), 0.1)
    assert kept.keeper.record(belief, "windows")
    found = load_snapshot(kept.store, kept.runtime, clock, EPOCH, "board")
    assert (found.floors.ratcheted, found.floors.seen) == (EPOCH, NOW)
    assert (found.frequency, found.skew) == (1e-5, 2e-6)
    assert (found.boot_id, found.board, found.durable) == ("this-boot", "board", True)
    assert found.belief == (belief, "windows")


@pytest.mark.parametrize(
    ("had", "verified", "has"),
    [(NOW - NS, True, NOW), (NOW - NS, False, NOW - NS), (NOW + NS, True, NOW + NS)],
)
def test_systemds_saved_clock_is_raised_by_the_verified_and_never_lowered(
    kept: Kept, had: int, verified: bool, has: int
) -> None:
    kept.stamp(had)
    assert kept.keeper.save_time(EPOCH, NOW, verified)
    assert kept.stamped() == has


def test_systemds_saved_clock_that_belongs_to_somebody_else(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pints")
    kept.stamp(EPOCH)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    for _ in range(3):
        assert kept.keeper.save_time(EPOCH, NOW, sure=True)
    said = [r for r in caplog.records if "not kept fresh" in r.message]
    assert [r.levelno for r in said] == [logging.DEBUG]


def test_a_refusal_is_said_once_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pints")
    attempts = Attempts()

    def refuse() -> None:
        raise DeviceError("cannot", "do this")

    for _ in range(3):
        assert not attempts.attempt("disk", refuse)
    assert attempts.failing.keys() == {"disk"}
    assert attempts.attempt("disk", lambda: None)
    assert attempts.failing == {}
    assert [r.message for r in caplog.records] == ["cannot (do this)", "disk works again"]
