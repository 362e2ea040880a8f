"""Pulses of a real kernel on a line of a GPIO chip."""

import select
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from pints.drivers import Pulse, RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.shell.system_clock import SystemClock
from pints.timescale import seconds

PIN = 3
"""The power button's, of QEMU's board `virt`."""
DRIVER = Path("/sys/bus/platform/drivers/pps-gpio")
PULSES = 5
PATIENCE = 30.0


@pytest.fixture
def free() -> Iterator[None]:
    """The kernel's own driver of pulses lets go of the line."""
    (device,) = (link.name for link in DRIVER.iterdir() if (link / "driver").exists())
    (DRIVER / "unbind").write_text(device)
    yield
    (DRIVER / "bind").write_text(device)


def config(edge: str = "assert") -> RefclockConfig:
    return RefclockConfig("gpio-pps", "/dev/gpiochip0", pin=PIN, edge=edge)


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize("edge", ["assert", "clear"])
def test_each_edge_is_a_pulse(clock: SystemClock, edge: str) -> None:
    driver = open_refclock(config(edge), clock)
    pulses: list[Pulse] = []
    deadline = time.monotonic() + PATIENCE
    while len(pulses) < PULSES and time.monotonic() < deadline:
        if select.select([driver.fileno()], [], [], 1.0)[0]:
            pulses += [report for report in driver.reports() if isinstance(report, Pulse)]
    driver.close()
    apart = [seconds(b.at.raw - a.at.raw) for a, b in pairwise(pulses)]
    # As of /dev/pps0: one may come late.
    assert median(apart) == pytest.approx(1.0, abs=0.2), apart


def test_a_line_that_the_kernel_uses(clock: SystemClock) -> None:
    with pytest.raises(DeviceError, match="busy"):
        open_refclock(config(), clock)
