"""What docs/boot.md promises where the disk is not what it should be: read-only, full, an overlay,
without the state folder.  Real file systems, in a mount name space of their own; the unit's
restrictions; early boot and a whole start of the daemon.
"""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pints import restore
from tests.conftest import absent
from tests.pints_server import PintsServer
from tests.systemd.units import ROOT

PINTS = f"{sys.executable} -m pints"
CONFINED = f"{sys.executable} -m tests.systemd.confined"
SAVED = 1_600_000_000 * 10**9
# How the folder `var` of the test becomes what the name says; `var/lib/pints` holds a saved time.
ROOTS = {
    "read-only": "mount --bind var var && mount -o remount,ro,bind var",
    "overlay": "mount -t tmpfs none upper && mkdir upper/u upper/w && "
    "mount -t overlay -o lowerdir=var,upperdir=upper/u,workdir=upper/w overlay var",
    "full": "mount -t tmpfs -o size=64k none upper && cp -a var/. upper && "
    "mount --move upper var && { cat /dev/zero >var/filler 2>/dev/null || true; }",
    "volatile": "mount -t tmpfs none var && mkdir var/lib",
}


@pytest.fixture(autouse=True)
def _may_mount() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    if shutil.which("unshare") is None:
        absent("unshare is missing: apt-get install util-linux")


@pytest.fixture
def place(tmp_path: Path, server: PintsServer) -> Path:
    state = tmp_path / "var" / "lib" / "pints"
    state.mkdir(parents=True, mode=0o755)
    state.chmod(0o700)
    (state / restore.TIME_FILE).write_bytes(restore.encode(SAVED, SAVED))
    (tmp_path / "upper").mkdir()
    (tmp_path / "pints.toml").write_text(
        f"{server.source()}[bootstrap]\nmin_witnesses = 1\n"
        f'[state]\ndirectory = "{state}"\nruntime = "{tmp_path}/run"\n'
    )
    return tmp_path


def boot(place: Path, root: str, script: str) -> "subprocess.CompletedProcess[str]":
    """A script with `$state` and `$config`, after the root was made what it is."""
    prelude = (
        f"set -e; mount --make-rprivate /; cd {place}; {root}; cd {ROOT}; "
        f"state={place}/var/lib/pints config={place}/pints.toml; "
    )
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", prelude + script],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


DAEMON = f"""
{CONFINED} pints.service {PINTS} run --no-clock --no-ke-server -c $config &
daemon=$!
{PINTS} wait -c $config --timeout 40 || verified=$?
kill $daemon; wait $daemon || true
ls -A $state
exit ${{verified:-0}}
"""
EARLY = f"""
{CONFINED} pints-restore.service {sys.executable} -I -S {ROOT}/pints/restore.py \\
    --dry-run --state $state
"""


@pytest.mark.parametrize("root", ROOTS)
def test_early_boot_goes_on(place: Path, root: str) -> None:
    done = boot(place, ROOTS[root], EARLY)
    assert done.returncode == 0, done.stderr
    assert ("no saved time" in done.stderr) == (root == "volatile")


@pytest.mark.parametrize("root", ROOTS)
def test_the_daemon_verifies(place: Path, root: str) -> None:
    done = boot(place, ROOTS[root], DAEMON)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verified")
    assert "Traceback" not in done.stderr
    # No cookie is saved or sent from where it could come back.
    forgetful = root in ("overlay", "volatile", "read-only")
    assert ("forgets with the power" in done.stderr) >= forgetful
    assert "sessions" not in done.stdout
    if root == "volatile":
        assert "time" in done.stdout.split(), "made, as on a first boot"


def test_what_was_saved_is_there_after_a_boot_that_could_not_write(place: Path) -> None:
    before = (place / "var/lib/pints/time").read_bytes()
    for root in ("read-only", "overlay", "full"):
        boot(place, ROOTS[root], DAEMON)
    assert (place / "var/lib/pints/time").read_bytes() == before


def test_read_only_without_the_folder_is_refused_in_one_line(place: Path) -> None:
    shutil.rmtree(place / "var/lib/pints")
    done = boot(place, ROOTS["read-only"], f"{PINTS} run --no-clock -c $config")
    assert done.returncode == 1
    assert "read-only" in done.stderr
    assert "state.directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_folder_is_made_closed(place: Path) -> None:
    """A first boot ever, and a factory image."""
    shutil.rmtree(place / "var/lib/pints")
    done = boot(place, "true", DAEMON)
    assert done.returncode == 0, done.stderr
    made = place / "var/lib/pints"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert (made / "time").is_file()
