"""Boots in which nobody lies: how fast, how sure, and what is left after a mishap.

Every scenario names the state it must end in, by when, and how far off the clock may be then;
`rules` holds everything in between against the bootstrap's law.
"""

import pytest

from pints.client.batches import BATCHES
from pints.config.tables import BootstrapConfig, SourceConfig
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds, seconds
from tests.world.device import Device
from tests.world.world import Server, World

RTT = 0.02
"""Round trip to any server of these worlds, seconds."""
GOOD = 0.005
"""Error of a clock that was just set over such links, seconds: half a round trip at most."""


def seasoned(world: World, **traits: float) -> Device:
    """A device that has verified, anchored and saved, and whose power was then cut."""
    device = Device(world, **traits)  # type: ignore[arg-type]
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    world.run(60)
    assert device.sessions_saved
    device.kill()
    return device


def block_key_exchange(servers: list[Server], blocked: bool = True) -> None:
    for server in servers:
        server.ke_up = not blocked


# --- what was saved, and how long ago --------------------------------------------------------


def test_wakes_in_1970_and_nothing_is_saved(world: World) -> None:
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    assert abs(device.error()) < GOOD


@pytest.mark.parametrize("ago", [HOUR, 30 * DAY, 400 * DAY, 9 * YEAR])
@pytest.mark.parametrize("ratcheted", [True, False])
def test_saved_time_however_old(world: World, ago: float, ratcheted: bool) -> None:
    """The certificates were all renewed meanwhile: none is valid at the saved time."""
    world.five(chain=world.chain((-10, 80)))
    device = Device(world, build_epoch=Instant(world.true_time() - nanoseconds(9.5 * YEAR)))
    for number, server in enumerate(world.servers.values()):
        server.chain = world.chain((-10 - number, 80))
    device.remember(ago, ratcheted=ratcheted)
    device.boot()
    assert abs(device.error() + ago) < 1, "early boot restores the saved time"
    assert device.reaches("verified", "windows", within=1.0)
    assert abs(device.error()) < GOOD


@pytest.mark.more
def test_certificates_of_six_days(world: World) -> None:
    """Renewed every three days, each time with a new key: never a moment unverified."""
    servers = world.five()

    def renew() -> None:
        for server in servers:
            server.chain = world.chain((-0.1, 5.9))
        world.at(3 * DAY, renew)

    renew()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(20 * DAY, lambda: device.state != "verified")
    assert device.counted() < 5 * 20, "and without wearing out the key servers"
    device.kill()
    world.run(20 * DAY)
    device.boot()
    assert device.reaches("verified", "anchored", within=1.0)


# --- the network ------------------------------------------------------------------------------


def test_two_of_five_servers_are_down(world: World) -> None:
    for server in world.five()[:2]:
        server.up = server.ke_up = False
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD


@pytest.mark.more
def test_three_of_five_servers_are_down(world: World) -> None:
    """N is the configured number: silence never lowers what is needed."""
    for server in world.five()[:3]:
        server.up = server.ke_up = False
    device = Device(world)
    device.boot()
    assert device.never("verified", within=2 * DAY)
    assert device.state == "provisional"
    assert device.set_to == []


# --- how fast ---------------------------------------------------------------------------------


def test_warm_boot_takes_one_round_trip(world: World) -> None:
    servers = world.five()
    device = seasoned(world)
    world.run(3 * DAY)
    exchanged, sent, start = device.counted(), len(device.sent), world.elapsed
    device.boot()
    assert len(device.sent) - sent == len(servers), "all are asked at once"
    assert device.reaches("verified", "anchored", within=1.0)
    assert seconds(world.elapsed - start) == pytest.approx(RTT, abs=0.001)
    assert len(device.sent) - sent == len(servers), "one flight"
    assert device.counted() == exchanged
    assert abs(device.error()) < GOOD


def test_cold_boot_takes_five_round_trips_at_most(world: World) -> None:
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert seconds(world.elapsed) <= 5 * RTT


# --- anchors ----------------------------------------------------------------------------------


def test_anchored_after_an_hour_of_the_same_quorum(world: World) -> None:
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    assert device.never("verified", "anchored", within=HOUR - 1)
    assert not device.sessions_saved
    assert device.saved_ratchet() == 0
    assert device.reaches("verified", "anchored", within=HOUR)
    world.run(15)
    assert device.sessions_saved
    low = world.true_time() - nanoseconds(20)
    assert low < device.saved_ratchet() < world.true_time()


def test_single_issuer_is_never_anchored_by_waiting(world: World) -> None:
    for server in world.five():
        server.chain = world.chain((-1, 89), root="one root for all")
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    assert device.core.bootstrap.single_issuer
    assert device.never("verified", "anchored", within=3 * DAY)
    assert device.state == "verified"


def test_another_quorum_begins_its_own_hour(world: World) -> None:
    """a, b, c verify; from half an hour later on d and e agree, too, and a, b fall silent: the
    hour of c, d, e begins with d and e."""
    servers = world.five()
    for server in servers[3:]:
        server.up = server.ke_up = False
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(HOUR / 2)
    for server in servers[3:]:
        server.up = server.ke_up = True
    came = world.elapsed
    world.run(HOUR / 3)
    for server in servers[:2]:
        server.up = server.ke_up = False
    assert device.reaches("verified", "anchored", within=4 * HOUR)
    assert seconds(world.elapsed - came) > HOUR


def test_one_server_alone_needs_the_administrators_word(world: World) -> None:
    world.server("ntp.alone.test")
    device = Device(world)
    device.boot()
    assert device.never("verified", within=DAY)
    assert device.refused("R2"), "and the log says what is missing"


def test_one_server_with_min_witnesses_one(world: World) -> None:
    world.server("ntp.alone.test")
    device = Device(world, bootstrap=BootstrapConfig(min_witnesses=1))
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    assert any("single witness" in text for _, text in device.log)
    assert device.never("verified", "anchored", within=DAY), "one root stands behind it all"


def test_fixed_quorum_is_shown_as_weaker(world: World) -> None:
    for server in world.five()[2:]:
        server.up = server.ke_up = False
    device = Device(world, bootstrap=BootstrapConfig(quorum="fixed"))
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert any("weakened quorum" in text for _, text in device.log)


# --- sessions ---------------------------------------------------------------------------------


def test_sessions_last_three_boots_without_key_exchange(world: World) -> None:
    servers = world.five()
    device = seasoned(world)
    block_key_exchange(servers)
    for _ in range(BATCHES):
        world.run(DAY)
        device.boot()
        assert device.reaches("verified", "anchored", within=1.0)
        device.kill()  # at once: no batch is replaced
    assert device.counted() == len(servers), "as many as before the power was first cut"


def test_sessions_cut_off_before_any_use_are_never_used_again(world: World) -> None:
    """Power is cut as soon as the requests are out: the next boots send other cookies, and
    each server refuses to see one twice."""
    servers = world.five()
    device = seasoned(world)
    for _ in range(BATCHES + 1):
        device.boot()
        device.kill()
        world.run(1.0)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert all(len(set(s.cookies_seen)) == len(s.cookies_seen) for s in servers)


def test_sessions_of_twenty_nine_days_are_no_evidence(world: World) -> None:
    """Their cookies still work, but their word is too old: a key exchange takes over."""
    servers = world.five()
    device = seasoned(world)
    block_key_exchange(servers)
    world.run(29 * DAY)
    device.boot()
    assert device.never("verified", within=600.0)
    assert device.refused("R3")
    block_key_exchange(servers, False)
    assert device.reaches("verified", "windows", within=100.0)
    assert abs(device.error()) < GOOD


def test_old_sessions_do_not_keep_anybody_waiting(world: World) -> None:
    world.five()
    device = seasoned(world)
    world.run(60 * DAY)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)


@pytest.mark.more
def test_sessions_are_renewed_in_time(world: World) -> None:
    """Daily boots for two months: every session stays good, at few key exchanges."""
    world.five()
    device = seasoned(world)
    for _ in range(60):
        world.run(DAY)
        device.boot()
        assert device.reaches("verified", "anchored", within=1.0)
        world.run(300)
        device.stop()
    assert device.counted() <= 5 * (1 + 60 // 14)


def test_another_board_uses_nothing_of_a_cloned_card(world: World) -> None:
    servers = world.five()
    device = seasoned(world)
    before = [server.requests for server in servers]
    device.board = "another board"
    device.boot()
    assert [server.requests for server in servers] == before
    assert not device.sessions_saved, "destroyed unsent"
    assert device.reaches("verified", "windows", within=1.0)


def test_nothing_is_laid_aside_where_it_would_be_forgotten(world: World) -> None:
    world.five()
    device = Device(world)
    device.disk_durable = False
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    world.run(60)
    assert not device.sessions_saved


def test_servers_with_new_master_keys(world: World) -> None:
    """Every saved cookie is worth a NAK: new keys are fetched, nobody is lost."""
    servers = world.five()
    device = seasoned(world)
    for server in servers:
        server.forget_keys()
    device.boot()
    assert device.reaches("verified", within=20.0)


# --- losing the quorum ------------------------------------------------------------------------


def test_holdover_after_three_unanswered_polls_and_back(world: World) -> None:
    servers = world.five(queue=0.001)
    device = Device(world, crystal=20e-6)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(2 * HOUR)
    for server in servers[:3]:
        server.up = False
    before = {s.name: s.requests for s in servers[:3]}
    assert device.reaches("holdover", within=6 * HOUR)
    # Two are lost already; the third poll without an answer takes the quorum away.
    assert min(s.requests - before[s.name] for s in servers[:3]) >= 3
    world.run(6 * HOUR)
    assert device.state == "holdover"
    assert abs(device.error()) < 0.05, "the clock goes on at the rate it had learned"
    for server in servers[:3]:
        server.up = True
    assert device.reaches("verified", within=3000.0)
    world.run(HOUR)
    assert abs(device.error()) < GOOD


def test_servers_that_lose_their_own_time_are_lost(world: World) -> None:
    """They answer, but say that they do not know: as good as no answer."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(HOUR)
    for server in servers[:3]:
        server.lose_the_time()
    assert device.reaches("holdover", within=2 * HOUR)


# --- mishaps ----------------------------------------------------------------------------------


def test_saved_time_beyond_the_ceiling_is_ignored(world: World) -> None:
    """Poisoned: reported, and nothing of it believed.  Nor lowered: that is a command's."""
    world.five()
    device = Device(world)
    device.remember(-25 * YEAR)
    poison = device.saved_ratchet()
    device.boot()
    assert device.error() < 0
    assert device.refused("R1")
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    device.stop()
    assert device.saved_ratchet() == poison


def test_runtime_folder_that_cannot_be_written(world: World) -> None:
    """R9: what cannot be recorded is not announced; and it is said once, not at every poll."""
    world.five()
    device = Device(world)
    device.run_writable = False
    device.boot()
    assert device.never("verified", within=HOUR)
    assert len(device.refused("R9")) == 1
    device.run_writable = True
    assert device.reaches("verified", within=1100.0), "at the next answer"
    assert device.basis == "windows", "the hour of R6 begins now"


def test_clock_that_nobody_restored(world: World) -> None:
    """Without `pints restore` the clock is below the soft floor: unset, until a quorum."""
    servers = world.five()
    for server in servers[1:]:
        server.up = server.ke_up = False
    device = Device(world)
    device.rules.meddled = True
    device.start()
    assert device.state == "unset"
    assert device.reaches("provisional", within=1.0)
    servers[0].up = False
    assert device.reaches("unset", within=300.0), "and not restored, which it never was"
    for server in servers:
        server.up = server.ke_up = True
    assert device.reaches("verified", within=300.0)


def test_plain_server_beside_the_witnesses_is_only_watched(world: World) -> None:
    for _ in world.five():
        pass
    world.server("plain.local.test", lie=0.3)
    sources = [SourceConfig(n, nts=n != "plain.local.test") for n in world.servers]
    device = Device(world, sources)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert device.core.bootstrap.witnesses == 5
    world.run(HOUR)
    assert abs(device.error()) < GOOD
