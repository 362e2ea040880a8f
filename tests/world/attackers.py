"""What attackers of the simulated world can do, for all the scenarios that have them.

"Expired, leaked keys" are played by a server that tells a past time, with a chain that was
good then.
"""

import re
from collections.abc import Sequence

from pints.timescale import DAY, HOUR, YEAR
from pints.wire import ntp, nts
from tests.world.device import Device
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


def expired(world: World, servers: Sequence[Server], ago: float, root: str = "") -> None:
    """The same, of certificates that ended half a day after the time they tell: what no first
    date gives away."""
    leaked(world, servers, ago, root)
    for server in servers:
        server.chain = world.chain((-60 - ago / DAY, 0.5 - ago / DAY), root=root)


def silence(servers: Sequence[Server], silent: bool = True) -> None:
    """Drop all that these say."""
    for server in servers:
        server.up = server.ke_up = not silent


OFFSETS = [1.0, 10.0, MINUTE, HOUR, DAY, 30 * DAY, 300 * DAY, 3 * YEAR, 10 * YEAR, 20 * YEAR]
"""By how much a liar may be off, seconds."""


def named(device: Device, server: Server) -> bool:
    """Whether a refusal in the log, with its rule, is this server's (R13)."""
    refusal = re.compile(rf"(R\d+: {server.name}|{server.name}: R\d+): ")
    return any(refusal.match(text) for _, text in device.log)


def kiss(request: bytes, code: bytes, identifier: bytes) -> bytes:
    """A Kiss-o'-Death with that unique identifier, as anybody on the path can make it."""
    header = ntp.decode(request)
    packet = ntp.Packet(
        ntp.MODE_SERVER, transmit=1, leap=3, reference_id=code, origin=header.transmit, receive=1
    )
    return nts.nak(ntp.encode(packet), identifier)


def forged(request: bytes) -> bytes:
    """An answer to a request as well as it can be made without its keys."""
    said = ntp.Packet(
        ntp.MODE_SERVER, transmit=2 << 32, stratum=1, receive=1 << 32,
        origin=int.from_bytes(request[40:48], "big"),
    )  # fmt: skip
    return ntp.encode(said) + request[ntp.HEADER_LENGTH :]
