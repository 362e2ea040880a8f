"""From the top: `python3 -m installer ACTION [WORD]...`, as install.sh starts it.

The working folder is the source.  ACTION is install, uninstall or purge; the words are tree (the
root is the tree of an image), dry, debian, wheels (options of install.sh), and copied (the source
is a copy, to be removed in the end).
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from installer import accounts, environment, files, services
from installer.machine import OPT, Machine, Stop, step

AGAIN = "stopped half-way; run it again, or: sudo sh install.sh --uninstall"


def install(machine: Machine, source: Path, debian: bool, wheels: bool) -> None:
    """Install, or upgrade what is installed."""
    old = environment.in_use()
    new = environment.build(machine, source, debian, wheels)
    step("unit files, user, rules")
    files.put_all(machine, source)
    accounts.create(machine, source)
    machine.live("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/pints.conf")
    environment.switch(machine, new)
    services.reload(machine)
    devices = "--subsystem-match=rtc", "--subsystem-match=pps"
    machine.live("udevadm", "trigger", *devices, quiet=True, check=False)
    services.hand_over(machine, old)
    if old:
        machine.run("rm", "-rf", OPT / old)
    if machine.tree and not machine.dry:
        step("installed in the tree; it starts when that boots")
    elif not machine.dry:
        _, version = machine.ask(OPT / "bin/pints", "--version")
        step(f"{version} runs; ask it: sudo pints status")


def uninstall(machine: Machine) -> None:
    """Remove what was installed, whole or in part."""
    if not OPT.is_dir():
        step(f"nothing is installed in {OPT}")
        return
    services.stop(machine)
    step("removing it")
    files.remove_all(machine)
    accounts.remove_groups(machine)
    services.reload(machine)
    services.bring_back(machine)
    machine.run("rm", "-rf", OPT)


def main(action: str, *words: str) -> int:
    """Carry out the action; return the exit status."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    machine = Machine(dry="dry" in words, tree="tree" in words)
    source = Path.cwd()
    try:
        if action == "install":
            install(machine, source, "debian" in words, "wheels" in words)
        else:
            uninstall(machine)
        if action == "purge":
            step("removing state, configuration and user")
            accounts.purge(machine)
        elif action == "uninstall" and (
            accounts.STATE.is_dir() or files.CONFIGURATION.parent.is_dir()
        ):
            step("/etc/pints and /var/lib/pints are kept; without them: sudo sh install.sh --purge")
        if machine.dry:
            step("nothing was done (--dry-run)")
        return 0
    except (Stop, OSError) as problem:
        again = "" if isinstance(problem, Stop) else f"; {AGAIN}"
        print(f"install.sh: {problem}{again}", file=sys.stderr)
        return 1
    except SystemExit:
        print(f"install.sh: {AGAIN}", file=sys.stderr)
        raise
    finally:
        if "copied" in words:
            os.chdir("/")
            shutil.rmtree(source, ignore_errors=True)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
