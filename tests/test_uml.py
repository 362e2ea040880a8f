"""The kernel that runs as a process is started by `scripts/uml.py`, on any processor."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import uml

AMX = 11008
"""Octets of registers of a processor with AMX."""


@pytest.fixture
def kernel(peer: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the real one, as Debian built it."""
    peer("linux.uml")
    return Path(shutil.copy(uml.KERNEL, tmp_path / "linux"))


@pytest.mark.parametrize("size", [512, 832, uml.KEPT])
def test_a_kernel_that_fits_is_started_as_it_is(kernel: Path, size: int) -> None:
    assert uml.fitting(kernel, size) == kernel


def test_for_more_registers_one_number_is_changed_in_a_copy(kernel: Path) -> None:
    copy = uml.fitting(kernel, AMX)
    before, after = kernel.read_bytes(), copy.read_bytes()
    assert len(before) == len(after)
    place = before.index(uml.CALL % uml.KEPT.to_bytes(4, "little"))
    call = uml.CALL % AMX.to_bytes(4, "little")
    assert after[place : place + len(call)] == call
    assert after[:place] == before[:place]
    assert after[place + len(call) :] == before[place + len(call) :]


def test_an_unknown_kernel_is_not_touched(tmp_path: Path) -> None:
    kernel = tmp_path / "linux"
    kernel.write_bytes(bytes(100))
    with pytest.raises(SystemExit):
        uml.fitting(kernel, AMX)
    assert list(tmp_path.iterdir()) == [kernel]


def test_the_size_that_this_processor_has() -> None:
    assert uml.processors_size() % 8 == 0
    assert uml.processors_size() >= 512
