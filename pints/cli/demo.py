"""`pints demo`: the whole story on any computer in seconds."""

import argparse
from functools import partial
from typing import Any


def add(subparsers: Any) -> None:
    """The command; it has no options."""
    parser = subparsers.add_parser("demo", help="see a Pi wake in the past and find the time")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tell the story."""
    from pints.demo import story

    story.run(partial(print, flush=True))
    return 0
