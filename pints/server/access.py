"""Who gets an answer, and how often: both decided before any cryptography is done.

- An address that no configured network contains gets nothing.
- One client costs a bounded share of this machine, and all clients a bounded table.
- Limits are per IPv4 address and per IPv6 /64, the least that an IPv6 host is given.
- Someone who forges a client's address cannot silence that client: of the requests beyond
  the limit a random quarter is still answered, as in chrony.

Addresses are the numeric strings that the sockets give.
"""

import socket
from collections.abc import Callable, Iterable
from enum import Enum

from pints.errors import ConfigError
from pints.timescale import NS, Boot

INTERVAL = NS // 16
"""Boot ns between a client's requests that are answered forever.  Ample: the shortest interval
that NTP clients use on a local network."""
AT_ONCE = 64
"""Requests at once, after a pause.  Several clients may share an address."""
TABLE_SIZE = 1024
"""Clients remembered; about 170 octets each."""
_MAPPED = bytes(10) + b"\xff\xff"
"""Prefix of an IPv4 address in a dual-stack socket's clothes (RFC 4291 section 2.5.5.2)."""
_LOOPBACK = bytes(15) + b"\x01"


class Verdict(Enum):
    """What a request deserves."""

    ANSWER = "answer"
    SLOW_DOWN = "slow down"
    """A Kiss-o'-Death RATE, if anything."""
    DROP = "drop"


def pack(host: str) -> bytes:
    """The 4 or 16 octets of a numeric address, or ValueError.  A zone (%eth0) is dropped, an
    IPv4-mapped IPv6 address is the IPv4 address."""
    try:
        if ":" not in host:
            return socket.inet_pton(socket.AF_INET, host)
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        raise ValueError(f"not a numeric address: {host!r}") from None
    return packed[12:] if packed.startswith(_MAPPED) else packed


class AllowList:
    """The networks that are served.  An empty list serves nobody."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Networks as "192.168.0.0/16", "fe80::/10" or a single address.

        ConfigError for what is none, also for one with bits set below its prefix length: who
        wrote that meant something else.
        """
        self._networks = [_network(text) for text in networks]

    def allows(self, packed: bytes) -> bool:
        """Whether an address, as `pack` gives it, is in one of the networks."""
        address = int.from_bytes(packed, "big")
        length = len(packed)
        return any(
            length == family and address >> shift == prefix
            for family, shift, prefix in self._networks
        )


class RateLimit:
    """A token bucket for every recent client.

    A bucket is one number: the instant at which it will be full again (the generic cell rate
    algorithm).  The client not heard of for the longest time is forgotten first.
    """

    def __init__(
        self, interval: int = INTERVAL, burst: int = AT_ONCE, size: int = TABLE_SIZE
    ) -> None:
        self._interval = interval
        self._depth = interval * burst
        self._size = size
        self._full_at: dict[bytes, int] = {}

    def judge(self, packed: bytes, now: Boot, entropy: Callable[[int], bytes]) -> Verdict:
        """What the request that came `now` from an address, as `pack` gives it, deserves.

        This machine itself (127.0.0.0/8, ::1) is never limited: the kernel lets nobody else
        send from there.
        """
        if packed == _LOOPBACK or (len(packed) == 4 and packed[0] == 127):
            return Verdict.ANSWER
        client = packed[:8]
        full_at = max(self._full_at.pop(client, 0), now) + self._interval
        within = full_at - now <= self._depth
        # Requests beyond the limit take nothing from the bucket: it would never fill again
        # for the owner of an address that somebody else floods with.
        self._full_at[client] = full_at if within else full_at - self._interval
        if len(self._full_at) > self._size:
            del self._full_at[next(iter(self._full_at))]
        if within:
            return Verdict.ANSWER
        chance = entropy(1)[0]
        if chance < 64:
            return Verdict.ANSWER
        return Verdict.SLOW_DOWN if chance < 80 else Verdict.DROP


def _network(text: str) -> tuple[int, int, int]:
    """Octets of an address, bits below the prefix, and the prefix."""
    host, slash, length = text.partition("/")
    try:
        packed = pack(host)
        bits = 8 * len(packed)
        shift = bits - int(length) if slash else 0
    except ValueError:
        raise ConfigError(
            f"[server] allow: {text!r} is no network", 'write it like "192.168.0.0/16"'
        ) from None
    if not 0 <= shift <= bits:
        raise ConfigError(f"[server] allow: {text!r} has an impossible prefix length")
    address = int.from_bytes(packed, "big")
    prefix = address >> shift
    if prefix << shift != address:
        proper = (prefix << shift).to_bytes(len(packed), "big")
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        raise ConfigError(
            f"[server] allow: {text!r} has bits set below its prefix",
            f'the network is "{socket.inet_ntop(family, proper)}/{length}"',
        )
    return len(packed), shift, prefix
