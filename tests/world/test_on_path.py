"""Attackers on the path who own no keys: denial while they are there, and a delay's asymmetry
within `max_distance`.
"""

import logging
from dataclasses import dataclass, replace

import pytest

from pints.config.tables import SourceConfig
from pints.timescale import DAY, HOUR
from tests.extent import examples
from tests.world.attackers import MINUTE, UID, forged, kiss
from tests.world.device import Device
from tests.world.test_honest import GOOD
from tests.world.test_network import PLAIN
from tests.world.world import Server, World


def test_storm_of_naks_in_place_of_answers(world: World) -> None:
    """Denial while it lasts, no hail of key exchanges, and it ends by itself."""
    servers = world.five()
    for server in servers:
        server.tamper = lambda request, reply: [kiss(request, b"NTSN", request[UID])]
    device = Device(world)
    device.boot()
    world.run(DAY)
    assert device.state == "restored"
    assert max(server.exchanges for server in servers) < 30
    for server in servers:
        server.tamper = None
    assert device.reaches("verified", within=3 * HOUR)


@pytest.mark.parametrize("code", [b"NTSN", b"RATE", b"DENY", b"RSTR", b"XXXX"])
@pytest.mark.parametrize("foreign", [False, True], ids=["our identifier", "another"])
def test_forged_kisses_before_the_answers(world: World, code: bytes, foreign: bool) -> None:
    """The real answer still counts: nothing is lost but a line of the log."""
    servers = world.five()

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        forged = kiss(request, code, world.entropy(32) if foreign else request[UID])
        return [forged, forged, *([reply] if reply else [])]

    for server in servers:
        server.tamper = tamper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(3 * HOUR, lambda: device.state != "verified")
    assert all(server.exchanges == 1 for server in servers)
    assert all(a.session is not None for a in device.core.associations.values())


def test_naks_to_every_second_request(world: World) -> None:
    """R11: a new exchange only after the next poll fails too."""
    servers = world.five()
    count = 0

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        nonlocal count
        count += 1
        forged = kiss(request, b"NTSN", request[UID])
        return [forged] * 5 if count % 2 else [reply] if reply else []

    servers[0].tamper = tamper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=10.0)
    world.run(6 * HOUR)
    assert servers[0].exchanges == 1


def test_replayed_and_garbled_answers(world: World) -> None:
    old: list[bytes] = []

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        assert reply is not None
        garbled = bytearray(reply)
        garbled[world.rng.randrange(len(garbled))] ^= 1 << world.rng.randrange(8)
        late = [*old[-5:], bytes(garbled), world.entropy(len(reply)), b"", reply, reply]
        old.append(reply)
        return late

    servers = world.five()
    for server in servers:
        server.tamper = tamper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(3 * HOUR)
    assert device.state == "verified"
    assert abs(device.error()) < GOOD


def test_only_garbled_answers(world: World) -> None:
    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        assert reply is not None
        # Anywhere in header or extension fields but the padding that ends the packet.
        at = world.rng.randrange(len(reply) - 4)
        return [reply[:at] + bytes((reply[at] ^ 0x10,)) + reply[at + 1 :]]

    for server in world.five():
        server.tamper = tamper
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.set_to == []


def test_delayed_answers_do_not_vote(world: World) -> None:
    """R2: beyond max_distance an interval says too little."""
    for server in world.five(delay=0.3):
        server.asymmetry = 0.6
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.refused("R2")


def test_delay_on_one_way_moves_the_clock_within_max_distance(world: World) -> None:
    for server in world.five():
        server.asymmetry = 0.8
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=10.0)
    assert abs(device.error()) < 0.5
    assert device.core.bootstrap.belief is not None
    assert abs(device.error()) <= device.core.bootstrap.belief.error + 0.001


@dataclass(slots=True)
class Doorkeeper(Server):
    """Answers by an authentic kiss, if it has one."""

    code: bytes = b""

    def present(self) -> None:
        """Say so in the header."""
        state = self.responder.state
        wanted = (0, self.code) if self.code else (1, b"GPS\0")
        self.responder.state = replace(state, stratum=wanted[0], reference_id=wanted[1])


@pytest.mark.parametrize("code", examples([b"RATE", b"DENY", b"RSTR"]))
def test_authentic_kisses_slow_a_source_and_do_not_remove_it(world: World, code: bytes) -> None:
    """R11: whoever holds a server's keys for a day does not get rid of it for longer."""
    first = world.five()[0]
    keeper = Doorkeeper(world, first.name, first.address, first.chain)
    world.servers[first.name] = keeper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(20.0)
    keeper.code, before = code, keeper.requests
    world.run(DAY)
    assert device.said(f"kiss {code.decode()!r}")
    assert 80 < keeper.requests - before < 100, "at its longest interval, 1024 s"
    assert device.core.bootstrap.witnesses == 5, "N is what it was"
    assert device.state == "verified"
    keeper.code = b""
    assert world.run(HOUR, lambda: device.core.mark(first.name) != "?")


def lines(device: Device) -> int:
    """How many the log has for who reads it."""
    return sum(level >= logging.INFO for level, _ in device.log)


@pytest.mark.parametrize("garbled", [False, True], ids=["kisses", "kisses and garbage"])
@pytest.mark.parametrize("answers", [False, True])
def test_hundreds_of_kisses_to_each_request(world: World, garbled: bool, answers: bool) -> None:
    """Before the answer, or in its place: the log does not grow by their number (R13)."""

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        flood = [kiss(request, b"NTSN", request[UID])]
        flood += [forged(request)] if garbled else []
        return flood * 200 + ([reply] if reply and answers else [])

    world.five(tamper=tamper)
    device = Device(world)
    device.boot()
    device.ends("verified windows" if answers else "restored", within=5.0, error=401 * DAY)
    assert 5 <= lines(device) < 50


def test_plain_kisses_of_many_codes(world: World) -> None:
    """To a plain source, beside the witnesses, where anybody can make them."""
    world.five()
    codes = [f"X{n:03}".encode() for n in range(1000)]
    world.server(
        "plain.test",
        tamper=lambda request, reply: [kiss(request, code, b"")[:PLAIN] for code in codes],
    )
    sources = [SourceConfig(name, nts=name != "plain.test") for name in world.servers]
    device = Device(world, sources)
    device.boot()
    device.ends("verified windows", within=5.0, error=GOOD)
    assert device.said("kiss 'X000'")
    assert lines(device) < 50


def test_naks_do_not_take_the_keys_that_work(world: World) -> None:
    """R11: the old session lives until an exchange succeeds, and here none does."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    for server in servers:
        server.ke_up = False
        server.tamper = lambda request, reply: [kiss(request, b"NTSN", request[UID])]
    world.run(2 * MINUTE)  # one cookie a poll; they are eight
    for server in servers:
        server.tamper = None
    assert device.reaches("verified", within=HOUR)
    assert all(a.session and a.counters.exchanges == 1 for a in device.core.associations.values())
    assert abs(device.error()) < GOOD
