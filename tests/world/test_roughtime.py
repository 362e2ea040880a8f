"""Boots with the help of those who are no witnesses: Roughtime servers, bootstrap anchors, the
operator.

A quorum of Roughtime operators anchors at once what the witnesses say, an anchor and the
operator make a belief; none of them ever verifies anything.
"""

import pytest

from pints.config.tables import BootstrapConfig
from pints.errors import UntrustedTimeError
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from tests.world.device import Device
from tests.world.test_honest import GOOD, block_key_exchange, seasoned
from tests.world.world import World

FOLLOW = BootstrapConfig(step_provisional=True)


# --- Roughtime -------------------------------------------------------------------------------


@pytest.mark.parametrize("ago", [0.0, 30 * DAY, 9 * YEAR])
def test_roughtime_anchors_a_first_boot_at_once(world: World, ago: float) -> None:
    """Verified as soon as the witnesses agree, anchored as soon as the operators do."""
    world.five()
    world.three_operators()
    device = Device(world, build_epoch=Instant(world.true_time() - nanoseconds(9.5 * YEAR)))
    if ago:
        device.remember(ago)
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)
    assert device.said("confirmed by roughtime")
    world.run(30)
    assert device.sessions_saved
    assert device.saved_ratchet() > world.true_time() - nanoseconds(HOUR)


@pytest.mark.parametrize("lie", [-9 * YEAR, -HOUR, -12.0, 12.0, DAY, 5 * YEAR])
def test_lying_minority_of_operators_is_outvoted(world: World, lie: float) -> None:
    world.five()
    world.three_operators(lie, 0.0, 0.0, 0.0)
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)
    refused = [line for rule in ("R1", "R2", "R4") for line in device.refused(rule)]
    assert any("rough.0.test" in line for line in refused)


@pytest.mark.parametrize("lie", [-DAY, DAY])
def test_lying_majority_of_operators_against_saved_sessions(world: World, lie: float) -> None:
    """One kind of evidence disputes; the sessions of five outweigh it."""
    world.five()
    device = seasoned(world)
    world.three_operators(lie, lie)
    device.config = Device(world).config
    device.boot()
    device.ends("verified anchored", within=60.0, error=GOOD)


def test_two_operators_are_no_quorum(world: World) -> None:
    world.five()
    world.roughtime("rough.a.test")
    world.roughtime("rough.b.test")
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=60.0, error=GOOD)


def test_silent_operators_delay_nobody(world: World) -> None:
    world.five()
    for operator in world.three_operators(0.0, 0.0, 0.0, 0.0, 0.0)[:3]:
        operator.up = False
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    device.ends("verified windows", within=600.0, error=GOOD)


def test_silent_minority_of_operators(world: World) -> None:
    world.five()
    world.three_operators(0.0, 0.0, 0.0, 0.0)[0].up = False
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=3.0, error=GOOD)


def test_roughtime_moves_no_clock_and_replaces_no_witness(world: World) -> None:
    """It confirms what witnesses say, or disputes it; by itself it is only heard."""
    servers = world.five()
    block_key_exchange(servers)
    world.three_operators()
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("restored", within=30.0, error=30 * DAY + 1)
    assert device.set_to == []
    block_key_exchange(servers, False)
    assert device.reaches("verified", "anchored", within=100.0)
    assert abs(device.error()) < GOOD


def test_roughtime_is_asked_until_the_time_is_anchored_and_not_after(world: World) -> None:
    world.five()
    operators = world.three_operators()
    device = seasoned(world)
    world.run(DAY)
    asked = [operator.requests for operator in operators]
    device.boot()
    device.ends("verified anchored", within=DAY, error=GOOD)
    assert [o.requests - before for o, before in zip(operators, asked, strict=True)] == [2, 2, 2]


def test_proof_of_a_lie_is_kept(world: World) -> None:
    """The one asked first is ahead of the one asked next: anybody can verify that."""
    world.five()
    world.three_operators(HOUR, 0.0, 0.0)
    device = Device(world)
    device.boot()
    world.run(1.0)
    assert b"publicKey" in device.disk["malfeasance.json"]


# --- what confirms itself --------------------------------------------------------------------


def test_later_boots_confirm_the_first(world: World) -> None:
    """A quarter of an hour a day, and nothing else: anchored once that comes to an hour."""
    world.five()
    device = Device(world)
    for _ in range(4):
        device.boot()
        device.ends("verified windows", within=HOUR / 4, error=GOOD)
        device.kill()
        world.run(DAY)
    device.boot()
    # What the last minutes before a power cut were worth is not on the disk.
    device.ends("verified anchored", within=HOUR * 0.8, error=GOOD)


def test_later_boot_of_other_servers_begins_its_own_hour(world: World) -> None:
    servers = world.five()
    for server in servers[3:]:
        server.up = server.ke_up = False
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=HOUR - 60, error=GOOD)
    device.kill()
    for server in servers[3:]:
        server.up = server.ke_up = True
    for server in servers[:2]:
        server.up = server.ke_up = False
    world.run(DAY)
    device.boot()
    device.ends("verified windows", within=HOUR - 60, error=GOOD)


# --- anchors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("follow", [False, True])
def test_anchor_makes_a_belief(world: World, follow: bool) -> None:
    """The clock follows it only if its owner said so; never is anything verified by it."""
    servers = world.five()
    block_key_exchange(servers)
    world.anchor()
    device = Device(world, bootstrap=FOLLOW if follow else None)
    device.remember(30 * DAY)
    device.boot()
    device.ends("provisional", within=60.0, error=0.1 if follow else 30 * DAY + 1)
    device.ends("provisional", "restored", within=HOUR, error=0.2 if follow else 30 * DAY + 1)
    assert bool(device.set_to) == follow
    assert device.saved_ratchet() < world.true_time() - nanoseconds(29 * DAY)
    block_key_exchange(servers, False)
    assert device.reaches("verified", "windows", within=100.0)
    assert abs(device.error()) < GOOD


def test_anchor_beside_a_minority(world: World) -> None:
    """Two witnesses and an anchor are two witnesses."""
    for server in world.five()[2:]:
        server.up = server.ke_up = False
    world.anchor()
    device = Device(world)
    device.boot()
    device.ends("provisional", within=600.0, error=400 * DAY + 1)


@pytest.mark.parametrize("lie", [-2 * DAY, 0.5, 3 * YEAR])
def test_lying_anchor_costs_nothing_once_a_quorum_speaks(world: World, lie: float) -> None:
    world.five()
    world.anchor(lie=lie, delay=0.001)
    device = Device(world, bootstrap=FOLLOW)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


# --- the operator ----------------------------------------------------------------------------


def test_operator_sets_the_time(world: World) -> None:
    """A belief: the clock goes there, back or forth, nothing is verified or saved by it."""
    world.five()
    world.network_up = False
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    ratchet = device.saved_ratchet()
    world.run(10)
    device.settime(Instant(world.true_time() + nanoseconds(40.0)))
    device.ends("provisional", within=1.0, error=41.0)
    device.settime(world.true_time())
    device.ends("provisional", within=DAY, error=1.0)
    assert device.saved_ratchet() == ratchet
    world.network_up = True
    device.ends("verified windows", within=2.0, error=GOOD)


def test_operator_is_taken_at_his_word(world: World) -> None:
    """Servers that are too few say otherwise: what they taught the filters moves nothing (R2)."""
    servers = world.five()
    for server in servers[2:]:
        server.up = server.ke_up = False
    device = Device(world)
    device.boot()
    world.run(60)
    device.settime(Instant(world.true_time() + nanoseconds(HOUR)))
    device.ends("provisional", within=60.0, error=HOUR + 1)
    assert device.error() > HOUR - 1


@pytest.mark.parametrize("years", [-2, 25])
def test_operator_cannot_pass_the_floor_or_the_ceiling(world: World, years: int) -> None:
    world.five()
    world.network_up = False
    device = Device(world)
    device.boot()
    with pytest.raises(UntrustedTimeError, match="R1"):
        device.settime(Instant(world.true_time() + nanoseconds(years * YEAR)))
    assert device.set_to == []


def test_operator_is_not_needed_where_the_time_is_verified(world: World) -> None:
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    with pytest.raises(UntrustedTimeError, match="R10"):
        device.settime(Instant(world.true_time() + nanoseconds(DAY)))
    device.ends("verified windows", within=60.0, error=GOOD)


def test_operator_who_is_wrong_is_outvoted(world: World) -> None:
    world.five()
    world.network_up = False
    device = Device(world)
    device.boot()
    device.settime(Instant(world.true_time() + nanoseconds(3 * YEAR)))
    world.run(60)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=GOOD)
