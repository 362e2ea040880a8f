"""The daemon with a receiver and its pulses."""

import os
import time
from collections.abc import Iterator

import pytest

from pints.timescale import DAY
from tests.kernel.daemon import PATIENCE, Daemon
from tests.kernel.far_end import ask

AHEAD = 30 * DAY
NEAR = 0.05
"""Seconds: as near as the pulses of an emulated board are to each other, at worst."""
SETTINGS = """
[[refclock]]
driver = "gps"
device = "{port}"
[[refclock]]
driver = "pps"
device = "/dev/pps0"
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, port: str) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), SETTINGS.format(port=port)) as daemon:
        yield daemon


def test_a_receiver_sets_the_clock_of_the_kernel(daemon: Daemon, port: str) -> None:
    ask(port, f"clock {AHEAD:.0f}")
    # What it was set by before was a second's matter.
    assert daemon.wait_for_step() == pytest.approx(AHEAD, abs=1.5)
    assert daemon.tell("status")["state"] == "restored"  # nobody has confirmed it
    gps, _ = daemon.tell("refclocks")["refclocks"]
    assert gps["steady"]
    assert gps["details"]["fix"]


@pytest.mark.skipif(
    not os.environ.get("PINTS_KERNEL_SECONDS"), reason="this kernel's pulses begin no seconds"
)
def test_then_pulses_keep_it(daemon: Daemon) -> None:
    """Which the receiver numbers."""
    deadline = time.monotonic() + PATIENCE
    followed = False
    while not followed:
        assert time.monotonic() < deadline, daemon.log.read_text()
        _, pps = daemon.tell("refclocks")["refclocks"]
        followed = pps["mark"] == "*" and abs(pps["offset"]) < NEAR
