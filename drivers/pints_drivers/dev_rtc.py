"""The kernel's real-time clock, `/dev/rtc0`: whatever chip its own driver reads and sets.

Its time is taken for UTC; what is in local time is off by hours, which is found out like any
other false clock.  The device can be open once only, so it is for as long as a call takes:
`hwclock` finds it free.
"""

import os
from errno import EBUSY, EINVAL, ENOENT
from fcntl import ioctl
from struct import Struct

from pints.drivers import MachineClock, RtcConfig, RtcReading
from pints.errors import DeviceError
from pints.timescale import NS, Instant, civil, iso, midnight, seconds

# include/uapi/linux/rtc.h: _IOR('p', 0x09, struct rtc_time), _IOW('p', 0x0a, struct rtc_time),
# _IOR('p', 0x13, unsigned int).
RTC_RD_TIME = 0x8024_7009
RTC_SET_TIME = 0x4024_700A
RTC_VL_READ = 0x8004_7013
RTC_TIME = Struct("9i")
"""struct rtc_time: seconds, minutes, hours, day of the month, months since January, years since
1900; day of the week, day of the year and summer time are not looked at."""
VOLTAGES = {
    "RTC_VL_BACKUP_LOW": 1 << 1,
    "RTC_VL_BACKUP_EMPTY": 1 << 2,
    "RTC_VL_ACCURACY_LOW": 1 << 3,
}
VOLTAGES_KNOWN = (1 << 5) - 1
RTC_VL_DATA_INVALID = "RTC_VL_DATA_INVALID"
UNSET = "EINVAL"
"""The flag of a clock whose driver refuses to tell the time: it knows that it is wrong."""
UNKNOWN = 100e-6
"""Bound of what a crystal that nobody has measured may drift.  While the system's clock is
synchronized the kernel sets its first clock every eleven minutes (CONFIG_RTC_SYSTOHC), so what
is measured then is not the crystal's drift but next to nothing."""


class KernelRtc:
    """A clock of the kernel, under a name that says which chip it is."""

    first_tick = 1.0
    """Of most chips.  The kernel does not tell; what came of it is measured."""

    def __init__(self, name: str, path: str, clock: MachineClock) -> None:
        self.name = name
        self._path = path
        self._clock = clock
        os.close(self._open())

    def read(self) -> RtcReading:
        """The second it is in, so half a second more or less, and what the call took."""
        device = self._open()
        try:
            voltage = self._voltage(device)
            before = self._clock.read()
            time = self._time(device)
            took = seconds(self._clock.read().raw - before.raw)
        finally:
            os.close(device)
        lost = voltage & 1 or voltage & ~VOLTAGES_KNOWN
        flags = (RTC_VL_DATA_INVALID,) if lost else ()
        if time is None:
            flags, time = (*flags, UNSET), midnight(2000, 1, 1)
        warnings = tuple(name for name, mask in VOLTAGES.items() if voltage & mask)
        middle = Instant(time + NS // 2)
        return RtcReading(middle, 0.5 + took, flags, before, UNKNOWN, warnings, shared=True)

    def write(self, time: Instant) -> None:
        """Set it to the nearest second, which starts now."""
        second = Instant((time + NS // 2) // NS * NS)
        year, month, day = civil(second)
        rest = second // NS % 86400
        content = RTC_TIME.pack(
            rest % 60, rest // 60 % 60, rest // 3600, day, month - 1, year - 1900, 0, 0, 0
        )
        device = self._open()
        try:
            ioctl(device, RTC_SET_TIME, content)
        except OSError as e:
            hint = "it takes CAP_SYS_TIME, and a chip that has such years"
            raise DeviceError(f"{self.name}: {iso(second)}: {e.strerror}", hint) from None
        finally:
            os.close(device)

    def close(self) -> None:
        """It is not open between two calls."""

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            hint = {
                EBUSY: f"another program has it open: fuser {self._path}",
                ENOENT: "the kernel has no such clock: pints rtc detect",
            }.get(e.errno or 0, "see who may use it; for the service: drop-in rtc.conf")
            raise DeviceError(f"{self.name}: {self._path}: {e.strerror}", hint) from None

    def _time(self, device: int) -> Instant | None:
        """None where its driver says that it is wrong."""
        try:
            content = ioctl(device, RTC_RD_TIME, bytes(RTC_TIME.size))
        except OSError as e:
            if e.errno == EINVAL:
                return None
            raise DeviceError(f"{self.name}: {e.strerror}", "see dmesg") from None
        second, minute, hour, day, month, year, *_ = RTC_TIME.unpack(content)
        since = hour * 3600 + minute * 60 + second
        if not (0 <= month <= 11 and 1 <= day <= 31 and 0 <= since <= 86400 and year >= 70):
            return None
        return Instant(midnight(year + 1900, month + 1, day) + since * NS)

    def _voltage(self, device: int) -> int:
        """What its driver knows of its power, as bits; many know nothing."""
        try:
            return int.from_bytes(ioctl(device, RTC_VL_READ, bytes(4)), "little")
        except OSError:
            return 0


class DevRtc(KernelRtc):
    """The driver `dev`."""

    def __init__(self, config: RtcConfig, clock: MachineClock) -> None:
        path = config.device or "/dev/rtc0"
        super().__init__(f"dev {path}", path, clock)
