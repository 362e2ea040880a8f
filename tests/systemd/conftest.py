"""What the units' tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.demo.world import SharedTime
from tests.pints_server import PintsServer, listening, pints_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PintsServer]:
    """An NTS server, real but for its clock, which is right."""
    world = str(tmp_path / "time")
    SharedTime(world)
    server = pints_server(tmp_path / "server", "127.0.0.1", world)
    with server.device:
        listening(server)
        yield server
