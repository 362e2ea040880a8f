"""`pints settime`: the operator's word on what time it is.

A belief and no more: the clock follows it until witnesses have spoken, and nothing is verified
or saved by it.  The daemon refuses what it knows better (rules R1 and R10).
"""

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn

from pints.cli.options import add_daemon
from pints.control.client import ask, socket_path
from pints.timescale import NS

EXAMPLE = "2026-11-23T12:00:00Z"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add(subparsers: Any) -> None:
    """The command's options."""
    parser = subparsers.add_parser(
        "settime",
        help="say what time it is, where nothing else can",
        description="Tell the daemon what time it is now, to within a second or so.  The clock "
        "follows until servers have proved better; nothing is ever verified by it.",
    )
    parser.add_argument(
        "when", nargs="+", metavar="WHEN",
        help=f"date and time in ISO 8601 with Z or an offset ({EXAMPLE}, 2026-11-23 13:00+01:00), "
        "or followed by UTC, or @ and seconds since 1970",
    )  # fmt: skip
    add_daemon(parser)
    parser.set_defaults(run=partial(run, parser.error))


def run(usage: Callable[[str], NoReturn], args: argparse.Namespace) -> int:
    """Exit 0 when the daemon took it; `usage` ends the program with what is wrong with it."""
    try:
        time = parse_time(" ".join(args.when))
    except ValueError as error:
        usage(str(error))
    status = ask(socket_path(args), {"command": "settime", "time": time})
    print(f"{status['state']}: the clock says {status['time']}")
    print("This is your word alone: a belief, which is never verified nor saved by itself.")
    if status["witnesses"]:
        print("Servers that prove better will set the clock: `pints wait` returns when they have.")
    else:
        print("No server is configured that could verify it.")
    return 0


def parse_time(text: str) -> int:
    """Nanoseconds since 1970; ValueError, with what to write instead, for what is no date, or
    leaves open which clock it is by."""
    if text.startswith("@"):
        if not re.fullmatch(r"@\d{1,11}(\.\d{1,9})?", text, re.ASCII):
            raise ValueError(f"'{text}' is not @ and the seconds since 1970")
        return int(Decimal(text[1:]) * NS)
    stripped = text.removesuffix("UTC").rstrip()
    try:
        when = datetime.fromisoformat(stripped)
    except ValueError:
        raise ValueError(f"'{text}' is no date and time: write {EXAMPLE}") from None
    if "T" not in stripped and " " not in stripped:
        raise ValueError(f"'{text}' has no time of day: write {EXAMPLE}")
    if stripped != text:
        if when.tzinfo is not None:
            raise ValueError(f"'{text}' names two time zones: write {EXAMPLE}")
        when = when.replace(tzinfo=UTC)
    if when.tzinfo is None:
        raise ValueError(
            f"'{text}' does not say by which clock: add Z for UTC, or an offset as +01:00"
        )
    return (when - EPOCH) // timedelta(microseconds=1) * 1000
