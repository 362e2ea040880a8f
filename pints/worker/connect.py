"""The first TCP connection to a host that answers (after RFC 8305, "Happy Eyeballs").

A dead address costs a quarter of a second, never the time-out: attempts overlap.  Addresses
known beforehand are tried at once, whatever the resolver does; its own join when they arrive,
the families in turn.
"""

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest

from pints.errors import PeerError
from pints.values.address import Address
from pints.worker.deadline import Deadline
from pints.worker.resolve import Lookup

ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried beside those that have not answered yet; RFC 8305
section 5 recommends it."""
_HINTS = {
    errno.ECONNREFUSED: "nothing listens there: is it an NTS key server, on that port (4460)?",
    errno.ENETUNREACH: "no route to it: is the network up?",
    errno.EHOSTUNREACH: "no route to it: is the network up?",
}


class Race:
    """Connects to one of many addresses.  Use once."""

    def __init__(self, known: Sequence[str], lookup: Lookup, port: int) -> None:
        self._lookup = lookup
        self._port = port
        self._waiting: deque[str] = deque()
        self._running: dict[int, tuple[socket.socket, Address]] = {}
        self._failures: list[tuple[Address, OSError]] = []
        self._no_addresses: PeerError | None = None
        self._looked_up = False
        self._start_at = 0.0
        self._tried: list[str] = []
        self._resolved: Sequence[str] = ()
        self.seen: list[str] = []
        """All addresses that came to be known, those known beforehand first."""
        self.looked_up_after: float | None = None
        """Seconds from the start to the resolver's answer."""
        self._add(known)

    @property
    def step(self) -> str:
        """What it spends its time on: resolve, as long as there is nothing to connect to."""
        return "connect" if self.seen else "resolve"

    def run(self, deadline: Deadline) -> tuple[socket.socket, Address]:
        """The winner, non-blocking; the others are closed.  PeerError when there is none."""
        began = time.monotonic()
        try:
            while True:
                if not self._looked_up and self._lookup.done():
                    self._take_lookup(time.monotonic() - began)
                if self._waiting and (time.monotonic() >= self._start_at or not self._running):
                    self._start_next()
                elif not self._running and self._looked_up:
                    raise self._failure()
                elif deadline.left() <= 0:
                    raise self._late(deadline)
                elif winner := self._wait(deadline):
                    return winner
        finally:
            self._lookup.close()
            for sock, _ in self._running.values():
                sock.close()

    @property
    def resolver_works(self) -> bool:
        """Whether it gave addresses; it may not have had the time."""
        return bool(self._resolved)

    def alive(self, winner: str) -> tuple[str, ...]:
        """The winner, the resolver's other addresses, and of those known beforehand the ones
        that may be as good: not those that had their chance before the winner."""
        early = self._tried[: self._tried.index(winner)]
        others = [host for host in self.seen if host in self._resolved or host not in early]
        return tuple(dict.fromkeys((winner, *others)))

    def _add(self, hosts: Sequence[str]) -> None:
        new = [host for host in hosts if host not in self.seen]
        self.seen += new
        # The resolver's are as fresh as those known beforehand are many: they take turns.
        pairs = zip_longest(new, self._waiting)
        self._waiting = deque(host for pair in pairs for host in pair if host is not None)

    def _take_lookup(self, seconds: float) -> None:
        self._looked_up = True
        self.looked_up_after = seconds
        try:
            self._resolved = self._lookup.addresses()
            self._add(self._resolved)
        except PeerError as e:
            self._no_addresses = e

    def _start_next(self) -> None:
        host = self._waiting.popleft()
        # The next one shall be of the other family: often all of one family is dead.
        other = next((h for h in self._waiting if (":" in h) != (":" in host)), None)
        if other is not None:
            self._waiting.remove(other)
            self._waiting.appendleft(other)
        self._tried.append(host)
        self._start_at = time.monotonic() + ATTEMPT_DELAY
        address = Address(host, self._port)
        try:
            sock = _start(address)
        except OSError as e:
            self._failures.append((address, e))
        else:
            self._running[sock.fileno()] = sock, address

    def _wait(self, deadline: Deadline) -> tuple[socket.socket, Address] | None:
        """Until something happens; the winner if there is one."""
        poll = select.poll()
        for fd in self._running:
            poll.register(fd, select.POLLOUT)
        if not self._looked_up:
            poll.register(self._lookup.fileno(), select.POLLIN)
        left = deadline.left()
        if self._waiting:
            left = min(left, max(0.0, self._start_at - time.monotonic()))
        for fd, _ in poll.poll(left * 1000 + 1):
            if fd not in self._running:
                continue
            sock, address = self._running.pop(fd)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock, address
            sock.close()
            self._failures.append((address, OSError(code, os.strerror(code))))
            self._start_at = 0.0
        return None

    def _failure(self) -> PeerError:
        if not self._failures:
            return self._no_addresses or PeerError(f"{self._lookup.host}: no address")
        address, error = self._failures[0]
        others = len(self._failures) - 1
        more = f" (and {others} more of its addresses)" if others else ""
        return self._besides(
            f"{self._lookup.host}: connecting to {address}{more}: {error.strerror}",
            _HINTS.get(error.errno or 0, ""),
        )

    def _late(self, deadline: Deadline) -> PeerError:
        if not self.seen:
            return PeerError(self._lookup.late(deadline.seconds))
        tried = Address(self.seen[0], self._port)
        others = len(self.seen) - 1
        more = f" (and {others} more of its addresses)" if others else ""
        return self._besides(
            f"{self._lookup.host}: no answer from {tried}{more} within {deadline.seconds:.3g} s",
            f"a firewall on the way may drop TCP port {self._port}",
        )

    def _besides(self, reason: str, hint: str) -> PeerError:
        """What was wrong with the known addresses, and with the resolver if that failed too."""
        more = self._no_addresses
        if more is None:
            return PeerError(reason, hint)
        return PeerError(f"{reason}; {more}", "; ".join(filter(None, (hint, more.hint))))


def _start(address: Address) -> socket.socket:
    """A connection under way.  OSError when it failed at once."""
    sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    try:
        sock.setblocking(False)
        with suppress(BlockingIOError):  # EINPROGRESS
            sock.connect(_sockaddr(address))
    except OSError:
        sock.close()
        raise
    return sock


def _sockaddr(address: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" not in address.host:
        return address.host, address.port
    host, _, zone = address.host.partition("%")
    scope = 0
    if zone:
        scope = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    return host, address.port, 0, scope
