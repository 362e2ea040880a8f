"""The user that the service runs as, its groups, and what belongs to it."""

import grp
import pwd
import re
import shutil
from pathlib import Path

from installer.files import record, recorded
from installer.machine import Machine, Stop

STATE = Path("/var/lib/pints")
TIMESYNC = Path("/var/lib/systemd/timesync")
SYSUSERS = "sysusers.d/pints.conf"


def create(machine: Machine, source: Path) -> None:
    """Create user, groups and the folder of the state."""
    for name in re.findall(r"^g (\S+)", (source / "systemd" / SYSUSERS).read_text(), re.M):
        if not _group(name):
            record(machine, "group", name)
    if shutil.which("systemd-sysusers"):
        machine.run("systemd-sysusers", f"/etc/{SYSUSERS}")
    elif not _user():  # no groups: they are for devices
        options = "--system", "--user-group", "--no-create-home", "--home-dir", STATE
        machine.run("useradd", *options, "--shell", "/usr/sbin/nologin", "pints")
    # systemd makes it at the start, unless the root is read-only: then the start would fail.
    machine.run("install", "-d", "-m", "700", "-o", "pints", "-g", "pints", STATE)


def remove_groups(machine: Machine) -> None:
    """Remove the groups of devices that were created here."""
    for name in recorded("group"):
        if _group(name):
            machine.run("groupdel", name)


def purge(machine: Machine) -> None:
    """Remove state, configuration and user."""
    machine.run("rm", "-rf", STATE, "/etc/pints")
    machine.live("rm", "-rf", "/run/pints")
    # The folder of systemd's saved clock is the machine's; the daemon had kept it fresh.
    if machine.ask("stat", "-c", "%U", TIMESYNC)[1] == "pints":
        machine.run("chown", "-R", "--no-dereference", "root:root", TIMESYNC)
    # It complains where somebody else is in the group, which goes next.
    if _user() and not machine.run("userdel", "pints", quiet=True, check=False):
        raise Stop("cannot remove user pints", "does a process of it run? ps -u pints")
    if _group("pints"):
        machine.run("groupdel", "pints")


def _user() -> bool:
    return any(entry.pw_name == "pints" for entry in pwd.getpwall())


def _group(name: str) -> bool:
    return any(entry.gr_name == name for entry in grp.getgrall())
