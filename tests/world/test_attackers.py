"""Every attacker of docs/trust.md against every kind of saved state.

A row of `ATTACKS` says what an attacker does to an honest world, how long he is given, and in
which states, how far off, a device may be then; `EXCEPT` where what it had saved makes a
difference.  Afterwards he leaves, and within a day the device must be verified and right: at
once where nobody believed him, else after the next reboot.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from pints.timescale import DAY, HOUR
from pints.values.address import Address
from pints.values.chain import Chain
from pints_drivers.fake_rtc import good
from tests.world.attackers import MINUTE, UID, expired, forged, kiss, silence
from tests.world.device import Device
from tests.world.test_honest import GOOD, seasoned
from tests.world.world import Server, World

AWAY = 3 * DAY
"""How long the device is off before the attack; who lies, lies by less."""
LIE = DAY
KEPT = -1.0
"""In place of an error: the clock is not touched at all."""

# --- what the device had saved ---------------------------------------------------------------


def nothing(world: World) -> Device:
    return Device(world)


def seen_only(world: World) -> Device:
    device = Device(world)
    device.remember(AWAY, ratcheted=False)
    return device


def ratcheted(world: World) -> Device:
    device = Device(world)
    device.remember(AWAY)
    return device


def sessions(world: World) -> Device:
    device = seasoned(world)
    world.run(AWAY)
    return device


def rtc(world: World) -> Device:
    """And nothing else that could confirm or dispute."""
    device = Device(world, rtc=good(world.true_time()))
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    world.run(MINUTE)
    device.kill()
    device.disk = {n: d for n, d in device.disk.items() if not n.startswith(("sessions", "q"))}
    world.run(AWAY)
    return device


def earlier_quorum(world: World) -> Device:
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    world.run(10 * MINUTE)
    device.stop()
    world.run(AWAY)
    return device


def belief_of_this_boot(world: World) -> Device:
    """The daemon was killed, the machine was not."""
    device = Device(world)
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)
    device.kill()
    world.run(MINUTE)
    return device


SAVED = (nothing, seen_only, ratcheted, sessions, rtc, earlier_quorum, belief_of_this_boot)

# --- what attackers do -----------------------------------------------------------------------


def spoof(world: World, servers: list[Server]) -> None:
    """Off the path: he knows addresses and ports, and no request."""

    def tamper(request: bytes, reply: bytes | None) -> list[bytes]:
        guesses = [forged(world.entropy(len(request))), kiss(request, b"DENY", world.entropy(32))]
        return [*guesses, reply] if reply else guesses

    for server in servers:
        server.tamper = tamper


def drop(world: World, servers: list[Server]) -> None:
    silence(servers)


def delay(world: World, servers: list[Server]) -> None:
    for server in servers:
        server.asymmetry = 0.8


def replay(world: World, servers: list[Server]) -> None:
    """What was said before, in place of what is said."""
    for server in servers:
        old = [b""]
        server.tamper = partial(_again, old)


def _again(old: list[bytes], request: bytes, reply: bytes | None) -> list[bytes]:
    said, old[:] = old[:], [*old, reply or b""]
    return said


def captive_portal(world: World, servers: list[Server]) -> None:
    """All TLS ends at a certificate for another name, all UDP in nothing."""
    for server in servers:
        server.refusal = f"certificate is for login.hotel.test, not {server.name}"
        server.up = False


def redirect(world: World, servers: list[Server]) -> None:
    """All packets go to a machine of his, which answers as well as it can without keys."""
    for server in servers:
        server.refusal = "certificate of 'CN=evil' is self-signed and not among the trusted ones"
        server.redirect = Address("198.51.100.66", 123)
        server.tamper = lambda request, reply: [forged(request), request]


def nak(world: World, servers: list[Server]) -> None:
    for server in servers:
        server.tamper = lambda request, reply: [kiss(request, b"NTSN", request[UID])]


def kiss_of_death(world: World, servers: list[Server]) -> None:
    for server in servers:
        server.tamper = lambda request, reply: [
            kiss(request, code, request[UID]) for code in (b"DENY", b"RSTR", b"RATE")
        ]


def minority(world: World, servers: list[Server]) -> None:
    expired(world, servers[:2], LIE)


def quorum(world: World, servers: list[Server]) -> None:
    expired(world, servers[:3], LIE)
    silence(servers[3:])


def quorum_beside_a_newer_chain(world: World, servers: list[Server]) -> None:
    """One honest key server gets through, and was given its certificate since."""
    quorum(world, servers)
    for server in servers[:3]:
        server.lie, server.chain = -2.9 * DAY, world.chain((-60, -2.8))
    servers[3].ke_up, servers[3].chain = True, world.chain((-0.1, 89.9))


def authority(world: World, servers: list[Server]) -> None:
    """An expired CA's key makes certificates for all names."""
    expired(world, servers, LIE, root="the expired one")


def nobody(world: World, servers: list[Server]) -> None:
    """The attacker has only what the device had saved."""


# --- what they may reach ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a device may be after `within` seconds of an attack."""

    states: tuple[str, ...]
    within: float
    error: float
    """Of the clock, seconds; KEPT: it was never set."""
    says: str = ""
    """What the log must tell."""
    after: float = GOOD
    """Error an hour after he left, seconds."""


VERIFIED = ("verified",)
AT_BEST = ("verified windows",)
UNVERIFIED = ("restored", "provisional")
DISPUTED = ("disputed",)

ATTACKS: dict[Callable[[World, list[Server]], None], Reach] = {
    spoof: Reach(VERIFIED, 2.0, GOOD),
    drop: Reach(UNVERIFIED, HOUR, KEPT),
    delay: Reach(VERIFIED, 10.0, 0.5, after=0.1),
    replay: Reach(UNVERIFIED, HOUR, KEPT),
    captive_portal: Reach(UNVERIFIED, HOUR, KEPT, "R5"),
    redirect: Reach(UNVERIFIED, HOUR, KEPT, "R5"),
    nak: Reach(UNVERIFIED, HOUR, KEPT, "R11"),
    kiss_of_death: Reach(UNVERIFIED, HOUR, KEPT),
    minority: Reach(VERIFIED, 5 * MINUTE, GOOD, "R2"),
    quorum: Reach(AT_BEST, 55 * MINUTE, LIE + 1),
    quorum_beside_a_newer_chain: Reach(DISPUTED, HOUR, KEPT, "R4"),
    authority: Reach(AT_BEST, 3 * HOUR, LIE + 1, "single issuer"),
    nobody: Reach(VERIFIED, 1.0, GOOD),
}
EXCEPT: dict[tuple[Callable[..., object], Callable[..., object]], Reach] = {
    # The chip says what time it is: it disputes whoever says another, and nobody follows.
    (quorum, rtc): Reach(DISPUTED, 55 * MINUTE, 1.0, "independent evidence contradicts"),
    (authority, rtc): Reach(DISPUTED, 3 * HOUR, 1.0, "independent evidence contradicts"),
    # This boot has verified the time already: none of their keys is taken.
    (minority, belief_of_this_boot): Reach(VERIFIED, MINUTE, GOOD, "R6"),
    (minority, sessions): Reach(VERIFIED, 5 * MINUTE, GOOD, "R6"),
    (quorum, belief_of_this_boot): Reach(UNVERIFIED, HOUR, GOOD, "R6"),
    (quorum_beside_a_newer_chain, belief_of_this_boot): Reach(UNVERIFIED, HOUR, GOOD, "R6"),
    (authority, belief_of_this_boot): Reach(UNVERIFIED, HOUR, GOOD, "R6"),
}

BELIEVED = (quorum, authority)
"""Attackers whose time the device may believe."""


@pytest.mark.each_once
@pytest.mark.parametrize("saved", SAVED, ids=lambda saved: saved.__name__)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack(
    world: World,
    attack: Callable[[World, list[Server]], None],
    saved: Callable[[World], Device],
) -> None:
    reach = EXCEPT.get((attack, saved), ATTACKS[attack])
    servers = world.five(chain=world.chain((-10, 80)))
    for server in servers:
        server.chain = world.chain((-10, 80))
    device = saved(world)
    honest = [server.chain for server in servers]
    device.set_to.clear()
    ratchet, batches = device.saved_ratchet(), sessions_on(device)
    attack(world, servers)
    if saved is belief_of_this_boot:
        device.start()
    else:
        device.boot()

    world.run(reach.within)
    now = {device.state, f"{device.state} {device.basis}".strip()}
    assert now & set(reach.states), f"ended {device.state} {device.basis}"
    if reach.error == KEPT:
        assert device.set_to == [] or saved is rtc
    else:
        assert abs(device.error()) <= reach.error
    assert device.said(reach.says)
    if device.basis != "anchored":
        assert device.saved_ratchet() == ratchet, "R7"
        assert sessions_on(device) <= batches, "R6"
    assert device.core.bootstrap.witnesses == 5, "nobody lowers N"

    leave(servers, honest)
    if attack in BELIEVED and saved is not belief_of_this_boot:
        assert not world.run(HOUR, lambda: device.basis == "anchored" and abs(device.error()) > 1)
        device.boot()  # what a boot has believed, nothing but the next one takes back (R9)
    assert device.reaches("verified", within=DAY)
    world.run(HOUR)
    assert abs(device.error()) < reach.after


def leave(servers: list[Server], honest: list[Chain]) -> None:
    for server, chain in zip(servers, honest, strict=True):
        if server.lie:
            server.forget_keys()
        server.lie = server.asymmetry = 0.0
        server.chain, server.refusal, server.redirect, server.tamper = chain, "", None, None
        server.up = server.ke_up = True


def sessions_on(device: Device) -> set[str]:
    return {name for name in device.disk if name.startswith("sessions/")}
