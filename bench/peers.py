"""Servers and clients to measure against, and the daemon's configuration for them."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.programs import running, until
from tests.chronyd import Chronyd, chronyd, host_now
from tests.chronyd import running as serving

EVERY_SECOND = (0, 1)
"""Shortest and longest interval, log2 s: or every other."""


@contextmanager
def three_chronyd(program: Path, place: Path) -> Iterator[list[Chronyd]]:
    """Real chronyd NTS servers, each with its own CA and address."""
    servers = [
        chronyd(program, place / f"server{n}", f"127.0.0.{n}", host_now()) for n in (1, 2, 3)
    ]
    with serving(servers):
        yield servers


def configure(place: Path, settings: Sequence[str], state: Path, runtime: Path) -> Path:
    """Write a daemon's configuration into a new folder; its path."""
    place.mkdir()
    config = place / "pints.toml"
    folders = f'[state]\ndirectory = "{state}"\nruntime = "{runtime}"\n'
    config.write_text("".join((*settings, folders)))
    return config


@contextmanager
def pints_client(
    place: Path, servers: Sequence[Chronyd], polls: tuple[int, int] = EVERY_SECOND
) -> Iterator["subprocess.Popen[bytes]"]:
    """The daemon, once it is verified.  `polls`: its shortest and longest interval, log2 s."""
    sources = [server.polled(*polls) for server in servers]
    config = configure(place, sources, place / "state", place / "run")
    command = [sys.executable, "-m", "pints", "run", "--no-clock", "-c", config]
    with running(command, place / "log") as process:
        until(place / "log", "verified (")
        yield process


@contextmanager
def chronyd_client(
    place: Path, servers: Sequence[Chronyd], program: Path, polls: tuple[int, int] = EVERY_SECOND
) -> Iterator["subprocess.Popen[bytes]"]:
    """chrony as a client that never touches the clock, once it has selected a source."""
    place.mkdir()
    lines = [f"cmdport 0\nbindcmdaddress /\npidfile {place}/pid\nntsdumpdir {place}\n"]
    for server in servers:
        lines.append(f"ntstrustedcerts {server.ca}\n")
        lines.append(f"server {server.host} nts ntsport {server.ke_port} iburst")
        lines.append(" minpoll {} maxpoll {}\n".format(*polls))
    config = place / "chrony.conf"
    config.write_text("".join(lines))
    with running([program, "-U", "-x", "-d", "-f", config], place / "log") as process:
        until(place / "log", "Selected source")
        yield process
