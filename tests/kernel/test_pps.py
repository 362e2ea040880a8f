"""Pulses of a real kernel, through /dev/pps0."""

import time
from itertools import pairwise
from pathlib import Path

from pints.drivers import Pulse, RefclockConfig, open_refclock
from pints.shell.system_clock import SystemClock
from pints.timescale import NS, seconds

PULSES = 4
ASSERT = Path("/sys/class/pps/pps0/assert")
"""Time and number of the latest pulse, as the kernel tells everybody: `1793800000.000000123#7`."""
PATIENCE = 30.0


def test_pulses_are_those_that_the_kernel_counts(clock: SystemClock) -> None:
    """Each once, and stamped as the kernel stamped it."""
    driver = open_refclock(RefclockConfig("pps", "/dev/pps0"), clock)
    pulses: list[Pulse] = []
    stamps = []
    deadline = time.monotonic() + PATIENCE
    while len(pulses) < PULSES and time.monotonic() < deadline:
        heard = list(driver.reports())
        if heard:
            stamps.append(ASSERT.read_text().partition("#")[0])
            pulses += heard  # type: ignore[arg-type]
        time.sleep(0.1)
    driver.close()
    assert [f"{p.at.real // NS}.{p.at.real % NS:09d}" for p in pulses] == stamps
    apart = [seconds(b.at.raw - a.at.raw) for a, b in pairwise(pulses)]
    # The machine is a process among others: none may come early, and one may come late.
    assert min(apart) > 0.9, apart
    assert sorted(apart)[len(apart) // 2] < 1.2, apart
