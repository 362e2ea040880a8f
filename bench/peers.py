"""Servers to measure against, and the daemon's configuration for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chronyd import Chronyd, chronyd, host_now, running


@contextmanager
def three_chronyd(program: Path, place: Path) -> Iterator[list[Chronyd]]:
    """Real chronyd NTS servers, each with its own CA and address."""
    servers = [
        chronyd(program, place / f"server{n}", f"127.0.0.{n}", host_now()) for n in (1, 2, 3)
    ]
    with running(servers):
        yield servers


def configure(place: Path, settings: Sequence[str], state: Path, runtime: Path) -> Path:
    """Write a daemon's configuration into a new folder; its path."""
    place.mkdir()
    config = place / "pints.toml"
    folders = f'[state]\ndirectory = "{state}"\nruntime = "{runtime}"\n'
    config.write_text("".join((*settings, folders)))
    return config
