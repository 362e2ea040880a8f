"""An I2C bus of this machine, and who else uses it.

Transfers are those that SMBus knows, block reads and writes of at most 32 bytes: every adapter
of Linux can do them.  An address that a driver of the kernel holds is left to it, always.
"""

import os
from collections.abc import Callable
from errno import EACCES, EBUSY, EIO, ENODEV, ENOENT, ENXIO, EPERM, EREMOTEIO
from typing import Protocol, TypeVar

from pints.errors import DeviceError

DEVICES = "/sys/bus/i2c/devices"
NOBODY = (EIO, ENODEV, ENXIO, EREMOTEIO)
"""What adapters say when no chip answers."""
MAY_NOT = "see who may use it: ls -l /dev/i2c-*; for the service: drop-in rtc.conf"
HINTS = {
    EACCES: MAY_NOT,
    EPERM: MAY_NOT,
    ENOENT: "switch the bus on: dtparam=i2c_arm=on in config.txt, and modprobe i2c-dev",
    EBUSY: "a driver of the kernel holds it: pints rtc detect",
}
TRIES = 4
"""A chip may be deaf for a moment: the RV-8803 for 61 us of each second."""
T = TypeVar("T")


class Bus(Protocol):
    """What is asked of a bus; `smbus2.SMBus` is one."""

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]: ...

    def write_i2c_block_data(self, i2c_addr: int, register: int, data: list[int]) -> None: ...

    def close(self) -> None: ...


def open_bus(number: int) -> Bus:
    """DeviceError if it is not there, or may not be used."""
    try:
        from smbus2 import SMBus
    except ImportError:
        raise DeviceError(
            f"/dev/i2c-{number}: smbus2 is not installed", "pip install 'pints-time[rtc]'"
        ) from None
    try:
        bus: Bus = SMBus(number)
    except OSError as e:
        raise DeviceError(f"/dev/i2c-{number}: {e.strerror}", _hint(e.errno)) from None
    return bus


def again(name: str, transfer: Callable[[], T]) -> T:
    """What a transfer gives, which is tried again where nobody answered."""
    for left in reversed(range(TRIES)):
        try:
            return transfer()
        except OSError as e:
            if not left or e.errno not in NOBODY:
                what = "no answer" if e.errno in NOBODY else e.strerror
                raise DeviceError(f"{name}: {what}", _hint(e.errno)) from None
    raise AssertionError("the last try returns or raises")


def holder(bus: int, address: int) -> str:
    """The driver of the kernel that holds an address; empty: nobody."""
    try:
        return os.path.basename(os.readlink(f"{_place(bus, address)}/driver"))
    except OSError:
        return ""


def kernel_clock(bus: int, address: int) -> str:
    """The name (`rtc0`) of the kernel's clock at an address; empty: it makes no clock of it."""
    try:
        return min(os.listdir(f"{_place(bus, address)}/rtc"), default="")
    except OSError:
        return ""


def _place(bus: int, address: int) -> str:
    return f"{DEVICES}/{bus}-{address:04x}"


def _hint(number: int | None) -> str:
    return HINTS.get(number or 0, "check wires, address and chip: pints rtc detect")
