import json
import os
import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pints.control.client import ask
from pints.control.server import MAX_CLIENTS, MAX_REQUEST, PATIENCE, ControlServer, Reply
from pints.errors import ConfigError, DeviceError, PintsError
from pints.shell import loop as loop_module
from pints.shell.loop import Loop
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant


class World:
    """A server under a clock that only the test moves."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.now = 0
        self.loop = Loop(SoftwareClock(Instant(0), timebase=lambda: self.now))
        self.waiting: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.server = ControlServer(self.loop, path, self.handle)
        self.opened: list[socket.socket] = []

    def handle(self, request: dict[str, Any], reply: Reply) -> None:
        self.requests.append(request)
        match request.get("do"):
            case "echo":
                reply({"echo": request.get("text")})
            case "wait":
                self.waiting.append(reply)
            case "twice":
                reply({"n": 1})
                reply({"n": 2})
            case "refuse":
                raise ConfigError("no such source", "pints sources")
            case "nan":
                reply({"n": float("nan")})
            case _:
                raise KeyError("a bug")

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect(self.path)
        self.opened.append(client)
        return client

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(2000):
            if done():
                return
            self.loop.run_once()
        pytest.fail("it never happened")

    def lines(self, client: socket.socket) -> list[dict[str, Any]]:
        """All answers until the server ends the connection."""
        return [json.loads(line) for line in self.received(client).splitlines()]

    def received(self, client: socket.socket) -> bytes:
        parts: list[bytes] = []
        self.until(lambda: read_into(client, parts) and parts[-1] == b"")
        return b"".join(parts)

    def answer(self, client: socket.socket) -> dict[str, Any]:
        parts: list[bytes] = []
        self.until(lambda: read_into(client, parts) and parts[-1].endswith(b"\n"))
        answer: dict[str, Any] = json.loads(b"".join(parts))
        return answer

    def idle(self) -> None:
        for _ in range(20):
            self.loop.run_once()

    def close(self) -> None:
        self.server.close()
        self.loop.close()
        for client in self.opened:
            client.close()


def read_into(client: socket.socket, parts: list[bytes]) -> bool:
    try:
        parts.append(client.recv(1 << 20))
    except BlockingIOError:
        return False
    except ConnectionResetError:  # the server left without having read everything
        parts.append(b"")
    return True


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # The clock stands still: no round may wait for it.
    monkeypatch.setattr(loop_module, "MAX_WAIT_MS", 2)
    world = World(str(tmp_path / "s"))
    yield world
    world.close()


def test_one_request_one_answer(world: World) -> None:
    client = world.connect()
    for text in ("first", "secönd"):
        client.send(json.dumps({"do": "echo", "text": text}).encode() + b"\n")
        assert world.answer(client) == {"echo": text}


def test_requests_sent_together_and_in_pieces(world: World) -> None:
    client = world.connect()
    client.send(b'{"do":"echo","text":1}\n{"do":"echo","text":2}\n{"do":')
    world.until(lambda: len(world.requests) == 2)
    world.idle()
    client.send(b'"echo","text":3}\n')
    client.shutdown(socket.SHUT_WR)
    assert world.lines(client) == [{"echo": 1}, {"echo": 2}, {"echo": 3}]


def test_deferred_answer(world: World) -> None:
    client, other = world.connect(), world.connect()
    client.send(b'{"do":"wait"}\n{"do":"echo","text":2}\n')
    world.until(lambda: len(world.waiting) == 1)
    other.send(b'{"do":"echo","text":1}\n')
    assert world.answer(other) == {"echo": 1}
    world.now += 3600 * NS  # patience is for clients, not for what they wait for
    world.idle()
    assert len(world.requests) == 2
    world.waiting[0]({"level": "verified"})
    assert world.answer(client) == {"level": "verified"}
    assert world.answer(client) == {"echo": 2}


def test_who_asks_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root and who runs the daemon may do more than the socket's group."""
    client = world.connect()
    client.send(b'{"do": "wait"}\n')
    world.until(lambda: bool(world.waiting))
    (reply,) = world.waiting
    assert reply.privileged
    monkeypatch.setattr(type(reply._client), "user", property(lambda _: 12345))
    assert not reply.privileged
    reply({})
    assert not reply.privileged, "nobody asks any more"


def test_half_closed_client_gets_its_answer(world: World) -> None:
    client = world.connect()
    client.send(b'{"do":"wait"}\n')
    client.shutdown(socket.SHUT_WR)
    world.until(lambda: len(world.waiting) == 1)
    world.idle()
    world.waiting[0]({"n": 1})
    assert world.lines(client) == [{"n": 1}]


def test_client_that_has_gone_meanwhile(world: World) -> None:
    client = world.connect()
    client.send(b'{"do":"wait"}\n')
    world.until(lambda: len(world.waiting) == 1)
    client.close()
    world.until(lambda: not world.server._clients)
    world.waiting[0]({"n": 1})
    world.waiting[0]({"n": 1})
    world.idle()


def test_only_the_first_reply_counts(world: World) -> None:
    client = world.connect()
    client.send(b'{"do":"twice"}\n')
    client.shutdown(socket.SHUT_WR)
    assert world.lines(client) == [{"n": 1}]


def test_refusals_and_bugs_are_answers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = world.connect()
    client.send(b'{"do":"refuse"}\n{"do":"bug"}\n{"do":"nan"}\n')
    client.shutdown(socket.SHUT_WR)
    refusal, bug, nan = world.lines(client)
    assert refusal == {"error": "no such source", "hint": "pints sources"}
    assert bug == nan == {"error": "internal error: see the daemon's log"}
    assert "a bug" in caplog.text


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"\x00\xff\xfe\n",
        b"{\n",
        b"[1]\n",
        b'"text"\n',
        b"[" * 60000 + b"\n",
        b"9" * 60000 + b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["empty", "binary", "torn", "list", "text", "nested", "number", "http"],
)
def test_garbage_is_refused_and_ends_the_connection(world: World, garbage: bytes) -> None:
    client = world.connect()
    client.send(garbage)
    (answer,) = world.lines(client)
    assert "JSON" in answer["error"]
    assert world.requests == []


@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_request_too_large(world: World, newline: bytes) -> None:
    client = world.connect()
    left = b'{"x":"' + b"x" * MAX_REQUEST + b'"}' + newline
    while left:
        try:
            left = left[client.send(left) :]
        except BlockingIOError:
            world.loop.run_once()
        except (BrokenPipeError, ConnectionResetError):
            break
    (answer,) = world.lines(client)
    assert str(MAX_REQUEST) in answer["error"]
    assert world.requests == []


def test_largest_request(world: World) -> None:
    client = world.connect()
    text = "x" * (MAX_REQUEST - 100)
    left = json.dumps({"do": "echo", "text": text}).encode() + b"\n"
    while left:
        try:
            left = left[client.send(left) :]
        except BlockingIOError:
            world.loop.run_once()
    assert world.answer(client) == {"echo": text}


def test_slow_client_is_dropped(world: World) -> None:
    """However often a byte trickles in: patience is for the whole request."""
    client = world.connect()
    world.until(lambda: len(world.server._clients) == 1)
    for _ in range(4):
        client.send(b" ")
        world.idle()
        world.now += round(PATIENCE / 4 * NS)
    world.until(lambda: not world.server._clients)
    assert world.received(client) == b""


def test_client_that_never_reads_is_dropped(world: World) -> None:
    client = world.connect()
    client.send(b'{"do":"wait"}\n')
    world.until(lambda: len(world.waiting) == 1)
    world.waiting[0]({"text": "x" * 5_000_000})
    world.idle()
    assert len(world.server._clients) == 1
    world.now += round(PATIENCE * NS)
    world.until(lambda: not world.server._clients)


def test_large_answer(world: World) -> None:
    client = world.connect()
    client.send(b'{"do":"wait"}\n')
    world.until(lambda: len(world.waiting) == 1)
    world.waiting[0]({"text": "x" * 5_000_000})
    assert len(world.answer(client)["text"]) == 5_000_000


def test_too_many_clients(world: World) -> None:
    clients = [world.connect() for _ in range(MAX_CLIENTS)]
    world.until(lambda: len(world.server._clients) == MAX_CLIENTS)
    (answer,) = world.lines(world.connect())
    assert "busy" in answer["error"]
    clients[0].send(b'{"do":"echo","text":1}\n')
    assert world.answer(clients[0]) == {"echo": 1}
    clients[0].close()
    world.until(lambda: len(world.server._clients) == MAX_CLIENTS - 1)
    newcomer = world.connect()
    newcomer.send(b'{"do":"echo","text":2}\n')
    assert world.answer(newcomer) == {"echo": 2}


def test_out_of_descriptors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def accept(self: socket.socket) -> Any:
        nonlocal tries
        tries += 1
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", accept)
        client = world.connect()
        world.idle()
        assert tries == 1  # the client still queues, and the loop does not spin
    world.now += NS
    client.send(b'{"do":"echo","text":1}\n')
    assert world.answer(client) == {"echo": 1}


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = str(tmp_path / "s")
    before = os.umask(umask)
    try:
        server = ControlServer(Loop(SoftwareClock(Instant(0))), path, lambda request, reply: None)
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o660
    server.close()


def test_removal(world: World) -> None:
    client = world.connect()
    world.idle()
    world.server.close()
    world.server.close()
    assert not os.path.exists(world.path)
    assert read_into(client, [])


def test_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, int, int]] = []
    loop = Loop(SoftwareClock(Instant(0)))
    path = str(tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", lambda *arguments: given.append(arguments))
        ControlServer(loop, path, lambda request, reply: None, group=44).close()
    assert given == [(path, -1, 44)]

    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(DeviceError, match="group 44"):
        ControlServer(loop, path, lambda request, reply: None, group=44)
    assert not os.path.exists(path)


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "s")
    os.mkdir(tmp_path / "run")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    server = ControlServer(Loop(SoftwareClock(Instant(0))), path, lambda request, reply: None)
    server.close()


def test_living_socket_is_left_alone(world: World) -> None:
    before = os.lstat(world.path).st_ino
    with pytest.raises(DeviceError, match="another pints runs"):
        ControlServer(Loop(SoftwareClock(Instant(0))), world.path, world.handle)
    assert os.lstat(world.path).st_ino == before


def test_socket_that_is_no_longer_ours_is_not_removed(world: World) -> None:
    os.unlink(world.path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(world.path)
        world.server.close()
        assert os.path.exists(world.path)


def test_something_else_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"precious")
    with pytest.raises(DeviceError, match="not a socket"):
        ControlServer(Loop(SoftwareClock(Instant(0))), str(path), lambda request, reply: None)
    assert path.read_bytes() == b"precious"


def test_path_too_long(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot listen"):
        ControlServer(
            Loop(SoftwareClock(Instant(0))),
            str(tmp_path / ("x" * 120)),
            lambda request, reply: None,
        )


def test_no_unix_sockets_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> socket.socket:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(socket, "socket", none)
    with pytest.raises(DeviceError, match="Invalid argument"):
        ControlServer(
            Loop(SoftwareClock(Instant(0))), str(tmp_path / "s"), lambda request, reply: None
        )


class Asking(threading.Thread):
    """`ask` in a thread of its own, since it blocks."""

    def __init__(self, path: str, request: dict[str, Any], timeout: float | None) -> None:
        super().__init__()
        self.arguments = (path, request, timeout)
        self.answer: dict[str, Any] = {}
        self.error: PintsError | None = None

    def run(self) -> None:
        try:
            self.answer = ask(*self.arguments)
        except PintsError as error:
            self.error = error


def test_ask(world: World) -> None:
    text = "x" * 30000
    for timeout in (None, 30.0):
        asking = Asking(world.path, {"do": "echo", "text": text}, timeout)
        asking.start()
        world.until(lambda asking=asking: not asking.is_alive())  # type: ignore[misc]
        asking.join()
        assert asking.answer == {"echo": text}


def test_ask_is_refused(world: World) -> None:
    asking = Asking(world.path, {"do": "refuse"}, 30.0)
    asking.start()
    world.until(lambda: not asking.is_alive())
    asking.join()
    assert str(asking.error) == "no such source"
    assert asking.error is not None
    assert asking.error.hint == "pints sources"


def test_ask_nobody(tmp_path: Path) -> None:
    with pytest.raises(PintsError, match="no daemon answers") as caught:
        ask(str(tmp_path / "s"), {})
    assert "is the daemon running?" in caught.value.hint
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(PintsError, match="no daemon answers"):
        ask(str(tmp_path / "s"), {})


def test_ask_somebody_silent(world: World) -> None:
    with pytest.raises(PintsError, match="no answer"):
        ask(world.path, {"do": "echo"}, timeout=0.01)  # nobody runs the loop


@pytest.mark.parametrize("answer", [b"hello\n", b"[1]\n", b""])
def test_ask_somebody_else(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        asking = Asking(path, {}, 30.0)
        asking.start()
        connection, _ = listener.accept()
        with connection:
            select.select([connection], [], [], 30)
            connection.recv(100)
            connection.send(answer)
        asking.join()
    assert asking.error is not None
