"""The status commands: what the daemon tells about itself, as text or as it is.

Each prints one document (`pints.report.reporter`), once or again and again.  Exit status 0 when the
daemon answered; `pints status` asks more: 0 only while the time is verified.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from pints.cli.options import add_daemon, add_json, positive_seconds
from pints.cli.show.explain import explain_text
from pints.cli.show.refclocks import gps_text, refclocks_text
from pints.cli.show.table import MARKS, ago, failure_lines, if_known, signed, table
from pints.cli.show.trust import bootstrap_text, status_text
from pints.control.client import NoDaemonError, ask, socket_path
from pints.timescale import span

Document = dict[str, Any]
CLEAR = "\x1b[H\x1b[2J"
"""ECMA-48: cursor to the top, then erase the screen."""


def add(subparsers: Any) -> None:
    """All the commands' options, which are the same."""
    for name, (text, _) in COMMANDS.items():
        parser = subparsers.add_parser(name, help=text, description=f"Show {text}.")
        if name == "bootstrap":
            parser.add_argument(
                "--explain", action="store_true", help="the same in plain words, step by step"
            )
        add_status_options(parser)
        parser.set_defaults(run=partial(run, name))


def add_status_options(parser: argparse.ArgumentParser) -> None:
    """Those of every command that shows a document."""
    add_json(parser)
    parser.add_argument(
        "--watch", nargs="?", type=positive_seconds, const=2.0, metavar="SECONDS",
        help="again and again (every 2 s)",
    )  # fmt: skip
    add_daemon(parser)


def run(command: str, args: argparse.Namespace) -> int:
    """Show what the daemon tells."""
    path = socket_path(args)
    text = explain_text if getattr(args, "explain", False) else COMMANDS[command][1]
    return show(lambda: ask(path, {"command": command}), text, partial(status_of, command), args)


def show(
    newest: Callable[[], Document],
    text: Callable[[Document], str],
    status: Callable[[Document], int],
    args: argparse.Namespace,
) -> int:
    """Show one document, or the newest one until somebody interrupts; the exit status."""
    document = newest()
    if args.watch is None:
        print(_shown(text, document, args.json, indent=2))
        return status(document)
    clear = CLEAR if sys.stdout.isatty() and not args.json else ""
    while True:
        print(clear + _shown(text, document, args.json, indent=None), flush=True)
        time.sleep(args.watch)
        try:
            document = newest()
        except NoDaemonError as error:  # it may be restarted meanwhile
            document = {"error": str(error), "hint": error.hint}


def status_of(command: str, document: Document) -> int:
    """The exit status."""
    return int(command == "status" and document["state"] != "verified")


def _shown(
    text: Callable[[Document], str], document: Document, as_json: bool, indent: int | None
) -> str:
    if as_json:
        return json.dumps(document, indent=indent)
    if "error" in document:
        return f"{document['error']}\n  {document['hint']}"
    return text(document)


# --- one function for each command -----------------------------------------------------------


def tracking_text(document: Document) -> str:
    """Like `chronyc tracking`."""
    age = document["last_update_age"]
    rows = [
        ("Reference", document["reference"] or "none"),
        ("Stratum", str(document["stratum"] or "none")),
        ("Ref time (UTC)", document["last_update"] or "never"),
        ("System time", if_known(_ahead, document["offset"])),
        ("Last offset", if_known(lambda v: f"{v:+.9f} seconds", document["last_offset"])),
        ("Deviation", if_known(lambda v: f"{v:.9f} seconds", document["deviation"])),
        ("Frequency", if_known(_crystal, document["frequency_ppm"])),
        ("Skew", if_known(lambda v: f"{v:.3f} ppm", document["skew_ppm"])),
        ("Steered by", if_known(lambda v: f"{v:+.3f} ppm", document["rate_ppm"])),
        ("Error interval", if_known(lambda v: f"{v:.9f} seconds", document["error_interval"])),
        ("Error bound", if_known(lambda v: f"{v:.9f} seconds", document["error_bound"])),
        ("Update age", "never" if age is None else span(age)),
        ("Trust state", document["state"]),
    ]
    return "\n".join(f"{label:<16}: {value}" for label, value in rows)


def sources_text(document: Document) -> str:
    """Like `chronyc sources`."""
    heads = "S", "Name", "Auth", "Stratum", "Poll", "Reach", "LastRx", "Offset", "+- Error"
    rows = [
        [
            row["mark"],
            row["source"],
            "NTS" if row["authenticated"] else "-",
            str(row["stratum"]),
            str(row["poll"]),
            f"{row['reach']:o}",
            ago(row["last_rx"]),
            if_known(signed, row["offset"]),
            if_known(lambda v: f"+- {span(v)}", row["error"]),
        ]
        for row in document["sources"]
    ]
    failures = {row["source"]: row["failure"] for row in document["sources"] if row["failure"]}
    return "\n".join([*table(heads, rows, left=3), MARKS, *failure_lines(failures)])


def authdata_text(document: Document) -> str:
    """Like `chronyc authdata`."""
    heads = "Name", "Mode", "KeyID", "Type", "KLen", "Last", "Atmp", "NAK", "Cook", "CLen"
    keys = "key_id", "type", "key_length", "last", "attempts", "naks", "cookies", "cookie_length"
    rows = []
    saved = []
    for row in document["sources"]:
        shown = [ago(row[key]) if key == "last" else str(row[key]) for key in keys]
        rows.append([row["source"], row["mode"], *shown])
        if row["saved_session"]:
            saved.append(row["source"])
    lines = table(heads, rows, left=2)
    if saved:
        lines.append(f"By keys saved before this boot: {', '.join(saved)}")
    return "\n".join(lines)


def serverstats_text(document: Document) -> str:
    """Whatever the server counts."""
    labels = {name: name.replace("_", " ").capitalize() for name in document}
    width = max(map(len, labels.values()), default=0)
    return "\n".join(f"{labels[name]:<{width}} : {document[name]}" for name in document)


COMMANDS: dict[str, tuple[str, Callable[[Document], str]]] = {
    "status": ("how far the time can be trusted, and what to do about it", status_text),
    "tracking": ("how the clock is doing", tracking_text),
    "sources": ("every source and its last measurement", sources_text),
    "authdata": ("keys and cookies of every source", authdata_text),
    "bootstrap": ("the evidence behind the trust state", bootstrap_text),
    "refclocks": ("every receiver and what it said last", refclocks_text),
    "gps": ("what GPS receivers see and say", gps_text),
    "serverstats": ("what the NTP server counts", serverstats_text),
}
"""Command to its help text and the function that makes text of its document."""


# --- cells -----------------------------------------------------------------------------------


def _ahead(offset: float) -> str:
    way = "fast" if offset > 0 else "slow"
    return f"{abs(offset):.9f} seconds {way} of true time"


def _crystal(frequency: float) -> str:
    # True time outruns the crystal by this much: a positive figure is a slow crystal.
    return f"{abs(frequency):.3f} ppm {'slow' if frequency > 0 else 'fast'}"
