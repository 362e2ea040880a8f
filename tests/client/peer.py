"""The other end for an association: a server's real code, and a network of one second."""

import random

from pints.client.association import Association, Remark
from pints.client.packets import Request
from pints.client.session import Session
from pints.config.tables import SourceConfig
from pints.server.cookies import KeyRing
from pints.server.responder import Responder, ServerState, local
from pints.timescale import NS, Boot, Instant, Raw, Reading, nanoseconds
from pints.values.address import Address
from pints.values.chain import Chain, Window
from pints.values.sample import Sample
from pints.wire.aead import SIV, Algorithm

TRUE = Instant(1_795_000_000 * NS)
ADDRESS = Address("192.0.2.1", 123)
CHAIN = Chain(
    (Window(Instant(TRUE - nanoseconds(1e6)), Instant(TRUE + nanoseconds(5e6))),),
    Instant(TRUE - nanoseconds(1e6)), "leaf", ("root",), "issuer",
)  # fmt: skip
DELAY = 0.02
"""Round trip, seconds."""


class Peer:
    """A server, and the association that asks it.  `elapsed` is the boot clock, seconds."""

    def __init__(self, seed: int = 1, *, nts: bool = True) -> None:
        self.rng = random.Random(seed)
        self.elapsed = 1.0
        self.ring = KeyRing.fresh(TRUE, self.rng.randbytes)
        self.responder = Responder(self.ring, local(1, -20, TRUE))
        source = SourceConfig("ntp.a.test", nts=nts)
        self.association = Association(source, self.rng.randbytes)
        self.requests: list[Request] = []

    # --- clocks ------------------------------------------------------------------------------

    def reading(self, ahead: float = 0.0) -> Reading:
        """The client's clocks: the system clock is a year behind."""
        ns = nanoseconds(self.elapsed + ahead)
        return Reading(Instant(TRUE + ns - nanoseconds(3e7)), Boot(ns), Raw(ns + 5 * NS))

    @property
    def now(self) -> Boot:
        return self.reading().boot

    def true(self) -> Instant:
        return Instant(TRUE + nanoseconds(self.elapsed))

    # --- keys --------------------------------------------------------------------------------

    def session(self, algorithm: Algorithm = SIV, cookies: int = 8, wrong: int = 0) -> Session:
        """The yield of a key exchange; `wrong` pairs of keys come before the right one."""
        size = algorithm.key_length
        pairs = [(self.rng.randbytes(size), self.rng.randbytes(size)) for _ in range(wrong + 1)]
        held = [self.responder.ring.seal(algorithm.id, *pairs[-1], self.rng.randbytes)  # type: ignore[union-attr]
                for _ in range(cookies)]  # fmt: skip
        return Session(algorithm, pairs, (ADDRESS,), CHAIN, held, "ntp.a.test")

    def exchange(self, **traits: int) -> Session:
        """What the association asked for: new keys."""
        assert self.association.wants_task(self.now)
        session = self.session(**traits)  # type: ignore[arg-type]
        self.association.found_keys(session, self.now)
        return session

    def forget_keys(self) -> None:
        self.responder.ring = KeyRing.fresh(TRUE, self.rng.randbytes)

    # --- packets -----------------------------------------------------------------------------

    def wait(self) -> None:
        """Until something is due."""
        due = self.association.due()
        assert due is not None
        self.elapsed = max(self.elapsed, due / NS)

    def ask(self) -> Request:
        """The next request, at the time it is due."""
        due = self.association.schedule.due
        assert due is not None
        self.elapsed = max(self.elapsed, due / NS)
        request = self.association.poll_request(self.now)
        assert request is not None
        self.requests.append(request)
        return request

    def reply(self, request: Request, lie: float = 0.0) -> bytes:
        """The server's own answer."""
        clock = Instant(self.true() + nanoseconds(DELAY / 2 + lie))
        reply = self.responder.answer(request.packet, clock, lambda: clock, self.rng.randbytes)
        assert reply is not None
        return reply

    def give(self, data: bytes) -> Sample | Remark | None:
        """A datagram reaches the client, DELAY after its request left."""
        return self.association.receive(
            data, self.reading(), self.reading(DELAY), 1e-6, self.true()
        )

    def round(self) -> Sample | Remark | None:
        """One honest exchange of packets."""
        return self.give(self.reply(self.ask()))

    @property
    def state(self) -> ServerState:
        return self.responder.state
