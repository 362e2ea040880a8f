"""`pints run`: the daemon."""

import argparse
import logging
import os
import resource
import sys
from typing import Any

from pints.config.load import load


def add(subparsers: Any) -> None:
    """The command's options."""
    parser = subparsers.add_parser("run", help="the daemon")
    parser.add_argument("-c", "--config", metavar="FILE", default="", help="configuration")
    parser.add_argument(
        "--no-clock", action="store_true", help="measure, but never touch the system clock"
    )
    parser.add_argument(
        "--no-ke-server", action="store_true",
        help="leave the NTS-KE server to a service of its own: pints ke-server -c FILE",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="log what is refused, too")
    parser.add_argument(
        "--trace", metavar="FILE", default="",
        help="append the clock's offset, bound and 99.9 %% interval to FILE every 16 s",
    )  # fmt: skip
    parser.add_argument("--simulated", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until told to stop."""
    from pints import daemon
    from pints.hands import SimulatorHands

    start_log(args.verbose)
    settings = load(args.config)
    # The keys of every session are in this process: none may end up in a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    machine = daemon.this_machine(args.no_clock)
    machine.trace = args.trace
    if args.simulated:
        machine.hands = SimulatorHands()
    machine.ke_server = not args.no_ke_server
    daemon.run(settings, machine)
    return 0


def start_log(verbose: bool) -> None:
    """Log to standard error, with the priorities that journald reads where it listens."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_Journal("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])


class _Journal(logging.Formatter):
    """A line's priority in front of it (sd-daemon(3))."""

    PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))

    def format(self, record: logging.LogRecord) -> str:
        priority = next(p for level, p in self.PRIORITIES if record.levelno >= level)
        return f"<{priority}>{super().format(record)}"
