"""Floors that lie in the future, or in the past: what is kept, what is lowered by whom, and what
no number of servers can do.  (`test_future_floor` has the attackers' side of R8.)"""

from collections.abc import Sequence

import pytest

from pints import restore
from pints.config.tables import BootstrapConfig
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from pints_drivers.fake_rtc import good
from tests.extent import examples
from tests.world.device import Device
from tests.world.test_honest import GOOD, seasoned
from tests.world.world import Receiver, World

UNANIMOUS = BootstrapConfig(future_floor="unanimous")
TEN_MINUTES = 600.0


def ahead(world: World, by: float = 2 * YEAR) -> Instant:
    return Instant(world.true_time() + nanoseconds(by))


def poisoned(
    world: World, by: float = 2 * YEAR, receivers: Sequence[Receiver] = (), **options: bool
) -> Device:
    """A device whose saved time lies in the future, and that may lower it."""
    device = Device(world, bootstrap=UNANIMOUS, receivers=receivers)
    device.remember(-by)
    return device


# --- kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", examples([HOUR, 30 * DAY, 9 * YEAR]))
def test_saved_time_in_the_future_is_kept_and_reported(world: World, by: float) -> None:
    world.five()
    device = Device(world)
    device.remember(-by)
    poison = device.saved_ratchet()
    device.boot()
    assert not world.run(min(by / 2, DAY), lambda: device.state != "restored")
    assert len(device.refused("R8")) == 1
    assert "pints restore --forget" in device.refused("R8")[0]
    assert device.set_to == []
    device.stop()
    assert device.saved_ratchet() == poison
    del device.disk[restore.TIME_FILE]  # pints restore --forget
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_saved_time_a_little_ahead_is_simply_waited_for(world: World) -> None:
    """Saved while the clock was a minute fast: verified as soon as true time has come there."""
    world.five()
    device = Device(world)
    device.remember(-60.0)
    device.boot()
    assert device.reaches("verified", within=200.0)
    assert abs(device.error()) < GOOD


def test_seen_time_in_the_future_is_cleared_by_verified(world: World) -> None:
    """A soft floor proves nothing: it delays nobody, and does not come back."""
    world.five()
    device = Device(world)
    device.remember(-2 * YEAR, ratcheted=False)
    device.boot()
    assert device.error() > YEAR
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD
    device.stop()
    device.boot()
    assert device.error() < 1


@pytest.mark.more
@pytest.mark.parametrize("floor", ["keep", "unanimous"])
def test_build_epoch_in_the_future(world: World, floor: str) -> None:
    """It is reported and never lowered: the way out is another build."""
    world.five()
    world.three_operators()
    device = Device(
        world, bootstrap=BootstrapConfig(future_floor=floor), build_epoch=ahead(world, 30 * DAY)
    )
    device.boot()
    device.ends("restored", within=DAY, error=31 * DAY)
    assert device.clock.read().real >= device.build_epoch
    assert any("build" in line for line in device.refused("R8"))
    device.kill()
    device.build_epoch = Instant(world.true_time() - nanoseconds(10 * DAY))
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)


@pytest.mark.parametrize("independent", [True, False])
def test_build_epoch_a_little_ahead_is_waited_for(world: World, independent: bool) -> None:
    """R8 lowers saved time, never this: reported, and verified when true time has come there."""
    world.five()
    if independent:
        world.three_operators()
    device = Device(world, bootstrap=UNANIMOUS, build_epoch=ahead(world, HOUR))
    device.boot()
    assert device.never("verified", within=HOUR - 1)
    assert any("build" in line for line in device.refused("R8"))
    assert device.set_to == []
    device.ends("verified windows", "verified anchored", within=HOUR, error=GOOD)


@pytest.mark.parametrize("ratcheted", [True, False])
def test_a_clock_that_wakes_beyond_the_ceiling(world: World, ratcheted: bool) -> None:
    """A battery-backed kernel clock gone mad: early boot takes it back to the soft floor."""
    world.five()
    device = Device(world)
    device.remember(DAY, ratcheted=ratcheted)
    device.boot(wakes=ahead(world, 40 * YEAR))
    device.ends("restored", within=0.0, error=DAY + 1)
    device.ends("verified windows", within=1.0, error=GOOD)


def test_a_clock_that_wakes_right(world: World) -> None:
    world.five()
    device = Device(world)
    device.remember(DAY)
    device.boot(wakes=world.true_time())
    device.ends("restored", within=0.0, error=GOOD)
    device.ends("verified windows", within=1.0, error=GOOD)


# --- lowered ---------------------------------------------------------------------------------


def lowers(device: Device) -> None:
    """Not before ten minutes, and then; alarmed, saved, and the next boots are as any."""
    world = device.world
    device.boot()
    assert device.never("verified", within=TEN_MINUTES - 1)
    assert device.saved_ratchet() > world.true_time()
    assert device.reaches("verified", within=HOUR)
    assert abs(device.error()) < 0.02
    assert any("lowered" in line for line in device.refused("R8"))
    assert device.saved_ratchet() <= world.true_time()
    device.ends("verified anchored", within=2 * HOUR, error=0.02)
    device.stop()
    device.boot()
    device.ends("verified anchored", within=1.0, error=0.02)


def test_lowered_with_roughtime(world: World) -> None:
    world.five()
    world.three_operators()
    lowers(poisoned(world))


def test_lowered_with_a_trusted_receiver(world: World) -> None:
    world.five()
    lowers(poisoned(world, receivers=[Receiver(trust=True, interval=8.0)]))


def test_lowered_with_the_rtc(world: World) -> None:
    """Set by pints an hour ago; then somebody's tool wrote nonsense into the state folder."""
    world.five()
    device = Device(world, bootstrap=UNANIMOUS, rtc=good(world.true_time()))
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    world.run(60)
    device.kill()
    sessionless = {n: d for n, d in device.disk.items() if "sessions" not in n}
    future = ahead(world)
    device.disk = {**sessionless, restore.TIME_FILE: restore.encode(future, future)}
    device.set_to.clear()
    world.run(DAY)
    lowers(device)


def test_lowered_with_saved_sessions(world: World) -> None:
    world.five()
    device = seasoned(world)
    device.config = Device(world, bootstrap=UNANIMOUS).config
    future = ahead(world)
    device.disk[restore.TIME_FILE] = restore.encode(future, future)
    device.set_to.clear()
    lowers(device)


# --- not lowered -----------------------------------------------------------------------------


@pytest.mark.more
def test_not_without_independent_evidence(world: World) -> None:
    world.five()
    device = poisoned(world)
    poison = device.saved_ratchet()
    device.boot()
    device.ends("restored", within=DAY, error=2 * YEAR + 1)
    assert device.saved_ratchet() == poison


def test_not_on_a_receiver_that_nobody_trusts(world: World) -> None:
    world.five()
    device = poisoned(world, receivers=[Receiver(interval=16.0)])
    poison = device.saved_ratchet()
    device.boot()
    world.run(3 * HOUR)
    assert device.state == "restored"
    assert device.saved_ratchet() == poison


@pytest.mark.more
def test_not_by_two_witnesses(world: World) -> None:
    """A quorum of the two that are configured, and Roughtime: still fewer than three."""
    world.server("ntp.a.test")
    world.server("ntp.b.test")
    world.three_operators()
    device = poisoned(world)
    poison = device.saved_ratchet()
    device.boot()
    device.ends("restored", within=DAY, error=2 * YEAR + 1)
    assert device.saved_ratchet() == poison


@pytest.mark.parametrize("lie", examples([5.0, 2 * YEAR]))
def test_not_while_one_witness_dissents(world: World, lie: float) -> None:
    servers = world.five()
    servers[0].lie = lie
    world.three_operators()
    device = poisoned(world)
    poison = device.saved_ratchet()
    device.boot()
    device.never("verified", within=3 * HOUR)
    assert device.saved_ratchet() == poison


def test_not_below_the_build_epoch(world: World) -> None:
    """Witnesses and Roughtime agree on a time before it: nobody is believed."""
    world.five(lie=-30 * DAY)
    world.three_operators(*[-30 * DAY] * 3)
    device = Device(
        world, bootstrap=UNANIMOUS, build_epoch=Instant(world.true_time() - nanoseconds(DAY))
    )
    device.remember(-2 * YEAR)
    device.boot()
    assert device.never("verified", within=3 * HOUR)
    assert device.saved_ratchet() > world.true_time()
