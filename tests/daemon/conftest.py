"""Servers for whole daemons to talk to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pints.demo.world import SharedTime
from tests.chronyd import Chronyd, chronyd, host_now
from tests.pints_server import PintsServer, listening, pints_server


@pytest.fixture
def five_chronyd(tmp_path: Path, peer: Callable[[str], Path]) -> Iterator[list[Chronyd]]:
    """Real chronyd NTS servers, each with a private CA: 4.3 (AES-SIV only) and 4.6.1 in turn."""
    programs = peer("chronyd"), peer("chronyd-4.6")
    servers = [
        chronyd(programs[n % 2], tmp_path / f"chronyd{n}", f"127.0.0.{n}", host_now())
        for n in range(1, 6)
    ]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
def world(tmp_path: Path) -> str:
    """The file of a time that all daemons of a test share."""
    path = f"{tmp_path}/world"
    SharedTime(path)
    return path


@pytest.fixture
def three_pints(tmp_path: Path, world: str) -> Iterator[list[PintsServer]]:
    """Our own servers, in the test's own time."""
    servers = [pints_server(tmp_path / f"server{n}", f"127.0.0.{n}", world) for n in (1, 2, 3)]
    try:
        for server in servers:
            server.device.start()
        for server in servers:
            listening(server)
        yield servers
    finally:
        for server in servers:
            server.device.stop()
