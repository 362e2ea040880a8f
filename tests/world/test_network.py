"""Boots over networks as they are: late, flapping, filtering, with name servers that fail, and
with certificates that were renewed meanwhile."""

from dataclasses import replace

import pytest

from pints.config.tables import SourceConfig
from pints.demo.authority import Authority, Issued
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from tests.extent import examples
from tests.world.certificates import certify, cross_sign, days, show
from tests.world.device import Device
from tests.world.test_honest import GOOD, block_key_exchange, seasoned
from tests.world.world import Server, World

PROMPTLY = 2.0
"""Seconds from the network's coming up to `verified`."""
PLAIN = 48
"""Octets of an NTP packet without NTS."""


def with_addresses(world: World) -> list[SourceConfig]:
    """All servers, their addresses configured beside their names."""
    return [SourceConfig(s.name, addresses=(s.address.host,)) for s in world.servers.values()]


# --- late, flapping, gone --------------------------------------------------------------------


@pytest.mark.parametrize("late", [3.0, 600.0, 2 * DAY])
def test_network_comes_late(world: World, late: float) -> None:
    world.five()
    world.network_up = False
    device = Device(world)
    device.remember(HOUR)
    device.boot()
    device.ends("restored", within=late, error=HOUR + 1)
    assert device.said("no route")
    world.network_up = True
    device.ends("verified windows", within=PROMPTLY, error=GOOD)


@pytest.mark.parametrize("late", [3.0, 600.0, 2 * DAY])
def test_network_comes_late_to_saved_sessions(world: World, late: float) -> None:
    """Not one cookie is spent on a network that is not there."""
    world.five()
    device = seasoned(world)
    world.network_up = False
    world.run(HOUR)
    exchanges = device.counted()
    device.boot()
    device.ends("restored", within=late, error=late + HOUR + 600)
    world.network_up = True
    device.ends("verified anchored", within=PROMPTLY, error=GOOD)
    assert device.counted() == exchanges


def test_link_that_is_up_before_anything_answers(world: World) -> None:
    """The router boots longer than the Pi: packets vanish for two minutes."""
    servers = world.five(up=False, ke_up=False)
    device = Device(world)
    device.boot()
    device.ends("restored", within=120.0, error=400 * DAY + 200)
    for server in servers:
        server.up = server.ke_up = True
    assert device.reaches("verified", within=15 + 1.2 * 64 + 1)
    assert abs(device.error()) < GOOD


def test_network_that_flaps_for_an_hour(world: World) -> None:
    """Whenever it is up for a while there are answers; key servers are not worn out."""
    world.five()
    device = Device(world)

    def flap() -> None:
        world.network_up = not world.network_up
        if world.elapsed < nanoseconds(HOUR):
            world.at(world.rng.uniform(0.05, 20.0), flap)

    flap()
    device.boot()
    assert device.reaches("verified", within=600.0)
    world.run(2 * HOUR)
    world.network_up = True
    device.ends("verified windows", "verified anchored", within=HOUR, error=GOOD)
    assert device.counted() < 5 * 12


@pytest.mark.parametrize("keys", [False, True], ids=["no keys", "keys and no time"])
def test_network_that_flaps_at_four_hertz(world: World, keys: bool) -> None:
    """Down and up each eighth of a second, sooner than an answer can come, for half an hour:
    neither do packets, key exchanges and the log follow it (R12), nor is it verified late."""
    servers = world.five(delay=0.07, up=False)
    device = Device(world)
    device.boot()
    world.run(1.0 if keys else 0.0)
    for server in servers:
        server.up = True
    for _ in range(8 * 1800):
        world.run(0.125)
        world.network_up = not world.network_up
    # 13 if all were in vain; an answer that slips through makes an exchange one of use, and three
    # such in an hour begin the growth anew (R12).
    assert max(server.exchanges for server in servers) <= 13 + 7
    assert len(device.sent) <= 5 * 200, "of 7200 times that it came up"
    assert len(device.log) < 400
    device.ends("verified windows", "verified anchored", within=HOUR / 2, error=GOOD)


def test_network_that_goes_after_verified_and_comes_back(world: World) -> None:
    world.five()
    device = Device(world, crystal=15e-6)
    device.boot()
    device.ends("verified windows", within=3 * HOUR - 7000, error=GOOD)
    world.network_up = False
    device.ends("holdover", within=12 * HOUR, error=1.0)
    world.network_up = True
    device.ends("verified windows", "verified anchored", within=60.0, error=0.1)


# --- what firewalls drop ---------------------------------------------------------------------


def test_key_exchange_blocked_with_sessions(world: World) -> None:
    """Port 4460 closed for a fortnight: the sessions need it for nothing."""
    servers = world.five()
    device = seasoned(world)
    block_key_exchange(servers)
    for _ in range(14):
        world.run(DAY)
        device.boot()
        device.ends("verified anchored", within=1.0, error=GOOD)
        device.ends("verified anchored", within=600.0, error=GOOD)
        device.stop()


def test_port_of_key_exchange_is_blocked(world: World) -> None:
    """Ends restored, names the cause, and verifies promptly when the port opens."""
    servers = world.five()
    block_key_exchange(servers)
    device = Device(world)
    device.remember(HOUR)
    device.boot()
    world.run(HOUR)
    assert device.state == "restored"
    assert device.set_to == []
    assert any("no answer" in text for _, text in device.log)
    block_key_exchange(servers, False)
    # What may be under way runs into its time-out first; then a minute between attempts.
    assert device.reaches("verified", within=15 + 1.2 * 64 + 1)
    assert abs(device.error()) < GOOD


@pytest.mark.parametrize("largest", examples([1100, 700, 500]))
def test_long_packets_are_dropped(world: World, largest: int) -> None:
    """Requests that ask for many cookies are long; those that ask for one are not."""
    world.five(largest=largest)
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=60.0, error=GOOD)
    device.ends("verified anchored", within=DAY, error=GOOD)


def test_servers_that_no_packet_reaches(world: World) -> None:
    """NTS-KE works, NTP is dropped: nothing to believe, and no storm of key exchanges."""
    servers = world.five(up=False)
    device = Device(world)
    device.boot()
    world.run(DAY)
    assert device.state == "restored"
    assert max(server.exchanges for server in servers) < 30
    for server in servers:
        server.up = True
    # Key exchanges are rare by then (R12), but the cookies at hand are spread between them.
    assert device.reaches("verified", within=3 * HOUR)


def test_all_but_plain_packets_are_dropped(world: World) -> None:
    """A provider that lets 48 octets through and no more: restored, the cause named, no storm
    of key exchanges; and verified soon once it goes away."""
    servers = world.five(largest=PLAIN)
    device = Device(world)
    device.boot()
    device.ends("restored", within=DAY, error=401 * DAY)
    assert device.said("polls unanswered"), "the cause is named"
    assert device.counted() < 5 * 30
    for server in servers:
        server.largest = 1500
    assert device.reaches("verified", within=3 * HOUR)
    assert abs(device.error()) < GOOD


def test_half_of_all_packets_are_lost(world: World) -> None:
    servers = world.five()
    for server in servers:
        server.tamper = lambda _, reply: [reply] if reply and world.rng.random() < 0.5 else []
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=30.0, error=GOOD)
    assert not world.run(3 * HOUR, lambda: device.state != "verified")


# --- name servers ----------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.5, 4.0])
def test_name_servers_are_slow(world: World, delay: float) -> None:
    world.five()
    world.names.delay = delay
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=delay + 0.2, error=GOOD)


def test_name_servers_come_late(world: World) -> None:
    """The link is up, and for ten minutes no name resolves."""
    world.five()
    world.names.up = False
    device = Device(world)
    device.boot()
    device.ends("restored", within=600.0, error=401 * DAY)
    assert device.said("name servers")
    world.names.up = True
    device.ends("verified windows", within=15 + 1.2 * 64 + 1, error=GOOD)


def test_addresses_beside_names_need_no_name_servers(world: World) -> None:
    world.five()
    world.names.up = False
    device = Device(world, with_addresses(world))
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_addresses_of_the_last_boot_need_no_name_servers(world: World) -> None:
    """Names that resolved once are remembered, after their sessions are worth nothing."""
    servers = world.five()
    device = seasoned(world)
    world.run(60 * DAY)
    for server in servers:
        server.forget_keys()
    world.names.up = False
    device.boot()
    device.ends("verified windows", within=3.0, error=GOOD)


def test_dead_address_comes_first(world: World) -> None:
    world.five(dead=("198.51.100.7",))
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_dead_address_comes_first_among_the_configured(world: World) -> None:
    world.five(dead=("198.51.100.7",))
    world.names.up = False
    sources = [
        SourceConfig(s.name, addresses=("198.51.100.7", s.address.host))
        for s in world.servers.values()
    ]
    device = Device(world, sources)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_plain_servers_with_a_dead_address_first(world: World) -> None:
    """A poll is lost on it, no more; and plain servers verify nothing."""
    world.five(dead=("198.51.100.7",))
    sources = [SourceConfig(name, nts=False) for name in world.servers]
    device = Device(world, sources)
    device.boot()
    world.run(60)
    assert all(server.requests for server in world.servers.values())
    assert device.state == "restored"


def test_validating_resolver_and_configured_addresses(world: World) -> None:
    """SERVFAIL for every name while the clock is wrong: addresses break that deadlock, too."""
    world.five()
    world.names.validates = True
    device = Device(world, with_addresses(world))
    device.remember(400 * DAY)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_validating_resolver_without_addresses(world: World) -> None:
    """Nothing to go by: restored, the cause named; two servers of the default configuration
    that carry addresses are not a quorum either."""
    servers = world.five()
    world.names.validates = True
    sources = [
        SourceConfig(s.name, addresses=(s.address.host,) if n < 2 else ())
        for n, s in enumerate(servers)
    ]
    device = Device(world, sources)
    device.remember(400 * DAY)
    device.boot()
    device.ends("provisional", "restored", within=600.0, error=400 * DAY + 1)
    assert device.said("SERVFAIL")
    device.set_the_date(-device.error())
    device.ends("verified windows", within=1.2 * 64 + 2, error=GOOD)


def test_captive_portal_long_packets_and_slow_names(world: World) -> None:
    """A hotel: a portal for a minute, then a filter, and name servers that take their time."""
    servers = world.five(refusal="certificate is for portal.test", largest=700)
    world.names.delay = 4.0
    device = Device(world)
    device.boot()
    device.ends("restored", within=60.0, error=401 * DAY)
    for server in servers:
        server.refusal = ""
    device.ends("verified windows", within=120.0, error=GOOD)


# --- certificates, real ones -----------------------------------------------------------------


@pytest.mark.parametrize("away", [30 * DAY, 400 * DAY, 9 * YEAR])
def test_certificates_renewed_during_the_outage(world: World, away: float) -> None:
    """None of them is good at the saved time; all are by the same CAs."""
    servers = world.five()
    certify(world, servers, -away / DAY - 60, -away / DAY + 30)
    device = Device(world, build_epoch=Instant(world.true_time() - nanoseconds(9.5 * YEAR)))
    certify(world, servers, -10, 80)
    device.remember(away)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_renewed_certificates_and_saved_sessions(world: World) -> None:
    servers = world.five()
    certify(world, servers, -80, 10)
    device = seasoned(world)
    world.run(20 * DAY)
    certify(world, servers, -5, 85)
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)


def test_real_certificates_of_six_days(world: World) -> None:
    servers = world.five()
    certify(world, servers, -5.5, 0.5)
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    device.kill()
    world.run(3 * DAY)
    certify(world, servers, -0.5, 5.5)
    device.boot()
    device.ends("verified windows", "verified anchored", within=1.0, error=GOOD)


def cross_signed(world: World, server: Server, trusts_new: bool) -> None:
    """Its leaf is by a CA whose key an old root, expired since, has certified, too; the
    client has the old root, and, if it `trusts_new`, that CA."""
    old = Authority(f"old root of {server.name}", *days(world, -7000, -100))
    new = Authority(f"new root of {server.name}", *days(world, -1500, 5000))
    leaf = new.issue([server.name], *days(world, -20, 70))
    cross = cross_sign(new, old, days(world, -1500, 1000))
    show(server, Issued((*leaf.chain, cross), leaf.key), *((old, new) if trusts_new else (old,)))


def test_cross_signed_chain_with_an_expired_root(world: World) -> None:
    """As with Let's Encrypt in September 2021: the path by the other root is good."""
    for server in world.five():
        cross_signed(world, server, trusts_new=True)
        assert not server.refusal
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)


def test_an_expired_root_alone(world: World) -> None:
    """Never good at the present: no quorum, and it is said whose dates do not fit."""
    servers = world.five()
    for server in servers[:3]:
        cross_signed(world, server, trusts_new=False)
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("restored", "provisional", within=HOUR, error=30 * DAY + 1)
    for server in servers[:3]:
        cross_signed(world, server, trusts_new=True)
    assert device.reaches("verified", within=2 * DAY)
    assert abs(device.error()) < GOOD


def test_two_servers_whose_certificates_were_let_expire(world: World) -> None:
    servers = world.five()
    certify(world, servers[:2], -90, -1)
    certify(world, servers[2:], -10, 80)
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    assert device.refused("R3") or device.refused("R6")


@pytest.mark.parametrize("wrong", ["name", "issuer", "purpose"])
def test_two_servers_with_certificates_wrong_for_another_reason(world: World, wrong: str) -> None:
    """Refused, and it is said (R5); the other three are a quorum."""
    servers = world.five()
    certify(world, servers[2:], -10, 80)
    for server in servers[:2]:
        ca = Authority("a root", *days(world, -100, 100))
        other = Authority("another", *days(world, -100, 100))
        name = "other.test" if wrong == "name" else server.name
        issued = ca.issue([name], *days(world, -9, 9), server_auth=wrong != "purpose")
        show(server, issued, other if wrong == "issuer" else ca)
        assert server.refusal
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    assert len(device.refused("R5")) == 2


def test_all_by_one_authority(world: World) -> None:
    """Five servers with certificates by one CA: verified, `single issuer`, not anchored by
    waiting, until one of the quorum is by another."""
    servers = world.five()
    ca = Authority("the one", *days(world, -1000, 1000))
    for server in servers:
        show(server, ca.issue([server.name], *days(world, -10, 80)), ca)
    device = Device(world)
    device.boot()
    device.ends("verified windows", within=DAY, error=GOOD)
    assert device.said("single issuer")


def test_the_default_addresses_do_not_matter_for_the_name(world: World) -> None:
    """Reached by an address, a server is still asked for its name's certificate."""
    servers = world.five()
    certify(world, servers, -10, 80)
    ca = Authority("a root", *days(world, -100, 100))
    address = servers[0].address.host
    show(servers[0], ca.issue([address], *days(world, -9, 9)), ca)
    world.names.up = False
    device = Device(world, [replace(s) for s in with_addresses(world)])
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    assert len(device.refused("R5")) == 1
