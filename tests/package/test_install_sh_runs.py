"""install.sh on a machine that runs: the clock is handed over, and given back.

Only one thing is not real: nothing may set this machine's clock, so the service works on a copy of
it (`--no-clock`).
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.package.machine import Running, booted
from tests.package.tree import Completed, Tree

pytestmark = pytest.mark.slow

OTHER = """[Unit]
Description=Another time service
[Service]
Type=notify
NotifyAccess=all
ExecStartPre=/bin/sh -c '! systemctl is-active -q pints || touch /root/two'
ExecStart=/bin/sh -c 'touch /run/other; systemd-notify --ready; exec sleep infinity'
ExecStopPost=/bin/rm -f /run/other
[Install]
WantedBy=multi-user.target
"""
"""Stands in for chrony; complains if two ever run."""
COPY = """[Unit]
ConditionCapability=
[Service]
AmbientCapabilities=
CapabilityBoundingSet=
ExecStartPre=+/bin/sh -c 'test ! -e /run/other || touch /root/two'
ExecStart=
ExecStart=/opt/pints/bin/pints run --no-ke-server --no-clock
"""
"""Drop-in: pints without the right to set a clock."""


@pytest.fixture
def machine(tree: Tree, clone: Path, wheels: Callable[[str], Path]) -> Iterator[Running]:
    """It runs; `/srv/pints` is a clone, another time service runs."""
    shutil.copytree(clone, tree / "srv/pints")
    shutil.copytree(wheels("3.13"), tree / "root/wheels")
    (tree / "etc/systemd/system/chrony.service").write_text(OTHER)
    drop_ins = tree / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "copy.conf").write_text(COPY)
    tree.run("systemctl", "enable", "chrony.service")
    with booted(tree) as machine:
        assert machine.active("chrony")
        yield machine


def install_there(machine: Running, *words: str) -> Completed:
    script = "/srv/pints/install.sh"
    return machine.run("sh", script, "--wheels", "/root/wheels", *words, check=False)


def test_the_clock_is_handed_over_and_given_back(machine: Running) -> None:
    anybody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    shown = machine.run(*anybody, "sh", "/srv/pints/install.sh", "--dry-run").stdout
    assert "systemctl stop chrony.service" in shown
    assert machine.active("chrony")
    # A container has no udev.
    (machine.tree / "usr/bin/udevadm").unlink()
    done = install_there(machine)
    assert done.returncode == 0, done.stderr + machine.journal("pints")
    assert "switching off systemd-timesyncd.service" in done.stdout
    assert "switching off chrony.service" in done.stdout
    assert machine.active("pints")
    assert not machine.active("chrony")
    assert not machine.enabled("chrony")
    assert not machine.enabled("systemd-timesyncd")
    said = machine.run("pints", "status", check=False)
    assert said.stdout.startswith("restored"), said.stdout + said.stderr
    # An upgrade while it runs, then everything back.
    done = install_there(machine)
    assert done.returncode == 0, done.stderr
    assert machine.active("pints")
    done = install_there(machine, "--uninstall")
    assert done.returncode == 0, done.stderr
    assert machine.active("chrony")
    assert machine.enabled("chrony")
    assert machine.enabled("systemd-timesyncd")
    assert machine.run("systemctl", "is-active", "pints", check=False).stdout == "inactive\n"
    assert not (machine.tree / "opt/pints").exists()
    assert (machine.tree / "var/lib/pints/time").exists()
    assert not (machine.tree / "root/two").exists()


READ_ONLY = "mount --bind /var/lib /var/lib && mount -o remount,bind,ro /var/lib"


def test_a_root_that_is_read_only_from_its_first_boot(installed: Tree) -> None:
    """docs/images.md: nothing is saved, which is said, and everything works."""
    drop_ins = installed / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "copy.conf").write_text(COPY)
    installed.run("systemctl", "disable", "pints.service")
    with booted(installed) as machine:
        machine.run("sh", "-c", READ_ONLY)
        machine.run("systemctl", "start", "pints")
        assert machine.active("pints")
        assert "/var/lib/pints forgets with the power" in machine.journal("pints")
        machine.run("systemctl", "stop", "pints")
        assert machine.journal("pints").count("cannot write /var/lib/pints/time") == 1


@pytest.mark.parametrize("where", ["missing", "in memory"])
def test_a_state_folder_that_is(where: str, installed: Tree, tmp_path: Path) -> None:
    # On a disk: an overlay forgets, too.
    tree = tmp_path / "tree"
    subprocess.run(["cp", "-a", installed.path, tree], check=True)
    drop_ins = tree / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "copy.conf").write_text(COPY)
    (tree / "var/lib/pints").rmdir()
    if where == "in memory":
        (tree / "etc/fstab").write_text("tmpfs /var/lib/pints tmpfs mode=700 0 0\n")
    with booted(tree) as machine:
        assert machine.active("pints")
        forgets = "/var/lib/pints forgets with the power" in machine.journal("pints")
        assert forgets == (where == "in memory")
        machine.run("systemctl", "stop", "pints")
        assert machine.run("stat", "-c", "%U %a", "/var/lib/pints").stdout == "pints 700\n"
        machine.run("test", "-s", "/var/lib/pints/time")


@pytest.mark.parametrize(
    "why_not",
    [
        pytest.param(COPY.replace("/opt/pints/bin/pints", "/bin/false"), id="fails"),
        pytest.param("", id="may not set the clock"),
    ],
)
def test_where_pints_does_not_start_the_other_one_runs_on(machine: Running, why_not: str) -> None:
    drop_ins = machine.tree / "etc/systemd/system/pints.service.d"
    good = (drop_ins / "copy.conf").read_text()
    (drop_ins / "copy.conf").write_text(why_not)
    done = install_there(machine)
    assert done.returncode == 1
    assert "install.sh: pints does not start; why: journalctl -u pints" in done.stderr
    assert machine.active("chrony")
    assert machine.enabled("chrony")
    # And once it is mended, again.
    (drop_ins / "copy.conf").write_text(good)
    done = install_there(machine)
    assert done.returncode == 0, done.stderr
    assert machine.active("pints")
    assert not (machine.tree / "root/two").exists()


def test_a_new_version_that_fails_as_a_service_gives_way_to_the_old(machine: Running) -> None:
    assert install_there(machine).returncode == 0
    daemon = machine.tree / "srv/pints/pints/daemon.py"
    daemon.write_text(daemon.read_text() + "\nraise SystemExit('broken')\n")
    done = install_there(machine)
    assert done.returncode == 1
    assert "the old one runs again" in done.stderr
    assert machine.active("pints")
    assert not machine.active("chrony")
