"""The command line.  One module a command; only the one that is called is imported.

Exit status: 0 good, 1 no (and why, on one line), 2 usage.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from pints import __version__
from pints.errors import ConfigError, PintsError

COMMANDS = {
    "run": "run",
    "restore": "restore",
    "query": "query",
    "ke": "ke",
    "status": "reports",
    "tracking": "reports",
    "sources": "reports",
    "authdata": "reports",
    "bootstrap": "reports",
    "refclocks": "reports",
    "gps": "reports",
    "serverstats": "reports",
    "rtc": "rtc",
    "wait": "control",
    "save": "control",
    "settime": "settime",
    "check-config": "check_config",
    "demo": "demo",
    "ke-server": "ke_server",
}
"""Command to module of this package; each module's `add(subparsers)` adds its commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["restore"]:
        # Its own parser: early boot runs the same file without this package.
        from pints import restore

        return restore.main(words[1:])
    args = parser_of(words[0] if words else "").parse_args(words)
    try:
        status = args.run(args)
        return int(status)
    except PintsError as e:
        print(f"pints: {e}", file=sys.stderr)
        if e.hint:
            print(f"  {e.hint}", file=sys.stderr)
        return 2 if isinstance(e, ConfigError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # `pints sources | head`: nobody is left to tell
        return 1


class _Formatter(argparse.HelpFormatter):
    """Asks the terminal for its width by itself.  argparse would import shutil for that, with
    every compressor there is, whenever an option is added: 0.7 MB that the daemon would keep."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns - 2
        except OSError:
            width = 78
        super().__init__(prog, width=width)


class _Parser(argparse.ArgumentParser):
    """Of the program and, since argparse makes them alike, of its commands."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**{"formatter_class": _Formatter, **words})


def parser_of(command: str = "") -> argparse.ArgumentParser:
    """The parser, with the one command that was asked for, or all of them: for help, man page
    and completion."""
    parser = _Parser(
        prog="pints", description="Authenticated time for computers that wake up in the past."
    )
    parser.add_argument("--version", action="version", version=f"pints {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = [COMMANDS[command]] if command in COMMANDS else dict.fromkeys(COMMANDS.values())
    for module in wanted:
        import_module(f"pints.cli.{module}").add(subparsers)
    return parser
