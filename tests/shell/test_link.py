"""The network comes up: as a real kernel tells it, and as somebody might wish to."""

import errno
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import DeviceError
from pints.shell.link import (
    IFADDR,
    IFF_RUNNING,
    IFF_UP,
    IFINFO,
    MOST_READS,
    NLMSG,
    RT_TABLE_MAIN,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTMSG,
    RTN_UNICAST,
    LinkWatch,
)

GOOD = IFF_UP | IFF_RUNNING


class FakeSocket:
    """What the kernel, or somebody else, sends."""

    def __init__(self, *_: object) -> None:
        self.queue: list[tuple[bytes, int, tuple[int, int]] | OSError] = []
        self.closed = 0

    def setblocking(self, _: bool) -> None:
        pass

    def bind(self, _: object) -> None:
        pass

    def fileno(self) -> int:
        return 99

    def recvmsg(self, _: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        if not self.queue:
            raise BlockingIOError
        item = self.queue.pop(0)
        if isinstance(item, OSError):
            raise item
        data, flags, sender = item
        return data, [], flags, sender

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> LinkWatch:
    monkeypatch.setattr(socket, "socket", FakeSocket)
    return LinkWatch()


def tell(watch: LinkWatch, *items: bytes | OSError, port: int = 0, flags: int = 0) -> bool:
    """What it makes of these datagrams."""
    queue = watch._socket.queue  # type: ignore[attr-defined]
    queue += [item if isinstance(item, OSError) else (item, flags, (port, 1)) for item in items]
    return watch.on_readable()


def message(kind: int, body: bytes) -> bytes:
    return NLMSG.pack(NLMSG.size + len(body), kind, 0, 0, 0) + body


def link(flags: int, index: int = 2) -> bytes:
    return message(RTM_NEWLINK, IFINFO.pack(0, 1, index, flags, 0xFFFFFFFF))


def address(flags: int = 0) -> bytes:
    return message(RTM_NEWADDR, IFADDR.pack(socket.AF_INET, 24, flags, 0, 2) + bytes(8))


def route(destination: int = 0, table: int = RT_TABLE_MAIN, kind: int = RTN_UNICAST) -> bytes:
    row = RTMSG.pack(socket.AF_INET6, destination, 0, 0, table, 3, 0, kind, 0)
    return message(RTM_NEWROUTE, row)


def test_a_link_counts_when_it_gets_its_carrier(watch: LinkWatch) -> None:
    assert not tell(watch, link(IFF_UP))
    assert tell(watch, link(GOOD))
    assert not tell(watch, link(GOOD)), "it only told of itself again"
    assert not tell(watch, link(IFF_RUNNING))
    assert tell(watch, link(GOOD))
    assert tell(watch, link(GOOD, index=3)), "another one"


def test_a_link_that_comes_and_goes_and_comes_at_once(watch: LinkWatch) -> None:
    tell(watch, link(GOOD))
    assert tell(watch, link(0) + link(GOOD))
    assert not tell(watch, link(0))


def test_addresses_and_default_routes_count(watch: LinkWatch) -> None:
    assert tell(watch, address())
    assert not tell(watch, address(flags=0x40)), "tentative"
    assert tell(watch, route())
    assert not tell(watch, route(destination=64))
    assert not tell(watch, route(table=255))
    assert not tell(watch, route(kind=7)), "unreachable"
    assert not tell(watch, message(17, bytes(64))), "a link that is gone"


def test_all_messages_of_a_datagram_are_heard(watch: LinkWatch) -> None:
    odd = message(99, bytes(5)) + bytes(3)
    assert tell(watch, odd + link(0) + route())
    assert not tell(watch, odd + link(0))


def test_only_the_kernel_is_believed(watch: LinkWatch) -> None:
    assert not tell(watch, route(), port=4242)


def test_too_much_at_once_is_a_yes(watch: LinkWatch) -> None:
    assert tell(watch, OSError(errno.ENOBUFS, "full"), link(0))
    assert tell(watch, link(0), flags=socket.MSG_TRUNC)
    assert not tell(watch)


def test_an_endless_stream_does_not_hold_the_loop_up(watch: LinkWatch) -> None:
    assert not tell(watch, *[link(0)] * (MOST_READS + 1))
    assert len(watch._socket.queue) == 1  # type: ignore[attr-defined]
    assert tell(watch, *[OSError(errno.ENOBUFS, "full")] * MOST_READS)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 33, 0xFFFFFFFF])
def test_lengths_that_lie(watch: LinkWatch, length: int) -> None:
    data = struct.pack("=I", length) + route()[4:]
    assert not tell(watch, data)


@given(st.binary(max_size=100))
def test_no_bytes_make_it_fall_over(data: bytes) -> None:
    watch = LinkWatch.__new__(LinkWatch)
    watch._running = {}
    for kind in (RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE):
        watch.hear(message(kind, data))
    watch.hear(data)


def test_without_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "not here")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(DeviceError, match="links"):
        LinkWatch()
    monkeypatch.undo()
    monkeypatch.delattr(socket, "AF_NETLINK")
    with pytest.raises(DeviceError, match="links"):
        LinkWatch()


def test_no_socket_is_left_when_it_cannot_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeSocket] = []

    class Unbindable(FakeSocket):
        def bind(self, _: object) -> None:
            made.append(self)
            raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(socket, "socket", Unbindable)
    with pytest.raises(DeviceError):
        LinkWatch()
    assert made[0].closed == 1


# --- a real kernel ----------------------------------------------------------------------------

CHILD = """
import ctypes, fcntl, select, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x40000000):  # CLONE_NEWNET: a network of its own, with a loopback that is down
    sys.exit(77)
from pints.shell.link import LinkWatch
watch = LinkWatch()
poll = select.poll()
poll.register(watch.fileno(), select.POLLIN)
assert not poll.poll(0)
assert watch.on_readable() is False
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def flags(value):
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", value))  # SIOCSIFFLAGS
for _ in range(2):
    flags(1)  # IFF_UP
    assert poll.poll(5000)
    assert watch.on_readable() is True
    assert watch.on_readable() is False
    flags(0)
    assert poll.poll(5000)
    assert watch.on_readable() is False, "it went down"
stranger = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
stranger.bind((0, 0))
route = struct.pack("=IHHII8BI", 28, 24, 0, 0, 0, 2, 0, 0, 0, 254, 3, 0, 1, 0)
stranger.sendto(route, (watch._socket.getsockname()[0], 0))
assert poll.poll(5000)
assert watch.on_readable() is False, "not the kernel's"
watch._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
for _ in range(200):
    flags(1)
    flags(0)
assert watch.on_readable() is True, "an overrun"
for _ in range(20):
    watch.on_readable()
assert not poll.poll(0), "and it does not stand"
watch.close()
watch.close()
"""


def test_a_real_kernel() -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=False
    )
    if child.returncode == 77:
        pytest.skip("a network namespace of one's own takes root")
    assert child.returncode == 0, child.stderr


@pytest.fixture
def real() -> Iterator[LinkWatch]:
    try:
        watch = LinkWatch()
    except DeviceError:
        pytest.skip("no netlink here")
    yield watch
    watch.close()


def test_a_real_socket_does_not_block_nor_leak(real: LinkWatch) -> None:
    assert not os.get_blocking(real.fileno())
    assert not os.get_inheritable(real.fileno())
    assert isinstance(real.on_readable(), bool)
    select.select([real], [], [], 0)
