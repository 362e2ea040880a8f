"""A clock of a real kernel, through /dev/rtc0."""

import pytest

from pints.drivers import RtcConfig, detect_rtcs, open_rtc
from pints.shell.system_clock import SystemClock
from pints.timescale import DAY, Instant, nanoseconds, seconds


def test_the_kernel_began_with_its_time(clock: SystemClock) -> None:
    """Which it takes to the second."""
    rtc = open_rtc(RtcConfig("dev"), clock)
    reading = rtc.read()
    rtc.close()
    assert reading.flags == ()
    assert abs(seconds(reading.time - reading.at.real)) <= reading.error + 1.0


def test_it_keeps_what_it_was_set_to(clock: SystemClock) -> None:
    rtc = open_rtc(RtcConfig("dev"), clock)
    for ahead in (100 * DAY, 0.0):
        rtc.write(Instant(clock.read().real + nanoseconds(ahead)))
        reading = rtc.read()
        off = seconds(reading.time - reading.at.real) - ahead
        # It is set to the nearest second, and no emulated one begins anew for that.
        assert off == pytest.approx(0.0, abs=reading.error + 1.5)
    rtc.close()


def test_it_is_detected() -> None:
    (found,) = (one for one in detect_rtcs() if one.device == "/dev/rtc0")
    assert found.drivers == ("dev",)
    assert "held by the kernel: rtc-" in found.note
