"""Attackers who own expired, leaked keys, or an expired CA's: what docs/trust.md lets them
reach, and no more.  Every scenario names the end states it permits, a deadline and the clock's
error.
"""

from dataclasses import replace

import pytest

from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from tests.world.attackers import MINUTE, OFFSETS, expired, leaked, named, silence
from tests.world.device import Device
from tests.world.test_clocks import settled
from tests.world.test_honest import GOOD, seasoned
from tests.world.world import Server, World

# --- a minority that lies ---------------------------------------------------------------------


@pytest.mark.each_once
@pytest.mark.parametrize("by", [*(-o for o in OFFSETS), *OFFSETS])
@pytest.mark.parametrize("fitting", [True, False], ids=["fitting chain", "honest chain"])
def test_one_lying_witness(world: World, by: float, fitting: bool) -> None:
    servers = world.five()
    servers[0].lie = by
    if fitting:
        servers[0].chain = world.chain((by / DAY - 60, by / DAY + 60))
    if fitting and by > 0:  # a date of today: who makes one of tomorrow owns a CA (R4)
        servers[0].chain = world.chain((-1, by / DAY + 60))
    device = Device(world, build_epoch=Instant(world.true_time() - nanoseconds(5 * YEAR)))
    device.remember(4 * YEAR)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD
    world.run(600)
    assert abs(device.error()) < GOOD
    assert named(device, servers[0])
    assert device.reaches("verified", "anchored", within=2 * HOUR)


@pytest.mark.parametrize("ago", [10.0, HOUR, 30 * DAY, 300 * DAY])
def test_minority_with_leaked_keys_is_outvoted_and_named(world: World, ago: float) -> None:
    servers = world.five()
    leaked(world, servers[:2], ago)
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=20.0)
    assert abs(device.error()) < GOOD
    for server in servers[:2]:
        assert named(device, server)
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    assert abs(device.error()) < GOOD


def test_minority_that_poses_as_twins_of_honest_servers(world: World) -> None:
    """Two leaked keys; their key servers claim the NTP addresses of two honest servers, to
    speak in their place and to lower the number of witnesses to three."""
    servers = world.five()
    leaked(world, servers[:2], 30 * DAY)
    for liar, victim in zip(servers[:2], servers[2:], strict=False):
        liar.redirect = victim.address
        liar.delay = 0.001
    device = Device(world)
    device.boot()
    assert device.never("holdover", within=600.0)
    assert device.state == "verified"
    assert abs(device.error()) < GOOD


def test_twins_of_silenced_servers(world: World) -> None:
    """The same, with the honest ones silenced: nothing is believed."""
    servers = world.five()
    leaked(world, servers[:2], 30 * DAY)
    for liar, victim in zip(servers[:2], servers[2:], strict=False):
        liar.redirect = victim.address
    silence(servers[2:])
    device = Device(world)
    device.boot()
    assert device.never("verified", within=2 * HOUR)
    assert device.set_to == []


class Vague(Server):
    """Honest, and says that it may be five seconds off."""

    def present(self) -> None:
        self.responder.state = replace(self.responder.state, root_dispersion=5.0)


def test_source_with_a_huge_root_distance(world: World) -> None:
    """R2: too wide to vote, and counted in N; with two of them and two silent, no quorum."""
    servers = world.five()
    for server in servers[:2]:
        world.servers[server.name] = Vague(world, server.name, server.address, server.chain)
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=5.0, error=GOOD)
    assert len(device.refused("R2")) == 2
    silence(servers[2:4])
    device.ends("holdover", within=HOUR, error=0.05)


# --- a quorum that lies -----------------------------------------------------------------------


def test_quorum_with_leaked_keys_reaches_windows_at_most(world: World) -> None:
    """Nobody honest gets through: `windows`, and for an hour nothing is saved."""
    servers = world.five()
    leaked(world, servers[:3], 200 * DAY)
    silence(servers[3:])
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(HOUR - 10)
    assert device.basis == "windows"
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


def test_quorum_with_leaked_keys_and_restarts(world: World) -> None:
    """The hour is not shortened by restarts."""
    servers = world.five()
    leaked(world, servers[:3], 200 * DAY)
    silence(servers[3:])
    device = Device(world)
    device.boot()
    for _ in range(6):
        assert device.reaches("verified", "windows", within=HOUR)
        world.run(HOUR - 100)
        assert device.basis == "windows"
        device.kill()
        device.start()
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


def test_leaked_keys_after_an_honest_boot_do_not_pass_for_its_quorum(world: World) -> None:
    """A boot too short to be anchored; in the next one somebody holds the keys of certificates
    that expired before: they are older than those of the quorum that was kept."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(50 * MINUTE)
    device.stop()
    for server in servers[:3]:
        server.chain = world.chain((-60, 0.6))
    silence(servers[3:])
    world.run(DAY)
    for server in servers[:3]:
        server.lie = -DAY / 2
        server.forget_keys()
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(HOUR / 2)
    assert device.basis == "windows"
    assert not device.sessions_saved


def test_leaked_keys_in_three_short_boots_are_not_confirmed(world: World) -> None:
    """A later boot alone confirms nothing: that takes an hour in all."""
    servers = world.five()
    expired(world, servers, 9 * DAY)
    device = Device(world)
    for _ in range(3):
        device.boot()
        device.ends("verified windows", within=19 * MINUTE, error=9 * DAY + 1)
        device.stop()
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


def test_leaked_keys_that_come_and_go_do_not_add_up(world: World) -> None:
    """Forty minutes of leaked keys, forty of honest ones, and again: never anchored by lies."""
    servers = world.five()
    honest = [server.chain for server in servers]
    device = Device(world)
    for _ in range(3):
        expired(world, servers[:3], 9 * DAY)
        silence(servers[3:])
        device.boot()
        world.run(40 * MINUTE)
        assert device.basis != "anchored"
        device.kill()
        for server, chain in zip(servers, honest, strict=True):
            server.lie, server.chain = 0.0, chain
            server.forget_keys()
        silence(servers[3:], silent=False)
        device.boot()
        device.ends("verified windows", "verified anchored", within=40 * MINUTE, error=GOOD)
        device.kill()


def test_leaked_keys_while_the_chip_is_unplugged(world: World) -> None:
    """What disputes may come late: the chip, back when the daemon is started again."""
    servers = world.five()
    device = settled(world)
    world.run(10 * DAY)
    device.disk = {n: data for n, data in device.disk.items() if not n.startswith("sessions/")}
    ratchet = device.saved_ratchet()
    expired(world, servers, 9 * DAY)
    device.rtc.plugged = False
    device.boot()
    device.ends("verified windows", within=MINUTE, error=9 * DAY + 1)
    device.rtc.plugged = True
    device.kill()
    device.start()
    device.ends("disputed", within=30 * MINUTE, error=9 * DAY + 1)
    assert device.never("verified", within=3 * HOUR)
    assert device.saved_ratchet() == ratchet


@pytest.mark.parametrize("answers", [True, False], ids=["and time", "but its NTP is dropped"])
def test_r4_one_honest_newer_chain_vetoes(world: World, answers: bool) -> None:
    servers = world.five(chain=world.chain((-10, 80)))
    leaked(world, servers[:3], 200 * DAY)
    silence(servers[3:])
    servers[3].ke_up, servers[3].up = True, answers
    servers[3].delay = 0.001
    device = Device(world)
    device.boot()
    assert device.never("verified", within=3 * HOUR)
    assert device.set_to == []
    assert device.refused("R4")
    assert device.state == "disputed"


def test_r4_one_honest_newer_chain_that_comes_late_disputes(world: World) -> None:
    servers = world.five(chain=world.chain((-10, 80)))
    leaked(world, servers[:3], 200 * DAY)
    silence(servers[3:])
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(600)
    silence(servers[3:4], False)
    steps = len(device.set_to)
    assert device.reaches("disputed", within=100.0)
    assert device.never("verified", within=3 * HOUR)
    assert len(device.set_to) == steps, "clock kept"
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


def test_r4_an_older_certificate_takes_no_veto_back(world: World) -> None:
    """Behind one honest name are two servers, renewed a month apart: the newer certificate has
    said what the older one, shown after it, does not deny."""
    servers = world.five()
    leaked(world, servers[:3], 30 * DAY)
    silence(servers[3:])
    servers[3].ke_up, servers[3].chain = True, world.chain((-2, 88))
    device = Device(world)
    device.remember(200 * DAY)
    device.boot()
    device.ends("disputed", within=60.0, error=200 * DAY + 1)
    servers[3].chain = world.chain((-31, 59))
    assert device.never("verified", within=6 * HOUR)
    assert device.set_to == []


def test_r4_forty_eight_hours_are_forgiven(world: World) -> None:
    """A certificate of tomorrow, by an issuer whose clock is off: no reason to stop."""
    servers = world.five()
    servers[0].chain = world.chain((1.9, 80))
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    servers[0].chain = world.chain((2.1, 80))
    device.boot()
    assert device.never("verified", within=100.0)


def lie_within_the_floor(world: World) -> tuple[Device, list[Server]]:
    """A seasoned device of three days ago; a quorum with leaked keys tells of yesterday, which
    no floor and no certificate's first date rules out.  Saved sessions of two are honest."""
    servers = world.five()
    device = seasoned(world)
    world.run(3 * DAY)
    for server in servers[:3]:
        server.lie = -DAY
        server.chain = world.chain((-60, -0.5))
        server.forget_keys()
    return device, servers


def test_saved_session_disputes_a_quorum_of_windows(world: World) -> None:
    device, _ = lie_within_the_floor(world)
    device.boot()
    assert device.never("verified", within=3 * HOUR)
    assert device.state == "disputed"
    assert any("independent evidence contradicts" in text for _, text in device.log)
    assert len(device.set_to) == 1, "in its first boot"


def disputed_anew(world: World) -> tuple[Device, list[Server]]:
    """The same, after its dispute was silenced, the quorum verified and the honest heard again."""
    device, servers = lie_within_the_floor(world)
    device.boot()
    assert device.reaches("disputed", within=10.0)
    silence(servers[3:])
    assert device.reaches("verified", "windows", within=HOUR)
    world.run(MINUTE)
    silence(servers[3:], False)
    assert device.reaches("disputed", within=HOUR / 2)
    return device, servers


def test_saved_session_that_was_silenced_disputes_later(world: World) -> None:
    """The quorum stands already when the honest word comes back (R9 does not hush it up)."""
    device, _ = disputed_anew(world)
    assert device.never("verified", "anchored", within=3 * HOUR)


def test_time_disputed_does_not_count_towards_the_hour(world: World) -> None:
    """A quorum that was disputed begins its hour anew when the dispute is silenced."""
    device, servers = disputed_anew(world)
    world.run(2 * HOUR)
    assert device.state == "disputed"
    silence(servers[3:])
    assert device.reaches("verified", "windows", within=2 * HOUR)
    assert device.never("verified", "anchored", within=HOUR - 10)


def test_one_saved_session_of_a_liar_does_not_dispute_four(world: World) -> None:
    servers = world.five()
    device = seasoned(world)
    servers[0].lie = 60.0
    device.boot()
    assert device.reaches("verified", "anchored", within=1.0)
    assert abs(device.error()) < GOOD


@pytest.mark.more
def test_owner_of_a_lapsed_ca_is_a_single_issuer(world: World) -> None:
    servers = world.five()
    leaked(world, servers, 200 * DAY, root="the lapsed one")
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    assert any("single issuer" in text for _, text in device.log)
    assert device.never("verified", "anchored", within=7 * DAY)
    assert device.saved_ratchet() == 0
    assert not device.sessions_saved


def test_single_issuer_hides_behind_one_that_leaves(world: World) -> None:
    """Three of one root and one of another agree; the other is silenced within the hour."""
    servers = world.five()
    for server in servers[:3]:
        server.chain = world.chain((-1, 89), root="one")
    silence(servers[4:])
    device = Device(world)
    device.boot()
    world.run(HOUR / 2)
    assert device.state == "verified"
    servers[3].lie = 100.0
    assert device.never("verified", "anchored", within=DAY)


def test_certificates_that_expired_before_the_floor(world: World) -> None:
    """R4, RFC 8915 section 8.5: not even heard."""
    servers = world.five()
    leaked(world, servers[:3], 200 * DAY)
    silence(servers[3:])
    device = Device(world)
    device.remember(100 * DAY)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert not any(server.requests for server in servers), "no session comes of it"
    assert device.refused("R4")


@pytest.mark.parametrize("margin", [-2 * HOUR, -1.0, -0.02, -0.009, 0.0])
def test_quorum_at_the_floor(world: World, margin: float) -> None:
    """Neither stepped nor slewed below it, wherever the lie lies."""
    servers = world.five()
    device = Device(world)
    device.remember(100 * DAY)
    leaked(world, servers, 100 * DAY)
    for server in servers:
        server.lie += margin
    device.boot()
    world.run(HOUR)  # `rules` looks at every reading
    assert device.state == ("restored" if margin < -HOUR else "verified")


@pytest.mark.parametrize("sources", [3, 5])
def test_quorum_beyond_the_ceiling(world: World, sources: int) -> None:
    """Whoever can make certificates for any day: the ceiling still holds."""
    for server in world.five()[:sources]:
        server.lie = 25 * YEAR
        server.chain = world.chain((-1, 30 * 365))
    silence(list(world.servers.values())[sources:])
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.refused("R1")
    assert device.set_to == []


# --- what is taught -----------------------------------------------------------------------------


@pytest.mark.more
def test_what_the_unverified_teach_is_not_saved(world: World) -> None:
    """Two liars with a runaway clock: no frequency of theirs reaches the disk."""
    servers = world.five()
    silence(servers[2:])
    device = Device(world)
    device.boot()

    def run_away() -> None:
        for server in servers[:2]:
            server.lie += 0.03
        world.at(64.0, run_away)

    run_away()
    world.run(DAY)
    assert device.state in ("provisional", "restored")
    assert "drift.json" not in device.disk


# --- what is said -------------------------------------------------------------------------------


def test_every_refusal_is_said_once_and_counted(world: World) -> None:
    """R13: rule, source and figures in one line, not one at every poll."""
    servers = world.five()
    servers[0].lie = 30 * DAY
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(6 * HOUR)
    lines = [text for _, text in device.log if servers[0].name in text and "R2" in text]
    assert len(lines) == 1
    assert "30 days" in lines[0], "by how much it lied"
    assert device.core.refusals.get("R2") == len(device.refused("R2"))
    assert device.core.story


def test_keys_of_the_earlier_quorum_itself_leak(world: World) -> None:
    """A boot too short to be anchored; the machine is off until the very certificates it saw
    have expired, and their keys are somebody's, who tells of the day after that boot."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(10 * MINUTE)
    device.stop()
    world.run(120 * DAY)
    silence(servers[3:])
    for server in servers[:3]:
        server.lie = -119 * DAY
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(HOUR / 2)
    assert device.basis == "windows"
    assert not device.sessions_saved
