"""Virtual time, the servers in it, and the delays between them and the device."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pints.server.cookies import KeyRing
from pints.server.responder import Responder, local, unsynchronized
from pints.shell.software_clock import SoftwareClock
from pints.sync.leap import LEAP_INSERT
from pints.timescale import DAY, HOUR, NS, Boot, Instant, Reading, nanoseconds, seconds
from pints.values.address import Address
from pints.values.chain import Chain, Window
from pints.values.worker_tasks import Exchanged, ExchangeTask, Failed, Result
from pints.wire import ntp
from pints.wire.aead import SIV
from tests.roughtime_server import Roughtime

if TYPE_CHECKING:
    from tests.world.device import Device

TRUE_START = Instant(1_795_400_000 * NS)
"""True time when a world begins, unless it says otherwise: 2026-11-23."""


class World:
    """The one true clock, and what happens when."""

    def __init__(self, seed: int, start: Instant = TRUE_START) -> None:
        self.rng = random.Random(seed)
        self.elapsed = 0
        self.servers: dict[str, Server] = {}
        self.anchors: dict[str, Server] = {}
        """Those of long-lived private CAs, which may make a belief."""
        self.operators: dict[str, Operator] = {}
        """Of Roughtime servers, by host."""
        self.names = Names()
        self.devices: list[Device] = []
        self.leap: Instant | None = None
        """The end of a month, as the count stands before it, after which a second is inserted."""
        self._network_up = True
        self._start = start
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def true_time(self) -> Instant:
        """What a perfect clock would say now."""
        count = self.count()
        leaped = self.leap is not None and count >= self.leap
        return Instant(count - NS) if leaped else count

    def count(self) -> Instant:
        """The same, had there been no leap second."""
        return Instant(self._start + self.elapsed)

    @property
    def network_up(self) -> bool:
        """Whether there is a route: the devices' links see it come, and fail at once to send
        without it."""
        return self._network_up

    @network_up.setter
    def network_up(self, up: bool) -> None:
        came, self._network_up = up and not self._network_up, up
        if came:
            for device in self.devices:
                self.at(0, device.link_came_up)

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

    def anchor(self, name: str = "anchor.test", **traits: Any) -> "Server":
        """A bootstrap anchor, honest."""
        traits.setdefault("chain", self.chain((-10_000, 10_000)))
        address = Address(f"203.0.113.{len(self.anchors) + 1}", 123)
        self.anchors[name] = Server(self, name, address, **traits)
        return self.anchors[name]

    def roughtime(self, name: str, lie: float = 0.0) -> "Operator":
        """A Roughtime server of an operator of its own."""
        self.operators[name] = Operator(self, name, lie)
        return self.operators[name]

    def three_operators(self, *lies: float) -> list["Operator"]:
        """Of Roughtime servers: as many as there are lies, and honest ones, three at least."""
        rest = [0.0] * (3 - len(lies))
        return [self.roughtime(f"rough.{n}.test", lie) for n, lie in enumerate((*lies, *rest))]

    def find(self, name: str) -> "Server":
        """A server or anchor."""
        return self.servers[name] if name in self.servers else self.anchors[name]


@dataclass(slots=True)
class Names:
    """The name servers that devices ask."""

    up: bool = True
    """Answers at all: else a look-up lasts as long as who asks has patience."""
    delay: float = 0.0
    """Seconds that a look-up takes."""
    validates: bool = False
    """It checks DNSSEC by the device's clock: what was signed for the month around the true
    present fails by any other."""

    def fails(self, clock_error: float) -> str:
        """Why there are no addresses; '' if there are."""
        if self.validates and abs(clock_error) > 15 * DAY:
            return "name servers failing (SERVFAIL)"
        return ""


class Operator:
    """A Roughtime server: real signatures, real packets; its honesty is a field."""

    def __init__(self, world: World, name: str, lie: float = 0.0) -> None:
        self.name = name
        self.up = True
        self.delay = 0.01
        """Seconds one way."""
        self.requests = 0
        self.server = Roughtime(lie=lie, clock=lambda: self._now)
        self._world = world
        self._now = 0.0

    @property
    def lie(self) -> float:
        """Seconds it adds to true time."""
        return self.server.lie

    @lie.setter
    def lie(self, lie: float) -> None:
        self.server.lie = lie

    def answer(self, packet: bytes, later: float) -> bytes | None:
        """Its reply to a packet that arrives in `later` seconds."""
        self.requests += 1
        self._now = self._world.true_time() / NS + later
        return self.server.respond(packet) if self.up else None


class SleepyClock(SoftwareClock):
    """A machine's clock that can be suspended: the crystal stops, boot and real time, which
    the kernel sets forward when it wakes, do not."""

    def __init__(self, world: World, start: Instant, crystal: float) -> None:
        self._world = world
        self._slept = 0
        self._slumber = (0, 0)
        self._heat, self._heated, self._astray = 0.0, 0, 0
        boot_id = world.entropy(16).hex()
        super().__init__(start, timebase=self._awake, crystal=crystal, boot_id=boot_id)

    def sleep(self, span: int) -> None:
        """From now on for `span` ns."""
        self._slept = self._asleep()
        self._slumber = (self._world.elapsed, self._world.elapsed + span)

    def heat(self, by: float) -> None:
        """From now on the crystal is by so much faster than it was made."""
        self._astray = self._awake() - self._elapsed()
        self._heat, self._heated = by, self._elapsed()

    def _asleep(self) -> int:
        start, end = self._slumber
        if not end:
            return 0  # it never was, which is asked a dozen times an event
        return self._slept + min(max(self._world.elapsed, start), end) - start

    def _awake(self) -> int:
        counted = self._elapsed()
        if self._heat:
            counted += round((counted - self._heated) * self._heat)
        return counted + self._astray

    def _elapsed(self) -> int:
        """By a crystal in a thermostat."""
        return self._world.elapsed - self._asleep()

    def _at(self, base: int) -> Reading:
        reading, slept = super()._at(base), self._asleep()
        if not slept:
            return reading
        return Reading(Instant(reading.real + slept), Boot(reading.boot + slept), reading.raw)


@dataclass(slots=True)
class Receiver:
    """A GPS receiver on a device."""

    device: str = "gps0"
    """File of the device, as configured."""
    trust: bool = False
    """Whether its owner believes its date."""
    lie: float = 0.0
    """Seconds that it, or who spoofs it, adds to true time."""
    rollovers: int = 0
    """How often its week number has begun anew without its noticing."""
    error: float = 0.05
    """Bound that it gives, seconds."""
    interval: float = 1.0
    """Seconds from fix to fix."""
    sees_sky: bool = True
    plugged: bool = True

    def time(self, truth: Instant) -> Instant:
        """What it says."""
        weeks = 1024 * 7 * DAY * self.rollovers
        return Instant(truth + nanoseconds(self.lie - weeks))


@dataclass(slots=True)
class PulsePerSecond:
    """The pulses of a device's receiver."""

    device: str = "pps0"
    lock: str = ""
    """Who numbers them, as configured."""
    jitter: float = 1e-6
    """Standard deviation of a stamp, seconds."""
    lie: float = 0.0
    """By how much each comes late, seconds."""
    missed: float = 0.0
    """Share of the seconds that have none,"""
    doubled: float = 0.0
    """that have a second one up to a millisecond later,"""
    spurious: float = 0.0
    """or another one at any time."""
    error: float = 5e-6
    """Bound that its driver gives, seconds."""
    on: bool = True

    def edges(self, rng: random.Random) -> list[float]:
        """When there is an edge, seconds from the beginning of one."""
        edges = [] if rng.random() < self.missed else [rng.gauss(self.lie, self.jitter)]
        if rng.random() < self.doubled:
            edges += [edge + rng.uniform(0.0, 1e-3) for edge in edges]
        if rng.random() < self.spurious:
            edges.append(rng.random())
        return edges


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
    congestion: float = 0.0
    """Mean exponential delay that is added to the way back alone, seconds."""
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
    dead: tuple[str, ...] = ()
    """Addresses that its name has besides, before the good one; nobody is there."""
    largest: int = 1500
    """Octets of the longest datagram that the path lets through."""
    smears: bool = False
    """Spreads a leap second from noon to noon, and does not tell of it."""
    announces_leap: bool = False
    """Tells of a leap second that nobody else knows of."""
    follows: "Device | None" = None
    """Takes its time from this device."""
    holdover: bool = False
    """A pints that has lost its own sources, and says so."""
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
        if self.follows is not None:
            return self.follows.clock.read().real
        time = self.world.true_time()
        leap = self.world.leap
        if self.smears and leap is not None:
            count = self.world.count()
            share = seconds(count - leap) / DAY + 0.5
            time = Instant(count - nanoseconds(min(max(share, 0.0), 1.0)))
        return Instant(time + nanoseconds(self.lie))

    def present(self) -> None:
        """Say of its own clock what is so now."""
        state = self.responder.state
        if not state.synchronized:
            return
        # A liar lies well: it was set before its answer leaves (RFC 5905, A.5.1.1).
        reference = Instant(min(state.reference, self.time()))
        state = local(1, state.precision, reference)
        if self.follows is not None:
            state = replace(state, stratum=2, reference_id=self.follows.reference_id)
        if self.holdover:
            state = replace(state, stratum=3, reference_id=b"HOLD")
        leap, count = self.world.leap, self.world.count()
        near = leap is not None and 0 < leap - count <= nanoseconds(24 * HOUR)
        told = (near and not self.smears) or self.announces_leap
        self.responder.state = replace(state, leap=LEAP_INSERT) if told else state

    def way(self) -> float:
        """Seconds that a packet takes this time."""
        return self.delay + (self.world.rng.expovariate(1 / self.queue) if self.queue else 0.0)

    def way_back(self) -> float:
        """The same of an answer."""
        congested = self.world.rng.expovariate(1 / self.congestion) if self.congestion else 0.0
        return self.way() + self.asymmetry + congested

    def replies(self, packet: bytes) -> list[bytes]:
        """All that comes back for a datagram, from it and from who sits on the path."""
        if len(packet) > self.largest:
            return []
        reply = self.answer(packet)
        if self.tamper is not None:
            return self.tamper(packet, reply)
        return [] if reply is None or len(reply) > self.largest else [reply]

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
        self.present()
        return self.responder.answer(packet, self.time(), self.time, self.world.entropy)

    def exchange(self, task: ExchangeTask, hosts: tuple[str, ...] = ()) -> Result:
        """The outcome of a key exchange.  `hosts` are the addresses that the client knows, the
        one it has reached first."""
        self.exchanges += 1
        if not self.ke_up:
            return Failed(task.id, "connect", f"{self.name}: no answer")
        if self.refusal:
            return Failed(task.id, "chain", self.refusal, sent_hello=True)
        keys = self.world.entropy(SIV.key_length), self.world.entropy(SIV.key_length)
        ring = self.responder.ring
        assert ring is not None
        cookies = tuple(ring.seal(SIV.id, *keys, self.world.entropy) for _ in range(8))
        where = tuple(replace(self.address, host=host) for host in hosts) or (self.address,)
        if self.redirect is not None:
            where = (self.redirect,)
        return Exchanged(
            task.id, self.algorithm, (keys,), cookies, where, self.name, self.chain, self.address
        )
