"""Those who pose as more than they are: many names, sources that the network adds, chains
for somebody else, captive portals, cloned cards.
"""

import pytest

from pints.config.tables import BootstrapConfig, SourceConfig
from pints.timescale import DAY, HOUR, YEAR
from pints.values.address import Address
from pints.wire import ntp
from tests.world.attackers import MINUTE, leaked, silence
from tests.world.device import Device
from tests.world.test_honest import GOOD
from tests.world.world import World

# --- one behind several names -----------------------------------------------------------------


@pytest.mark.parametrize("by", ["operator", "domain", "leaf key", "address"])
def test_many_names_are_one_witness(world: World, by: str) -> None:
    """Three of five sources are one, and lie together: one voice of three."""
    names = ["x.one.test", "y.one.test", "z.one.test"] if by == "domain" else [
        "ntp.x.test", "ntp.y.test", "ntp.z.test"]  # fmt: skip
    three = [world.server(name) for name in names]
    for name in ("ntp.d.test", "ntp.e.test"):
        world.server(name)
    leaked(world, three, 30 * DAY)
    for server in three:
        if by == "leaf key":
            server.chain = three[0].chain
        if by == "address":
            server.redirect = three[0].address
            server.delay = 0.001
    sources = [
        SourceConfig(n, operator="One" if by == "operator" and n in names else "")
        for n in world.servers
    ]
    device = Device(world, sources)
    device.boot()
    world.run(2 * HOUR)
    assert abs(device.error()) < GOOD or device.set_to == []
    if by in ("operator", "domain", "leaf key"):
        assert device.core.bootstrap.witnesses == 3
        assert device.state == "verified"
    else:
        assert device.state != "verified", "what a key server claims does not lower N"


def test_many_names_of_a_liar_do_not_steer(world: World) -> None:
    """Seven names of one operator turn once the clock is verified by the five others."""
    names = [f"{n}.many.test" for n in range(7)]
    for name in names:
        world.server(name)
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    for name in names:
        world.servers[name].lie = 0.4  # less than what would be a step
    world.run(2 * HOUR)
    assert device.state == "verified"
    assert abs(device.error()) < GOOD


def test_one_operator_with_three_names_of_five(world: World) -> None:
    """One voice of three: alone it moves nothing, against one it is no majority, against two
    it is outvoted."""
    for name in ("x.one.test", "y.one.test", "z.one.test", "ntp.d.test", "ntp.e.test"):
        world.server(name)
    servers = list(world.servers.values())
    silence(servers[3:])
    for server in servers[:3]:
        server.lie = -30.0
    device = Device(world)
    device.boot()
    device.ends("provisional", within=HOUR, error=401 * DAY)
    silence(servers[4:], silent=False)
    device.ends("provisional", within=HOUR, error=401 * DAY)
    assert device.set_to == []
    silence(servers[3:], silent=False)
    device.ends("verified windows", within=HOUR, error=GOOD)


def test_two_names_that_lead_to_one_server(world: World) -> None:
    """As of a pool: honest, and one voice of the five that are configured."""
    servers = world.five()
    servers[1].redirect = servers[0].address
    silence(servers[3:])
    device = Device(world)
    device.boot()
    device.ends("provisional", within=HOUR, error=401 * DAY)
    silence(servers[3:4], silent=False)
    device.ends("verified windows", within=HOUR, error=GOOD)


# --- sources from the network -----------------------------------------------------------------


@pytest.mark.each_once
@pytest.mark.parametrize("nts", [True, False], ids=["NTS", "plain"])
@pytest.mark.parametrize("lie", [0.3, 40.0, -HOUR, 3 * YEAR])
def test_network_that_adds_a_majority_of_servers(world: World, nts: bool, lie: float) -> None:
    """DHCP names eleven servers: none is a witness, none moves the clock, ever."""
    world.five()
    added = [world.server(f"ntp{n}.dhcp{n}.test", lie=lie, delay=0.001) for n in range(11)]
    for server in added:
        server.chain = world.chain((-2000, 2000))
    names = {server.name for server in added}
    sources = [SourceConfig(n, nts=nts or n not in names) for n in world.servers]
    network = frozenset(s.id for s in sources if s.server in names)
    device = Device(world, sources, network=network)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD
    world.run(2 * HOUR)
    assert abs(device.error()) < GOOD
    assert not any(n in device.disk.get("sessions/0.json", b"").decode() for n in names)


def test_network_sources_that_claim_the_addresses_of_witnesses(world: World) -> None:
    """Seven of DHCP, with certificates for their names and the witnesses' NTP addresses:
    neither do they vote, nor make twins of those who may."""
    servers = world.five()
    added = [
        world.server(f"dhcp.{n}.test", lie=-HOUR, redirect=servers[n % 5].address) for n in range(7)
    ]
    device = Device(world, network=frozenset(server.name for server in added))
    device.boot()
    device.ends("verified windows", within=1.0, error=GOOD)
    assert device.core.bootstrap.witnesses == 5
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    silence(servers)
    device.ends("holdover", within=3 * HOUR, error=0.05)


def test_captive_portal_and_then_the_network(world: World) -> None:
    """Ten minutes of a portal's certificate (R5), then the servers' own."""
    servers = world.five(refusal="certificate is for portal.test")
    device = Device(world)
    device.remember(30 * DAY)
    device.boot()
    device.ends("restored", within=10 * MINUTE, error=30 * DAY + 1)
    assert device.refused("R5")
    for server in servers:
        server.refusal = ""
    # R12: attempts are up to 6 minutes apart by then.
    device.ends("verified windows", within=7 * MINUTE, error=GOOD)


def test_relaxed_exchange_of_a_network_source_is_judged_again(world: World) -> None:
    """R6 knows no exception for who is no witness."""
    world.five()
    world.server("ntp.dhcp.test", chain=world.chain((-300, -200)))
    sources = [SourceConfig(n) for n in world.servers]
    device = Device(world, sources, network=frozenset({"ntp.dhcp.test"}))
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(1.0)
    assert device.core.associations["ntp.dhcp.test"].session is None


@pytest.mark.parametrize("follow", [False, True])
def test_nothing_but_unauthenticated_servers(world: World, follow: bool) -> None:
    """Never verified; the clock follows only where the administrator said so."""
    world.five()
    sources = [SourceConfig(n, nts=False) for n in world.servers]
    device = Device(world, sources, BootstrapConfig(step_provisional=follow))
    device.boot()
    assert device.never("verified", within=2 * HOUR)
    if follow:
        assert device.state == "provisional"
        assert abs(device.error()) < GOOD
    else:
        assert device.set_to == []


def test_on_path_without_keys_cannot_present_chains(world: World) -> None:
    """R5: whatever is wrong with a chain but its dates is refused and said."""
    servers = world.five()
    for server in servers[:3]:
        server.refusal = "certificate is for evil.test"
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert any("evil.test" in text for _, text in device.log)
    assert device.set_to == []


def test_redirect_to_a_foreign_address_still_needs_keys(world: World) -> None:
    """An NTP address that somebody else answers from: nothing authentic comes."""
    servers = world.five()
    servers[0].redirect = Address("198.51.100.1", 123)
    servers[0].tamper = lambda request, reply: [request, ntp.encode(ntp.Packet(4, 1))]
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(300)
    assert device.core.mark("ntp.a.test") == "?"
