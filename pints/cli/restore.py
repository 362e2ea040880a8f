"""`pints restore`: listed here for help and man page; `pints.restore` itself reads its words."""

from typing import Any

from pints import restore


def add(subparsers: Any) -> None:
    """The command's options, as help and man page show them."""
    parser = subparsers.add_parser(
        "restore",
        help="early boot: floor the clock from saved time",
        description="Move the clock forward to the newest time that this machine knows to have "
        "passed: saved time, the build of this program, the kernel's real-time clock.  Early boot "
        "does it; run again, it changes nothing.",
    )
    parser.add_argument(
        "--state", metavar="DIR", help=f"folder of the saved time (default: {restore.STATE})"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument(
        "--forget", action="store_true",
        help="move a false saved time aside, with all that vouches for it; stop the daemon first",
    )  # fmt: skip
