"""Days that are unlike others: the end of an era, a leap second, a machine that sleeps, somebody
who sets the clock."""

import pytest

from pints.timescale import DAY, HOUR, NS, YEAR, Instant, nanoseconds, seconds
from pints_drivers.fake_rtc import good
from tests.extent import examples
from tests.world.attackers import MINUTE, silence
from tests.world.device import Device
from tests.world.test_honest import GOOD, seasoned
from tests.world.world import Receiver, World

ERAS = {
    "2036-02-07, NTP's seconds wrap": 2_085_978_496,
    "2038-01-19, 32 bits of Unix' do": 2_147_483_648,
}
NEW_YEAR_2027 = Instant(1_798_761_600 * NS)


def born(start: Instant, seed: int) -> World:
    """A world that begins then, with five servers."""
    world = World(seed, start)
    world.five()
    return world


# --- eras ------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ERAS.values(), ids=ERAS.keys())
@pytest.mark.parametrize("before", [2.0, HOUR, 40 * DAY])
def test_a_boot_before_and_one_after(second: int, before: float, seed: int) -> None:
    """Verified before it, anchored and saved if there is time; off across it; verified after."""
    world = born(Instant(second * NS - nanoseconds(before)), seed)
    device = Device(world, build_epoch=Instant(world.true_time() - nanoseconds(10 * YEAR)))
    device.boot()
    device.ends("verified windows", "verified anchored", within=1.0, error=GOOD)
    world.run(min(before / 2, 3 * HOUR))
    device.stop()
    world.run(before)
    device.boot()
    device.ends("verified windows", "verified anchored", within=1.0, error=GOOD)


@pytest.mark.parametrize("second", ERAS.values(), ids=ERAS.keys())
def test_crossed_while_running(second: int, seed: int) -> None:
    world = born(Instant(second * NS - nanoseconds(3 * HOUR)), seed)
    receiver = Receiver(interval=60.0)
    device = Device(
        world,
        receivers=[receiver],
        build_epoch=Instant(world.true_time() - nanoseconds(10 * YEAR)),
    )
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(6 * HOUR, lambda: device.state != "verified")
    device.ends("verified anchored", within=60.0, error=0.02)
    assert len(device.set_to) == 1, "one step, the first"


@pytest.mark.parametrize("second", ERAS.values(), ids=ERAS.keys())
def test_roughtime_and_the_eras(second: int, seed: int) -> None:
    world = born(Instant(second * NS - nanoseconds(0.05)), seed)
    world.three_operators()
    device = Device(world, build_epoch=Instant(world.true_time() - nanoseconds(10 * YEAR)))
    device.boot()
    device.ends("verified anchored", within=2.0, error=GOOD)


@pytest.mark.parametrize("second", ERAS.values(), ids=ERAS.keys())
@pytest.mark.parametrize("ago", [DAY, 400 * DAY])
def test_era_between_saved_time_and_a_warm_boot(second: int, ago: float, seed: int) -> None:
    """Saved before, woken ten seconds after, by a chip that pints has not set."""
    world = born(Instant(second * NS + nanoseconds(10.0)), seed)
    build = Instant(world.true_time() - nanoseconds(11 * YEAR))
    device = Device(world, build_epoch=build, rtc=good(world.true_time(), 3e-6))
    device.remember(ago)
    device.boot()
    device.ends("restored", within=0.0, error=1.0)
    device.ends("verified windows", within=1.0, error=GOOD)
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)


# --- a leap second ---------------------------------------------------------------------------


def leaping(seed: int, before: float = 2 * HOUR) -> World:
    """A world in which a second is inserted in so many seconds."""
    world = World(seed, Instant(NEW_YEAR_2027 - nanoseconds(before)))
    world.leap = NEW_YEAR_2027
    return world


def test_leap_second_is_inserted(seed: int) -> None:
    """Announced by all: the clock steps with the count of seconds, and no other time."""
    world = leaping(seed)
    world.five()
    device = Device(world, crystal=10e-6)
    device.boot()
    device.ends("verified windows", "verified anchored", within=2 * HOUR - 1, error=0.01)
    steps = len(device.set_to)
    device.ends("verified anchored", within=2.0, error=0.02)
    assert len(device.set_to) - steps == 1
    assert len(device.refused("R10")) == 1
    assert not world.run(DAY, lambda: device.state != "verified")
    device.ends("verified anchored", within=60.0, error=0.01)
    assert len(device.set_to) - steps == 1, "no step of another kind"


@pytest.mark.more
def test_a_receiver_that_knows_no_leap_seconds_keeps_its_vote(seed: int) -> None:
    """As all that send NMEA alone: what they say is right nevertheless."""
    world = leaping(seed)
    world.five()
    device = Device(world, receivers=[Receiver(error=0.01)])
    device.boot()
    device.ends("verified windows", "verified anchored", within=HOUR, error=0.01)
    assert device.core.steering.leaps.pending is not None
    assert not device.core.steering.leaps.smearing


def test_leap_second_within_a_poll(seed: int) -> None:
    """Answers from before and after it lie a second apart, and nobody is a falseticker."""
    world = leaping(seed, before=40.0)
    world.five()
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=39.9, error=GOOD)
    device.ends("verified windows", within=3.0, error=0.02)
    assert not world.run(HOUR, lambda: device.state != "verified")
    device.ends("verified windows", "verified anchored", within=10.0, error=0.02)


@pytest.mark.parametrize("smearing", examples([1, 2]))
def test_smearing_source_has_no_vote_within_a_day(seed: int, smearing: int) -> None:
    """It spreads the second over a day, is up to half a second off, and is not followed; before
    and after that it is as good as any."""
    world = leaping(seed, before=40 * HOUR)
    smearers = world.five()[:smearing]
    for server in smearers:
        server.smears = True
    device = Device(world)
    device.boot()

    def followed() -> bool:
        return any(device.core.mark(server.name) in "*+" for server in smearers)

    device.ends("verified windows", "verified anchored", within=15 * HOUR, error=0.01)
    assert world.run(HOUR, followed), "no leap second is near: as good as any"
    world.run(3 * HOUR)
    while world.count() < NEW_YEAR_2027 + nanoseconds(20 * HOUR):
        world.run(10.0)
        near = abs(seconds(NEW_YEAR_2027 - world.count())) < 2.0
        assert near or (abs(device.error()) < 0.01 and not followed())
    world.run(5 * HOUR)
    assert world.run(3 * HOUR, followed), "it is over"
    device.ends("verified anchored", within=60.0, error=0.01)


def test_leap_second_without_a_quorum_to_tell_of_it(seed: int) -> None:
    """All smear: nobody tells of it, the clock goes along, within half a second of true time,
    and within milliseconds of it a day later."""
    world = leaping(seed, before=30 * HOUR)
    world.five(smears=True)
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(29.9 * HOUR, lambda: abs(device.error()) > 0.55)
    device.ends("verified anchored", within=DAY, error=0.02)


def test_no_leap_second_on_the_word_of_a_minority(world: World) -> None:
    """Two announce one, in a month that may have one: nothing steps."""
    start = Instant(NEW_YEAR_2027 - nanoseconds(2 * HOUR))
    world = born(start, world.rng.randrange(1 << 30))
    for server in list(world.servers.values())[:2]:
        server.announces_leap = True
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(3 * HOUR, lambda: abs(device.error()) > GOOD)
    assert len(device.set_to) == 1


@pytest.mark.more
def test_no_leap_second_in_the_middle_of_a_month(world: World) -> None:
    for server in world.five():
        server.announces_leap = True
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(3 * DAY, lambda: abs(device.error()) > 0.01)
    assert len(device.set_to) == 1


def test_off_during_the_leap_second(seed: int) -> None:
    world = leaping(seed, before=4 * HOUR)
    world.five()
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=3 * HOUR, error=GOOD)
    device.stop()
    world.run(2 * HOUR)
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)


def test_leap_second_while_asleep(seed: int) -> None:
    world = leaping(seed, before=3 * HOUR)
    world.five()
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    device.suspend(3 * HOUR)
    device.ends("verified anchored", within=3 * HOUR + MINUTE, error=0.05)


def test_leap_second_during_holdover(seed: int) -> None:
    """A quorum told of it, then the network goes: the clock takes it, or the bound that is shown
    covers the second by which it is off."""
    world = leaping(seed, before=3 * HOUR)
    world.five()
    device = Device(world)
    device.boot()
    device.ends("verified windows", "verified anchored", within=HOUR, error=GOOD)
    world.network_up = False
    device.ends("holdover", within=3 * HOUR, error=1.05)
    bound = device.core.steering.bound(device.clock.read())
    assert abs(device.error()) <= bound, f"off by {device.error()} s, {bound} s shown"
    world.network_up = True
    device.ends("verified windows", "verified anchored", within=5 * MINUTE, error=0.05)


def test_daemon_is_killed_over_the_leap_second(seed: int) -> None:
    """The belief in /run does not know of it: the quorum steps, nothing is disputed."""
    world = leaping(seed)
    world.five()
    device = Device(world)
    device.boot()
    device.ends("verified windows", "verified anchored", within=2 * HOUR - MINUTE, error=GOOD)
    device.kill()
    world.run(2 * MINUTE)
    device.start()
    device.ends("verified windows", "verified anchored", within=MINUTE, error=0.05)
    assert not any("disputed" in state for state in device.states)


@pytest.mark.more
def test_smearing_majority(seed: int) -> None:
    """Three of five smear, so no quorum tells of the leap: within half a second, then exact."""
    world = leaping(seed, before=13 * HOUR)
    for server in world.five()[:3]:
        server.smears = True
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(26 * HOUR, lambda: abs(device.error()) > 0.55)
    device.ends("verified windows", "verified anchored", within=DAY, error=0.02)


# --- suspend ---------------------------------------------------------------------------------


@pytest.mark.each_once
@pytest.mark.parametrize("span", [30.0, 3 * HOUR, 3 * DAY])
@pytest.mark.parametrize("crystal", [0.0, 40e-6])
def test_suspend(world: World, span: float, crystal: float) -> None:
    """The boot clock ran on; the crystal, by which the filters count, did not."""
    world.five()
    device = Device(world, crystal=crystal)
    device.boot()
    device.ends("verified anchored", within=3 * HOUR, error=GOOD)
    steps = len(device.set_to)
    device.suspend(span)
    world.run(span)
    device.ends("verified anchored", within=180.0, error=0.02)
    assert not world.run(3 * HOUR, lambda: abs(device.error()) > 0.02)
    assert len(device.set_to) == steps, "the clock was right all the time"


def test_suspend_before_anything_is_verified(world: World) -> None:
    world.five()
    world.network_up = False
    device = Device(world)
    device.boot()
    world.run(60)
    device.suspend(3 * HOUR)
    world.run(3 * HOUR + 60)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=GOOD)


def test_suspend_with_a_receiver(world: World) -> None:
    world.network_up = False
    device = Device(world, receivers=[Receiver(error=0.01)], crystal=40e-6)
    device.boot()
    device.ends("restored", within=600.0, error=0.02)
    device.suspend(HOUR)
    world.run(HOUR)
    device.ends("restored", within=60.0, error=0.05)


def test_suspend_for_a_hundred_days(world: World) -> None:
    """Longer than any key or certificate of its servers lives."""
    servers = world.five()
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    device.suspend(100 * DAY)
    world.run(50 * DAY)
    for server in servers:
        server.chain = world.chain((-1, 89))
        server.forget_keys()
    device.ends("verified anchored", "holdover", within=50 * DAY + MINUTE, error=0.05)
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)


def test_suspend_in_provisional(world: World) -> None:
    """Two of five by then; the others answer when it wakes."""
    servers = world.five()
    silence(servers[2:])
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("provisional", within=MINUTE, error=30 * DAY + 1)
    device.suspend(10 * HOUR)
    world.run(HOUR)
    silence(servers[2:], silent=False)
    device.ends("provisional", within=9 * HOUR - 1, error=30 * DAY + 1)
    device.ends("verified windows", within=2 * MINUTE, error=GOOD)


# --- somebody sets the clock -----------------------------------------------------------------


@pytest.mark.parametrize("by", [-9 * YEAR, -HOUR, 0.9, HOUR, 9 * YEAR])
def test_somebody_sets_the_clock(world: World, by: float) -> None:
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    device.rules.meddled = True
    device.clock.step(nanoseconds(by))
    assert world.run(300, lambda: abs(device.error()) < GOOD)
    assert device.refused("R10")
    assert device.state == "verified"


@pytest.mark.parametrize("by", [-9 * YEAR, -HOUR, 2.0, 9 * YEAR])
def test_date_is_set_while_a_daemon_is_not_running(world: World, by: float) -> None:
    """R9: a restarted daemon takes the belief from where it was recorded."""
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    device.kill()
    device.set_the_date(by)
    world.run(60)
    device.start()
    device.ends("verified windows", within=20.0, error=GOOD)


@pytest.mark.parametrize("by", [-9 * YEAR, -HOUR, HOUR, 9 * YEAR])
def test_date_is_set_before_anything_is_verified(world: World, by: float) -> None:
    """It is nobody's evidence; a quorum sets it right."""
    world.five()
    world.network_up = False
    device = Device(world)
    device.boot()
    world.run(60)
    device.set_the_date(by)
    world.run(600)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=GOOD)


def test_date_is_set_in_holdover(world: World) -> None:
    """No quorum, no step (R10): wrong until one is back, and shown as holdover."""
    servers = world.five()
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=3 * HOUR, error=GOOD)
    for server in servers:
        server.up = False
    assert device.reaches("holdover", within=6 * HOUR)
    device.set_the_date(DAY)
    device.ends("holdover", within=HOUR, error=DAY + 1)
    for server in servers:
        server.up = True
    device.ends("verified anchored", within=HOUR, error=GOOD)


def test_date_is_set_again_and_again(world: World) -> None:
    """Another daemon fights for the clock: each time it is set right, each time it is said."""
    world.five()
    device = seasoned(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    for by in (5.0, -5.0, HOUR, -DAY, 0.7):
        device.set_the_date(by)
        device.ends("verified anchored", within=1100.0, error=GOOD)
    assert len(device.refused("R10")) >= 3
