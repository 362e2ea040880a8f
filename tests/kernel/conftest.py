"""Tests that run inside a kernel with devices of its own (`tests.kernel.machines`), and nowhere
else: they set chips and take whatever device is there for theirs."""

import os

import pytest

from pints.shell.system_clock import SystemClock

collect_ignore_glob = [] if os.environ.get("PINTS_KERNEL") else ["test_*"]


@pytest.fixture
def clock() -> SystemClock:
    """This kernel's."""
    return SystemClock()


@pytest.fixture(scope="session")
def port() -> str:
    """The serial line that has a receiver at its far end."""
    return os.environ["PINTS_KERNEL_SERIAL"]
