"""Boots of a machine with clocks of its own: a real-time clock, a GPS receiver.

They restore the clock at once and never verify it; what is known to be independent of the
network anchors what a quorum says.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pints.config.tables import SourceConfig
from pints.errors import PintsError
from pints.evidence.rtc import Calibration
from pints.evidence.rtc_keeper import RtcKeeper
from pints.timescale import DAY, HOUR, YEAR, Instant, midnight, nanoseconds, seconds
from pints_drivers.fake_rtc import Chip, ahead, flat, good, local, reset
from tests.extent import examples
from tests.world.attackers import silence
from tests.world.device import Device
from tests.world.test_honest import GOOD, block_key_exchange
from tests.world.world import Receiver, World

SECOND = 1.0
"""Resolution of a real-time clock, and then some."""


def settled(world: World, drift: float = 0.0) -> Device:
    """A device that asks rarely, is anchored and has set its real-time clock; off now."""
    sources = [SourceConfig(name, minpoll=10, maxpoll=12) for name in world.servers]
    device = Device(world, sources, rtc=good(world.true_time(), drift))
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    world.run(60)
    assert device.rtc.writes == 1
    device.stop()
    return device


def cut_off(world: World) -> None:
    world.network_up = False


# --- a real-time clock that pints never set --------------------------------------------------


@pytest.mark.parametrize("kernel", examples([False, True]), ids=["ours", "the kernel's"])
def test_good_rtc_restores_at_once_and_proves_nothing(world: World, kernel: bool) -> None:
    world.five()
    cut_off(world)
    device = Device(world, rtc=good(world.true_time()))
    device.remember(30 * DAY)
    device.boot(kernel_rtc=kernel)
    device.ends("restored", within=0.0, error=SECOND)
    device.ends("restored", within=DAY, error=SECOND)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=GOOD)


@pytest.mark.parametrize(
    ("chip", "error"),
    [(flat, 30 * DAY + 1), (reset, 30 * DAY + 1), (local, 2 * HOUR + SECOND),
     (lambda now: local(now, -8.0), 8 * HOUR + SECOND), (ahead, 10 * YEAR + 3 * DAY)],
    ids=["flat", "in 2000", "in local time", "in local time, west", "a decade ahead"],
)  # fmt: skip
@pytest.mark.parametrize("kernel", [False, True], ids=["ours", "the kernel's"])
def test_wrong_rtc_delays_nobody(
    world: World, chip: Callable[[int], Chip], error: float, kernel: bool
) -> None:
    """A stranger's chip is local evidence: wrong by as much as it is, until a quorum speaks;
    then it is set, and the next boot has it right."""
    world.five()
    cut_off(world)
    device = Device(world, rtc=chip(world.true_time()))
    device.remember(30 * DAY)
    device.boot(kernel_rtc=kernel)
    device.ends("restored", within=1.0, error=error)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=GOOD)
    assert device.rtc.writes == 0, "not before the time is anchored"
    assert device.core.time_for_rtc(device.clock.read()) is None
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    assert device.rtc.writes == 1
    device.stop()
    cut_off(world)
    world.run(DAY)
    device.boot(kernel_rtc=kernel)
    device.ends("restored", within=1.0, error=SECOND)


def test_flags_are_named(world: World) -> None:
    world.five()
    device = Device(world, rtc=flat(world.true_time()))
    device.boot()
    world.run(1.0)
    assert device.said("its flags say OSF")


def test_rtc_that_is_not_there(world: World) -> None:
    world.five()
    device = Device(world, rtc=good(world.true_time()))
    device.rtc.plugged = False
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)


@pytest.mark.parametrize("hours", [2.0, -11.0])
def test_chip_in_local_time_and_a_blocked_port(world: World, hours: float) -> None:
    """A month old and no keys to be had: as wrong as the chip, verified once they are."""
    servers = world.five()
    block_key_exchange(servers)
    device = Device(world, rtc=local(world.true_time(), hours))
    device.remember(30 * DAY)
    device.boot()
    device.ends("restored", within=600.0, error=abs(hours) * HOUR + SECOND)
    assert device.said("no answer"), "the cause is named"
    block_key_exchange(servers, False)
    device.ends("verified windows", within=15 + 1.2 * 64 + 1, error=GOOD)


# --- one that pints has set ------------------------------------------------------------------


@pytest.mark.parametrize("away", [HOUR, 30 * DAY, 400 * DAY])
@pytest.mark.parametrize("drift", [0.0, 1e-6, -20e-6])
def test_rtc_set_by_pints_anchors_a_quorum_at_once(world: World, away: float, drift: float) -> None:
    world.five()
    device = settled(world, drift)
    world.run(away)
    for server in world.servers.values():  # new keys everywhere: no session speaks
        server.chain = world.chain((-5, 60))
        server.forget_keys()
    device.disk = {n: d for n, d in device.disk.items() if "sessions" not in n}
    device.boot()
    device.ends("restored", within=0.0, error=SECOND + abs(drift) * away)
    device.ends("verified anchored", within=1.0, error=GOOD)
    assert device.said("confirmed by rtc")


@pytest.mark.more
def test_drift_is_learned(world: World) -> None:
    """A chip that runs a minute a month fast, compared daily for a month: after another month
    without power it restores the clock to less than that."""
    world.five()
    device = settled(world, drift=23e-6)
    device.boot()
    world.run(30 * DAY)
    device.stop()
    cut_off(world)
    world.run(30 * DAY)
    device.boot()
    device.ends("restored", within=1.0, error=10.0)


def chip(device: Device) -> RtcKeeper:
    assert device.core.independent
    return device.core.independent.rtc


def learned(device: Device) -> Calibration:
    known = chip(device).calibration
    assert known
    return known


def after_a_day(world: World) -> Device:
    """A device whose chip runs 23 ppm fast, and that knows it."""
    world.five()
    device = settled(world, drift=23e-6)
    device.boot()
    with pytest.raises(PintsError, match=r"not anchored yet|not measured yet"):
        chip(device).drift_to_trim()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    device.find_seconds(written=True)
    world.run(1.1 * DAY)
    device.find_seconds()
    return device


def test_drift_is_known_in_a_day_once_seconds_are_found(world: World) -> None:
    """To less than a ppm; by whole seconds it takes a fortnight."""
    device = after_a_day(world)
    assert learned(device).drift_error < 1e-6
    assert abs(learned(device).drift - 23e-6) <= learned(device).drift_error


def test_a_chip_that_is_trimmed_is_set_and_measured_anew(world: World) -> None:
    device = after_a_day(world)
    change = round(-chip(device).drift_to_trim() / 4.34e-6) * 4.34e-6
    device.trim_rtc(change)
    assert device.rtc.writes == 2
    assert learned(device).ratcheted
    assert abs(learned(device).drift - (23e-6 + 0.8 * change)) <= learned(device).drift_error
    device.find_seconds(written=True)
    world.run(1.1 * DAY)
    device.find_seconds()
    assert learned(device).ratcheted
    assert learned(device).drift_error < 1e-6
    assert abs(learned(device).drift - (23e-6 + 0.8 * change)) <= learned(device).drift_error


@pytest.mark.more
def test_rtc_is_written_rarely(world: World) -> None:
    world.five()
    device = settled(world, drift=2e-6)
    device.boot()
    world.run(30 * DAY)
    assert device.rtc.writes <= 8


@pytest.mark.parametrize("by", examples([-400 * DAY, -DAY, 60.0, DAY, 9 * YEAR]))
def test_rtc_that_somebody_set_meanwhile(world: World, by: float) -> None:
    """It contradicts a quorum without any other evidence; until that has held for an hour,
    somebody may be deceiving it.  Nothing is lost, and a chip that is wrong is found out."""
    world.five()
    device = settled(world)
    device.rtc.chip = replace(device.rtc.chip, offset=device.rtc.chip.offset + by)
    device.boot()
    world.run(1.0)
    assert device.state in ("verified", "disputed")
    device.ends("verified anchored", within=3 * HOUR, error=GOOD)
    world.run(2 * DAY)
    assert device.rtc.writes == 2, "set right again, and not fought"
    device.ends("verified anchored", within=60.0, error=GOOD)
    assert abs(seconds(device.rtc.read().time - world.true_time())) < SECOND


def test_rtc_set_by_another_system_and_no_session_left(world: World) -> None:
    """Two months off, and somebody's rescue disk has set the chip to local time: what pints
    set itself contradicts a quorum that has nothing but its windows.  Disputed, and alarmed,
    until a person looks; then as any boot."""
    world.five()
    device = settled(world)
    world.run(60 * DAY)
    for server in world.servers.values():
        server.chain = world.chain((-5, 80))
    chip = device.rtc.chip
    device.rtc.chip = replace(chip, offset=chip.offset + 2 * HOUR)
    device.boot()
    device.ends("disputed", within=DAY, error=2 * HOUR + SECOND)
    assert device.said("contradicts the quorum: rtc")
    device.stop()
    device.rtc.chip = chip
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)


def test_chip_that_pints_set_and_sessions_too_old(world: World) -> None:
    """Keys of 29 days are no evidence, the chip is: anchored as soon as new ones are had."""
    world.five()
    device = settled(world, 2e-6)
    world.run(29 * DAY)
    device.boot()
    device.ends("verified anchored", within=30.0, error=GOOD)
    assert device.said("confirmed by rtc")
    assert not any(said.saved for said in device.core.bootstrap.testimonies)


# --- a receiver ------------------------------------------------------------------------------


def test_gps_only(world: World) -> None:
    """No network at all: the clock is right and disciplined, and nobody says it is verified."""
    world.five()
    cut_off(world)
    device = Device(world, receivers=[Receiver(error=0.01, interval=4.0)], crystal=60e-6)
    device.remember(30 * DAY)
    device.boot()
    device.ends("restored", within=15.0, error=0.05)
    device.ends("restored", within=3 * HOUR, error=0.01)
    assert abs(device.core.discipline.frequency + 60e-6) < 1e-6
    assert device.saved_ratchet() < world.true_time() - nanoseconds(29 * DAY)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=0.02)


def test_gps_without_any_server_configured(world: World) -> None:
    device = Device(world, receivers=[Receiver()])
    device.boot()
    assert device.core.bootstrap.follows == ""
    device.ends("restored", within=600.0, error=0.05)
    assert device.core.bootstrap.follows == "fake-gps gps0"


def test_trusted_gps_anchors_a_quorum_at_once(world: World) -> None:
    world.five()
    cut_off(world)
    device = Device(world, receivers=[Receiver(trust=True)])
    device.boot()
    device.ends("restored", within=60.0, error=0.05)
    world.network_up = True
    device.ends("verified anchored", within=2.0, error=GOOD)
    assert device.said("confirmed by fake-gps gps0")


@pytest.mark.parametrize("interval", [21.0, 64.0])
def test_what_anchors_when_the_quorum_is_due_to_be_kept(world: World, interval: float) -> None:
    """Both write the saved time: the one that was decided before the other must not undo it."""
    world.five()
    device = Device(world, receivers=[Receiver(trust=True, interval=interval)])
    device.boot()
    assert device.reaches("verified", "anchored", within=HOUR)
    assert device.saved_ratchet() > world.true_time() - nanoseconds(1.0)


@pytest.mark.parametrize("rollovers", [1, 2])
def test_week_number_that_rolled_over(world: World, rollovers: int) -> None:
    world.five()
    cut_off(world)
    device = Device(world, receivers=[Receiver(rollovers=rollovers)])
    device.remember(9 * DAY)
    device.boot()
    device.ends("restored", within=60.0, error=0.1)


def test_receiver_that_wakes_in_week_0(world: World) -> None:
    """It unfolds to 2038."""
    world.five()
    cut_off(world)
    cold = seconds(midnight(1999, 8, 22) - world.true_time())
    receiver = Receiver(lie=cold)
    device = Device(world, receivers=[receiver])
    device.remember(9 * DAY)
    device.boot()
    world.run(60)
    assert len(device.refused("R1")) == 1
    assert device.error() < 0
    receiver.lie = 0.0
    device.ends("restored", within=60.0, error=0.1)


def test_receiver_that_errs_once_a_minute(world: World) -> None:
    """Its errors are never followed, and said once."""
    receiver = Receiver()
    device = Device(world, receivers=[receiver])
    device.boot()
    device.ends("restored", within=60.0, error=0.05)
    for _ in range(5):
        receiver.lie = 5.0
        world.run(1.0)
        assert device.core.bootstrap.evidence == {}
        receiver.lie = 0.0
        device.ends("restored", within=59.0, error=0.05)
        assert [*device.core.bootstrap.evidence] == ["fake-gps gps0"]
    assert len(device.refused("R10")) == 1


def test_gps_without_a_fix(world: World) -> None:
    world.five()
    receiver = Receiver(sees_sky=False)
    device = Device(world, receivers=[receiver])
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    world.run(600)
    receiver.sees_sky = True
    device.ends("verified windows", within=600.0, error=0.01)


def test_trusted_receiver_of_a_rolled_over_week_anchors(world: World) -> None:
    world.five()
    device = Device(world, receivers=[Receiver(trust=True, rollovers=1)])
    device.boot()
    device.ends("verified anchored", within=10.0, error=GOOD)
    assert device.said("confirmed by fake-gps gps0")


def test_trusted_receiver_and_a_poisoned_floor(world: World) -> None:
    """True dates lie below the floor, and 1024 weeks later beyond the ceiling: not heard."""
    world.five()
    device = Device(world, receivers=[Receiver(trust=True)])
    device.remember(-50 * DAY)
    floor = device.saved_ratchet()
    device.boot()
    assert device.never("verified", within=HOUR)
    assert abs(device.error()) < 50 * DAY + 1
    assert device.saved_ratchet() == floor


@pytest.mark.parametrize("lie", examples([2.0, HOUR, -5 * DAY, 300 * DAY]))
@pytest.mark.parametrize("first", [True, False], ids=["from the start", "after verified"])
def test_spoofed_gps_is_no_witness(world: World, lie: float, first: bool) -> None:
    """Whoever spoofs a receiver moves a clock that nobody has verified, and no other."""
    world.five()
    receiver = Receiver(lie=lie if first else 0.0)
    device = Device(world, receivers=[receiver])
    device.boot()
    device.ends("verified windows", within=1.0, error=0.01)
    receiver.lie = lie
    device.ends("verified windows", within=900.0, error=0.01)


@pytest.mark.parametrize("lie", examples([5.0, HOUR, 300 * DAY]))
def test_spoofed_trusted_gps_disputes_and_moves_nothing(world: World, lie: float) -> None:
    """Its owner said to believe it: it contradicts, so the machine is `disputed`, unless it has
    better evidence; the clock is never taken to its time once the quorum has spoken."""
    world.five()
    receiver = Receiver(trust=True)
    device = Device(world, receivers=[receiver])
    device.boot()
    device.ends("verified anchored", within=10.0, error=0.01)
    receiver.lie = lie
    device.ends("verified anchored", within=900.0, error=0.01)


def test_receiver_that_is_unplugged_and_back(world: World) -> None:
    cut_off(world)
    receiver = Receiver(error=0.01)
    device = Device(world, receivers=[receiver], crystal=40e-6)
    device.boot()
    device.ends("restored", within=HOUR, error=0.02)
    receiver.plugged = False
    device.ends("restored", within=HOUR, error=0.1)
    receiver.plugged = True
    device.ends("restored", within=600.0, error=0.02)


def test_rtc_and_gps_that_contradict_each_other(world: World) -> None:
    """Two strangers: the surer one is followed, neither proves anything."""
    world.five()
    cut_off(world)
    device = Device(world, rtc=ahead(world.true_time(), 3), receivers=[Receiver(error=0.01)])
    device.boot()
    device.ends("restored", within=60.0, error=0.05)
    world.network_up = True
    device.ends("verified windows", within=2.0, error=0.02)


def test_clocks_on_the_board_and_floors(world: World) -> None:
    """What they say below the floor or above the ceiling moves nothing (R1), and is said."""
    world.five()
    cut_off(world)
    for lie in (-300 * DAY, 30 * YEAR):
        receiver = Receiver(lie=lie)
        build = Instant(world.true_time() - nanoseconds(10 * DAY))
        device = Device(
            world, rtc=reset(world.true_time()), receivers=[receiver], build_epoch=build
        )
        device.boot()
        world.run(60)
        assert device.state == "restored"
        assert device.refused("R1")


def test_receiver_and_chip_disagree_with_a_quorum_that_falls_silent(world: World) -> None:
    """What was verified is kept to: neither stranger gets the clock in holdover."""
    servers = world.five()
    receiver = Receiver(lie=300.0, interval=8.0)
    device = Device(world, rtc=ahead(world.true_time(), 3), receivers=[receiver])
    device.boot()
    device.ends("verified windows", within=60.0, error=GOOD)
    silence(servers)
    device.ends("holdover", within=HOUR, error=0.05)


# --- a crystal -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "runs"), [(1.0, 210e-6), (600.0, 10e-6)], ids=["unmeasured", "measured"]
)
def test_crystal_far_off_and_an_outage(world: World, measured: float, runs: float) -> None:
    """After a second nobody knows how it runs, after ten minutes it is known; when the network
    is back after days the belief still holds the true time, so nothing is disputed."""
    world.five()
    device = Device(world, crystal=200e-6)
    device.boot()
    device.ends("verified windows", within=measured, error=GOOD)
    world.network_up = False
    device.ends("holdover", within=2 * DAY, error=2 * DAY * runs)
    world.network_up = True
    device.ends("verified windows", "verified anchored", within=600.0, error=0.05)
    assert not any("disputed" in state for state in device.states)
