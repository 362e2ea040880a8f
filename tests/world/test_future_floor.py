"""A saved time that lies in the future (R8): reported, kept, or lowered by unanimous witnesses
with independent evidence; below the build epoch by nobody."""

import pytest

from pints import restore
from pints.config.tables import BootstrapConfig
from pints.timescale import DAY, HOUR, Instant, nanoseconds
from tests.extent import examples
from tests.world.attackers import MINUTE, leaked, silence
from tests.world.device import Device
from tests.world.test_honest import GOOD, seasoned
from tests.world.world import World

LEAST = 10 * MINUTE
"""What R8 says, counted here anew."""


def poisoned(world: World, ahead: float = 100 * DAY, future_floor: str = "unanimous") -> Device:
    """A seasoned device whose saved time was then put into the future; off now."""
    device = seasoned(world)
    device.config = Device(world, bootstrap=BootstrapConfig(future_floor=future_floor)).config
    future = world.true_time() + nanoseconds(ahead)
    device.disk[restore.TIME_FILE] = restore.encode(future, future)
    device.set_to.clear()
    return device


def lowered(device: Device) -> bool:
    return any(" lowered to " in text for text in device.refused("R8"))


def test_unanimous_witnesses_with_their_sessions_lower_it(world: World) -> None:
    """After ten minutes, with an alarm; then the clock is right, and stays so over boots."""
    world.five()
    device = poisoned(world)
    device.boot()
    assert device.never("verified", within=LEAST - 1)
    assert not lowered(device)
    assert device.reaches("verified", within=HOUR)
    assert lowered(device)
    assert abs(device.error()) < GOOD
    assert device.reaches("verified", "anchored", within=HOUR)
    device.stop()
    assert device.saved_ratchet() <= world.true_time()
    device.boot()
    assert device.reaches("verified", "anchored", within=1.0)


@pytest.mark.parametrize("floor", ["keep", "unanimous"])
def test_it_is_reported_whether_or_not_it_may_be_lowered(world: World, floor: str) -> None:
    world.five()
    device = poisoned(world, future_floor=floor)
    device.boot()
    world.run(60)
    assert len(device.refused("R8")) == 1
    assert "pints restore --forget" in device.refused("R8")[0]


@pytest.mark.more
def test_by_default_it_is_kept(world: World) -> None:
    world.five()
    device = poisoned(world, future_floor="keep")
    poison = device.saved_ratchet()
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.set_to == []
    assert device.saved_ratchet() == poison


@pytest.mark.parametrize("session", examples([True, False]), ids=["with a session", "without"])
def test_one_dissenting_witness_keeps_it(world: World, session: bool) -> None:
    """Four of five agree, and have sessions to prove it: not unanimous."""
    servers = world.five()
    device = poisoned(world)
    servers[4].lie = 30.0
    if not session:
        servers[4].forget_keys()
    device.boot()
    assert device.never("verified", within=3 * HOUR)
    assert not lowered(device)


def test_a_dissenter_within_the_ten_minutes_begins_them_anew(world: World) -> None:
    servers = world.five()
    device = poisoned(world)
    device.boot()
    for _ in range(20):
        world.run(4 * MINUTE)
        servers[4].lie = 30.0 - servers[4].lie
    assert not lowered(device)
    servers[4].lie = 0.0
    assert device.reaches("verified", within=HOUR)


def test_liars_within_the_ten_minutes_begin_them_anew(world: World) -> None:
    """Three that tell a time above the floor, of which nothing need be lowered: this boot takes
    it for verified, until the floor is, and what was believed above it goes with it."""
    servers = world.five()
    world.three_operators()
    device = poisoned(world)
    device.boot()
    world.run(3 * MINUTE)
    for server in servers[:3]:
        server.lie, server.chain = 101 * DAY, world.chain((-10, 150))
    world.run(LEAST - 3 * MINUTE + 5.0)
    for server in servers[:3]:
        server.lie = 0.0
    world.run(LEAST - 1)
    assert not lowered(device)
    assert world.run(HOUR, lambda: lowered(device))
    device.ends("verified", within=HOUR, error=GOOD)


def test_power_is_cut_twice_while_the_ten_minutes_run(world: World) -> None:
    """Each boot counts its own."""
    world.five()
    world.three_operators()
    device = poisoned(world)
    for _ in range(2):
        device.boot()
        assert device.never("verified", within=LEAST - 20.0)
        device.kill()
    device.boot()
    assert device.never("verified", within=LEAST - 1)
    assert not lowered(device)
    device.ends("verified windows", "verified anchored", within=MINUTE, error=GOOD)
    assert lowered(device)


@pytest.mark.more
def test_witnesses_without_independent_evidence_keep_it(world: World) -> None:
    """Whoever owns all their keys says what he likes; nothing but certificates is behind it."""
    world.five()
    device = poisoned(world)
    device.disk = {n: data for n, data in device.disk.items() if not n.startswith("sessions/")}
    device.boot()
    assert device.never("verified", within=DAY)
    assert not lowered(device)


def test_two_witnesses_are_too_few(world: World) -> None:
    for name in ("ntp.a.test", "ntp.b.test"):
        world.server(name)
    device = poisoned(world)
    device.boot()
    assert device.never("verified", within=3 * HOUR)
    assert not lowered(device)


def test_quorum_of_those_that_answer_is_enough(world: World) -> None:
    servers = world.five()
    device = poisoned(world)
    silence(servers[3:])
    device.boot()
    assert device.reaches("verified", within=HOUR)
    assert lowered(device)
    assert abs(device.error()) < GOOD


@pytest.mark.more
@pytest.mark.parametrize("ago", [0.0, 10 * DAY])
def test_nobody_gets_below_the_build_epoch(world: World, ago: float) -> None:
    """Be they all the witnesses, honest or with keys of ten days ago, with the saved sessions to
    confirm it: a build of tomorrow, or an attacker who owns everything, is an alarm."""
    servers = world.five()
    device = poisoned(world)
    device.build_epoch = Instant(world.true_time() + nanoseconds(50 * DAY))
    for server in servers:
        server.lie = -ago
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.set_to == []
    assert device.clock.read().real >= device.build_epoch
    assert device.refused("R8"), "alarmed"
    assert not lowered(device)


def test_owner_of_all_expired_keys(world: World) -> None:
    """From a hundred days before the build: not heard."""
    servers = world.five()
    device = poisoned(world)
    leaked(world, servers, 500 * DAY)
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.set_to == []
    assert device.refused("R4")
    assert device.refused("R8"), "alarmed"
    assert not lowered(device)
