"""Liars that are no witnesses: Roughtime servers, bootstrap anchors, spoofed receivers, a
real-time clock that somebody set.  They may dispute; none of them moves a verified clock.
"""

import pytest

from pints.config.tables import BootstrapConfig
from pints.timescale import DAY, HOUR, YEAR, nanoseconds
from pints_drivers.fake_rtc import Chip
from tests.extent import examples
from tests.world.attackers import MINUTE, expired, leaked, silence
from tests.world.device import Device
from tests.world.test_honest import GOOD, block_key_exchange
from tests.world.world import Receiver, World

ROUGH = 0.01
"""Error of a clock that also follows a receiver, seconds."""

# --- Roughtime -------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", [-YEAR, -DAY, -20.0, 20.0, DAY, YEAR])
def test_owner_of_a_roughtime_minority(world: World, lie: float) -> None:
    """Named; the others' quorum anchors the witnesses at once."""
    world.five()
    world.three_operators(lie, 0.0, 0.0, 0.0, 0.0)
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=10.0, error=GOOD)
    assert device.said("rough.0.test: outvoted") or device.said("roughtime rough.0.test")


@pytest.mark.each_once
@pytest.mark.parametrize("lie", [-YEAR, -DAY, -20.0, 20.0, DAY, YEAR])
@pytest.mark.parametrize("liars", [2, 3], ids=["two of three", "all"])
def test_owner_of_a_roughtime_majority(world: World, lie: float, liars: int) -> None:
    """He can dispute `windows`: the clock is not where he says, and nothing is saved."""
    world.five()
    world.three_operators(*[lie] * liars)
    device = Device(world)
    device.boot()
    world.run(10 * MINUTE)
    assert device.state in ("disputed", "verified")
    assert device.basis != "anchored"
    assert abs(device.error()) < GOOD
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


@pytest.mark.parametrize("lie", examples([-300 * DAY, -DAY, DAY, YEAR]))
def test_owner_of_all_roughtime_servers_where_nothing_else_answers(
    world: World, lie: float
) -> None:
    """Roughtime replaces no witness: it verifies nothing, and moves no clock (R2)."""
    silence(world.five())
    world.three_operators(lie, lie, lie)
    device = Device(world)
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.set_to == []


def test_honest_roughtime_disputes_leaked_keys(world: World) -> None:
    servers = world.five()
    leaked(world, servers[:3], 200 * DAY)
    silence(servers[3:])
    world.three_operators()
    device = Device(world)
    device.boot()
    world.run(3 * HOUR)
    assert device.state == "disputed"
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


def test_owner_of_a_quorum_and_of_roughtime(world: World) -> None:
    """Beyond the table: who owns both is believed.  Not below the floor, and named nowhere."""
    servers = world.five()
    leaked(world, servers, 200 * DAY)
    world.three_operators(*[-200 * DAY] * 3)
    device = Device(world)
    device.remember(100 * DAY)
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.refused("R4")
    assert device.set_to == []


# --- anchors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", [-300 * DAY, -DAY, DAY, 3 * YEAR])
@pytest.mark.parametrize("follow", [False, True], ids=["by default", "step_provisional"])
def test_anchor_that_lies(world: World, lie: float, follow: bool) -> None:
    """A belief at most: it delays nobody, and the witnesses decide."""
    world.five()
    world.anchor(lie=lie, delay=0.001)
    device = Device(world, bootstrap=BootstrapConfig(step_provisional=follow))
    device.boot()
    device.ends("verified windows", within=2.0, error=GOOD)


@pytest.mark.parametrize("lie", examples([-300 * DAY, DAY]))
def test_anchor_that_lies_alone(world: World, lie: float) -> None:
    """Nobody else gets through: provisional, for ever; the clock is not his."""
    block_key_exchange(world.five())
    world.anchor(lie=lie)
    device = Device(world)
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.set_to == []
    block_key_exchange(list(world.servers.values()), False)
    device.ends("verified windows", within=5 * MINUTE, error=GOOD)


# --- receivers and chips ---------------------------------------------------------------------


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("lie", examples([-30 * DAY, -HOUR, HOUR, 3 * YEAR]))
def test_spoofed_receiver_where_nothing_else_answers(world: World, lie: float, trust: bool) -> None:
    """It restores and never verifies; once witnesses answer it is at most in dispute."""
    servers = world.five()
    silence(servers)
    # One of them tells it every second, as most do: five hours of that take long.
    receiver = Receiver(lie=lie, trust=trust, interval=1.0 if lie == -HOUR else 16.0)
    device = Device(world, receivers=[receiver])
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.saved_ratchet() == 0
    silence(servers, False)
    if trust:
        assert device.never("verified", "anchored", within=3 * HOUR)
        receiver.lie = 0.0
    assert device.reaches("verified", within=HOUR)
    world.run(HOUR)
    assert abs(device.error()) < ROUGH


@pytest.mark.parametrize("below", examples([10.0, 20.0, 29.0]))
def test_vague_receiver_just_below_the_floor(world: World, below: float) -> None:
    """What it says reaches over the floor, its middle does not: nor does the clock (R1)."""
    silence(world.five())
    receiver = Receiver(lie=-100 * DAY - below, error=30.0, trust=True)
    device = Device(world, receivers=[receiver])
    device.remember(100 * DAY)
    device.boot()
    world.run(HOUR)  # `rules` looks at every reading
    assert device.state == "restored"


@pytest.mark.parametrize("lie", examples([-DAY, HOUR, YEAR]))
def test_spoofed_receiver_beside_leaked_keys(world: World, lie: float) -> None:
    """Who owns a quorum's expired keys and a transmitter by the road: an untrusted receiver
    confirms nothing, so it is `windows` still."""
    servers = world.five()
    expired(world, servers[:3], DAY)
    silence(servers[3:])
    device = Device(world, receivers=[Receiver(lie=lie)])
    device.boot()
    assert device.never("verified", "anchored", within=HOUR - MINUTE)
    assert device.saved_ratchet() == 0


@pytest.mark.parametrize("lie", [-100 * DAY, -HOUR, HOUR, 5 * YEAR])
@pytest.mark.parametrize("drift", [False, True], ids=["nothing saved", "a forged calibration"])
def test_rtc_that_an_attacker_set(world: World, lie: float, drift: bool) -> None:
    """Not by pints: it restores at most.  A calibration of another chip changes nothing."""
    world.five()
    chip = Chip(lie, 0.0, (), world.true_time())
    device = Device(world, rtc=chip)
    if drift:
        device.disk["rtc.json"] = (
            b'{"chip": "another chip", "set_at": %d, "offset": 0.0, "error": 0.5, "drift": 0.0, '
            b'"ratcheted": true, "drift_error": 1e-06}' % (world.true_time() - nanoseconds(DAY))
        )
    device.boot()
    device.ends("verified windows", within=2.0, error=GOOD)


def test_rtc_set_by_an_attacker_does_not_confirm_leaked_keys(world: World) -> None:
    servers = world.five()
    expired(world, servers[:3], DAY)
    silence(servers[3:])
    device = Device(world, rtc=Chip(-DAY, 0.0, (), world.true_time()))
    device.boot()
    assert device.never("verified", "anchored", within=HOUR - MINUTE)
    device.ends("verified windows", within=0.0, error=DAY + 1)
    assert device.rtc.writes == 0


@pytest.mark.parametrize("by", [-DAY, -HOUR, HOUR, 400 * DAY])
def test_rtc_that_jumped_since_pints_set_it(world: World, by: float) -> None:
    """An attacker with a screwdriver: what pints set yesterday says otherwise today.  It may
    dispute an honest quorum (denial), never move it."""
    world.five()
    device = Device(world, rtc=Chip(0.0, 0.0, (), world.true_time()))
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    device.stop()
    device.rtc.chip = Chip(by, 0.0, (), world.true_time())
    device.boot()
    device.ends("verified anchored", "verified windows", "disputed", within=MINUTE, error=1.0)


# --- one root --------------------------------------------------------------------------------


@pytest.mark.more
def test_expired_authority_never_confirms_itself(world: World) -> None:
    """`single issuer`: neither by waiting nor in a later boot, however often."""
    servers = world.five()
    expired(world, servers, DAY, root="the expired one")
    device = Device(world)
    for _ in range(4):
        device.boot()
        assert device.reaches("verified", "windows", within=1.0)
        assert device.never("verified", "anchored", within=2 * DAY)
        device.stop()
        assert device.saved_ratchet() == 0
        assert not device.sessions_saved
        expired(world, servers, DAY, root="the expired one")
    assert device.said("single issuer")
