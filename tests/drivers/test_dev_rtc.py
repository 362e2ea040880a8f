"""The kernel's clock: its ioctls, and the chips that it holds."""

import os
import sys
from collections.abc import Callable
from errno import EACCES, EINVAL, EIO, ENOTTY
from pathlib import Path
from struct import pack, unpack

import pytest

from pints.drivers import RtcConfig, open_rtc
from pints.errors import DeviceError
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant, iso
from pints_drivers import dev_rtc, i2c_bus
from pints_drivers.dev_rtc import KernelRtc

CLOCK = SoftwareClock(Instant(0), timebase=lambda: 0)
TIME = Instant(1_793_802_599 * NS)
"""2026-11-04T14:29:59Z."""
FIELDS = (59, 29, 14, 4, 10, 126)
"""Of struct rtc_time."""


class Kernel:
    """What the kernel answers."""

    def __init__(self) -> None:
        self.time: tuple[int, ...] = FIELDS
        self.voltage: int | None = None
        """None: this driver does not know RTC_VL_READ."""
        self.refuses: int | None = None
        self.asked: list[str] = []

    def ioctl(self, device: int, request: int, content: bytes) -> bytes:
        os.fstat(device)
        # Numbers as include/uapi/linux/rtc.h makes them on ARM and x86.
        name = {0x80247009: "read", 0x4024700A: "set", 0x80047013: "voltage"}[request]
        self.asked.append(name)
        if name == "voltage":
            if self.voltage is None:
                raise OSError(ENOTTY, "Inappropriate ioctl for device")
            return pack("<I", self.voltage)
        assert len(content) == 36
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        if name == "set":
            self.time = unpack("9i", content)[:6]
        return pack("9i", *self.time, 0, 0, 0)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(dev_rtc, "ioctl", kernel.ioctl)
    return kernel


@pytest.fixture
def device(tmp_path: Path) -> str:
    path = tmp_path / "rtc0"
    path.touch()
    return str(path)


def opened(device: str) -> KernelRtc:
    rtc = open_rtc(RtcConfig("dev", device), CLOCK)
    assert isinstance(rtc, KernelRtc)
    return rtc


def test_it_is_read(kernel: Kernel, device: str) -> None:
    rtc = opened(device)
    assert rtc.name == f"dev {device}"
    said = rtc.read()
    assert (said.time, said.flags, said.at) == (TIME + NS // 2, (), CLOCK.read())
    assert said.error == pytest.approx(0.5)
    assert said.stability == 100e-6
    assert said.shared, "the kernel sets it when it likes"


@pytest.mark.parametrize(("part", "second"), [(0, 0), (0.4, 0), (0.6, 1)])
def test_it_is_set_to_the_nearest_second(
    kernel: Kernel, device: str, part: float, second: int
) -> None:
    opened(device).write(Instant(TIME - NS + round(part * NS)))
    assert kernel.time == (58 + second, *FIELDS[1:])


@pytest.mark.parametrize(
    ("voltage", "flags", "warnings"),
    [
        (0, (), ()),
        (1, ("RTC_VL_DATA_INVALID",), ()),
        (2 | 8, (), ("RTC_VL_BACKUP_LOW", "RTC_VL_ACCURACY_LOW")),
        (0x80, ("RTC_VL_DATA_INVALID",), ()),
    ],
)
def test_what_its_driver_knows_of_its_power(
    kernel: Kernel, device: str, voltage: int, flags: tuple[str], warnings: tuple[str]
) -> None:
    kernel.voltage = voltage
    said = opened(device).read()
    assert (said.flags, said.warnings) == (flags, warnings)


def test_a_time_that_its_driver_refuses_to_tell_is_a_flag_until_it_is_set(
    kernel: Kernel, device: str
) -> None:
    kernel.refuses = EINVAL
    rtc = opened(device)
    said = rtc.read()
    assert (iso(said.time), said.flags) == ("2000-01-01T00:00:00Z", ("EINVAL",))
    kernel.refuses = None
    rtc.write(TIME)
    assert rtc.read().flags == ()


@pytest.mark.parametrize("place", range(6))
def test_a_struct_that_is_no_time(kernel: Kernel, device: str, place: int) -> None:
    for value in (-(2**31), 2**31 - 1):
        kernel.time = (*FIELDS[:place], value, *FIELDS[place + 1 :])
        said = opened(device).read()
        assert said.flags == ("EINVAL",) or place == 5


@pytest.mark.parametrize(
    ("call", "error", "hint"),
    [
        (lambda rtc: rtc.read(), EIO, "dmesg"),
        (lambda rtc: rtc.write(TIME), EACCES, "CAP_SYS_TIME"),
    ],
)
def test_what_the_kernel_refuses(
    kernel: Kernel, device: str, call: Callable[[KernelRtc], object], error: int, hint: str
) -> None:
    rtc = opened(device)
    kernel.refuses = error
    with pytest.raises(DeviceError, match=f"^dev {device}: ") as e:
        call(rtc)
    assert hint in e.value.hint


def test_no_clock(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file") as e:
        opened(str(tmp_path / "rtc9"))
    assert "pints rtc detect" in e.value.hint


# --- a chip that the kernel holds ------------------------------------------------------------


@pytest.fixture
def held(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """/sys/bus/i2c/devices/1-0068, held by rtc-ds1307, which made rtc1 of it.  smbus2 may not
    even be imported."""
    place = tmp_path / "1-0068"
    (place / "rtc" / "rtc1").mkdir(parents=True)
    (place / "driver").symlink_to("../../bus/i2c/drivers/rtc-ds1307")
    monkeypatch.setattr(i2c_bus, "DEVICES", str(tmp_path))
    monkeypatch.setitem(sys.modules, "smbus2", None)
    return place


def test_the_kernels_clock_is_used_by_itself(
    held: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths = []

    def fake_open(path: str, flags: int) -> int:
        paths.append(path)
        return os.dup(1)

    monkeypatch.setattr(os, "open", fake_open)
    caplog.set_level("INFO", "pints")
    rtc = open_rtc(RtcConfig("ds3231"), CLOCK)
    monkeypatch.undo()
    assert rtc.name == "ds3231 i2c-1 0x68"
    assert set(paths) == {"/dev/rtc1"}
    (line,) = caplog.messages
    assert line == "ds3231 i2c-1 0x68: held by the kernel's driver rtc-ds1307: used as /dev/rtc1"


def test_what_the_kernel_makes_no_clock_of(held: Path) -> None:
    (held / "rtc" / "rtc1").rmdir()
    with pytest.raises(DeviceError, match="rtc-ds1307, which makes no clock of it") as e:
        open_rtc(RtcConfig("ds3231"), CLOCK)
    assert "pints rtc detect" in e.value.hint
