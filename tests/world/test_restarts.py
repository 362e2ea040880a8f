"""Restarts, reboots and power cuts meant to reopen what was closed (R7, R9, R12); and what a long
life without any leaves on the disk and in the log."""

import errno
import logging

import pytest

from pints import restore
from pints.config.tables import BootstrapConfig
from pints.timescale import DAY, HOUR, NS, YEAR, nanoseconds
from tests.extent import examples
from tests.world.attackers import MINUTE, expired, leaked, named, silence
from tests.world.device import Device
from tests.world.test_honest import GOOD, block_key_exchange, seasoned
from tests.world.world import Receiver, World


def test_restarts_do_not_reopen_relaxed_dates(world: World) -> None:
    """Verified once, then only leaked keys get through, and the daemon is restarted again and
    again, with the clock set back by hand too: nothing of theirs is used."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    device.kill()
    leaked(world, servers, 200 * DAY)
    asked = [server.requests for server in servers]
    for turn in range(4):
        if turn == 2:
            device.rules.meddled = True
            device.clock.step(nanoseconds(-200 * DAY))
        device.start()
        assert device.never("verified", within=HOUR)
        device.kill()
    assert [server.requests for server in servers] == asked, "no keys were taken from them"
    assert len(device.set_to) == 1
    for server in servers:
        server.lie, server.chain = 0.0, world.chain((-1, 89))
        server.forget_keys()
    device.start()
    assert device.reaches("verified", within=3 * HOUR), "key exchanges are rare by now (R12)"
    world.run(100)
    assert abs(device.error()) < GOOD


def test_restart_keeps_the_belief_whatever_the_clock_says(world: World) -> None:
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    device.kill()
    device.rules.meddled = True
    device.clock.step(nanoseconds(5 * YEAR))
    device.start()
    assert device.reaches("verified", within=1.0)
    assert world.run(100, lambda: abs(device.error()) < GOOD)


def test_belief_of_another_boot_is_not_taken(world: World) -> None:
    """/run that outlives the boot, as on some badly made images."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    kept = dict(device.run)
    device.kill()
    world.run(30 * DAY)
    device.boot()
    device.kill()
    device.run.update(kept)
    device.start()
    assert device.core.bootstrap.belief is None
    assert device.reaches("verified", within=100.0)
    assert len(servers) == 5
    assert abs(device.error()) < GOOD


def test_floor_file_of_an_attacker_without_the_card(world: World) -> None:
    """Saved time survives any number of power cuts, and never decreases."""
    servers = world.five()
    device = seasoned(world)
    ratchet = device.saved_ratchet()
    for turn in range(20):
        world.run(world.rng.uniform(0, HOUR))
        block_key_exchange(servers, bool(turn % 2))
        device.boot()
        world.run(world.rng.uniform(0, 0.1))
        device.kill()
        assert device.saved_ratchet() >= ratchet
        ratchet = device.saved_ratchet()
    assert restore.decode(device.disk["time"]) is not None


def test_fifty_restarts_reopen_nothing(world: World) -> None:
    """Verified once; then nothing honest gets through, the disk is full, and between restarts
    the clock is set to 2019."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    leaked(world, servers, 30 * DAY)
    device.disk.fail(errno.ENOSPC)
    asked, sent = [server.requests for server in servers], len(device.set_to)
    for turn in range(50):
        device.kill()
        if turn % 2:
            device.rules.meddled = True
            device.clock.step(IN_2019 - device.clock.read().real)
        device.start()
        assert device.never("verified", within=world.rng.uniform(0, 10 * MINUTE))
    assert [server.requests for server in servers] == asked, "no keys were taken from them"
    assert len(device.set_to) == sent
    assert not any(a.session for a in device.core.associations.values())


def test_fifty_restarts_ask_no_more_than_one_daemon(world: World) -> None:
    """R12 is remembered: what is killed every 20 s asks for keys 10, 15, 22 ... s apart."""
    servers = world.five(up=False)
    device = Device(world)
    device.boot()
    for _ in range(50):
        world.run(20.0)
        device.kill()
        device.start()
    assert max(server.exchanges for server in servers) <= 11
    assert min(server.exchanges for server in servers) >= 5, "and no less"


def test_key_exchanges_grow_apart(world: World) -> None:
    """R12: servers that give keys but no time are asked twenty times in a day, not thousands."""
    servers = world.five(up=False)
    device = Device(world)
    device.boot()
    world.run(DAY)
    assert all(15 <= server.exchanges <= 25 for server in servers)


IN_2019 = 1_550_000_000 * NS
REGION = 40
"""Machines that one power cut wakes."""


@pytest.mark.parametrize("link", [True, False], ids=["the link comes up", "the servers come up"])
def test_region_that_comes_back_after_a_blackout_does_not_stampede(
    world: World, link: bool
) -> None:
    """R12: all wake at once, and ten minutes later all can be heard again."""
    server = world.server("ntp.a.test", ke_up=link)
    world.network_up = not link
    devices = [Device(world) for _ in range(REGION)]
    for device in devices:
        device.boot()
    world.run(10 * MINUTE)
    world.network_up = server.ke_up = True
    step, span = (0.02, 100.0) if link else (1.0, 100.0)
    most = 0
    for _ in range(int(span / step)):
        before = server.exchanges
        world.run(step)
        most = max(most, server.exchanges - before)
    assert all(d.core.associations["ntp.a.test"].session for d in devices)
    assert most <= REGION / 4, "never more than a quarter of them together"


def test_attacker_who_cycles_the_power(world: World) -> None:
    """At moments of his choice, for a day, between boots by honest and by leaked keys: saved
    time is neither lost nor lowered, no cookie goes out twice (`world` looks)."""
    servers = world.five()
    device = seasoned(world)
    ratchet = device.saved_ratchet()
    honest = [server.chain for server in servers]
    for turn in range(60):
        device.boot()
        world.run(world.rng.choice((0.005, 0.03, 0.5, 16.0, 100.0, HOUR)))
        assert device.saved_ratchet() >= ratchet
        ratchet = device.saved_ratchet()
        device.kill()
        if turn % 3 == 1:
            leaked(world, servers[:3], 5 * DAY)
        elif turn % 3 == 2:
            for server, chain in zip(servers, honest, strict=True):
                server.lie, server.chain = 0.0, chain
    for server, chain in zip(servers, honest, strict=True):
        server.lie, server.chain = 0.0, chain
        server.forget_keys()
    device.boot()
    assert device.reaches("verified", within=HOUR)
    assert abs(device.error()) < GOOD


def test_link_that_flaps_hastens_no_key_exchange(world: World) -> None:
    """R12: whoever was sent a ClientHello is not asked sooner because a cable is loose."""
    servers = world.five(refusal="certificate is for another name")
    device = Device(world)
    device.boot()
    for _ in range(2000):
        world.run(1.0)
        world.network_up = not world.network_up
    assert all(4 <= server.exchanges <= 14 for server in servers)


@pytest.mark.parametrize("lie", [-0.9, 0.3, 0.9])
def test_restarted_daemon_follows_no_single_witness(world: World, lie: float) -> None:
    """R10: with `step_provisional`, too, what this boot has verified is not given up for the
    word of the first who answers."""
    servers = world.five()
    device = Device(world, bootstrap=BootstrapConfig(step_provisional=True))
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(10 * MINUTE)
    device.kill()
    servers[0].lie = lie
    silence(servers[1:])
    device.start()
    world.run(HOUR)
    assert device.state != "verified"
    assert abs(device.error()) < 0.01


@pytest.mark.parametrize("killed", examples([False, True]))
def test_dispute_of_an_anchored_boot_outlives_the_daemon(world: World, killed: bool) -> None:
    """R9: a witness shows a certificate of the days to come, and is silenced.  A restart makes
    leaked keys and a spoofed receiver no stronger than they were."""
    servers = world.five()
    receiver = Receiver(trust=True, lie=-0.5 * HOUR, sees_sky=False, interval=16.0)
    device = Device(world, receivers=[receiver])
    device.boot()
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    servers[4].chain = world.chain((4, 80))
    servers[4].forget_keys()
    assert device.reaches("disputed", within=2 * DAY)
    device.disk = {n: data for n, data in device.disk.items() if not n.startswith("sessions/")}
    expired(world, servers[:4], 0.5 * HOUR)
    silence(servers[4:])
    receiver.sees_sky = True
    if killed:
        device.kill()
        device.start()
    assert device.never("verified", within=3 * HOUR)
    assert abs(device.error()) < 0.05


# --- no restart at all ------------------------------------------------------------------------


def quiet(device: Device, span: float) -> None:
    """Verified all the time, at most 24 replacements, 64 KiB and 50 lines a day."""
    octets = 0
    write = device.write

    def count(name: str, data: bytes) -> None:
        nonlocal octets
        octets += len(data)
        write(name, data)

    device.write = count  # type: ignore[method-assign]
    writes, lines = device.writes, len(device.log)
    assert not device.world.run(span, lambda: device.state != "verified")
    device.write = write  # type: ignore[method-assign]
    assert device.writes - writes <= 24 * span / DAY
    assert octets <= 64 * 1024 * span / DAY
    assert sum(level >= logging.INFO for level, _ in device.log[lines:]) <= 50 * span / DAY


@pytest.mark.parametrize("life", examples([90.0, 6.0, 1.0]), ids=["90 days", "6 days", "1 day"])
def test_uptime_is_quiet(world: World, life: float) -> None:
    """Whatever the certificates' life; they are renewed when two thirds of it are over."""
    servers = world.five()

    def renew() -> None:
        for server in servers:
            server.chain = world.chain((-0.01, life))
        world.at(life * DAY * 2 / 3, renew)

    renew()
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=DAY, error=GOOD)
    quiet(device, 2 * DAY)


def test_certificates_that_are_renewed_on_the_last_day_only(world: World) -> None:
    """Operators who are late: on that day, too, key exchanges and writes are few."""
    servers = world.five()
    for n, server in enumerate(servers):
        server.chain = world.chain((-80, 1.2 + n / 100))
    device = Device(world)
    device.boot()
    device.ends("verified anchored", within=DAY / 5, error=GOOD)
    before = device.counted()
    quiet(device, 0.9 * DAY)
    assert 5 <= device.counted() - before <= 5 * 24


@pytest.mark.more
def test_liar_that_changes_its_mind_at_each_poll(world: World) -> None:
    """R13: a line for each refusal that is new, and no more of them than there are polls."""
    servers = world.five()
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=MINUTE, error=GOOD)

    def turn() -> None:
        servers[0].lie = 5.0 - servers[0].lie
        world.at(64.0, turn)

    turn()
    lines = len(device.log)
    device.ends("verified anchored", within=6 * HOUR, error=GOOD)
    assert named(device, servers[0])
    assert len(device.log) - lines <= 6 * HOUR / 64
