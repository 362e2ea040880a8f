"""A receiver on a serial port of a real kernel."""

import os
import select
import time
from itertools import pairwise

import pytest

from pints.drivers import Detailed, Fix, RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.shell.system_clock import SystemClock
from pints.timescale import iso, seconds
from tests.conftest import absent
from tests.kernel.far_end import ask

FIXES = 4
PATIENCE = 60.0


def fixes(clock: SystemClock, port: str, asked: str) -> list[Fix]:
    """The first ones of what the far end plays."""
    driver = open_refclock(RefclockConfig("gps", port), clock)
    ask(port, asked)
    found: list[Fix] = []
    deadline = time.monotonic() + PATIENCE
    try:
        while len(found) < FIXES and time.monotonic() < deadline:
            select.select([driver.fileno()], [], [], 1.0)
            found += [report for report in driver.reports() if isinstance(report, Fix)]
        assert isinstance(driver, Detailed)
        assert len(found) >= FIXES, driver.details()
    finally:
        driver.close()
    return found[:FIXES]


def test_a_receiver_tells_the_time(clock: SystemClock, port: str) -> None:
    """Its far end plays what this machine's clock was set to, at least to the second, when it
    began."""
    told = fixes(clock, port, "clock 0")
    ahead = [seconds(fix.time - fix.at.real) for fix in told]
    assert max(map(abs, ahead)) <= 1.0 + told[0].error, ahead
    assert max(ahead) - min(ahead) <= 2 * told[0].error, ahead


def test_a_log_of_a_real_receiver(clock: SystemClock, port: str) -> None:
    if not os.environ.get("PINTS_REAL_DATA"):
        absent("PINTS_REAL_DATA names no folder of real data for the far end")
    told = fixes(clock, port, "log ublox-8-time.log")
    expected = [f"2017-12-01T17:22:{n}Z" for n in range(37, 37 + FIXES)]
    assert [iso(fix.time) for fix in told] == expected
    apart = [seconds(b.at.raw - a.at.raw) for a, b in pairwise(told)]
    assert apart == pytest.approx([1.0] * len(apart), abs=0.5)


def test_one_at_a_time(clock: SystemClock, port: str) -> None:
    first = open_refclock(RefclockConfig("gps", port), clock)
    with pytest.raises(DeviceError, match="has it"):
        open_refclock(RefclockConfig("gps", port), clock)
    first.close()
