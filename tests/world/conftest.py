"""What all scenarios share."""

import pytest

from pints import restore
from tests.world.world import World


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that early boot dates the past by are the machine's own: none in the world."""
    monkeypatch.setattr(restore, "WITNESS_FILES", ())


@pytest.fixture
def world(seed: int) -> World:
    return World(seed)
