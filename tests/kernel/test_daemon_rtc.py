"""The daemon with a chip that ticks, whoever holds it."""

import time
from pathlib import Path

import pytest

from pints.drivers import RtcConfig, open_rtc
from pints.shell.system_clock import SystemClock
from pints.timescale import NS, midnight, seconds
from tests.kernel.daemon import Daemon

LATER = midnight(2031, 3, 1)
SETTINGS = """
[rtc]
driver = "ds1338"
bus = 1
"""


def test_a_chip_sets_the_clock_of_the_kernel(tmp_path: Path, clock: SystemClock) -> None:
    rtc = open_rtc(RtcConfig("ds1338", bus=1), clock)
    rtc.write(LATER)
    rtc.close()
    wanted = seconds(LATER - clock.read().real)
    with Daemon(tmp_path, SETTINGS) as daemon:
        assert daemon.wait_for_step() == pytest.approx(wanted, abs=2.0)
        assert daemon.tell("status")["state"] == "restored"
        told = daemon.tell("rtc")
    assert told["chip"] == "ds1338 i2c-1 0x68"
    assert abs(told["ahead_of_clock"]) < 2.0
    assert time.time() > LATER / NS
