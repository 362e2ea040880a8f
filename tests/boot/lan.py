"""A network apart from the machine's: kernels of our own at TAP devices, servers on its loopback.

What this guarantees: nothing of the machine's own network is changed, and all that is made here
is gone with the processes that use it, however they end, for a network namespace and the TAP
devices in it end with the last of them.

The servers have the addresses 10.77.0.11 and on.  Kernel N has 10.77.N.2, this end of its cable
10.77.N.1.  There is no resolver and no way to anywhere else.
"""

import ctypes
import math
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

CLONE_NEWNET = 0x40000000  # linux/sched.h
ETH_P_IP = 0x0800  # linux/if_ether.h
SYN, ACK = 0x02, 0x10  # RFC 9293 section 3.1

SERVERS = tuple(f"10.77.0.{n}" for n in range(11, 20))


@contextmanager
def apart() -> Iterator[None]:
    """This thread, and what it starts, on a network of its own.  OSError where that is barred."""
    library = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if library.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot leave the machine's network")
        try:
            _ip("link set lo up")
            for address in SERVERS:
                _ip(f"address add {address}/32 dev lo")
            yield
        finally:
            library.setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


class Packet(NamedTuple):
    """What a kernel sent."""

    at: float
    """time.time()."""
    to: str
    protocol: int
    port: int
    opens: bool
    """A connection."""


class Cable:
    """A kernel's only link to the world, and a list of what it sends there."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.device = f"tap{number}"
        self.guest = f"10.77.{number}.2"
        self.sent: list[Packet] = []

    def __enter__(self) -> Self:
        _ip(f"tuntap add {self.device} mode tap")
        _ip(f"address add 10.77.{self.number}.1/24 dev {self.device}")
        _ip(f"link set {self.device} up")
        self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self._tap.bind((self.device, ETH_P_IP))
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._end, 1)
        self._thread.join(10)
        self._tap.close()
        os.close(self._end)
        _ip(f"link delete {self.device}")

    def requests(self, port: int, since: float, until: float = math.inf) -> int:
        """How many datagrams went to a port of anybody's."""
        return sum(
            1
            for packet in self.sent
            if packet.protocol == socket.IPPROTO_UDP
            and packet.port == port
            and since <= packet.at <= until
        )

    def connections(self, since: float) -> int:
        """How many were begun.  pints begins one for each key exchange, and no other."""
        return sum(1 for packet in self.sent if packet.opens and packet.at >= since)

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._tap.fileno(), self._end], [], [])
            if self._end in ready:
                return
            data, (_, _, kind, *_) = self._tap.recvfrom(2048)
            if kind != socket.PACKET_OUTGOING:
                self._note(data)

    def _note(self, data: bytes) -> None:
        """RFC 791 section 3.1, RFC 768, RFC 9293 section 3.1."""
        body = data[(data[0] & 15) * 4 :]
        if data[9] not in (socket.IPPROTO_UDP, socket.IPPROTO_TCP) or len(body) < 8:
            return
        (port,) = struct.unpack_from("!H", body, 2)
        tcp = data[9] == socket.IPPROTO_TCP
        opens = tcp and body[13] & (SYN | ACK) == SYN
        to = socket.inet_ntoa(data[16:20])
        self.sent.append(Packet(time.time(), to, data[9], port, opens))


def _ip(words: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run(["ip", *words.split()], check=True, env={**os.environ, "PATH": path})
