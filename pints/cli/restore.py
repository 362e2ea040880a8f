"""`pints restore`: listed here for the help; `pints.restore` itself reads its words."""

from typing import Any


def add(subparsers: Any) -> None:
    """The command's line in the help."""
    subparsers.add_parser(
        "restore",
        help="early boot: floor the clock from saved time ([--state DIR] [--dry-run] [--forget])",
        add_help=False,
    )
