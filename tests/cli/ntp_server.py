"""NTP servers on loopback that behave as a test says, also badly.

with UdpServer(answering(stratum=16)) as server:
    ... ask 127.0.0.1:server.port ...
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from pints.timescale import Instant
from pints.wire import ntp

LOOPBACK = "127.0.0.1"


class UdpServer:
    """Answers each datagram as `behave` says, or not at all."""

    def __init__(self, behave: Callable[[bytes], bytes | None], host: str = LOOPBACK) -> None:
        self._behave = behave
        self._host = host
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._thread = threading.Thread(target=self._serve)
        self.port: int = self._socket.getsockname()[1]
        self.asked = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self._host, self.port))
        self._thread.join(10)
        self._socket.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(2048)
            if not data:
                return
            self.asked += 1
            answer = self._behave(data)
            if answer is not None:
                self._socket.sendto(answer, peer)


def kiss(request: bytes, code: bytes) -> ntp.Packet:
    """The Kiss-o'-Death of a code."""
    return ntp.Packet(
        ntp.MODE_SERVER, 1, reference_id=code, origin=ntp.decode(request).transmit, receive=1
    )


def answering(**changes: object) -> Callable[[bytes], bytes]:
    """A server's correct answer, with one thing wrong."""

    def answer(request: bytes) -> bytes:
        now = ntp.fold(Instant(time.time_ns()))
        packet = ntp.Packet(
            ntp.MODE_SERVER, now, stratum=2, origin=ntp.decode(request).transmit, receive=now
        )
        return ntp.encode(replace(packet, **changes))  # type: ignore[arg-type]

    return answer
