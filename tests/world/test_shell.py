"""What the played machine guarantees to whoever writes a scenario: it plays by a real one's rules,
and nothing of a daemon goes on once it is killed."""

import errno

import pytest

from pints.actions import Action, Send
from pints.config.tables import SourceConfig
from pints.errors import UntrustedTimeError
from pints.events import Event, PacketReceived
from pints.shell.loop import Loop
from pints.timescale import HOUR, Boot, Reading, after, seconds
from tests.world.device import Device
from tests.world.disk import PowerCut
from tests.world.shell import Killed
from tests.world.world import Receiver, World


def booted(world: World, crystal: float = 0.0) -> Device:
    """A device whose first requests are on their way."""
    world.five()
    device = Device(world, crystal=crystal)
    device.boot()
    return device


@pytest.mark.parametrize("crystal", [-400e-6, 0.0, 400e-6])
@pytest.mark.parametrize("rate", [-0.01, 0.01])
def test_no_timer_rings_early_or_late(world: World, crystal: float, rate: float) -> None:
    """Whatever the crystal does, and however the clock is steered meanwhile."""
    device = booted(world, crystal)
    assert device.reaches("verified", within=1.0)
    loop, clock = device.daemon.loop, device.clock
    due = after(clock.boot(), 100.0)
    rung: list[Boot] = []
    loop.call_at(due, lambda: rung.append(clock.boot()))
    # Steered from here, with the next round: a packet's, or a timer's.
    clock.set_rate(rate)
    loop.call_at(clock.boot(), lambda: None)
    world.run(200.0)
    (at,) = rung
    assert 0 <= seconds(at - due) < 0.02


def test_a_timer_that_was_cancelled_does_not_ring(world: World) -> None:
    device = booted(world)
    loop = device.daemon.loop
    rung: list[str] = []
    timer = loop.call_at(after(device.clock.boot(), 1.0), lambda: rung.append("first"))
    loop.call_at(after(device.clock.boot(), 2.0), lambda: rung.append("second"))
    loop.cancel(timer)
    world.run(3.0)
    assert rung == ["second"]


def test_killed_daemons_hear_of_nothing(world: World) -> None:
    """Neither of packets, results, timers nor links that were under way."""
    device = booted(world)
    old = device.daemon
    device.kill()
    actions, log = list(device.states), list(device.log)
    device.link_came_up()
    world.run(HOUR)
    assert (device.states, device.log) == (actions, log)
    assert old.core.bootstrap.state.value == "restored"
    device.start()
    assert device.daemon is not old
    assert device.reaches("verified", within=60.0)
    assert old.core.bootstrap.state.value == "restored"


def test_what_is_due_in_the_round_of_a_kill_is_dropped(world: World) -> None:
    device = booted(world)
    loop, now = device.daemon.loop, device.clock.boot()
    rung: list[str] = []

    def die() -> None:
        device.kill()
        raise Killed

    loop.call_at(now, lambda: rung.append("before"))
    loop.call_at(now, die)
    loop.call_at(now, lambda: rung.append("after"))
    world.run(1.0)
    assert rung == ["before"]


class Fragile(Device):
    """Killed by the first of its requests."""

    def after(self, action: Action) -> None:
        super().after(action)
        if isinstance(action, Send):
            self.kill()


def test_a_kill_between_two_actions_drops_those_that_follow(world: World) -> None:
    world.five()
    device = Fragile(world)
    device.boot()
    world.run(60.0)
    assert len(device.sent) == 1, "all five were decided at once"


def test_a_power_cut_within_a_write_comes_out_of_the_world(world: World) -> None:
    device = booted(world)
    device.disk.cut_at = 2 * device.disk.calls + 3
    with pytest.raises(PowerCut):
        world.run(2 * HOUR)
    device.kill()
    device.boot()
    assert device.reaches("verified", within=60.0)


def test_answers_to_a_socket_that_is_closed_are_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that takes longer than the poll interval finds nobody at its port."""
    for name in ("early", "late"):
        world.server(f"{name}.test", delay=40.0 if name == "late" else 0.01)
    sources = [SourceConfig(n, nts=False, minpoll=6, maxpoll=6) for n in world.servers]
    device = Device(world, sources)
    device.boot()
    heard: list[str] = []
    handle = device.core.handle

    def watched(event: Event, now: Reading) -> list[Action]:
        if isinstance(event, PacketReceived):
            heard.append(event.source)
        return handle(event, now)

    monkeypatch.setattr(device.core, "handle", watched)
    world.run(HOUR)
    assert world.servers["late.test"].requests > 20, "they reach it, and it answers"
    assert set(heard) == {"early.test"}


def test_nothing_is_received_while_it_sleeps(world: World) -> None:
    device = booted(world)
    device.suspend(HOUR)
    world.run(HOUR - 1.0)
    assert device.state == "restored"
    assert device.reaches("verified", within=60.0)


def test_a_clean_stop_lets_go_of_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And who would forget a descriptor is found out."""
    device = Device(world, receivers=[Receiver()])
    world.five()
    device.boot()
    world.run(10.0)
    device.stop()
    assert device.daemon.loop.registered == []
    device.start()
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "unregister", lambda self, fd: None)
        with pytest.raises(AssertionError, match="still waiting"):
            device.stop()


def test_people_are_answered_by_the_daemon_itself(world: World) -> None:
    device = booted(world)
    assert device.reaches("verified", within=1.0)
    status = device.daemon.ask("status")
    assert (status["state"], status["basis"]) == ("verified", "windows")
    with pytest.raises(UntrustedTimeError):
        device.settime(world.true_time())


def test_a_disk_that_refuses_is_told_by_the_daemon(world: World) -> None:
    device = booted(world)
    device.disk.fail(errno.ENOSPC)
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    assert device.daemon.ask("save")["failed"] is True
    device.disk.fail(0)
    assert device.daemon.ask("save")["failed"] is False
    assert device.saved > 0
