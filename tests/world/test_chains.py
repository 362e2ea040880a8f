"""Certificates whose dates do not fit: who may speak for which time (R3, R4, R5, R6)."""

import pytest

from pints.config.tables import BootstrapConfig
from pints.demo.authority import Authority
from pints.timescale import DAY, HOUR
from tests.world.attackers import MINUTE, expired, named
from tests.world.certificates import certify, days, show
from tests.world.device import Device
from tests.world.test_honest import GOOD
from tests.world.test_network import cross_signed
from tests.world.world import World


def test_r3_who_may_not_speak_for_the_time_leaves_the_quorum_not_n(world: World) -> None:
    """The right time, by certificates of last year: three such servers and two good ones."""
    servers = world.five()
    for server in servers[:3]:
        server.chain = world.chain((-400, -100))
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.refused("R3")
    assert device.set_to == []


def test_relaxed_exchange_that_finishes_late(world: World) -> None:
    """Its certificate is judged at the belief that stands by then (R6)."""
    servers = world.five()
    servers[0].delay = 2.0
    servers[0].chain = world.chain((-300, -200))
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(100)
    assert servers[0].exchanges >= 1
    assert servers[0].requests == 0, "its keys were never used"
    assert device.refused("R6")


@pytest.mark.parametrize(("ago", "verified"), [(HOUR, True), (400 * DAY, False)])
def test_relaxed_dates_never(world: World, ago: float, verified: bool) -> None:
    world.five()
    device = Device(world, bootstrap=BootstrapConfig(relaxed_dates="never"))
    device.remember(ago)
    device.boot()
    assert device.reaches("verified", within=HOUR) is verified
    assert bool(device.refused("R5")) is not verified
    if not verified:
        assert device.state == "restored"
        assert not any(server.requests for server in world.servers.values())


# --- real certificates, judged by the real verdict ---------------------------------------------


@pytest.mark.parametrize("dates", [(-10, 80), (-300, -200)], ids=["of today", "expired"])
@pytest.mark.parametrize("wrong", ["name", "CA", "key of the CA"])
def test_r5_only_dates_are_forgiven(world: World, wrong: str, dates: tuple[int, int]) -> None:
    """Three of five show real certificates with something else wrong, as a captive portal or
    anybody on the path can: refused by rule, never asked for the time."""
    servers = world.five()
    certify(world, servers, -10, 80)
    trusted = Authority("the trusted one", *days(world, -4000, 4000))
    stranger = Authority("a stranger", *days(world, -4000, 4000))
    namesake = Authority("the trusted one", *days(world, -4000, 4000))
    issuer = {"name": trusted, "CA": stranger, "key of the CA": namesake}[wrong]
    for server in servers[:3]:
        name = "login.hotel.test" if wrong == "name" else server.name
        show(server, issuer.issue([name], *days(world, *dates)), trusted)
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.set_to == []
    assert not any(server.requests for server in servers[:3])
    assert device.refused("R5")


def test_real_certificates_that_expired_before_the_floor(world: World) -> None:
    """R4 (RFC 8915 section 8.5): the clock keeps to what was saved."""
    servers = world.five()
    certify(world, servers, -300, -200)
    device = Device(world)
    device.remember(100 * DAY)
    device.boot()
    device.ends("restored", within=HOUR, error=100 * DAY + 1)
    assert device.refused("R4")
    assert not any(server.requests for server in servers)


@pytest.mark.parametrize("dates", [(-390, -100), (3, 80)], ids=["too early", "too late"])
def test_real_certificates_whose_window_misses_the_agreed_time(
    world: World, dates: tuple[int, int]
) -> None:
    servers = world.five()
    certify(world, servers[:3], *dates)
    certify(world, servers[3:], -10, 80)
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.set_to == []
    assert device.refused("R3") or device.refused("R4")


def test_real_certificates_that_were_all_renewed_meanwhile(world: World) -> None:
    """And the honest case, lest the others pass for a wrong reason."""
    certify(world, world.five(), -10, 80)
    device = Device(world)
    device.remember(100 * DAY)
    device.boot()
    device.ends("verified windows", within=2.0, error=GOOD)


def test_real_certificates_renewed_between_the_keys_and_the_time(world: World) -> None:
    """Keys by three certificates of their last day and two of their first; the answers come a
    minute later, when all are new; two days on the old ones have expired."""
    servers = world.five(up=False)
    certify(world, servers[:3], -89, 1)
    certify(world, servers[3:], -0.1, 89)
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("restored", within=MINUTE, error=31 * DAY)
    certify(world, servers, -0.1, 89)
    for server in servers:
        server.up = True
    device.ends("verified windows", within=3 * MINUTE, error=GOOD)
    device.ends("verified anchored", within=2 * DAY, error=GOOD)


def test_cross_signed_chains_beside_leaked_keys(world: World) -> None:
    """Three of two paths each, one with an expired root; two of leaked keys: outvoted, named."""
    servers = world.five()
    for server in servers[:3]:
        cross_signed(world, server, trusts_new=True)
    expired(world, servers[3:], 20 * DAY)
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("verified windows", within=5.0, error=GOOD)
    assert all(named(device, server) for server in servers[3:])
