"""Virtual time, the servers in it, and the delays between them and the device."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pints.address import Address
from pints.chain import Chain, Window
from pints.server.cookies import KeyRing
from pints.server.responder import Responder, local, unsynchronized
from pints.timescale import DAY, NS, Instant, nanoseconds
from pints.wire import ntp
from pints.wire.aead import SIV
from pints.worker.messages import Exchanged, ExchangeTask, Failed, Result

TRUE_START = Instant(1_795_400_000 * NS)
"""True time when a world begins, unless it says otherwise: 2026-11-23."""


class World:
    """The one true clock, and what happens when."""

    def __init__(self, seed: int, start: Instant = TRUE_START) -> None:
        self.rng = random.Random(seed)
        self.elapsed = 0
        self.servers: dict[str, Server] = {}
        self.network_up = True
        self._start = start
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def true_time(self) -> Instant:
        """What a perfect clock would say now."""
        return Instant(self._start + self.elapsed)

    def timebase(self) -> int:
        """Nanoseconds since the world began: what software clocks count."""
        return self.elapsed

    def entropy(self, n: int) -> bytes:
        """Random octets of this seed."""
        return self.rng.randbytes(n)

    def at(self, delay: float, call: Callable[[], None]) -> None:
        """Let something happen after `delay` seconds."""
        when = self.elapsed + nanoseconds(delay)
        heapq.heappush(self._events, (when, next(self._count), call))

    def run(self, span: float, until: Callable[[], bool] | None = None) -> bool:
        """Live for `span` seconds, or until something is so; whether it came to be."""
        end = self.elapsed + nanoseconds(span)
        while self._events and self._events[0][0] <= end:
            if until is not None and until():
                return True
            when, _, call = heapq.heappop(self._events)
            self.elapsed = max(self.elapsed, when)
            call()
        if until is not None and until():
            return True
        self.elapsed = end
        return until is None

    def chain(self, *days: tuple[float, float], leaf: str = "", root: str = "") -> Chain:
        """A certificate chain good during these spans of days from the true present."""
        now = self.true_time()
        windows = tuple(
            Window(Instant(now + nanoseconds(a * DAY)), Instant(now + nanoseconds(b * DAY)))
            for a, b in days
        )
        name = leaf or self.entropy(4).hex()
        return Chain(windows, windows[0].start, name, (root or f"root of {name}",))

    def server(self, name: str, **traits: Any) -> "Server":
        """Put an honest server into the world; `traits` are its fields."""
        number = len(self.servers) + 1
        address = Address(f"192.0.2.{number}", 123)
        traits.setdefault("chain", self.chain((-1, 89)))
        server = Server(self, name, address, **traits)
        self.servers[name] = server
        return server

    def five(self, **traits: Any) -> list["Server"]:
        """Five honest servers of five operators."""
        return [self.server(f"ntp.{name}.test", **traits) for name in "abcde"]


@dataclass(slots=True)
class Server:
    """An NTS server: real cookies, real packets; its honesty is a field."""

    world: World
    name: str
    address: Address
    chain: Chain
    lie: float = 0.0
    """Seconds it adds to true time."""
    delay: float = 0.01
    """Seconds one way, at least."""
    queue: float = 0.0
    """Mean of the exponential delay added to each way, seconds."""
    asymmetry: float = 0.0
    """Seconds that the way back takes longer."""
    up: bool = True
    """Answers NTP."""
    ke_up: bool = True
    """Answers NTS-KE."""
    algorithm: int = SIV.id
    """AEAD it says was negotiated."""
    refusal: str = ""
    """Why its chain is bad for another reason than dates, if it is."""
    redirect: Address | None = None
    """NTP server it sends its clients to."""
    tamper: Callable[[bytes, bytes | None], list[bytes]] | None = None
    """Somebody on the path: (request, reply) to what reaches the client instead."""
    requests: int = 0
    exchanges: int = 0
    cookies_seen: list[bytes] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)
    _responder: Responder | None = None

    @property
    def responder(self) -> Responder:
        if self._responder is None:
            ring = KeyRing.fresh(self.world.true_time(), self.world.entropy)
            self._responder = Responder(ring, local(1, -20, self.time()))
        return self._responder

    def forget_keys(self) -> None:
        """New master keys: every cookie out there is worth a NAK now."""
        self.responder.ring = KeyRing.fresh(self.world.true_time(), self.world.entropy)

    def lose_the_time(self) -> None:
        """It goes on answering, and says that it does not know the time."""
        self.responder.state = unsynchronized(-20)

    def time(self) -> Instant:
        """What it takes for true."""
        return Instant(self.world.true_time() + nanoseconds(self.lie))

    def way(self) -> float:
        """Seconds that a packet takes this time."""
        return self.delay + (self.world.rng.expovariate(1 / self.queue) if self.queue else 0.0)

    def replies(self, packet: bytes) -> list[bytes]:
        """All that comes back for a datagram, from it and from who sits on the path."""
        reply = self.answer(packet)
        if self.tamper is not None:
            return self.tamper(packet, reply)
        return [] if reply is None else [reply]

    def answer(self, packet: bytes) -> bytes | None:
        """Its reply to a datagram that has just arrived."""
        self.requests += 1
        if not self.up:
            return None
        if len(packet) > ntp.HEADER_LENGTH:
            # The cookie is the second field: 36 octets of unique identifier come before it.
            start = ntp.HEADER_LENGTH + 36
            length = int.from_bytes(packet[start + 2 : start + 4], "big")
            cookie = packet[start + 4 : start + length]
            assert cookie not in self._seen, "privacy: a cookie came twice"
            self._seen.add(cookie)
            self.cookies_seen.append(cookie)
        return self.responder.answer(packet, self.time(), self.time, self.world.entropy)

    def exchange(self, task: ExchangeTask) -> Result:
        """The outcome of a key exchange."""
        self.exchanges += 1
        if not self.ke_up:
            return Failed(task.id, "connect", f"{self.name}: no answer")
        if self.refusal:
            return Failed(task.id, "chain", self.refusal, sent_hello=True)
        keys = self.world.entropy(SIV.key_length), self.world.entropy(SIV.key_length)
        ring = self.responder.ring
        assert ring is not None
        cookies = tuple(ring.seal(SIV.id, *keys, self.world.entropy) for _ in range(8))
        where = self.redirect or self.address
        return Exchanged(
            task.id, self.algorithm, (keys,), cookies, (where,), self.name, self.chain, self.address
        )
