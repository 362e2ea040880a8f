"""A network in a thread: relays UDP and TCP on loopback, adds delay, and takes notes.

netem is not in every kernel, and counting round trips needs somebody in the middle anyway.
"""

import heapq
import itertools
import os
import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

Place = tuple[str, int]
CLOSE_NOTIFY = re.compile(rb"\x17\x03\x03\x00\x13.{19}", re.DOTALL)
"""An alert of TLS 1.3: its end, which nobody waits for."""
CLIENTS = 16
"""Ports of clients that a UDP route remembers: each request comes from another one."""


@dataclass(frozen=True)
class Passed:
    """Something that went through."""

    route: str
    kind: str
    """udp or tcp."""
    upstream: bool
    """From client to server."""
    data: bytes


class Relay:
    """Routes, each from a port of its own to a target.  A context manager."""

    def __init__(self, delay: float = 0.0) -> None:
        """`delay` is added to each way, seconds."""
        self.delay = delay
        self.passed: list[Passed] = []
        self.attacker: Callable[[Passed], bytes | None] | None = None
        """Somebody on the path: a client's datagram that he answers goes no further."""
        self._poll = select.epoll()  # unlike poll(), it heeds what is added while it waits
        self._ready: dict[int, Callable[[], None]] = {}
        self._sockets: list[socket.socket] = []
        self._late: list[tuple[float, int, Callable[[], None]]] = []
        self._held: dict[str, list[Callable[[], object]]] = {}
        self._calls: deque[Callable[[], None]] = deque()
        """From other threads."""
        self._count = itertools.count()
        self._end, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: object
    ) -> None:
        os.write(self._stop, b"x")
        self._thread.join()
        for sock in self._sockets:
            sock.close()
        self._poll.close()
        os.close(self._end)
        os.close(self._stop)

    def udp(self, route: str, target: Place) -> int:
        """Relay datagrams; the port to send them to, at the target's address."""
        front = self._bound(socket.SOCK_DGRAM, target[0])
        backs: dict[Place, socket.socket] = {}

        def from_client() -> None:
            data, client = front.recvfrom(65536)
            if client not in backs:
                if len(backs) == CLIENTS:
                    oldest = backs.pop(next(iter(backs)))
                    self._unwatch(oldest)
                    self._drop(oldest)
                back = self._keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                back.connect(target)
                backs[client] = back
                self._watch(back, lambda: from_server(back, client))
            back = backs[client]
            asked = Passed(route, "udp", True, data)
            spoofed = self.attacker(asked) if self.attacker else None
            if spoofed is not None:
                answer = Passed(route, "udp", False, spoofed)
                self.passed.append(asked)
                self._forward(answer, lambda: front.sendto(spoofed, client))
                return
            self._forward(asked, lambda: back.send(data))

        def from_server(back: socket.socket, client: Place) -> None:
            data = back.recv(65536)
            self._forward(Passed(route, "udp", False, data), lambda: front.sendto(data, client))

        self._watch(front, from_client)
        return int(front.getsockname()[1])

    def tcp(self, route: str, target: Place) -> int:
        """Relay connections; the port to connect to.  Their own round trip is not seen."""
        front = self._bound(socket.SOCK_STREAM, target[0])
        front.listen()

        def connect() -> None:
            client, _ = front.accept()
            try:
                server = socket.create_connection(target)
            except OSError:  # nobody listens there just now
                client.close()
                return
            for one, other, upstream in ((client, server, True), (server, client, False)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._keep(one)
                self._watch(one, lambda o=one, t=other, u=upstream: pump(o, t, u))  # type: ignore[misc]

        def pump(one: socket.socket, other: socket.socket, upstream: bool) -> None:
            try:
                data = one.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                self._unwatch(one)
                self._later(lambda: other.shutdown(socket.SHUT_WR))
                if other.fileno() not in self._ready:
                    self._drop(one)
                    self._drop(other)
                return
            self._forward(Passed(route, "tcp", upstream, data), lambda: other.sendall(data))

        self._watch(front, connect)
        return int(front.getsockname()[1])

    def hold(self, route: str) -> None:
        """From now on let what comes by a route wait, until `let_go`."""
        self._held[route] = []

    def let_go(self, route: str) -> None:
        """Send on, in order, what waits."""
        self._calls.append(lambda: self._release(route))
        os.write(self._stop, b"!")

    def key_exchanges(self, route: str) -> int:
        """TLS handshakes that the client began: ClientHellos (RFC 8446 section 4)."""
        return sum(
            p.kind == "tcp" and p.upstream and p.data[:1] == b"\x16" and p.data[5:6] == b"\x01"
            for p in self.passed
            if p.route == route
        )

    def asked(self, route: str) -> int:
        """Datagrams that a client sent."""
        return sum(p.route == route and p.kind == "udp" and p.upstream for p in self.passed)

    def round_trips(self, route: str) -> int:
        """Round trips so far: flights of the server that the client waited for, and one for
        each TCP connection, which the kernel makes."""
        trips, upstream, connected = 0, False, False
        for one in self.passed:
            if one.route != route or CLOSE_NOTIFY.fullmatch(one.data):
                continue
            if one.kind == "tcp" and not connected:
                connected, trips = True, trips + 1
            if upstream and not one.upstream:
                trips += 1
            upstream = one.upstream
        return trips

    def _bound(self, kind: socket.SocketKind, host: str) -> socket.socket:
        sock = self._keep(socket.socket(socket.AF_INET, kind))
        sock.bind((host, 0))
        return sock

    def _keep(self, sock: socket.socket) -> socket.socket:
        self._sockets.append(sock)
        return sock

    def _drop(self, sock: socket.socket) -> None:
        """Close it, after what is under way."""
        self._sockets.remove(sock)
        self._later(sock.close)

    def _watch(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._ready[sock.fileno()] = ready
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _unwatch(self, sock: socket.socket) -> None:
        self._ready.pop(sock.fileno(), None)
        self._poll.unregister(sock.fileno())

    def _forward(self, passed: Passed, send: Callable[[], object]) -> None:
        self.passed.append(passed)
        if passed.route in self._held:
            self._held[passed.route].append(send)
        else:
            self._later(send)

    def _release(self, route: str) -> None:
        for send in self._held.pop(route):
            self._later(send)

    def _later(self, call: Callable[[], object]) -> None:
        entry = (time.monotonic() + self.delay, next(self._count), lambda: _quietly(call))
        heapq.heappush(self._late, entry)

    def _run(self) -> None:
        self._poll.register(self._end, select.EPOLLIN)
        while True:
            wait = self._late[0][0] - time.monotonic() if self._late else None
            ready = self._poll.poll(None if wait is None else max(0, wait))
            for fd, _ in ready:
                if fd == self._end:
                    if os.read(self._end, 1) == b"x":
                        return
                    self._calls.popleft()()
                if fd in self._ready:
                    _quietly(self._ready[fd])
            while self._late and self._late[0][0] <= time.monotonic():
                heapq.heappop(self._late)[2]()


def _quietly(call: Callable[[], object]) -> None:
    """A peer that is gone is part of the network's life."""
    with suppress(OSError):
        call()
