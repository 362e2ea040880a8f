"""A DS1338 that ticks on a real I2C bus, through i2c-dev."""

import time

import pytest
from smbus2 import SMBus

from pints.drivers import RtcConfig, detect_rtcs, open_rtc
from pints.shell.system_clock import SystemClock
from pints.timescale import NS, Instant, midnight, seconds

BUS, ADDRESS = 1, 0x68
SECOND = Instant(midnight(2031, 2, 28) + (24 * 3600 - 1) * NS)
"""A day and a month end with it."""


def test_it_ticks(clock: SystemClock) -> None:
    """As fast as the machine's own crystal."""
    rtc = open_rtc(RtcConfig("ds1338", bus=BUS), clock)
    first = rtc.read()
    time.sleep(3.0)
    last = rtc.read()
    rtc.close()
    passed = seconds(last.at.raw - first.at.raw)
    assert seconds(last.time - first.time) == pytest.approx(passed, abs=first.error + last.error)


def test_it_goes_on_from_what_it_was_set_to(clock: SystemClock) -> None:
    rtc = open_rtc(RtcConfig("ds1338", bus=BUS), clock)
    rtc.write(SECOND)
    set_at = clock.read().raw
    with SMBus(BUS) as bus:
        assert bytes(bus.read_i2c_block_data(ADDRESS, 1, 2)) in (b"\x59\x23", b"\x00\x00")
    time.sleep(2.0)
    reading = rtc.read()
    rtc.close()
    assert reading.flags == ()
    passed = seconds(reading.at.raw - set_at)
    # A real one begins a second when it is set; this one stays in the one that it is in.
    assert seconds(reading.time - SECOND) == pytest.approx(passed, abs=reading.error + 1.5)
    assert reading.time > SECOND + NS


def test_it_is_detected() -> None:
    (found,) = (one for one in detect_rtcs() if one.address == ADDRESS)
    assert found.bus == BUS
    assert "ds1338" in found.drivers
