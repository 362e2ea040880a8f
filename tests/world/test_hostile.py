"""Boots under attack: what each attacker of docs/trust.md may reach, and no more.

"Expired, leaked keys" are played by a server that tells a past time, with a chain that was
good then.  Every scenario names the end states it permits, a deadline and the clock's error.
"""

from collections.abc import Sequence

import pytest

from pints import restore
from pints.address import Address
from pints.config import BootstrapConfig, SourceConfig
from pints.sync.discipline import Discipline
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from pints.wire import ntp, nts
from tests.world.device import Device
from tests.world.test_honest import GOOD, block_key_exchange, seasoned
from tests.world.world import Server, World

MINUTE = 60.0
UID = slice(ntp.HEADER_LENGTH + 4, ntp.HEADER_LENGTH + 36)
"""Where a request carries its unique identifier."""


def leaked(world: World, servers: Sequence[Server], ago: float, root: str = "") -> None:
    """Somebody on the path holds the keys of certificates that expired since then, and tells
    that time."""
    day = -ago / DAY
    for server in servers:
        server.lie = -ago
        server.chain = world.chain((day - 60, day + 1), root=root)
        server.forget_keys()


def silence(servers: Sequence[Server], silent: bool = True) -> None:
    """Drop all that these say."""
    for server in servers:
        server.up = server.ke_up = not silent


# --- a minority that lies ---------------------------------------------------------------------

OFFSETS = [1.0, 10.0, MINUTE, HOUR, DAY, 30 * DAY, 300 * DAY, 3 * YEAR, 10 * YEAR, 20 * YEAR]


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
    assert any("ntp.a.test" in text and "R" in text for _, text in device.log), "and is named"
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
        assert any(server.name in text for _, text in device.log)
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
    world.run(10 * MINUTE)
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


def test_saved_session_that_was_silenced_disputes_later(world: World) -> None:
    """The quorum stands already when the honest word comes back (R9 does not hush it up)."""
    device, servers = lie_within_the_floor(world)
    device.boot()
    assert device.reaches("disputed", within=10.0)
    silence(servers[3:])
    assert device.reaches("verified", "windows", within=HOUR)
    world.run(MINUTE)
    silence(servers[3:], False)
    assert device.reaches("disputed", within=HOUR / 2)
    assert device.never("verified", "anchored", within=3 * HOUR)


def test_time_disputed_does_not_count_towards_the_hour(world: World) -> None:
    """A quorum that was disputed begins its hour anew when the dispute is silenced."""
    device, servers = lie_within_the_floor(world)
    device.boot()
    assert device.reaches("disputed", within=10.0)
    silence(servers[3:])
    assert device.reaches("verified", "windows", within=HOUR)
    world.run(MINUTE)
    silence(servers[3:], False)
    assert device.reaches("disputed", within=HOUR / 2)
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


# --- sources from the network -----------------------------------------------------------------


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


# --- on the path, without keys ----------------------------------------------------------------


def kiss(request: bytes, code: bytes, identifier: bytes) -> bytes:
    """A Kiss-o'-Death with that unique identifier, as anybody on the path can make it."""
    header = ntp.decode(request)
    packet = ntp.Packet(
        ntp.MODE_SERVER, transmit=1, leap=3, reference_id=code, origin=header.transmit, receive=1
    )
    return nts.nak(ntp.encode(packet), identifier)


def test_storm_of_naks_in_place_of_answers(world: World) -> None:
    """Denial while it lasts, no hail of key exchanges, and it ends by itself."""
    servers = world.five()
    for server in servers:
        server.tamper = lambda request, reply: [kiss(request, b"NTSN", request[UID])]
    device = Device(world)
    device.boot()
    world.run(DAY)
    assert device.state == "restored"
    assert max(server.exchanges for server in servers) < 30
    for server in servers:
        server.tamper = None
    assert device.reaches("verified", within=3 * HOUR)


@pytest.mark.parametrize("code", [b"NTSN", b"RATE", b"DENY", b"RSTR", b"XXXX"])
@pytest.mark.parametrize("foreign", [False, True], ids=["our identifier", "another"])
def test_forged_kisses_before_the_answers(world: World, code: bytes, foreign: bool) -> None:
    """The real answer still counts: nothing is lost but a line of the log."""
    servers = world.five()

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        forged = kiss(request, code, world.entropy(32) if foreign else request[UID])
        return [forged, forged, *([reply] if reply else [])]

    for server in servers:
        server.tamper = tamper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert not world.run(3 * HOUR, lambda: device.state != "verified")
    assert all(server.exchanges == 1 for server in servers)
    assert all(a.session is not None for a in device.core.associations.values())


def test_naks_to_every_second_request(world: World) -> None:
    """R11: a new exchange only after the next poll fails too."""
    servers = world.five()
    count = 0

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        nonlocal count
        count += 1
        forged = kiss(request, b"NTSN", request[UID])
        return [forged] * 5 if count % 2 else [reply] if reply else []

    servers[0].tamper = tamper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=10.0)
    world.run(6 * HOUR)
    assert servers[0].exchanges == 1


def test_replayed_and_garbled_answers(world: World) -> None:
    old: list[bytes] = []

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        assert reply is not None
        garbled = bytearray(reply)
        garbled[world.rng.randrange(len(garbled))] ^= 1 << world.rng.randrange(8)
        late = [*old[-5:], bytes(garbled), world.entropy(len(reply)), b"", reply, reply]
        old.append(reply)
        return late

    servers = world.five()
    for server in servers:
        server.tamper = tamper
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(3 * HOUR)
    assert device.state == "verified"
    assert abs(device.error()) < GOOD


def test_only_garbled_answers(world: World) -> None:
    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        assert reply is not None
        # Anywhere in header or extension fields but the padding that ends the packet.
        at = world.rng.randrange(len(reply) - 4)
        return [reply[:at] + bytes((reply[at] ^ 0x10,)) + reply[at + 1 :]]

    for server in world.five():
        server.tamper = tamper
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.set_to == []


def test_delayed_answers_do_not_vote(world: World) -> None:
    """R2: beyond max_distance an interval says too little."""
    for server in world.five(delay=0.3):
        server.asymmetry = 0.6
    device = Device(world)
    device.boot()
    assert device.never("verified", within=HOUR)
    assert device.refused("R2")


def test_delay_on_one_way_moves_the_clock_within_max_distance(world: World) -> None:
    for server in world.five():
        server.asymmetry = 0.8
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=10.0)
    assert abs(device.error()) < 0.5
    assert device.core.bootstrap.belief is not None
    assert abs(device.error()) <= device.core.bootstrap.belief.error + 0.001


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


# --- windows ----------------------------------------------------------------------------------


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


# --- after `verified` -------------------------------------------------------------------------


@pytest.mark.parametrize("by", [0.1, 0.9, 5.0, -HOUR, YEAR])
@pytest.mark.parametrize("number", [1, 2])
def test_servers_that_turn_are_outvoted(world: World, by: float, number: int) -> None:
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    for server in servers[:number]:
        server.lie = by
    assert not world.run(4 * HOUR, lambda: device.state != "verified")
    assert abs(device.error()) < GOOD
    assert all(device.core.mark(s.name) == "x" for s in servers[:number])


@pytest.mark.parametrize("by", [10.0, -HOUR, YEAR])
def test_quorum_that_turns_is_never_followed(world: World, by: float) -> None:
    """Holdover while the third has not turned yet; then the belief itself is in dispute."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    for server in servers[:3]:
        server.lie = by
    assert world.run(HOUR, lambda: device.state in ("holdover", "disputed"))
    world.run(DAY)
    assert device.state in ("holdover", "disputed")
    assert abs(device.error()) < 0.1
    for server in servers:
        server.lie = 0.0
    assert device.reaches("verified", within=HOUR)
    assert abs(device.error()) < 0.1


def test_who_is_left_in_holdover_is_not_followed(world: World) -> None:
    """Neither by the clock nor by what is said of it."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(600)
    silence(servers[2:])
    for server in servers[:2]:
        server.lie = 0.3
    assert device.reaches("holdover", within=HOUR)
    world.run(HOUR)
    offset = device.core.steering.offset(device.clock.read())
    assert offset is not None
    assert abs(offset) < 0.01
    assert abs(device.error()) < 0.01


@pytest.mark.parametrize("pace", [0.0505, 0.1, 1.0])
def test_quorum_that_walks_back_stops_at_the_ratchet(world: World, pace: float) -> None:
    """A quorum of valid keys may lead the clock astray; below the saved time never."""
    servers = world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)

    def walk() -> None:
        for server in servers:
            server.lie -= pace  # faster than time goes on
        world.at(0.05, walk)

    walk()
    world.run(600)  # `rules` looks at every reading
    assert device.clock.read().real >= device.saved_ratchet()


@pytest.mark.parametrize("wrong", [-2 * YEAR, -HOUR, -0.3, 0.3, HOUR, 25 * YEAR])
def test_whatever_the_filters_say_the_clock_stays_within_the_belief(
    world: World, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """A raw clock that stood still while the machine slept, say."""
    world.five()
    device = Device(world)
    device.boot()
    assert device.reaches("verified", within=1.0)
    world.run(60)
    monkeypatch.setattr(
        Discipline, "true_time", lambda self, raw: world.true_time() + nanoseconds(wrong)
    )
    world.run(2 * HOUR)
    assert device.core.bootstrap.belief is not None
    assert abs(device.error()) < 0.2, "the belief's width, an old answer's growth included"


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


# --- what is taught -----------------------------------------------------------------------------


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
