"""Servers that turn once the time is verified: outvoted, or holdover; never followed (R10)."""

from dataclasses import replace

import pytest

from pints.sync.discipline import Discipline
from pints.sync.leap import LEAP_INSERT
from pints.timescale import DAY, HOUR, NS, YEAR, Instant, nanoseconds
from tests.extent import examples
from tests.world.attackers import silence
from tests.world.device import Device
from tests.world.test_honest import GOOD
from tests.world.world import Server, World

NEW_YEAR_S_EVE = Instant(1_798_675_200 * NS)
"""2026-12-31, midnight."""


@pytest.mark.parametrize("by", examples([0.1, 0.9, 5.0, -HOUR, YEAR], 2))
@pytest.mark.parametrize("number", examples([1, 2]))
def test_servers_that_turn_are_outvoted(world: World, by: float, number: int) -> None:
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    for server in servers[:number]:
        server.lie = by
    assert not world.run(4 * HOUR, lambda: device.state != "verified")
    assert abs(device.error()) < GOOD
    assert all(device.core.mark(s.name) == "x" for s in servers[:number])


@pytest.mark.parametrize("by", examples([10.0, -HOUR, YEAR]))
def test_quorum_that_turns_is_never_followed(world: World, by: float) -> None:
    """Holdover while the third has not turned yet; then the belief itself is in dispute."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    for server in servers[:3]:
        server.lie = by
    assert world.run(HOUR, lambda: device.state in ("holdover", "disputed"))
    world.run(DAY)
    assert device.state in ("holdover", "disputed")
    assert abs(device.error()) < 0.1
    for server in servers:
        server.lie = 0.0
    assert device.reaches("verified", within=HOUR)
    assert abs(device.error()) < 0.1


@pytest.mark.parametrize("by", examples([0.2, 0.45]))
def test_quorum_that_turns_by_less_than_max_distance(world: World, by: float) -> None:
    """Three of valid keys: a quorum's word, so the clock may follow, and not beyond it."""
    servers = world.five()
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    for server in servers[:3]:
        server.lie = by
    assert not world.run(3 * HOUR, lambda: not -0.01 <= device.error() <= by + 0.05)
    device.ends("verified anchored", "holdover", within=0.0, error=by + 0.05)


def test_who_is_left_in_holdover_is_not_followed(world: World) -> None:
    """Neither by the clock nor by what is said of it."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    silence(servers[2:])
    for server in servers[:2]:
        server.lie = 0.3
    assert device.reaches("holdover", within=HOUR)
    world.run(HOUR)
    offset = device.core.steering.offset(device.clock.read())
    assert offset is not None
    assert abs(offset) < 0.01
    assert abs(device.error()) < 0.01


@pytest.mark.parametrize("pace", [0.0505, 0.1, 1.0])
def test_quorum_that_walks_back_stops_at_the_ratchet(world: World, pace: float) -> None:
    """A quorum of valid keys may lead the clock astray; below the saved time never."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)

    def walk() -> None:
        for server in servers:
            server.lie -= pace  # faster than time goes on
        world.at(0.05, walk)

    walk()
    world.run(600)  # `rules` looks at every reading
    assert device.clock.read().real >= device.saved_ratchet()


@pytest.mark.parametrize("wrong", examples([-2 * YEAR, -HOUR, -0.3, 0.3, HOUR, 25 * YEAR], 2))
def test_whatever_the_filters_say_the_clock_stays_within_the_belief(
    world: World, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """A raw clock that stood still while the machine slept, say."""
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(60)
    monkeypatch.setattr(
        Discipline, "true_time", lambda self, raw: world.true_time() + nanoseconds(wrong)
    )
    world.run(2 * HOUR)
    assert device.core.bootstrap.belief is not None
    assert abs(device.error()) < 0.2, "the belief's width, an old answer's growth included"


def test_servers_in_holdover_confirm_nothing(world: World) -> None:
    """R10: three of five have lost their own sources and say so."""
    servers = world.five()
    for server in servers[:3]:
        server.holdover = True
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.refused("R10")
    assert device.set_to == []


def test_servers_that_take_the_time_from_us_confirm_nothing(world: World) -> None:
    """R10: else the clock could drift away with three that follow it, a quorum of its own."""
    servers = world.five()
    device = Device(world)
    device.serves = True
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    for server in servers[:3]:
        server.follows = device
    assert device.reaches("holdover", within=HOUR)
    assert len(device.refused("R10")) >= 3


class Herald(Server):
    """Announces a leap second that nobody else knows of."""

    def present(self) -> None:
        self.responder.state = replace(self.responder.state, leap=LEAP_INSERT)


def heralded(seed: int, start: Instant, heralds: int) -> Device:
    """Verified among five servers, so many of which announce a leap second."""
    world = World(seed, start)
    for server in world.five()[:heralds]:
        world.servers[server.name] = Herald(world, server.name, server.address, server.chain)
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    return device


@pytest.mark.parametrize("heralds", examples([1, 2]))
def test_leap_second_that_a_minority_invents(seed: int, heralds: int) -> None:
    """R10: at a year's end, when there may be one; the clock does not follow."""
    device = heralded(seed, NEW_YEAR_S_EVE, heralds)
    assert not device.world.run(DAY + HOUR, lambda: abs(device.error()) > GOOD)
    assert device.state == "verified"


@pytest.mark.parametrize("day", examples([1, 10]), ids=["in a month's midst", "at November's end"])
def test_leap_second_where_none_may_be(seed: int, day: int) -> None:
    """R10: whoever announces it, and be it all."""
    start = Instant(NEW_YEAR_S_EVE - nanoseconds((41 - day) * DAY))
    device = heralded(seed, start, 5)
    assert not device.world.run(DAY + HOUR, lambda: abs(device.error()) > GOOD)
    assert device.state == "verified"


def test_smearing_servers_have_no_vote_near_a_leap_second(seed: int) -> None:
    """R10: three tell of the leap second, two will smear it; with one of the three gone there
    is no quorum, though before noon all five say the same."""
    world = World(seed, NEW_YEAR_S_EVE)
    world.leap = Instant(NEW_YEAR_S_EVE + nanoseconds(DAY))
    servers = world.five()
    for server in servers[3:]:
        server.smears = True
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(10 * 60)
    servers[0].up = servers[0].ke_up = False
    assert device.reaches("holdover", within=2 * HOUR)
    assert len(device.refused("R10")) == 2
