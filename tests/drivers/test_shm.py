"""Other programs' time in shared memory: a real segment, of a number that nobody uses."""

import ctypes
import os
import struct
from collections.abc import Iterator

import pytest

from pints.drivers import LEAP_UNKNOWN, Fix, RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.timescale import NS
from pints_drivers import shm
from tests.drivers.host import START, HostClock

NUMBER = 400 + os.getpid() % 500
IPC_CREAT, IPC_RMID = 0o1000, 0


def shm_time(time_t: type, align: int) -> type[ctypes.Structure]:
    """ntpd's struct shmTime."""
    int_, unsigned = ctypes.c_int, ctypes.c_uint
    fields = [
        ("mode", int_), ("count", int_),
        ("clockTimeStampSec", time_t), ("clockTimeStampUSec", int_),
        ("receiveTimeStampSec", time_t), ("receiveTimeStampUSec", int_),
        ("leap", int_), ("precision", int_), ("nsamples", int_), ("valid", int_),
        ("clockTimeStampNSec", unsigned), ("receiveTimeStampNSec", unsigned),
        ("dummy", int_ * 8),
    ]  # fmt: skip
    return type("shmTime", (ctypes.Structure,), {"_pack_": align, "_fields_": fields})


ABIS = {"64 bit": shm_time(ctypes.c_int64, 8), "32 bit": shm_time(ctypes.c_int32, 4)}


class Writer:
    """gpsd's side of a segment."""

    def __init__(self, layout: type[ctypes.Structure]) -> None:
        self.library = ctypes.CDLL(None, use_errno=True)
        self.library.shmat.restype = ctypes.c_void_p
        self.library.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
        self.library.shmdt.argtypes = [ctypes.c_void_p]
        size = ctypes.sizeof(layout)
        self.id = self.library.shmget(shm.KEY + NUMBER, size, IPC_CREAT | 0o600)
        assert self.id >= 0, os.strerror(ctypes.get_errno())
        self.address = self.library.shmat(self.id, None, 0)
        self.time = layout.from_address(self.address)

    def write(self, true: int, clock: int, mode: int = 1, **more: int) -> None:
        """A sample: true time when the clock stood at `clock`, ns."""
        self.time.mode = mode
        self.time.count += 1
        for name, value in (("clock", true), ("receive", clock)):
            setattr(self.time, f"{name}TimeStampSec", value // NS)
            setattr(self.time, f"{name}TimeStampUSec", value % NS // 1000)
            setattr(self.time, f"{name}TimeStampNSec", value % NS)
        self.time.precision = -20
        for name, value in more.items():
            setattr(self.time, name, value)
        self.time.count += 1
        self.time.valid = 1

    def remove(self) -> None:
        self.library.shmdt(self.address)
        self.library.shmctl(self.id, IPC_RMID, None)


@pytest.fixture(params=list(ABIS.values()), ids=list(ABIS))
def writer(request: pytest.FixtureRequest) -> Iterator[Writer]:
    writer = Writer(request.param)
    yield writer
    writer.remove()


@pytest.fixture
def reader(writer: Writer) -> Iterator[shm.Shm]:
    reader = opened()
    yield reader
    reader.close()


def opened(device: str = str(NUMBER)) -> shm.Shm:
    driver = open_refclock(RefclockConfig("shm", device), HostClock(1.0))
    assert isinstance(driver, shm.Shm)
    return driver


def heard(reader: shm.Shm) -> Fix | None:
    fixes = list(reader.reports())
    return fixes[0] if fixes else None


@pytest.mark.parametrize(("layout", "abi"), [*zip(shm.LAYOUTS, ABIS.values(), strict=True)])
def test_layouts_are_the_writers(layout: struct.Struct, abi: type[ctypes.Structure]) -> None:
    assert layout.size == ctypes.sizeof(abi)
    octets = bytes(range(1, layout.size + 1))
    time = abi.from_buffer_copy(octets)
    names = [name for name, *_ in abi._fields_ if name != "dummy"]
    assert layout.unpack(octets) == tuple(getattr(time, name) for name in names)
    assert abi.valid.offset in shm.VALID


def test_a_sample_is_heard_once(writer: Writer, reader: shm.Shm) -> None:
    assert reader.fileno() == -1
    assert heard(reader) is None
    writer.write(START * NS + 7_123_456_789, START * NS + 999_999_123, leap=1)
    fix = heard(reader)
    assert fix is not None
    assert (fix.time - START * NS, fix.leap) == (7_123_456_789, 1)
    assert fix.at.real - START * NS == 999_999_123
    assert fix.error == 2.0**-21
    assert not writer.time.valid
    assert heard(reader) is None


def test_an_old_writer_has_microseconds(writer: Writer, reader: shm.Shm) -> None:
    writer.write(
        START * NS + 123_456_000, START * NS, mode=0,
        clockTimeStampNSec=7, receiveTimeStampNSec=77_000,
    )  # fmt: skip
    fix = heard(reader)
    assert fix is not None
    assert (fix.time - START * NS, fix.at.real - START * NS) == (123_456_000, 0)


@pytest.mark.parametrize("more", [{"mode": 2}, {"valid": 0}, {"receiveTimeStampSec": 5}])
def test_what_is_no_sample(writer: Writer, reader: shm.Shm, more: dict[str, int]) -> None:
    writer.write(START * NS, START * NS)
    for name, value in more.items():
        setattr(writer.time, name, value)
    assert heard(reader) is None


def test_a_writer_that_was_interrupted(
    writer: Writer, reader: shm.Shm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has raised the count for another sample by the time that this one was copied."""
    copy = ctypes.string_at

    def slow(address: int, size: int) -> bytes:
        data = copy(address, size)
        writer.time.count += 1
        return data

    writer.write(START * NS, START * NS)
    monkeypatch.setattr(ctypes, "string_at", slow)
    assert heard(reader) is None


@pytest.mark.parametrize(("precision", "error"), [(-1, 0.25), (-99, 2.0**-31), (2**31 - 1, 1.0)])
def test_precision_is_the_error(
    writer: Writer, reader: shm.Shm, precision: int, error: float
) -> None:
    writer.write(START * NS, START * NS, precision=precision)
    fix = heard(reader)
    assert fix is not None
    assert fix.error == error


@pytest.mark.parametrize("leap", [-1, 0, 3, 4])
def test_no_word_of_a_leap_second(writer: Writer, reader: shm.Shm, leap: int) -> None:
    writer.write(START * NS, START * NS, leap=leap)
    fix = heard(reader)
    assert fix is not None
    assert fix.leap == LEAP_UNKNOWN


def test_no_segment() -> None:
    with pytest.raises(DeviceError, match="No such file") as e:
        opened()
    assert "gpsd" in e.value.hint


@pytest.mark.parametrize("device", ["", "-1", "one", "1000", "²"])
def test_what_is_no_number(device: str) -> None:
    with pytest.raises(DeviceError, match="no segment"):
        opened(device)


def test_a_segment_of_somebody_else() -> None:
    small = type("Small", (ctypes.Structure,), {"_fields_": [("count", ctypes.c_int)]})
    writer = Writer(small)
    try:
        with pytest.raises(DeviceError, match="Invalid argument") as e:
            opened()
        assert "too small" in e.value.hint
    finally:
        writer.remove()
