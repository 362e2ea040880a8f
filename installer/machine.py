"""The machine that the steps change.  In a dry run they are shown, and nothing is changed.

In the tree of an image (`tree`), which this program sees as its root, nothing is started.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPT = Path("/opt/pints")
PYTHON = "/usr/bin/python3"


class Stop(Exception):
    """Ends the program: the problem, and what the user can do about it."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


def step(words: str) -> None:
    """Tell the user what is done now."""
    print(f"pints: {words}", flush=True)


@dataclass(frozen=True)
class Machine:
    """Carries out commands."""

    dry: bool
    tree: bool

    def run(self, *command: object, quiet: bool = False, check: bool = True) -> bool:
        """Run a command that changes something; return whether it succeeded."""
        words = [str(word) for word in command]
        if self.dry:
            print("   ", *words, flush=True)
            return True
        good = self._started(words, None, subprocess.PIPE if quiet else None).returncode == 0
        if check and not good:
            raise Stop(f"failed: {' '.join(words)}", "run this again, or: install.sh --uninstall")
        return good

    def live(self, *command: object, quiet: bool = False, check: bool = True) -> bool:
        """Run such a command where there is a running system, and else nothing."""
        return self.tree or self.run(*command, quiet=quiet, check=check)

    def ask(self, *command: object) -> tuple[bool, str]:
        """Run a command that changes nothing; return whether it succeeded, and its output."""
        words = [str(word) for word in command]
        done = self._started(words, subprocess.PIPE, subprocess.STDOUT)
        return done.returncode == 0, done.stdout.strip()

    def _started(
        self, words: list[str], out: int | None, errors: int | None
    ) -> subprocess.CompletedProcess[str]:
        # systemctl warns where there is no /proc.
        tree = {"SYSTEMD_OFFLINE": "1", "SYSTEMD_LOG_LEVEL": "err"} if self.tree else {}
        try:
            return subprocess.run(
                words, stdout=out, stderr=errors, env=os.environ | tree, text=True, check=False
            )
        except FileNotFoundError:  # as a shell has it
            return subprocess.CompletedProcess(words, 127, f"{words[0]}: not found")

    def link(self, target: object, place: Path) -> None:
        """Make a symbolic link: the old one or the new one is there at every instant."""
        self.run("ln", "-sfn", target, f"{place}.new")
        self.run("mv", "-fT", f"{place}.new", place)
