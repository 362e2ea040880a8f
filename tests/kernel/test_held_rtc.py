"""A chip on I2C that a driver of the kernel holds, as its overlay says: it is left to it."""

from errno import EBUSY

import pytest
from smbus2 import SMBus

from pints.drivers import RtcConfig, detect_rtcs, open_rtc
from pints.shell.system_clock import SystemClock

BUS, ADDRESS = 1, 0x68


def test_nobody_else_gets_at_it() -> None:
    with SMBus(BUS) as bus, pytest.raises(OSError, match=str(EBUSY)):
        bus.read_byte_data(ADDRESS, 0)


def test_it_is_used_as_the_clock_that_it_is(
    clock: SystemClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rtc = open_rtc(RtcConfig("ds1338", bus=BUS), clock)
    assert "held by the kernel's driver rtc-ds1307: used as /dev/rtc0" in caplog.text
    assert rtc.name == "ds1338 i2c-1 0x68"
    assert rtc.read().flags == ()
    rtc.close()


def test_who_holds_it_is_told() -> None:
    found = {one.place: one for one in detect_rtcs()}
    assert "rtc-ds1307" in found["/dev/rtc0"].note
    assert found["i2c-1 0x68"].drivers == ()
    assert "held by the kernel's driver rtc-ds1307" in found["i2c-1 0x68"].note
