"""The kernel's pulses: its structs byte for byte in every ABI, and what the driver makes of them.

No machine of the tests has pulses: the kernel's side of the device is played, struct by struct.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.drivers import Pulse, RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.timescale import NS
from pints_drivers import pps
from tests.drivers.host import START, HostClock


def pps_ktime(packed: bool) -> type[ctypes.Structure]:
    """linux/pps.h: struct pps_ktime, and pps_ktime_compat, which is aligned to 4 octets."""
    fields = [("sec", ctypes.c_int64), ("nsec", ctypes.c_int32), ("flags", ctypes.c_uint32)]
    return type("ktime", (ctypes.Structure,), {"_pack_": 4 if packed else 8, "_fields_": fields})


def pps_fdata(packed: bool) -> type[ctypes.Structure]:
    """struct pps_fdata, its pps_kinfo spelt out."""
    time, pack = pps_ktime(packed), {"_pack_": 4 if packed else 8}
    fields = [
        ("assert_sequence", ctypes.c_uint32), ("clear_sequence", ctypes.c_uint32),
        ("assert_tu", time), ("clear_tu", time), ("current_mode", ctypes.c_int),
    ]  # fmt: skip
    info = type("info", (ctypes.Structure,), {**pack, "_fields_": fields})
    both = [("info", info), ("timeout", time)]
    return type("fdata", (ctypes.Structure,), {**pack, "_fields_": both})


def pps_kparams(packed: bool) -> type[ctypes.Structure]:
    """struct pps_kparams."""
    time = pps_ktime(packed)
    fields = [
        ("api_version", ctypes.c_int), ("mode", ctypes.c_int),
        ("assert_off_tu", time), ("clear_off_tu", time),
    ]  # fmt: skip
    pack = {"_pack_": 4 if packed else 8}
    return type("kparams", (ctypes.Structure,), {**pack, "_fields_": fields})


class Kernel:
    """Its side of one /dev/pps, in either layout."""

    def __init__(self, packed: bool) -> None:
        self.fdata, self.kparams = pps_fdata(packed), pps_kparams(packed)
        self.able, self.mode = 0x1003, 0x1001  # PPS_TSFMT_TSPEC; captures both, does the assert
        self.edges = {"assert": (0, 0), "clear": (0, 0)}
        """Sequence number and ns."""
        self.fails = 0
        self.refuses = 0

    def edge(self, name: str, real: int) -> None:
        self.edges[name] = (self.edges[name][0] + 1, real)

    def ioctl(self, fd: int, request: int, data: bytearray) -> int:
        assert request >> 16 & 0x3FFF == ctypes.sizeof(ctypes.c_void_p)
        assert request >> 8 & 0xFF == ord("p")
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        if request & 0xFF == self.refuses:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        match request & 0xFF, request >> 30:
            case 0xA1, 2:
                held = self.kparams(1, self.mode)
                data[: ctypes.sizeof(held)] = bytes(held)
            case 0xA2, 1:
                assert not self.kparams.from_buffer_copy(data).mode & ~self.able
                self.mode = self.kparams.from_buffer_copy(data).mode
            case 0xA3, 2:
                data[:4] = self.able.to_bytes(4, "little")
            case 0xA4, 3:
                asked = self.fdata.from_buffer_copy(data).timeout
                assert (asked.sec, asked.nsec, asked.flags) == (0, 0, 0), "it would wait"
                filled = self.fdata.from_buffer(data)
                for edge, (sequence, real) in self.edges.items():
                    setattr(filled.info, f"{edge}_sequence", sequence)
                    time = getattr(filled.info, f"{edge}_tu")
                    time.sec, time.nsec = divmod(real, NS)
            case other:
                raise AssertionError(f"no such request: {other}")
        return 0


class Machine:
    """A clock, and a device of that kernel."""

    def __init__(self, path: Path, kernel: Kernel) -> None:
        self.kernel = kernel
        self.path = path
        path.touch()
        self.clock = HostClock()
        self.drivers: list[pps.Pps] = []

    def open(self, edge: str = "assert") -> pps.Pps:
        driver = open_refclock(RefclockConfig("pps", str(self.path), edge=edge), self.clock)
        assert isinstance(driver, pps.Pps)
        self.drivers.append(driver)
        return driver


@pytest.fixture(params=[False, True], ids=["64 bit", "packed"])
def machine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Machine]:
    kernel = Kernel(request.param)
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    machine = Machine(tmp_path / "pps0", kernel)
    yield machine
    for driver in machine.drivers:
        driver.close()


def test_requests_are_the_kernels() -> None:
    """As a C program prints them, on a 64-bit machine."""
    if ctypes.sizeof(ctypes.c_void_p) == 8:
        assert pps.GETPARAMS == 0x800870A1
        assert pps.SETPARAMS == 0x400870A2
        assert pps.GETCAP == 0x800870A3
        assert pps.FETCH == 0xC00870A4


@pytest.mark.parametrize(("packed", "size", "timeout"), [(False, 64, 48), (True, 60, 44)])
def test_structs_are_the_kernels(packed: bool, size: int, timeout: int) -> None:
    fdata = pps_fdata(packed)
    assert ctypes.sizeof(fdata) == size <= pps.FETCHED.size
    assert fdata.timeout.offset == timeout
    assert ctypes.sizeof(pps_kparams(packed)) == pps.PARAMETERS.size == 40
    octets = bytes(range(1, size + 1)).ljust(pps.FETCHED.size, b"\0")
    info = fdata.from_buffer_copy(octets).info
    assert pps.FETCHED.unpack(octets) == (
        info.assert_sequence, info.clear_sequence,
        info.assert_tu.sec, info.assert_tu.nsec, info.assert_tu.flags,
        info.clear_tu.sec, info.clear_tu.nsec, info.clear_tu.flags,
        info.current_mode,
    )  # fmt: skip


def test_each_pulse_once(machine: Machine) -> None:
    machine.kernel.edge("assert", START * NS - NS)  # an old one
    driver = machine.open()
    assert driver.name == f"pps {machine.path}"
    assert machine.kernel.mode == 0x1003, "the other edge tells how long pulses are"
    assert driver.fileno() == -1
    assert list(driver.reports()) == []
    machine.clock.now = 2.5
    machine.kernel.edge("assert", (START + 2) * NS + 123)
    (pulse,) = driver.reports()
    assert pulse == Pulse(pulse.at, pps.ERROR)
    assert pulse.at.real == (START + 2) * NS + 123
    assert list(driver.reports()) == []
    machine.kernel.edge("clear", (START + 2) * NS + 100_000_000)
    assert list(driver.reports()) == []


def test_the_other_edge(machine: Machine) -> None:
    driver = machine.open("clear")
    assert machine.kernel.mode == 0x1003, "the kernel is told to note it"
    machine.clock.now = 2.0
    machine.kernel.edge("assert", (START + 1) * NS)
    assert list(driver.reports()) == []
    machine.kernel.edge("clear", (START + 1) * NS + 5)
    (pulse,) = driver.reports()
    assert pulse.at.real == (START + 1) * NS + 5
    assert pulse.after == pytest.approx(5e-9)


@pytest.mark.parametrize(
    ("edge", "other", "after"), [("assert", -0.9, 0.9), ("assert", 0.1, 0.9), ("clear", -0.1, 0.1)]
)
def test_how_long_after_the_other_edge(
    machine: Machine, edge: str, other: float, after: float
) -> None:
    """The other edge may be seen of the pulse before, or of this one already."""
    driver = machine.open(edge)
    machine.clock.now = 2.5
    opposite = "clear" if edge == "assert" else "assert"
    machine.kernel.edge(opposite, (START + 2) * NS + round(other * NS))
    machine.kernel.edge(edge, (START + 2) * NS)
    (pulse,) = driver.reports()
    assert pulse.after == pytest.approx(after)


def test_a_kernel_that_sees_one_edge(machine: Machine) -> None:
    """An overlay without capture_clear."""
    machine.kernel.able = 0x1001
    driver = machine.open()
    machine.clock.now = 2.5
    machine.kernel.edge("assert", (START + 2) * NS)
    (pulse,) = driver.reports()
    assert pulse.after is None


def test_the_other_edge_is_worth_no_failure(machine: Machine) -> None:
    """Without CAP_SYS_TIME nothing is set."""
    machine.kernel.refuses = 0xA2
    machine.open("assert")
    with pytest.raises(DeviceError, match="not permitted"):
        machine.open("clear")


def test_an_edge_that_is_not_seen(machine: Machine) -> None:
    machine.kernel.able = 0x1001
    with pytest.raises(DeviceError, match="does not see edge 'clear'"):
        machine.open("clear")


def test_a_stamp_that_cannot_be_placed(machine: Machine) -> None:
    driver = machine.open()
    machine.kernel.edge("assert", (START - 3600) * NS)
    assert list(driver.reports()) == []


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOTTY, "not a source of pulses"), (errno.ENODEV, "unplugged")]
)
def test_what_the_kernel_refuses(machine: Machine, number: int, hint: str) -> None:
    driver = machine.open()
    machine.kernel.fails = number
    with pytest.raises(DeviceError, match=os.strerror(number)) as e:
        driver.reports()
    assert hint in e.value.hint
    with pytest.raises(DeviceError):
        machine.open()


def test_no_device() -> None:
    with pytest.raises(DeviceError, match="No such file") as e:
        open_refclock(RefclockConfig("pps", "/dev/pps4711"), HostClock())
    assert "/dev/pps0" in e.value.hint
