"""install.sh puts pints into the tree of a Debian, upgrades it, and takes it all back."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pints import __version__
from tests.package.conftest import DEPENDENCIES, copy_clone, install, refused
from tests.package.tree import ROOT, Tree, changes, contents, overlay

pytestmark = pytest.mark.slow

KEPT = {"etc/pints", "etc/pints/conf.d", "etc/pints/pints.toml"}
KEPT |= {"var/lib/pints", "var/lib/pints/time"}
"""What --uninstall leaves, besides the user."""
USERS = {"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"}


def units(tree: Tree) -> dict[str, str]:
    folder = tree / "etc/systemd/system"
    return {path.name: path.read_text() for path in folder.glob("pints*") if path.is_file()}


# --- what is installed ------------------------------------------------------------------------


def test_a_dry_run_shows_every_step_and_does_nothing(tree: Tree, clone: Path) -> None:
    before, source = tree.listing(), contents(clone)
    done = install(clone, "--root", tree, "--dry-run")
    assert done.returncode == 0, done.stderr
    for step in (
        "-m venv", "pip install", "pints.service", "sysusers.d/pints.conf", "pints.toml",
        "enable pints.service", "disable systemd-timesyncd.service", "nothing was done",
    ):  # fmt: skip
        assert step in done.stdout
    assert not changes(before, tree.listing())
    assert not changes(source, contents(clone))


def test_the_program_runs(installed: Tree) -> None:
    for name in ("/opt/pints/bin/pints", "pints"):
        assert installed.run(name, "--version").stdout == f"pints {__version__}\n"
    assert "good" in installed.run("pints", "check-config").stdout
    default = (ROOT / "etc/pints.toml").read_bytes()
    assert (installed / "etc/pints/pints.toml").read_bytes() == default


def test_early_boot_starts_by_the_units_own_words(installed: Tree) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", units(installed)["pints-restore.service"], re.M)
    done = installed.run(*line.split(), "--dry-run")
    assert re.search(r"^pints restore: clock \S+ is not below \S+ \(.*\): kept$", done.stderr, re.M)
    # What cannot be run so would be seen: the build epoch lies beside it.
    assert (installed / line.split()[-1].lstrip("/")).with_name("BUILD_EPOCH").exists()


def test_nothing_leads_to_where_the_debian_package_lies(installed: Tree) -> None:
    share = installed / "opt/pints/share"
    files = [*(installed / "etc").rglob("*pints*"), *share.rglob("*.conf")]
    texts = [path.read_text() for path in files if path.is_file() and not path.is_symlink()]
    assert len(texts) > 10
    for text in texts:
        assert not re.search(r"/usr/bin/pints|dist-packages|/usr/share/(doc/)?pints", text)


def test_what_units_start_is_there(installed: Tree) -> None:
    lines = re.findall(r"^Exec\w+=(.*)$", "\n".join(units(installed).values()), re.M)
    assert len(lines) >= 4
    for path in re.findall(r"(?<!\w)/(?:bin|usr|opt)/[\w./-]+", "\n".join(lines)):
        assert installed.run("test", "-e", path, check=False).returncode == 0, path


def test_systemd_finds_nothing_wrong(installed: Tree) -> None:
    paths = [f"/etc/systemd/system/{name}" for name in units(installed)]
    done = installed.run("systemd-analyze", "verify", "--man=no", *paths)
    assert "pints" not in done.stderr


def test_every_drop_in_is_offered(installed: Tree) -> None:
    offered = {path.name for path in (installed / "opt/pints/share/pints.service.d").iterdir()}
    assert offered == {path.name for path in (ROOT / "systemd/pints.service.d").iterdir()}
    assert "serve.conf" in offered


def test_it_is_started_at_boot_and_nothing_beside_it(installed: Tree) -> None:
    def state(unit: str) -> str:
        return installed.run("systemctl", "is-enabled", unit, check=False).stdout.strip()

    for unit in ("pints.service", "pints-restore.service", "pints-wait.service"):
        assert state(unit) == "enabled"
    assert state("systemd-timesyncd.service") == "disabled"


def test_others_can_read_it_and_nobody_can_write_it(installed: Tree) -> None:
    user = installed.run("id", "-un", "pints").stdout.strip()
    run = ["setpriv", f"--reuid={user}", "--regid=pints", "--clear-groups"]
    assert installed.run(*run, "/opt/pints/bin/pints", "check-config").stdout
    for path in (installed / "opt/pints").rglob("*"):
        status = path.lstat()
        assert status.st_uid == 0
        assert path.is_symlink() or not status.st_mode & 0o022


def test_debian_12_as_well(
    debian: Callable[[str], Path], clone: Path, wheels: Callable[[str], Path]
) -> None:
    with overlay(debian("bookworm")) as tree:
        before = tree.listing()
        done = install(clone, "--root", tree, "--wheels", wheels("3.11"))
        assert done.returncode == 0, done.stderr
        assert tree.run("pints", "--version").stdout == f"pints {__version__}\n"
        test_early_boot_starts_by_the_units_own_words(tree)
        assert install(clone, "--root", tree, "--purge").returncode == 0
        assert not changes(before, tree.listing())


def test_dhcp_clients_and_no_sysusers(
    tree: Tree, clone: Path, wheels: Callable[[str], Path]
) -> None:
    """Hooks go where there is somebody to call them; the user is made by whatever there is."""
    (tree / "usr/bin/systemd-sysusers").unlink()
    folder = tree / "etc/NetworkManager/dispatcher.d"
    folder.mkdir(parents=True)
    before = tree.listing()
    done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
    assert done.returncode == 0, done.stderr
    hook = folder / "50-pints"
    assert hook.stat().st_mode & 0o777 == 0o755  # NetworkManager demands it
    assert re.search(r"/opt/pints/lib/python3/site-packages/pints/dhcp\.py", hook.read_text())
    assert not (tree / "usr/lib/dhcpcd").exists()
    assert (tree / "opt/pints/lib/python3/site-packages/pints/dhcp.py").exists()
    entry = tree.run("getent", "passwd", "pints").stdout
    assert entry.endswith(":/var/lib/pints:/usr/sbin/nologin\n")
    assert install(clone, "--root", tree, "--purge").returncode == 0
    assert not changes(before, tree.listing())


def test_cryptography_of_debian(
    tree: Tree, tmp_path: Path, clone: Path, wheels: Callable[[str], Path]
) -> None:
    """What a Pi Zero does, for which there is no ready-made one."""
    tree.run("apt-get", "-qy", "install", *DEPENDENCIES.split())
    only = tmp_path / "wheels"
    only.mkdir()
    for wheel in wheels("3.13").iterdir():
        if not wheel.name.lower().startswith(("cryptography", "cffi", "pyopenssl")):
            shutil.copy(wheel, only)
    words = ("--root", tree, "--debian-packages", "--wheels", only)
    done = install(clone, *words, SOURCE_DATE_EPOCH="1790000000")
    assert done.returncode == 0, done.stderr
    where = "import cryptography, pints; print(cryptography.__file__, pints.__file__)"
    found = tree.run("/opt/pints/bin/python", "-c", where).stdout
    assert found.startswith("/usr/lib/python3/dist-packages/cryptography/")
    assert "/opt/pints/" in found
    # And the build epoch is what whoever builds an image said (docs/images.md).
    epoch = "from pints import restore; print(restore.build_epoch() // 10**9)"
    assert tree.run("/opt/pints/bin/python", "-c", epoch).stdout == "1790000000\n"


# --- again, and back --------------------------------------------------------------------------


def test_again_upgrades(installed: Tree, clone: Path, wheels: Callable[[str], Path]) -> None:
    config = installed / "etc/pints/pints.toml"
    config.write_text("[state]\nsave_interval = 7200\n")
    stopped = (installed / "opt/pints/stopped").read_text()
    before = installed.listing()
    old = (installed / "opt/pints/current").readlink()
    # A file that an older version had.
    gone = installed / "etc/systemd/system/pints-older.service"
    gone.write_text("[Unit]\n")
    with (installed / "opt/pints/manifest").open("a") as manifest:
        manifest.write("file /etc/systemd/system/pints-older.service\n")
    done = install(clone, "--root", installed, "--wheels", wheels("3.13"))
    assert done.returncode == 0, done.stderr
    assert installed.run("pints", "--version").stdout == f"pints {__version__}\n"
    assert (installed / "opt/pints/current").readlink() != old
    assert not (installed / "opt/pints" / old).exists()
    assert config.read_text() == "[state]\nsave_interval = 7200\n"
    assert (installed / "opt/pints/stopped").read_text() == stopped
    outside = {p for p in changes(before, installed.listing()) if not p.startswith("opt/pints")}
    assert not outside


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_interrupted_can_be_repeated(
    number: signal.Signals, tree: Tree, clone: Path, wheels: Callable[[str], Path]
) -> None:
    before = tree.listing()
    command = list(
        map(str, ["sh", clone / "install.sh", "--root", tree, "--wheels", wheels("3.13")])
    )
    with subprocess.Popen(command, stderr=subprocess.PIPE, process_group=0) as running:
        while not (tree / "opt/pints/a/bin/pip").exists():
            assert running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, number)
        _, complaint = running.communicate()
    assert running.returncode != 0
    if number == signal.SIGTERM:
        assert b"run it again" in complaint
    done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
    assert done.returncode == 0, done.stderr
    assert tree.run("pints", "check-config").returncode == 0
    assert install(clone, "--root", tree, "--purge").returncode == 0
    assert not changes(before, tree.listing())


def test_a_version_that_does_not_start_replaces_nothing(
    installed: Tree, tmp_path: Path, wheels: Callable[[str], Path]
) -> None:
    broken = copy_clone(tmp_path / "broken")
    (broken / "pints/cli/__init__.py").write_text("raise SystemExit('broken')\n")
    done = install(broken, "--root", installed, "--wheels", wheels("3.13"))
    assert done.returncode == 1
    assert done.stderr == "install.sh: the program does not start: broken\n"
    assert installed.run("pints", "--version").stdout == f"pints {__version__}\n"


def test_a_configuration_that_the_new_version_refuses_is_said_first(
    installed: Tree, clone: Path, wheels: Callable[[str], Path]
) -> None:
    (installed / "etc/pints/pints.toml").write_text("[bootstrap]\nwitnesses = 1\n")
    link = (installed / "opt/pints/current").readlink()
    done = install(clone, "--root", installed, "--wheels", wheels("3.13"))
    assert done.returncode == 1
    assert "/etc/pints/pints.toml" in done.stderr
    assert "'witnesses'" in done.stderr
    assert (installed / "opt/pints/current").readlink() == link


def test_uninstalling_leaves_state_and_configuration(installed: Tree, clone: Path) -> None:
    (installed / "var/lib/pints/time").write_text("kept\n")
    drop_ins = installed / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "serve.conf").symlink_to("/opt/pints/share/pints.service.d/serve.conf")
    done = install(clone, "--root", installed, "--uninstall")
    assert done.returncode == 0, done.stderr
    # Whatever was switched off is enabled by the very links it had.
    assert set(installed.listing()) == KEPT | USERS
    assert (installed / "var/lib/pints/time").exists()
    assert installed.run("id", "pints").returncode == 0


@pytest.mark.parametrize("steps", [["--purge"], ["--uninstall", "--purge"]])
def test_purged_nothing_is_left(steps: list[str], installed: Tree, clone: Path) -> None:
    (installed / "var/lib/pints/sessions").mkdir()
    for step in steps:
        assert install(clone, "--root", installed, step).returncode == 0
    assert not set(installed.listing())


@pytest.mark.parametrize("state", ["whole", "without its environment"])
def test_it_is_removed_without_a_clone(state: str, installed: Tree) -> None:
    if state != "whole":
        shutil.rmtree(installed / "opt/pints/a")
    refused(install(installed / "opt/pints", "--root", installed), "is no clone of pints")
    done = install(installed / "opt/pints", "--root", installed, "--purge")
    assert done.returncode == 0, done.stderr
    assert not set(installed.listing())


def test_a_dry_run_of_uninstalling_does_nothing(installed: Tree, clone: Path) -> None:
    before = installed.listing()
    done = install(clone, "--root", installed, "--purge", "--dry-run")
    assert done.returncode == 0
    assert "rm -rf" in done.stdout
    assert "userdel pints" in done.stdout
    assert not changes(before, installed.listing())


def test_uninstalling_what_is_not_there_is_no_error(tree: Tree, clone: Path) -> None:
    before = tree.listing()
    done = install(clone, "--root", tree, "--uninstall")
    assert done.returncode == 0
    assert "nothing is installed" in done.stdout
    assert not changes(before, tree.listing())
