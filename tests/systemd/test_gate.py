"""time-sync.target under a real systemd: never reached before the time is verified, never the
reason that a boot hangs, and reached when it is verified late.

A manager of a user's services, in name spaces of its own, runs pints-wait.service and
pints-wait.path as they are, but for the sandbox and for the command, which waits two seconds for
a file instead of ninety for the daemon.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import absent
from tests.systemd.units import SYSTEMD, settings

MANAGER = "/lib/systemd/systemd"
TARGETS = "/lib/systemd/system"
WAIT = (
    "/bin/sh -c 'for n in 1 2 3 4 5 6 7 8 9 10; do "
    "[ -e /run/pints/verified ] && exit 0; sleep 0.2; done; exit 1'"
)
KEPT = ("Type", "RemainAfterExit", "Restart", "RestartSec", "SuccessExitStatus")
"""Of [Service]; what else decides over the target stands in [Unit] and [Install]."""

BOOT = """
[Unit]
Wants=pints.service bystander.service
"""
SERVICE = """
[Unit]
DefaultDependencies=no
{}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""

SCRIPT = """
set -eu
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/user /run/pints
export XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME={home} HOME={home}
verify() {{ : >/run/pints/verified; : >/run/pints/belief; }}
state() {{ systemctl --user show -P ActiveState "$1"; }}
# reaches UNIT STATE: within some seconds, however busy the machine is
reaches() {{
    for n in $(seq 200); do
        [ "$(state "$1")" = "$2" ] && return 0
        sleep 0.1
    done
    echo "$1 is $(state "$1"), not $2"
    return 1
}}
{before}
{manager} --user --unit=boot.target --log-target=console >{home}/log 2>&1 &
reaches boot.target active
{script}
echo good
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    if not os.path.exists(MANAGER) or shutil.which("unshare") is None:
        absent("systemd is missing: apt-get install systemd")
    units = tmp_path / "systemd" / "user"
    units.mkdir(parents=True)
    text = (SYSTEMD / "pints-wait.service").read_text()
    head, service, rest = re.split(r"^\[Service\]$|^\[Install\]$", text, flags=re.M)
    kept = [line for line in service.splitlines() if line.partition("=")[0] in KEPT]
    (units / "pints-wait.service").write_text(
        "\n".join([head, "[Service]", *kept, f"ExecStart={WAIT}", "[Install]", rest])
    )
    shutil.copy(SYSTEMD / "pints-wait.path", units)
    for name in ("time-sync.target", "time-set.target"):
        target = Path(TARGETS, name).read_text().replace("RefuseManualStart=yes", "")
        (units / name).write_text(target)
    # As `systemctl enable` makes it of RequiredBy=.
    (required,) = re.findall(r"^RequiredBy=(\S+)$", rest, re.M)
    (units / f"{required}.requires").mkdir()
    (units / f"{required}.requires" / "pints-wait.service").symlink_to("../pints-wait.service")
    (units / "boot.target").write_text(BOOT)
    # The daemon brings along what it brings along; here also somebody who needs the time.
    wanted = " ".join(settings("pints.service")["Wants"])
    (units / "pints.service").write_text(
        SERVICE.format(f"Wants={wanted.replace('pints-restore.service', 'ordered.service')}")
    )
    (units / "ordered.service").write_text(SERVICE.format("After=time-sync.target"))
    (units / "bystander.service").write_text(SERVICE.format(""))
    return tmp_path


def boot(home: Path, script: str, before: str = "") -> None:
    """Boot, and then this."""
    text = SCRIPT.format(home=home, manager=MANAGER, script=script, before=before)
    done = subprocess.run(
        # All of it ends with the shell, which is the first process of a space of its own.
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", text],
        capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    log = (home / "log").read_text() if (home / "log").exists() else ""
    assert done.stdout.endswith("good\n"), done.stdout + done.stderr + log


def test_verified_in_time(home: Path) -> None:
    boot(home, "reaches time-sync.target active; reaches ordered.service active", "verify")


def test_verified_late(home: Path) -> None:
    boot(
        home,
        """
        reaches bystander.service active
        reaches pints-wait.service failed
        reaches ordered.service active      # the boot goes on
        reaches time-sync.target inactive
        sleep 3                             # nothing tries in vain meanwhile
        [ "$(state time-sync.target)" = inactive ]
        verify
        reaches time-sync.target active
        """,
    )


def test_nobody_reaches_it_another_way(home: Path) -> None:
    boot(
        home,
        """
        reaches pints-wait.service failed
        ! systemctl --user start time-sync.target
        [ "$(state time-sync.target)" = inactive ]
        """,
    )


def test_what_is_ordered_after_it_waits_for_it(home: Path) -> None:
    boot(
        home,
        """
        reaches bystander.service active
        reaches pints-wait.service activating
        [ "$(state ordered.service)" = inactive ]
        verify
        reaches time-sync.target active
        reaches ordered.service active
        """,
        before=f"sed -i 's/sleep 0.2/sleep 2/' {home}/systemd/user/pints-wait.service",
    )


def test_once_reached_it_is_not_waited_for_again(home: Path) -> None:
    boot(
        home,
        """
        reaches time-sync.target active
        rm /run/pints/verified /run/pints/belief
        systemctl --user start pints-wait.service time-sync.target
        [ "$(state time-sync.target)" = active ]
        """,
        "verify",
    )
