"""Early boot: the line of saved time, the floor it gives, and how little is imported.

Nothing here can set a clock: every run is dry, or has a clock of its own.
"""

import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints import restore
from pints.timescale import Instant, nanoseconds
from pints.values import belief

EPOCH = 1_790_000_000 * restore.NS
DAY = 86400 * restore.NS
YEAR = 31_556_952 * restore.NS
SCRIPT = Path(restore.__file__)
INSTANTS = st.integers(0, 1 << 63)


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build epoch that stays, no files of this machine, and no clock chip."""
    monkeypatch.setattr(restore, "build_epoch", lambda: EPOCH)
    monkeypatch.setattr(restore, "WITNESS_FILES", ())
    monkeypatch.setattr(restore, "RTC", "/none")
    # Should a test forget its own clock, this is what it would set.
    monkeypatch.setattr(time, "clock_settime_ns", lambda *_: pytest.fail("real clock"))


class Clock:
    """What `main` would set."""

    def __init__(self) -> None:
        self.set_to: list[int] = []

    def __call__(self, instant: int) -> None:
        self.set_to.append(instant)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(folder: Path, clock: Clock, now: int, *words: str) -> int:
    return restore.main(["--state", str(folder), *words], now, clock)


def save(folder: Path, ratcheted: int, seen: int) -> None:
    (folder / "time").write_bytes(restore.encode(ratcheted, seen))


# --- the line ---------------------------------------------------------------------------------


@given(INSTANTS, INSTANTS)
def test_the_line_comes_back(ratcheted: int, seen: int) -> None:
    line = restore.encode(ratcheted, seen)
    assert restore.decode(line) == (ratcheted, seen)
    assert line.count(b"\n") == 1
    assert line.isascii()


@given(INSTANTS, INSTANTS, st.uuids())
def test_the_line_says_in_which_boot_it_was_saved(ratcheted: int, seen: int, boot: UUID) -> None:
    line = restore.encode(ratcheted, seen, str(boot))
    assert restore.decode(line) == (ratcheted, seen)
    assert b" boot=%s sum=" % str(boot).encode() in line
    assert b"boot" not in restore.encode(ratcheted, seen)


def test_fields_of_a_later_version_are_passed_over() -> None:
    text = "pints-time 1 ratcheted=5 seen=6 boot=abc further=x=y"
    line = f"{text} sum={restore._checksum(text)}\n".encode()
    assert restore.decode(line) == (5, 6)


@given(INSTANTS, INSTANTS, st.data())
def test_a_line_cut_or_changed_anywhere_is_torn(
    ratcheted: int, seen: int, data: st.DataObject
) -> None:
    line = restore.encode(ratcheted, seen)
    at = data.draw(st.integers(0, len(line) - 1))
    assert restore.decode(line[:at]) is None
    changed = bytearray(line)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert restore.decode(bytes(changed)) is None


def test_known_line() -> None:
    """What a released version wrote must be read for ever; the sum is zlib.adler32's."""
    line = b"pints-time 1 ratcheted=1795000000000000000 seen=1795000001000000000 sum=2899251650\n"
    text, _, end = line.rpartition(b" sum=")
    assert zlib.adler32(text) == int(end)
    assert restore.decode(line) == (1795000000000000000, 1795000001000000000)


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\0" * 4096, b"\xff" * 80, b"1795000000\n", b"pints-time 1\n",
     b"pints-time 1 ratcheted=1 seen=1\n"],
)  # fmt: skip
def test_foreign_lines(data: bytes) -> None:
    assert restore.decode(data) is None


@pytest.mark.parametrize(
    "text",
    ["pints-time 2 ratcheted=1 seen=1", "other 1 ratcheted=1 seen=1", "pints-time 1 ratcheted=1",
     "pints-time 1 ratcheted=-1 seen=1", "pints-time 1 ratcheted=1 seen=-1",
     "pints-time 1 ratcheted=x seen=1", "pints-time 1 1 1", "pints-time"],
)  # fmt: skip
def test_a_right_sum_under_a_wrong_line(text: str) -> None:
    line = f"{text} sum={restore._checksum(text)}\n".encode()
    assert restore.decode(line) is None


@given(st.binary(max_size=200))
def test_whatever_a_card_gives(data: bytes) -> None:
    assert restore.decode(data) is None


# --- the floor --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratcheted", "seen", "floor", "origin"),
    [
        (-1, -1, 0, "build epoch"),
        (10, 0, 10, "saved time"),
        (10, 20, 20, "last seen time"),
        (20, 10, 20, "saved time"),
        (-10, -20, 0, "build epoch"),
        (10, 8000, 10, "saved time"),
        (8000, 10, 10, "last seen time"),
        (8000, 9000, 0, "build epoch"),
    ],
)
def test_floor(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str],
    ratcheted: int, seen: int, floor: int, origin: str,
) -> None:  # fmt: skip
    """In days after the build epoch; the machine wakes in 1970."""
    save(tmp_path, EPOCH + ratcheted * DAY, EPOCH + seen * DAY)
    assert run(tmp_path, clock, 1) == 0
    assert clock.set_to == [EPOCH + floor * DAY]
    assert origin in capsys.readouterr().err


@pytest.mark.parametrize("ahead", [0, 1, DAY, 19 * YEAR])
def test_a_clock_above_the_floor_is_kept(tmp_path: Path, clock: Clock, ahead: int) -> None:
    save(tmp_path, EPOCH + DAY, EPOCH + DAY)
    assert run(tmp_path, clock, EPOCH + DAY + ahead) == 0
    assert clock.set_to == []


def test_a_clock_beyond_the_ceiling_is_set_back_to_the_floor(tmp_path: Path, clock: Clock) -> None:
    save(tmp_path, EPOCH + DAY, EPOCH + DAY)
    assert run(tmp_path, clock, EPOCH + 21 * YEAR) == 0
    assert clock.set_to == [EPOCH + DAY]


def test_files_of_the_system_raise_the_floor(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch, future, gone = (tmp_path / n for n in ("clock-epoch", "poisoned", "gone"))
    for file, at in ((epoch, EPOCH + 3 * DAY), (future, EPOCH + 30 * YEAR)):
        file.touch()
        os.utime(file, ns=(at, at))
    monkeypatch.setattr(restore, "WITNESS_FILES", tuple(map(str, (epoch, future, gone))))
    assert run(tmp_path, clock, 1) == 0
    assert clock.set_to == [EPOCH + 3 * DAY]


@pytest.mark.parametrize(
    ("shows", "floor", "origin"),
    [(3 * DAY, 3 * DAY, "rtc0"), (1 * DAY, 2 * DAY, "last seen"), (2 * DAY, 2 * DAY, "last seen"),
     (20 * YEAR, 20 * YEAR, "rtc0"), (20 * YEAR + restore.NS, 2 * DAY, "last seen"),
     (-DAY, 2 * DAY, "last seen")],
)  # fmt: skip
def test_the_kernels_clock_chip_raises_the_floor(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], shows: int, floor: int, origin: str,
) -> None:  # fmt: skip
    """In days after the build epoch; ratcheted is 1, seen 2.  Beyond the ceiling it says
    nothing."""
    save(tmp_path, EPOCH + DAY, EPOCH + 2 * DAY)
    chip = tmp_path / "since_epoch"
    chip.write_text(f"{(EPOCH + shows) // restore.NS}\n")
    monkeypatch.setattr(restore, "RTC", str(chip))
    assert run(tmp_path, clock, 1) == 0
    assert clock.set_to == [EPOCH + floor]
    assert f"({origin}" in capsys.readouterr().err


def test_the_clock_chip_sets_no_clock_back(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = tmp_path / "since_epoch"
    chip.write_text(f"{(EPOCH + DAY) // restore.NS}\n")
    monkeypatch.setattr(restore, "RTC", str(chip))
    assert run(tmp_path, clock, EPOCH + 2 * DAY) == 0
    assert clock.set_to == []


@pytest.mark.parametrize("content", ["", "none\n", "-5\n", "9" * 40])
def test_a_clock_chip_that_shows_rubbish(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    chip = tmp_path / "since_epoch"
    chip.write_text(content)
    monkeypatch.setattr(restore, "RTC", str(chip))
    assert run(tmp_path, clock, 1) == 0
    assert clock.set_to == [EPOCH]


@given(INSTANTS, INSTANTS, st.integers(1, 1 << 62))
def test_the_clock_is_never_set_below_what_is_known(ratcheted: int, seen: int, now: int) -> None:
    floor, _ = restore.soft_floor(EPOCH, ratcheted, seen)
    assert EPOCH <= floor <= EPOCH + restore.CEILING
    for saved in (ratcheted, seen):
        assert floor >= saved or saved > EPOCH + restore.CEILING


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"x" * 5000, restore.encode(5, 5)[:-9]])
def test_a_torn_line_is_said_and_survived(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    (tmp_path / "time").write_bytes(data)
    assert run(tmp_path, clock, 1) == 0
    assert clock.set_to == [EPOCH]
    assert "torn or foreign" in capsys.readouterr().err
    assert (tmp_path / "time").read_bytes() == data, "the daemon sets it aside"


def test_nothing_saved_yet(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none", clock, 1) == 0
    assert clock.set_to == [EPOCH]
    assert "no saved time" in capsys.readouterr().err


def test_a_folder_in_the_files_place(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "time").mkdir()
    assert run(tmp_path, clock, 1) == 0
    assert clock.set_to == [EPOCH]


def test_dry_run_sets_nothing(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, EPOCH + DAY, 0)
    assert run(tmp_path, clock, 1, "--dry-run") == 0
    assert clock.set_to == []
    assert "would be: clock set from 1970-01-01" in capsys.readouterr().err


def test_a_clock_that_cannot_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(instant: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    assert restore.main(["--state", str(tmp_path)], 1, refuse) == 1
    assert "CAP_SYS_TIME" in capsys.readouterr().err


def test_forget_moves_the_saved_time_aside(tmp_path: Path, clock: Clock) -> None:
    save(tmp_path, EPOCH + 30 * YEAR, 0)
    assert run(tmp_path, clock, 1, "--forget") == 0
    assert clock.set_to == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["time.forgotten"]
    assert run(tmp_path, clock, 1, "--forget") == 0, "nothing left to forget"


def test_forget_that_cannot(tmp_path: Path, clock: Clock) -> None:
    save(tmp_path, 1, 1)
    (tmp_path / "time.forgotten").mkdir()
    assert run(tmp_path, clock, 1, "--forget") == 1


def test_an_unknown_word_is_a_usage_error(tmp_path: Path, clock: Clock) -> None:
    assert run(tmp_path, clock, 1, "--frobnicate") == 2
    assert clock.set_to == []


# --- the file by itself -----------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> list[str]:
    """The command as early boot runs it, on a copy with a build epoch beside it."""
    copy = tmp_path / "restore.py"
    copy.write_bytes(SCRIPT.read_bytes())
    (tmp_path / "BUILD_EPOCH").write_text(f"{EPOCH // restore.NS}\n")
    return [sys.executable, "-I", "-S", str(copy), "--state", str(tmp_path), "--dry-run"]


def test_it_runs_by_path_without_the_package(alone: list[str], tmp_path: Path) -> None:
    save(tmp_path, EPOCH + 19 * YEAR, 0)
    done = subprocess.run(alone, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.startswith("pints restore: would be: clock set from ")
    assert done.stderr.endswith("(saved time)\n")


def test_it_runs_by_path_from_the_tree(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(SCRIPT), "--state", str(tmp_path), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pints restore: no saved time" in done.stderr


@pytest.mark.parametrize("content", [None, "", "soon\n"])
def test_without_a_build_epoch_it_says_so(
    alone: list[str], tmp_path: Path, content: str | None
) -> None:
    (tmp_path / "BUILD_EPOCH").unlink()
    if content is not None:
        (tmp_path / "BUILD_EPOCH").write_text(content)
    done = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no build epoch" in done.stderr
    save(tmp_path, EPOCH, 0)
    forget = [word for word in alone if word != "--dry-run"] + ["--forget"]
    subprocess.run(forget, capture_output=True, check=True)


def imported(command: list[str]) -> set[str]:
    command = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_it_imports_time_os_and_sys_alone(alone: list[str]) -> None:
    """Against the bare interpreter importing just these three."""
    bare = imported([alone[0], "-I", "-S", "-c", "import os, sys, time"])
    assert imported(alone) <= bare


# --- beside the daemon ------------------------------------------------------------------------


def test_the_ceiling_is_the_bootstraps() -> None:
    assert nanoseconds(belief.CEILING) == restore.CEILING
    assert belief.Floors(Instant(EPOCH)).ceiling == EPOCH + restore.CEILING


@given(INSTANTS, INSTANTS)
def test_both_readers_of_saved_time_know_the_same_floor(ratcheted: int, seen: int) -> None:
    floors = belief.Floors(Instant(EPOCH), Instant(ratcheted), Instant(seen))
    assert restore.soft_floor(EPOCH, ratcheted, seen)[0] == floors.soft


def test_the_build_epoch_is_the_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    written = int((SCRIPT.parent / "BUILD_EPOCH").read_text())
    assert restore.build_epoch() == written * restore.NS


@given(st.integers(1, 1 << 64), st.integers(0, 1 << 64), st.integers(0, 1 << 64))
def test_only_a_clock_below_floor_or_above_ceiling_is_moved(
    now: int, ratcheted: int, seen: int
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "saved_time", lambda state: (ratcheted, seen))
        assert restore.main([], now, clock) == 0
    floor, _ = restore.soft_floor(EPOCH, ratcheted, seen)
    assert clock.set_to == ([] if floor <= now <= EPOCH + restore.CEILING else [floor])


def test_a_time_saved_at_the_ceiling_itself_counts() -> None:
    last = EPOCH + restore.CEILING
    assert restore.soft_floor(EPOCH, last, last + 1) == (last, "saved time")


@pytest.mark.parametrize("beyond", [0, 1])
def test_the_ceiling_itself_is_allowed(tmp_path: Path, clock: Clock, beyond: int) -> None:
    assert run(tmp_path, clock, EPOCH + restore.CEILING + beyond) == 0
    assert clock.set_to == [EPOCH] * beyond


def test_no_octet_of_a_line_can_change_unnoticed() -> None:
    line = restore.encode(EPOCH, EPOCH + DAY)
    for at in range(len(line)):
        for octet in set(range(256)) - {line[at]}:
            assert restore.decode(line[:at] + bytes([octet]) + line[at + 1 :]) is None
        assert restore.decode(line[at + 1 :]) is None
    assert restore.decode(line + line) is None


@given(st.text(st.characters(max_codepoint=127)))
def test_the_checksum_is_adler_32(text: str) -> None:
    assert restore._checksum(text) == zlib.adler32(text.encode())


def test_nothing_is_left_open(tmp_path: Path, clock: Clock) -> None:
    save(tmp_path, EPOCH, EPOCH)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run(tmp_path, clock, EPOCH)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_folder_may_be_named_after_forget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, named = tmp_path / "usual", tmp_path / "named"
    monkeypatch.setattr(restore, "STATE", str(usual))
    for folder in (usual, named):
        folder.mkdir()
        save(folder, EPOCH, EPOCH)
    assert restore.main(["--forget", "--state", str(named)], EPOCH) == 0
    assert (usual / "time").exists()
    assert not (named / "time").exists()


def test_what_this_boot_believes_is_forgotten_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would keep out every honest server until the next boot (R9)."""
    belief = tmp_path / "belief"
    belief.write_text("pints-belief ...\n")
    monkeypatch.setattr(restore, "STATE", str(tmp_path))
    monkeypatch.setattr(restore, "BELIEF", str(belief))
    assert restore.main(["--forget", "--dry-run"], EPOCH) == 0
    assert belief.exists()
    assert restore.main(["--forget"], EPOCH) == 0
    assert not belief.exists()


@pytest.mark.parametrize("words", [("--dry-run", "--forget"), ("--forget", "--dry-run")])
def test_a_dry_run_forgets_nothing(tmp_path: Path, clock: Clock, words: tuple[str, str]) -> None:
    save(tmp_path, EPOCH, EPOCH)
    assert run(tmp_path, clock, EPOCH, *words) == 0
    assert (tmp_path / "time").exists()


def test_a_state_without_its_folder_is_a_usage_error(clock: Clock) -> None:
    assert restore.main(["--state"], 1, clock) == 2
    assert clock.set_to == []
