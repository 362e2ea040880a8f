"""CPU time of `pints restore` at early boot, beside an interpreter that does nothing.

The command is the unit's, but for --dry-run: no clock is ever set here.  The disk knows a
time that lies ahead of the clock, as it does when a Pi wakes up.
"""

import time
from pathlib import Path

from bench.programs import ROOT, cpu_to_exit, folder, interpreter
from bench.series import Series, judge, show
from pints import restore

GOAL = "<= 1.5 times `python3 -I -S -c pass`"
PAIRS = 200


def measure(runs: int) -> None:
    with folder() as state:
        (state / restore.TIME_FILE).write_bytes(_saved_time())
        nothing = [interpreter(), "-I", "-S", "-c", "pass"]
        command = _command(state)
        cpu_to_exit(nothing), cpu_to_exit(command)  # from disk to memory, once
        pairs = [(cpu_to_exit(nothing), cpu_to_exit(command)) for _ in range(runs or PAIRS)]
    ratios = Series.of(restored / bare for bare, restored in pairs)
    show(
        "CPU time, ms",
        [
            ("python3 -I -S -c pass", Series.of(bare * 1e3 for bare, _ in pairs)),
            ("pints restore", Series.of(restored * 1e3 for _, restored in pairs)),
            ("ratio of each pair", ratios),
        ],
        digits=2,
    )
    judge("restore / interpreter", ratios.median, 1.5)


def _command(state: Path) -> list[str]:
    script = str(ROOT / "pints" / "restore.py")
    return [interpreter(), "-I", "-S", script, "--state", str(state), "--dry-run"]


def _saved_time() -> bytes:
    now = time.time_ns()
    return restore.encode(now + 3600 * restore.NS, now + 7200 * restore.NS)
