"""What all scenarios share."""

from collections.abc import Callable, Iterator

import pytest

from pints import restore
from tests.world.device import Device
from tests.world.tally import BOOTS
from tests.world.world import World


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that early boot dates the past by are the machine's own: none in the world."""
    monkeypatch.setattr(restore, "WITNESS_FILES", ())


@pytest.fixture(autouse=True)
def _count_boots(record_property: Callable[[str, object], None]) -> Iterator[None]:
    before = Device.booted
    yield
    record_property(BOOTS, Device.booted - before)


@pytest.fixture
def world(seed: int) -> World:
    return World(seed)
