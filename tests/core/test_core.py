"""What the core does between bootstrap, client and sync: saving, restarting, refusing."""

import json

import pytest

from pints import restore
from pints.client.batches import BATCHES, batch_names
from pints.client.session import decode_batch
from pints.events import TaskDone
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, HOUR, Instant, nanoseconds, seconds
from pints.values.belief import decode_belief
from pints.values.worker_tasks import Failed, Resolved
from tests.extent import several
from tests.world.device import Device
from tests.world.world import World


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "WITNESS_FILES", ())


@pytest.fixture
def device(seed: int) -> Device:
    """Booted in a world of five honest servers, and not yet anywhere."""
    world = World(seed)
    world.five(queue=0.001)
    device = Device(world, crystal=20e-6)
    device.boot()
    return device


def test_a_day_of_running_wears_the_card_little(device: Device) -> None:
    device.world.run(DAY)
    before = device.writes
    device.world.run(DAY)
    assert device.writes - before <= 24


def test_what_is_saved_once_anchored(device: Device) -> None:
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    device.world.run(15)
    kept = {restore.TIME_FILE, "drift.json", "names.json", "quorum.json", *batch_names()}
    assert set(device.disk) == kept
    drift = json.loads(device.disk["drift.json"])
    assert drift["frequency"] == pytest.approx(-20e-6, abs=2e-6)
    for name in batch_names():
        assert len(decode_batch(device.disk[name], device.board)) == 5


def test_cookies_laid_aside_are_all_different(device: Device) -> None:
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    device.world.run(3 * DAY)
    cookies = [
        row.cookie for n in batch_names() for row in decode_batch(device.disk[n], device.board)
    ]
    used = {c for server in device.world.servers.values() for c in server.cookies_seen}
    assert len(set(cookies)) == 5 * BATCHES
    assert not used & set(cookies)


def test_a_clean_stop_replaces_what_was_spent(device: Device) -> None:
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    device.stop()
    for _ in range(5):
        device.boot()
        assert device.reaches("verified", "anchored", within=1.0)
        device.stop()
        assert set(batch_names()) <= set(device.disk)


def test_saved_time_is_less_than_true_time_and_not_by_much(device: Device) -> None:
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    for _ in range(several(2, 5)):
        device.world.run(DAY)
        device.stop()
        late = seconds(device.world.true_time() - device.saved_ratchet())
        assert 0 < late < 1.0
        device.start()
        assert device.reaches("verified", within=1.0)


def test_what_was_ratcheted_is_the_floor_from_then_on(device: Device) -> None:
    """R1 in the same boot, too."""
    floor = device.core.bootstrap.floors.hard
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    assert floor < device.core.bootstrap.floors.hard == device.saved_ratchet()


def test_the_belief_outlasts_a_daemon_that_slewed(device: Device) -> None:
    """The kernel's boot clock is slewed too: what is recorded must hold for who reads it."""
    assert device.reaches("verified", within=1.0)
    device.world.run(600)
    device.rules.meddled = True
    device.clock.step(nanoseconds(0.45))  # less than what is stepped back
    device.world.run(HOUR)
    assert abs(device.error()) < 0.002
    device.stop()
    device.world.run(10)
    device.start()
    belief = device.core.bootstrap.belief
    assert belief is not None
    now = belief.at(device.clock.boot())
    assert abs(seconds(now.time - device.world.true_time())) <= now.error


def test_the_recorded_belief_names_this_boot(device: Device) -> None:
    assert device.reaches("verified", within=1.0)
    text = device.run["belief"].decode()
    assert decode_belief(text, device.clock.boot_id()) is not None
    assert decode_belief(text, "another") is None


def test_results_that_nobody_waits_for(device: Device) -> None:
    now = device.clock.read()
    for result in (Failed(99, "tls", "no"), Resolved(99, ())):
        assert device.core.handle(TaskDone(result), now) == []


def test_an_algorithm_that_was_not_offered(device: Device) -> None:
    device.kill()
    server = device.world.servers["ntp.a.test"]
    server.algorithm = 16
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert device.refused("R5")
    assert server.requests == 0


def test_refusals_are_counted_by_rule(device: Device) -> None:
    """R13: one line each, with the figures, and a number for the metrics."""
    device.kill()
    device.world.servers["ntp.a.test"].lie = 5.0
    device.boot()
    assert device.reaches("verified", within=1.0)
    device.world.run(HOUR)
    assert device.core.refusals.keys() <= {"R2", "R9"}
    assert sum(device.core.refusals.values()) >= 1
    lines = [text for _, text in device.log if "ntp.a.test" in text]
    assert len(lines) < 6
    assert any("5 s off" in text for text in lines)


def test_due_never_lies_in_the_past_for_long(device: Device) -> None:
    """Every timer that is due is done: the loop does not spin."""
    for _ in range(200):
        device.world.run(5.0)
        behind = seconds(device.clock.boot() - device.core.due())
        assert behind < 0.001


@pytest.mark.parametrize("crystal", [-400e-6, 400e-6])
def test_a_very_bad_crystal(seed: int, crystal: float) -> None:
    world = World(seed)
    world.five()
    device = Device(world, crystal=crystal)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(6 * HOUR)
    assert device.state == "verified"
    assert abs(device.error()) < 0.01


def test_the_clock_is_set_once_and_then_slewed(device: Device) -> None:
    clock = device.clock
    assert isinstance(clock, SoftwareClock)
    device.world.run(DAY)
    assert len(clock.steps) == 2, "by early boot, then by the quorum"
    assert device.core.steering.steps == 1
    assert clock.reported is not None
    synchronized, bound, estimate = clock.reported
    assert synchronized
    assert 0 < estimate < bound < 0.1
    assert Instant(0) < device.saved_ratchet()


def test_a_disputed_clock_is_reported_as_not_synchronized(device: Device) -> None:
    world = device.world
    assert device.reaches("verified")
    world.run(20)
    assert device.clock.reported is not None
    assert device.clock.reported[0]
    future = world.chain((10, 100))
    name = next(iter(world.servers))
    association = device.core.associations[name]
    world.servers[name].chain = future
    association.renew(device.clock.boot())
    assert device.reaches("disputed", within=200)
    assert device.clock.reported is not None
    assert not device.clock.reported[0]
