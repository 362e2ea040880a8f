"""A network in a thread: relays UDP and TCP on loopback, adds delay, and takes notes.

netem is not in every kernel, and counting round trips needs somebody in the middle anyway.
"""

import heapq
import itertools
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

Place = tuple[str, int]


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
        self._poll = select.epoll()  # unlike poll(), it heeds what is added while it waits
        self._ready: dict[int, Callable[[], None]] = {}
        self._sockets: list[socket.socket] = []
        self._late: list[tuple[float, int, Callable[[], None]]] = []
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
                back = self._keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                back.connect(target)
                backs[client] = back
                self._watch(back, lambda: from_server(back, client))
            back = backs[client]
            self._forward(Passed(route, "udp", True, data), lambda: back.send(data))

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
            server = socket.create_connection(target)
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
                return
            self._forward(Passed(route, "tcp", upstream, data), lambda: other.sendall(data))

        self._watch(front, connect)
        return int(front.getsockname()[1])

    def round_trips(self, route: str) -> int:
        """Round trips so far: flights of the server that the client waited for, and one for
        each TCP connection, which the kernel makes."""
        trips, upstream, connected = 0, False, False
        for one in self.passed:
            if one.route != route:
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

    def _watch(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._ready[sock.fileno()] = ready
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _unwatch(self, sock: socket.socket) -> None:
        self._ready.pop(sock.fileno(), None)
        self._poll.unregister(sock.fileno())

    def _forward(self, passed: Passed, send: Callable[[], object]) -> None:
        self.passed.append(passed)
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
                    return
                if fd in self._ready:
                    _quietly(self._ready[fd])
            while self._late and self._late[0][0] <= time.monotonic():
                heapq.heappop(self._late)[2]()


def _quietly(call: Callable[[], object]) -> None:
    """A peer that is gone is part of the network's life."""
    with suppress(OSError):
        call()
