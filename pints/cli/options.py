"""Options that several commands share, in the same words."""

import argparse
from collections.abc import Callable

MAX_PORT = 65535
MAX_SECONDS = 1e6
"""Eleven days: more does not fit what the C library counts time-outs in."""


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`, of the daemon."""
    parser.add_argument(
        "-c", "--config", metavar="FILE", default="", help="the daemon's configuration"
    )


def add_daemon(parser: argparse.ArgumentParser) -> None:
    """Where the daemon is to be found: `--config` and `--socket`."""
    add_config(parser)
    parser.add_argument(
        "--socket", metavar="PATH", default="",
        help="the daemon's control socket (default: as the configuration says)",
    )  # fmt: skip


def add_trusted(parser: argparse.ArgumentParser) -> None:
    """`--ca`: the certificates by which a server is judged."""
    parser.add_argument(
        "--ca", metavar="FILE", action="append", default=[],
        help="trusted certificates, PEM; may be repeated (default: the system's)",
    )  # fmt: skip


def add_addresses(parser: argparse.ArgumentParser, what: str) -> None:
    """`--address`, beside name servers or in place of them.  `what` describes one address."""
    parser.add_argument(
        "--address", metavar="A", action="append", default=[], help=f"{what}; may be repeated"
    )


def add_timeout(parser: argparse.ArgumentParser, default: float) -> None:
    """`--timeout`, of the whole command, in seconds."""
    parser.add_argument(
        "--timeout", type=positive_seconds, default=default, metavar="S",
        help="seconds for everything together (default: %(default)s)",
    )  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`, in place of text for people."""
    parser.add_argument("--json", action="store_true", help="for programs")


def positive_seconds(text: str) -> float:
    """For argparse: a time-out or an interval."""
    number = float(text)
    if not 0 < number <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0, at most {MAX_SECONDS:.0f}")
    return number


def port_from(least: int) -> Callable[[str], int]:
    """For argparse: a port's number, which is `least` at least: 1, or 0 where that means any port
    or the usual one."""

    def port(text: str) -> int:
        number = int(text)
        if not least <= number <= MAX_PORT:
            raise argparse.ArgumentTypeError(f"{text}: a port is {least} to {MAX_PORT}")
        return number

    return port
