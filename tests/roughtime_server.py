"""Roughtime servers on loopback, honest or as evil as a test says.

    with Roughtime(lie=86400.0) as server:
        ... ask 127.0.0.1:server.port for the time, with server.key ...

`respond` makes the same answers without a socket.  All versions are spoken that pints knows; of
those that a client offers, the answer is in the highest that is in `versions`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pints.wire import roughtime
from pints.wire.roughtime import VERSIONS, Version, digest, encode_message, encode_numbers
from tests.cli.ntp_server import LOOPBACK, UdpServer

DAY = 86400


@dataclass
class Roughtime:
    """One server.  All fields may be changed while it runs."""

    host: str = LOOPBACK
    versions: tuple[int, ...] = tuple(VERSIONS)
    radius: int = 3
    """Seconds."""
    lie: float = 0.0
    """Seconds that are added to the true time."""
    silent: int = 0
    """So many of the next requests are not answered."""
    grease: int = 0
    """So many of the next answers are signed wrongly."""
    bad_delegation: bool = False
    """The long-term key did not sign."""
    expired: bool = False
    """The delegation ended before the midpoint."""
    wrong_nonce: bool = False
    other_request: bool = False
    """The signed tree does not contain the request."""
    mint: int = 0
    """Seconds, as the next; 0: 30 days around the midpoint."""
    maxt: int = 0
    siblings: int = 0
    """Levels of the tree above the request's leaf."""
    index: int = 0
    """Of the leaf in that tree."""
    node_first: bool = False
    """The path's order as the drafts had it."""
    spelling: int = 0
    """Which of the version's spellings of the protocol's name is signed."""
    signed_version: bool = False
    """SREP has a VER also where its version needs none."""
    extra: dict[str, bytes] = field(default_factory=dict)
    """Tags to add to the response, or to put in the place of what it has."""
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._key, self._online = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.key = self._key.public_key().public_bytes_raw()
        self.requests: list[bytes] = []

    @cached_property
    def _udp(self) -> UdpServer:
        return UdpServer(self._behave, self.host)

    @property
    def port(self) -> int:
        return self._udp.port

    def __enter__(self) -> Self:
        self._udp.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._udp.__exit__()

    def _behave(self, packet: bytes) -> bytes | None:
        self.requests.append(packet)
        if self.silent > 0:
            self.silent -= 1
            return None
        return self.respond(packet)

    def respond(self, packet: bytes) -> bytes | None:
        """The answer to a request; None to one that is for another server or version."""
        asked = roughtime.decode_request(packet)
        if asked.server not in (b"", roughtime.server_tag(self.key)):
            return None
        common = set(asked.versions) & set(self.versions)
        if not common:
            return None
        # A draft's number is greater than version 1's, which is newer.
        version = VERSIONS[1 if 1 in common else max(common)]
        leaf = digest(b"\0", packet if version.packet_leaf else asked.nonce)
        path, root = self._tree(leaf if not self.other_request else bytes(32))
        signed = self._signed(version, root)
        spelling = version.spellings[self.spelling]
        message = {
            "SIG": self._online.sign(spelling + roughtime.RESPONSE + signed),
            "NONC": asked.nonce if not self.wrong_nonce else bytes(32),
            "PATH": path,
            "SREP": signed,
            "CERT": self._certificate(version),
            "INDX": encode_numbers([self.index]),
        }
        if self.grease > 0:
            self.grease -= 1
            message["SIG"] = bytes(64)
        if not version.signed_version:
            message["VER"] = encode_numbers([version.number])
        if version.typed:
            message["TYPE"] = encode_numbers([1])
        return roughtime.encode_packet(message | self.extra)

    @property
    def _midpoint(self) -> int:
        return int(self.clock() + self.lie)

    def _tree(self, found: bytes) -> tuple[bytes, bytes]:
        path = b""
        for level in range(self.siblings):
            node = os.urandom(32)
            node_first = self.node_first != bool(self.index >> level & 1)
            found = digest(b"\1", *((node, found) if node_first else (found, node)))
            path += node
        return path, found

    def _signed(self, version: Version, root: bytes) -> bytes:
        values = {
            "RADI": encode_numbers([self.radius]),
            "MIDP": self._midpoint.to_bytes(8, "little"),
            "ROOT": root,
        }
        if version.signed_version or self.signed_version:
            values["VER"] = encode_numbers([version.number])
        if version.signed_version:
            values["VERS"] = encode_numbers(sorted(self.versions))
        return encode_message(values)

    def _certificate(self, version: Version) -> bytes:
        mint, maxt = self._midpoint - 30 * DAY, self._midpoint + 30 * DAY
        if self.expired:
            maxt = self._midpoint - 1
        delegation = encode_message(
            {
                "PUBK": self._online.public_key().public_bytes_raw(),
                "MINT": (self.mint or mint).to_bytes(8, "little"),
                "MAXT": (self.maxt or maxt).to_bytes(8, "little"),
            }
        )
        signer = self._online if self.bad_delegation else self._key
        spelling = version.spellings[self.spelling]
        signature = signer.sign(spelling + version.delegation + delegation)
        return encode_message({"SIG": signature, "DELE": delegation})
