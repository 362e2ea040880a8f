"""On the loopback interface, with the kernel's real stamps."""

import errno
import select
import socket
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from pints.errors import DeviceError
from pints.shell import udp
from pints.shell.clock import Clock
from pints.shell.software_clock import SoftwareClock
from pints.shell.system_clock import SystemClock
from pints.shell.udp import NetError, RequestSocket, ServerSocket, Stamp
from pints.timescale import NS, Instant, Reading
from pints.values.address import Address
from tests.conftest import absent

PATIENCE_MS = 5000
FAMILIES = ["127.0.0.1", "::1"]


@pytest.fixture
def clock() -> SoftwareClock:
    """Over the host's own monotonic clock, on which kernel stamps can be placed."""
    return SoftwareClock(Instant(1_000_000 * NS))


@pytest.fixture(params=["software", "system"])
def either_clock(request: pytest.FixtureRequest, clock: SoftwareClock) -> Clock:
    """Sockets only read a clock, so the system's may serve, too."""
    return clock if request.param == "software" else SystemClock()


@pytest.fixture(params=FAMILIES)
def host(request: pytest.FixtureRequest) -> str:
    address: str = request.param
    try:
        with socket.socket(udp.sockaddr(Address(address, 0))[0], socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        absent(f"{address} is not there")
    return address


@pytest.fixture(autouse=True)
def _stamping() -> Iterator[None]:
    held = udp.hold_stamps()
    assert held is not None
    with held:
        yield


def await_events(fd: int, events: int) -> int:
    poll = select.poll()
    poll.register(fd, events)
    ready = poll.poll(PATIENCE_MS)
    assert ready, "nothing came"
    return ready[0][1]


def receive(server: ServerSocket) -> udp.Datagram:
    await_events(server.fileno(), select.POLLIN)
    datagram = server.recv()
    assert datagram is not None
    return datagram


def answer_of(client: RequestSocket) -> tuple[bytes, Stamp]:
    while not await_events(client.fileno(), select.POLLIN) & select.POLLIN:
        client.on_error_queue()
    answer = client.on_readable()
    assert isinstance(answer, tuple)
    return answer


def exchange(clock: Clock, host: str) -> tuple[Stamp, Stamp | None, Stamp, Stamp, Reading]:
    """One request and its answer: user's and kernel's transmit stamp, two receive stamps."""
    server = ServerSocket(clock, Address(host, 0))
    client = RequestSocket(clock, server.address())
    try:
        sent = client.send(b"request")
        assert isinstance(sent, Stamp)
        events = await_events(client.fileno(), select.POLLPRI)
        assert events & (select.POLLERR | select.POLLPRI)
        transmitted = client.on_error_queue()
        assert not isinstance(transmitted, NetError)
        request = receive(server)
        assert request.data == b"request"
        server.send(b"answer", request)
        data, received = answer_of(client)
        assert data == b"answer"
        return sent, transmitted, request.stamp, received, clock.read()
    finally:
        client.close()
        server.close()


def test_kernel_stamps_are_used(either_clock: Clock, host: str) -> None:
    """Receive stamps may be missing while the kernel begins to stamp; not for long."""
    for _ in range(100):
        sent, transmitted, requested, received, end = exchange(either_clock, host)
        if requested.kernel and received.kernel:
            break
    else:
        pytest.fail("no kernel receive stamp in 100 exchanges")
    assert not sent.kernel
    assert transmitted is not None
    assert transmitted.kernel
    # Placing a stamp takes two readings of the host's clock: they may be off by microseconds.
    slack = 1_000_000
    order = [sent.reading, transmitted.reading, requested.reading, received.reading, end]
    for before, after in pairwise(order):
        assert before.real - slack <= after.real
        assert before.raw - slack <= after.raw
    assert udp.KERNEL_ERROR <= received.error < udp.USER_ERROR


def test_options_in_order_of_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[int] = []
    tried: list[int] = []

    def setsockopt(self: socket.socket, level: int, option: int, value: int) -> None:
        tried.append(option)
        if option in refused:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for option in udp.OPTIONS:
            tried.clear()
            assert udp.enable_stamps(sock, transmit=False) == option
            assert tried == [*refused, option]
            refused.append(option)
        assert udp.enable_stamps(sock, transmit=True) is None


@pytest.mark.parametrize("option", udp.OPTIONS)
def test_every_option_yields_receive_stamps(
    clock: SoftwareClock, host: str, monkeypatch: pytest.MonkeyPatch, option: int
) -> None:
    """NEW and OLD, TIMESTAMPING and TIMESTAMPNS: each with its own layout and header."""
    monkeypatch.setattr(udp, "OPTIONS", (option,))
    for _ in range(100):
        server = ServerSocket(clock, Address(host, 0))
        client = RequestSocket(clock, server.address())
        client.send(b"x")
        stamp = receive(server).stamp
        age = clock.boot() - stamp.reading.boot
        client.close()
        server.close()
        if stamp.kernel:
            break
    else:
        pytest.fail("no kernel stamp in 100 datagrams")
    assert -1_000_000 <= age < NS


def test_without_kernel_stamps_user_space_stamps(
    clock: SoftwareClock, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "OPTIONS", ())
    server = ServerSocket(clock, Address(host, 0))
    client = RequestSocket(clock, server.address())
    client.send(b"x")
    stamp = receive(server).stamp
    client.close()
    server.close()
    assert (stamp.kernel, stamp.error) == (False, udp.USER_ERROR)


class Doubting(SoftwareClock):
    """A clock that was stepped just now: it places no stamp."""

    def stamp(self, host_real: int) -> Reading | None:
        return None


def test_a_stamp_that_cannot_be_placed(host: str) -> None:
    clock = Doubting(Instant(1_000_000 * NS))
    _, transmitted, requested, received, _ = exchange(clock, host)
    assert transmitted is None
    assert (requested.kernel, received.kernel) == (False, False)


TIMESTAMPING = struct.pack("=6q", 5, 6, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("message", "host_real"),
    [
        ((socket.SOL_SOCKET, 65, TIMESTAMPING), 5 * NS + 6),
        ((socket.SOL_SOCKET, 64, struct.pack("=2q", 5, 6)), 5 * NS + 6),
        ((socket.SOL_SOCKET, 37, struct.pack("@6l", 5, 6, 0, 0, 0, 0)), 5 * NS + 6),
        ((socket.SOL_SOCKET, 35, struct.pack("@2l", 5, 6)), 5 * NS + 6),
        ((socket.SOL_SOCKET, 65, struct.pack("=6q", 0, 0, 0, 0, 5, 6)), None),  # hardware only
        ((socket.SOL_SOCKET, 65, TIMESTAMPING[:15]), None),  # cut short
        ((socket.IPPROTO_IP, 65, TIMESTAMPING), None),  # another level's 65
        ((socket.SOL_SOCKET, 29, TIMESTAMPING), None),  # SO_TIMESTAMP, never asked for
    ],
)
def test_control_messages(message: tuple[int, int, bytes], host_real: int | None) -> None:
    class Placing(SoftwareClock):
        def stamp(self, host_real: int) -> Reading | None:
            asked.append(host_real)
            return self.read()

    asked: list[int] = []
    stamp = udp.kernel_stamp(Placing(Instant(0)), [message])
    assert asked == ([] if host_real is None else [host_real])
    assert (stamp is not None) == (host_real is not None)


@pytest.mark.parametrize(("pairing", "claimed"), [(0.3e-6, udp.KERNEL_ERROR), (9e-6, 9e-6)])
def test_a_stamp_claims_no_less_than_placing_it_may_be_off(pairing: float, claimed: float) -> None:
    """On a busy machine something comes between the two clocks that a reading pairs."""

    class Busy(SoftwareClock):
        def stamp(self, host_real: int) -> Reading | None:
            self.pairing_error = pairing
            return self.read()

    stamp = udp.kernel_stamp(Busy(Instant(0)), [(socket.SOL_SOCKET, 65, TIMESTAMPING)])
    assert stamp is not None
    assert stamp.error == claimed


def test_reply_leaves_from_where_the_request_came(clock: SoftwareClock) -> None:
    """The client is connected: it takes nothing from another address."""
    server = ServerSocket(clock, Address("0.0.0.0", 0))
    client = RequestSocket(clock, Address("127.0.0.77", server.address().port))
    client.send(b"x")
    server.send(b"y", receive(server))
    assert answer_of(client)[0] == b"y"
    client.close()
    server.close()


def test_dual_stack(clock: SoftwareClock, host: str) -> None:
    try:
        server = ServerSocket(clock, Address("::", 0), v6only=False)
    except DeviceError:
        absent("IPv6 is not there")
    target = "127.0.0.78" if host == "127.0.0.1" else host
    client = RequestSocket(clock, Address(target, server.address().port))
    client.send(b"x")
    request = receive(server)
    server.send(b"y", request)
    assert answer_of(client)[0] == b"y"
    assert request.peer[0] == ("::ffff:127.0.0.1" if host == "127.0.0.1" else "::1")
    client.close()
    server.close()


def test_v6only_leaves_the_port_to_ipv4(clock: SoftwareClock) -> None:
    try:
        six = ServerSocket(clock, Address("::", 0))
    except DeviceError:
        absent("IPv6 is not there")
    four = ServerSocket(clock, Address("0.0.0.0", six.address().port))
    six.close()
    four.close()


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        (
            (socket.IPPROTO_IP, 8, struct.pack("@i4s4s", 3, b"\xc0\0\2\1", b"\xc0\0\2\xff")),
            ((socket.IPPROTO_IP, 8, struct.pack("@i4s4s", 0, b"\xc0\0\2\1", bytes(4))),),
        ),
        (
            (41, 50, struct.pack("@16si", b"\x20\1" + bytes(14), 3)),
            ((41, 50, struct.pack("@16si", b"\x20\1" + bytes(14), 0)),),
        ),
        (
            (41, 50, struct.pack("@16si", b"\xfe\x80" + bytes(14), 3)),
            ((41, 50, struct.pack("@16si", b"\xfe\x80" + bytes(14), 3)),),
        ),
        (
            (41, 50, struct.pack("@16si", b"\xff\2" + bytes(14), 3)),
            ((41, 50, struct.pack("@16si", bytes(16), 3)),),
        ),
        ((socket.SOL_SOCKET, 65, TIMESTAMPING), ()),
    ],
    ids=["v4-broadcast", "v6-global", "v6-link-local", "v6-multicast", "none"],
)
def test_source_of_replies(message: Any, reply: Any) -> None:
    assert udp._reply_source([message]) == reply


def test_connection_refused_is_a_value(clock: SoftwareClock, host: str) -> None:
    with socket.socket(udp.sockaddr(Address(host, 0))[0], socket.SOCK_DGRAM) as reserved:
        reserved.bind((host, 0))
        port = reserved.getsockname()[1]
    client = RequestSocket(clock, Address(host, port))
    assert isinstance(client.send(b"x"), Stamp)
    seen = []
    for _ in range(2):  # the transmit stamp, and what came back
        await_events(client.fileno(), select.POLLIN | select.POLLPRI)
        seen.append(client.on_error_queue())
    assert isinstance(seen[0], Stamp)
    assert seen[1] == NetError(errno.ECONNREFUSED)
    # Once told, the socket is quiet: a loop does not spin on it.
    poll = select.poll()
    poll.register(client.fileno(), select.POLLIN | select.POLLPRI)
    assert poll.poll(0) == []
    assert str(NetError(errno.ECONNREFUSED)) == "Connection refused"
    client.close()


def test_error_met_by_a_receive(clock: SoftwareClock) -> None:
    """Should the loop see POLLIN first, the error comes out there, as the same value."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    client = RequestSocket(clock, Address("127.0.0.1", port))
    client.send(b"x")
    await_events(client.fileno(), 0)
    client.on_error_queue()  # the transmit stamp
    await_events(client.fileno(), 0)
    assert client.on_readable() == NetError(errno.ECONNREFUSED)
    assert client.on_readable() is None
    assert client.on_error_queue() is None
    client.close()


def test_no_route_is_a_value(clock: SoftwareClock) -> None:
    client = RequestSocket(clock, Address("255.255.255.255", 123))
    assert isinstance(client.send(b"x"), NetError)
    client.close()


def test_no_descriptor_is_a_value(clock: SoftwareClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none)
    client = RequestSocket(clock, Address("127.0.0.1", 123))
    assert client.fileno() == -1
    assert client.send(b"x") == NetError(errno.EMFILE)
    assert client.on_readable() is None
    assert client.on_error_queue() is None
    client.close()
    assert udp.hold_stamps() is None


def test_missing_interface_is_a_value(clock: SoftwareClock) -> None:
    client = RequestSocket(clock, Address("fe80::1%nowhere9", 123))
    assert isinstance(client.send(b"x"), NetError)
    client.close()


def test_one_packet_a_socket_from_a_fresh_port(clock: SoftwareClock) -> None:
    server = ServerSocket(clock, Address("127.0.0.1", 0))
    clients = [RequestSocket(clock, server.address()) for _ in range(8)]
    for client in clients:
        client.send(b"x")
    with pytest.raises(RuntimeError, match="one packet"):
        clients[0].send(b"x")
    ports = {receive(server).peer[1] for _ in clients}
    assert len(ports) == 8
    for client in clients:
        client.close()
        client.close()
    assert clients[0].fileno() == -1
    server.close()


def test_truncated_datagrams_are_dropped(clock: SoftwareClock) -> None:
    server = ServerSocket(clock, Address("127.0.0.1", 0))
    client = RequestSocket(clock, server.address())
    client.send(bytes(udp.MAX_DATAGRAM + 1))
    await_events(server.fileno(), select.POLLIN)
    assert server.recv() is None
    assert server.recv() is None
    other = RequestSocket(clock, server.address())
    other.send(b"x")
    request = receive(server)
    server.send(bytes(udp.MAX_DATAGRAM + 1), request)
    while not await_events(other.fileno(), select.POLLIN) & select.POLLIN:
        other.on_error_queue()
    assert other.on_readable() is None
    client.close()
    other.close()
    server.close()


def test_a_reply_that_cannot_be_sent_is_counted(clock: SoftwareClock) -> None:
    server = ServerSocket(clock, Address("127.0.0.1", 0))
    client = RequestSocket(clock, server.address())
    client.send(b"x")
    request = receive(server)
    server.send(bytes(70000), request)
    assert server.unsent == 1
    client.close()
    server.close()


def test_listening_twice(clock: SoftwareClock) -> None:
    server = ServerSocket(clock, Address("127.0.0.1", 0))
    with pytest.raises(DeviceError, match="in use") as caught:
        ServerSocket(clock, server.address())
    assert "ss -ulpn" in caught.value.hint
    server.close()


def test_an_address_that_is_not_here_yet(clock: SoftwareClock) -> None:
    ServerSocket(clock, Address("192.0.2.77", 0)).close()
    try:
        ServerSocket(clock, Address("2001:db8::77", 0)).close()
    except DeviceError:
        absent("IPv6 is not there")


@pytest.mark.parametrize(
    "host", ["time.example", "", "127.1", "127.0.0.1%lo", "1.2.3.4.5", "::1::", "localhost"]
)
def test_names_are_not_looked_up(clock: SoftwareClock, host: str) -> None:
    with pytest.raises(ValueError, match=r"not a numeric address|has no scope"):
        RequestSocket(clock, Address(host, 123))


def test_scopes() -> None:
    index = socket.if_nametoindex("lo")
    for scope in ("lo", str(index)):
        assert udp.sockaddr(Address(f"fe80::1%{scope}", 123)) == (
            socket.AF_INET6,
            ("fe80::1", 123, 0, index),
        )
