"""`pints check-config`: is the configuration right, and what does it come to?"""

import argparse
import json
from dataclasses import asdict
from typing import Any

from pints.bootstrap.rules import r2_quorum
from pints.bootstrap.witness import groups, identity, is_witness
from pints.config.load import DEFAULT_FILE, load


def add(subparsers: Any) -> None:
    """The command's options."""
    parser = subparsers.add_parser("check-config", help="check a configuration file")
    parser.add_argument("file", nargs="?", default="", help=f"default: {DEFAULT_FILE}")
    parser.add_argument("--json", action="store_true", help="print all settings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the daemon would start with it."""
    settings = load(args.file)
    if args.json:
        print(json.dumps(asdict(settings), default=sorted, indent=2))
        return 0
    identities = {s.id: identity(s) for s in settings.sources if is_witness(s, settings)}
    witnesses = len(set(groups(identities).values()))
    bootstrap = settings.bootstrap
    needed = r2_quorum(witnesses, bootstrap.min_witnesses, bootstrap.quorum == "fixed")
    print(f"{args.file or DEFAULT_FILE}: good")
    print(f"  sources    {', '.join(s.id for s in settings.sources) or 'none'}")
    print(f"  witnesses  {witnesses}, of which {needed} must agree")
    if witnesses < needed:
        print(
            "  warning    it can never be verified: add sources of other operators,"
            " or set min_witnesses = 1"
        )
    return 0
