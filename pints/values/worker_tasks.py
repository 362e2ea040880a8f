"""What daemon and worker say to each other: one JSON object a line, both ways.

The daemon writes tasks; the worker streams results back as they come, and exits when its
tasks are done and its input is closed.  A result names its task by `id`.  The keys travel
here, so the channel is a socket pair that nobody else can open, and nothing is ever logged.
"""

import json
from dataclasses import asdict, fields
from typing import Any, NewType, get_args, get_origin

from pints.errors import WireError
from pints.lean import dataclass
from pints.timescale import Instant
from pints.values.address import Address
from pints.values.chain import Chain
from pints.values.files import MALFORMED

MAX_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class ResolveTask:
    """Look up the addresses of a plain NTP server."""

    id: int
    host: str
    port: int
    timeout: float
    """Seconds for the whole task."""


@dataclass(frozen=True, slots=True)
class ExchangeTask:
    """Do an NTS key exchange."""

    id: int
    host: str
    """The name or address that the certificate must be for."""
    port: int
    timeout: float
    """Seconds for the whole task, name look-ups included."""
    addresses: tuple[str, ...] = ()
    """Numeric addresses of `host` that are known beforehand; tried beside the resolver's."""
    ca: tuple[str, ...] = ()
    """PEM files of trusted certificates; empty: the system's trust store."""
    algorithms: tuple[int, ...] = ()
    """AEADs to offer, by IANA number, the preferred first."""
    ntp_port: int = 0
    """NTP port to use whatever the server says; 0: the negotiated one."""


@dataclass(frozen=True, slots=True)
class RoughtimeServer:
    """One to ask."""

    host: str
    port: int
    key: bytes
    """Its long-term Ed25519 public key, 32 octets."""
    operator: str


@dataclass(frozen=True, slots=True)
class RoughtimeTask:
    """Ask Roughtime servers one after the other, each nonce made from the answer before, in
    as many rounds (RFC 10049 section 8)."""

    id: int
    servers: tuple[RoughtimeServer, ...]
    rounds: int
    timeout: float
    """Seconds for the whole task."""

    @property
    def host(self) -> str:
        """For people."""
        return ", ".join(server.host for server in self.servers)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Addresses of a name, in the resolver's order."""

    id: int
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The yield of a key exchange."""

    id: int
    algorithm: int
    keys: tuple[tuple[bytes, bytes], ...]
    """Pairs of client-to-server and server-to-client key.  A second pair is what an answer of
    NAK to the first would mean (`ke.exporter_contexts`)."""
    cookies: tuple[bytes, ...]
    addresses: tuple[Address, ...]
    """Of the NTP server, the one that goes with the address the exchange used first."""
    server: str
    """The negotiated NTP server's name, or the key server's own."""
    chain: Chain
    ke_address: Address
    timing: tuple[tuple[str, float], ...] = ()
    """Seconds that each step took: resolve, connect, tls, chain, records, resolve-ntp."""


@dataclass(frozen=True, slots=True)
class RoughtimeReading:
    """One good answer: when it came, `age` seconds before the result was sent, true time was
    between `low` and `high` if the server is honest."""

    host: str
    operator: str
    round: int
    low: Instant
    """Midpoint less radius."""
    high: Instant
    """Midpoint plus radius plus round trip."""
    age: float
    mint: Instant
    """The delegated key's own dates: the midpoint lies between."""
    maxt: Instant


@dataclass(frozen=True, slots=True)
class RoughtimeHeard:
    """What a round of Roughtime servers said."""

    id: int
    readings: tuple[RoughtimeReading, ...]
    failures: tuple[str, ...]
    """One line for each server that gave no good answer."""
    malfeasance: str = ""
    """A report (JSON) that proves to anybody that a server lied; empty: no contradiction."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that came to nothing."""

    id: int
    step: str
    """resolve, connect, tls, chain, records, resolve-ntp or worker."""
    reason: str
    """One line: what was wrong, with whom."""
    hint: str = ""
    """What the reader can do about it."""
    sent_hello: bool = False
    """Whether a ClientHello went out: only then does the attempt count against the server."""


Task = ResolveTask | ExchangeTask | RoughtimeTask
Result = Resolved | Exchanged | RoughtimeHeard | Failed
_KINDS: dict[str, type[Task] | type[Result]] = {
    c.__name__: c for c in get_args(Task) + get_args(Result)
}


def encode(message: Task | Result) -> bytes:
    """One line."""
    content = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(content, default=bytes.hex).encode() + b"\n"


def decode(line: bytes) -> Task | Result:
    """The message of one line, or WireError: the worker handles what strangers sent, so the
    daemon reads its answers as carefully."""
    try:
        content = json.loads(line)
        message: Task | Result = _build(_KINDS[content.pop("kind")], content)
    except MALFORMED as e:
        raise WireError(f"worker's message: {type(e).__name__}") from None
    return message


def _build(kind: Any, value: Any) -> Any:
    """What JSON made of a value of this kind, turned back; TypeError if it is of another."""
    if isinstance(kind, NewType):
        kind = kind.__supertype__
    if kind is bytes:
        return bytes.fromhex(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (bool, int, float, str):
        if type(value) is kind:
            return value
    elif get_origin(kind) is tuple:
        if type(value) is list:
            kinds = get_args(kind)
            if kinds[-1] is Ellipsis:
                kinds = kinds[:1] * len(value)
            return tuple(_build(k, v) for k, v in zip(kinds, value, strict=True))
    else:
        kinds_by_name = {field.name: field.type for field in fields(kind)}
        return kind(**{name: _build(kinds_by_name[name], v) for name, v in value.items()})
    raise TypeError
