"""Pulses of a real kernel, through /dev/pps0."""

import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from pints.drivers import Pulse, RefclockConfig, open_refclock
from pints.shell.system_clock import SystemClock
from pints.timescale import NS, seconds

PULSES = 5
ASSERT = Path("/sys/class/pps/pps0/assert")
"""Time and number of the latest pulse, as the kernel tells everybody: `1793800000.000000123#7`."""
PATIENCE = 30.0


def test_pulses_are_those_that_the_kernel_counts(clock: SystemClock) -> None:
    """Each once, and stamped as the kernel stamped it."""
    driver = open_refclock(RefclockConfig("pps", "/dev/pps0"), clock)
    pulses: list[Pulse] = []
    stamps = set()
    deadline = time.monotonic() + PATIENCE
    while len(pulses) < PULSES and time.monotonic() < deadline:
        pulses += [report for report in driver.reports() if isinstance(report, Pulse)]
        stamps.add(ASSERT.read_text().partition("#")[0])
        time.sleep(0.1)
    driver.close()
    assert {f"{p.at.real // NS}.{p.at.real % NS:09d}" for p in pulses} <= stamps
    # The machine is a process among others, so one may come late and the next one be early for it.
    apart = [seconds(b.at.raw - a.at.raw) for a, b in pairwise(pulses)]
    assert median(apart) == pytest.approx(1.0, abs=0.2), apart
