"""`pints wait` and `pints save`: what makes the daemon do something, or us wait for it.

`wait` also waits for a daemon that is not up yet, or is being restarted; it never takes longer
than its time-out and a second.
"""

import argparse
import time
from typing import Any

from pints.cli.options import add_daemon, positive_seconds
from pints.control.client import NoDaemonError, ask, socket_path
from pints.errors import PintsError

LEVELS = ("restored", "verified", "anchored")
"""Ascending; the daemon's own list is `pints.report.reporter.Reporter.LEVELS`."""
RETRY = 0.2
"""Seconds between two looks for a daemon that is not there."""
LAST_LOOK = 1.0
"""Seconds beyond the time-out that asking why may take."""


def add(subparsers: Any) -> None:
    """Both commands' options."""
    wait = subparsers.add_parser(
        "wait",
        help="wait until the time is good",
        description="Wait until the trust state is at least this.  Exit status 0 when it is.",
    )
    wait.add_argument(
        "--for", dest="level", choices=LEVELS, default="verified", help="default: %(default)s"
    )
    wait.add_argument(
        "--timeout", type=positive_seconds, metavar="S", help="seconds (default: for ever)"
    )
    add_daemon(wait)
    wait.set_defaults(run=run_wait)
    save = subparsers.add_parser(
        "save",
        help="save time, drift and sessions now",
        description="Save what outlives a boot now: time, drift and NTS sessions.",
    )
    add_daemon(save)
    save.set_defaults(run=run_save)


def run_wait(args: argparse.Namespace) -> int:
    """Exit 0 when the state is reached, 1 when it is not in time."""
    path, level, timeout = socket_path(args), args.level, args.timeout
    began = time.monotonic()
    deadline = None if timeout is None else began + timeout
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise _too_late(path, level, timeout)
        try:
            status = ask(path, {"command": "wait", "for": level}, left)
        except NoDaemonError:
            time.sleep(RETRY if left is None else min(RETRY, left))
            continue
        basis = f" ({status['basis']})" if status["basis"] else ""
        print(f"{status['state']}{basis} after {time.monotonic() - began:.1f} s")
        return 0


def run_save(args: argparse.Namespace) -> int:
    """Exit 0 when what should be on disk is."""
    done = ask(socket_path(args), {"command": "save"}, timeout=30.0)
    if done["failed"]:
        raise PintsError("the state folder cannot be written", "why: journalctl -u pints")
    files = done["files"]
    what = f"{files} file{'s' if files != 1 else ''} written" if files else "nothing to write"
    print(f"saved: {what}")
    return 0


def _too_late(path: str, level: str, timeout: float) -> PintsError:
    """Why it is not `level` yet."""
    late = f"not {level} within {timeout:g} s"
    try:
        status = ask(path, {"command": "status"}, LAST_LOOK)
    except NoDaemonError as error:
        return PintsError(f"{late}: {error}", error.hint)
    return PintsError(
        f"{late}: {status['state']}, {status['agreeing']} of {status['needed']} needed witnesses"
        " agree",
        "why: pints status",
    )
