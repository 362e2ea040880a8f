"""Servers for whole daemons to talk to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pints.demo.world import SharedTime
from tests.chronyd import Chronyd, chronyd, host_now, running
from tests.pints_server import PintsServer, three_pints


@pytest.fixture
def five_chronyd(tmp_path: Path, peer: Callable[[str], Path]) -> Iterator[list[Chronyd]]:
    """Real chronyd NTS servers, each with a private CA: 4.3 (AES-SIV only) and 4.6.1 in turn."""
    programs = peer("chronyd"), peer("chronyd-4.6")
    servers = [
        chronyd(programs[n % 2], tmp_path / f"chronyd{n}", f"127.0.0.{n}", host_now())
        for n in range(1, 6)
    ]
    with running(servers):
        yield servers


@pytest.fixture
def world(tmp_path: Path) -> str:
    """The file of a time that all daemons of a test share."""
    path = f"{tmp_path}/world"
    SharedTime(path)
    return path


@pytest.fixture(name="three_pints")
def _three_pints(tmp_path: Path, world: str) -> Iterator[list[PintsServer]]:
    """Our own servers, in the test's own time."""
    with three_pints(tmp_path, world) as servers:
        yield servers
