"""One time service at a time: the others are switched off, and given back as they were."""

from pathlib import Path

from installer.environment import CURRENT
from installer.files import recorded
from installer.machine import OPT, Machine, Stop, step

# The real names come before their aliases, which are gone with them.
OTHERS = "systemd-timesyncd", "chrony", "ntpsec", "ntpd-rs", "openntpd", "ntp", "chronyd", "ntpd"
STOPPED = OPT / "stopped"
"""A line each: unit, enabled or -, active or -."""


def reload(machine: Machine) -> None:
    """Let systemd and udev read their files again.  (A container has no udev.)"""
    machine.live("systemctl", "daemon-reload")
    machine.live("udevadm", "control", "--reload", quiet=True, check=False)


def hand_over(machine: Machine, old: str) -> None:
    """Switch the others off and start pints; `old` is the version before.  If it does not start,
    they come back."""
    # Before the others are switched off: after a power cut here the units' Conflicts= decide.
    machine.run("systemctl", "--quiet", "enable", "pints.service")
    try:
        for name in OTHERS:
            _switch_off(machine, f"{name}.service")
        if machine.tree:
            return
        step("starting pints")
        started = _start(machine)
        if not started and not old:
            machine.run("systemctl", "--quiet", "disable", "--now", "pints.service", check=False)
            remedy = "why: journalctl -u pints; take it back: --uninstall"
            raise Stop("pints does not start", remedy)
        if not started:
            step("it does not start: back to the version before")
            machine.link(old, CURRENT)
            if not _start(machine):
                problem = "pints does not start, the version before neither"
                raise Stop(problem, "journalctl -u pints")
    except BaseException:
        bring_back(machine)
        raise
    if not started:
        raise Stop("the new version does not start, the old one runs again", "journalctl -u pints")


def bring_back(machine: Machine) -> None:
    """Switch on again what was switched off, each as it was before."""
    if not STOPPED.exists():
        return
    for line in STOPPED.read_text().splitlines():
        unit, enabled, active = line.split()
        step(f"switching on {unit} again")
        if enabled != "-":
            machine.run("systemctl", "--quiet", "enable", unit, check=False)
        if active != "-":
            machine.live("systemctl", "start", unit, check=False)
    machine.run("rm", "-f", STOPPED)


def stop(machine: Machine) -> None:
    """Stop and disable the units that the manifest names."""
    paths = (Path(path) for path in recorded("file"))
    units = [path.name for path in paths if path.parent == Path("/etc/systemd/system")]
    if units:
        step("stopping pints")
        machine.live("systemctl", "stop", *units)
        machine.run("systemctl", "--quiet", "disable", *units)


def _start(machine: Machine) -> bool:
    # A unit that is skipped, as where nobody may set the clock, was started successfully, too.
    return all(
        machine.run("systemctl", *words, "pints.service", check=False)
        for words in (["restart"], ["--quiet", "is-active"])
    )


def _switch_off(machine: Machine, unit: str) -> None:
    enabled = machine.ask("systemctl", "is-enabled", unit)[1] == "enabled"
    active = not machine.tree and machine.ask("systemctl", "is-active", unit)[1] == "active"
    if not (enabled or active):
        return
    step(f"switching off {unit} (--uninstall switches it on again)")
    before = STOPPED.read_text() if STOPPED.exists() else ""
    if not machine.dry and f"{unit} " not in before:
        line = unit, "enabled" if enabled else "-", "active" if active else "-"
        STOPPED.write_text(f"{before}{' '.join(line)}\n")
    if enabled:
        machine.run("systemctl", "--quiet", "disable", unit)
    machine.live("systemctl", "stop", unit)
