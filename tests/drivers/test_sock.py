"""Other programs' time by datagrams, over a real socket."""

import ctypes
import math
import os
import select
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.drivers import Fix, Pulse, RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.timescale import NS
from pints_drivers import sock
from tests.drivers.host import START, HostClock


def sock_sample(time_t: type) -> type[ctypes.Structure]:
    """chrony's struct sock_sample."""
    fields = [
        ("sec", time_t), ("usec", time_t), ("offset", ctypes.c_double), ("pulse", ctypes.c_int),
        ("leap", ctypes.c_int), ("_pad", ctypes.c_int), ("magic", ctypes.c_int),
    ]  # fmt: skip
    return type("sock_sample", (ctypes.Structure,), {"_fields_": fields})


ABIS = {"64 bit": sock_sample(ctypes.c_int64), "32 bit": sock_sample(ctypes.c_int32)}


class Writer:
    """gpsd's side of a socket."""

    def __init__(self, path: Path, layout: type[ctypes.Structure]) -> None:
        self.layout = layout
        self.path = path
        self.driver = self.open()

    def open(self) -> sock.Sock:
        driver = open_refclock(RefclockConfig("sock", str(self.path)), HostClock(1.0))
        assert isinstance(driver, sock.Sock)
        return driver

    def send(self, data: bytes) -> list[Fix | Pulse]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(data, str(self.path))
        assert select.select([self.driver], [], [], 5)[0]
        return list(self.driver.reports())

    def say(
        self,
        microseconds: int,
        offset: float,
        pulse: int = 0,
        leap: int = 0,
        magic: int = sock.MAGIC,
    ) -> list[Fix | Pulse]:
        sec, usec = divmod(START * 1_000_000 + microseconds, 1_000_000)
        return self.send(bytes(self.layout(sec, usec, offset, pulse, leap, 0, magic)))


@pytest.fixture(params=list(ABIS.values()), ids=list(ABIS))
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "gps.sock", request.param)
    yield writer
    writer.driver.close()
    assert not writer.path.exists()


@pytest.mark.parametrize(("abi", "size"), [*zip(ABIS.values(), (40, 32), strict=True)])
def test_layouts_are_the_writers(abi: type[ctypes.Structure], size: int) -> None:
    octets = bytes(range(1, size + 1))
    sample = abi.from_buffer_copy(octets)
    names = [name for name, *_ in abi._fields_]
    assert sock.LAYOUTS[size].unpack(octets) == tuple(getattr(sample, name) for name in names)


def test_samples_are_fixes(writer: Writer) -> None:
    (fix,) = writer.say(250_000, 7.5, leap=1)
    assert isinstance(fix, Fix)
    assert (fix.time - START * NS, fix.error, fix.leap) == (7_750_000_000, sock.ERROR, 1)
    assert fix.at.real == START * NS + 250_000_000


@pytest.mark.parametrize(
    ("microseconds", "offset", "began"),
    [(3, 3e-6, 3_000), (999_900, -1e-4, 999_900_000), (500_000, 0.25, 250_000_000)],
    ids=["the clock is ahead", "it is behind", "the pulse was some time ago"],
)
def test_pulses_say_when_a_second_began(
    writer: Writer, microseconds: int, offset: float, began: int
) -> None:
    (pulse,) = writer.say(microseconds, offset, pulse=1)
    assert isinstance(pulse, Pulse)
    assert pulse.at.real == START * NS + began


@pytest.mark.parametrize("offset", [math.nan, math.inf, -1e300])
def test_offsets_that_are_none(writer: Writer, offset: float) -> None:
    assert writer.say(0, offset) == writer.say(0, offset, pulse=1) == []


def test_what_is_no_sample(writer: Writer) -> None:
    assert writer.say(0, 0.0, magic=1) == []
    assert writer.say(0, 0.0, leap=3) == []
    assert writer.say(-3600_000_000, 0.0) == [], "too long ago"
    good = bytes(writer.layout(START, 0, 0.0, 0, 0, 0, sock.MAGIC))
    assert writer.send(good[:-1]) == writer.send(good * 2) == writer.send(b"") == []
    assert writer.send(bytes(writer.layout(START, 1_000_000, 0.0, 0, 0, 0, sock.MAGIC))) == []
    assert len(writer.send(good)) == 1


def test_nothing_there(writer: Writer) -> None:
    assert list(writer.driver.reports()) == []


def test_others_of_its_group_may_write_and_nobody_else(writer: Writer) -> None:
    assert stat.S_IMODE(os.stat(writer.path).st_mode) == 0o660


def test_a_socket_left_behind_is_replaced(writer: Writer) -> None:
    writer.driver.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(writer.path))
    writer.driver = writer.open()
    assert len(writer.say(0, 0.0)) == 1


def test_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(DeviceError, match="Address already in use"):
        Writer(tmp_path / "file", ABIS["64 bit"])
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(DeviceError, match="No such file"):
        Writer(tmp_path / "none" / "socket", ABIS["64 bit"])
