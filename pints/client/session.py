"""NTS sessions: keys and cookies, in memory and as they outlast a boot.

Guarantees: a cookie is yielded at most once; what is laid aside for the disk is never used by
the daemon that laid it aside.  A saved session speaks only for the 28 days from the check of
the certificate behind it, and only on the board that saved it.
"""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import field

from pints.errors import StateError
from pints.lean import dataclass
from pints.timescale import DAY, Instant, nanoseconds
from pints.values.address import Address
from pints.values.chain import Chain, Window
from pints.values.files import decoding, json_line
from pints.wire.aead import ALGORITHMS, Aead, Algorithm
from pints.wire.nts import MAX_COOKIES, Keys

LIFETIME = 28 * DAY
"""A saved session speaks for [T, T + LIFETIME], T being the instant of its strict check."""
REMEMBERED = 64
"""Spent cookies that are known again."""
RENEW_AFTER = LIFETIME / 2
"""Age at which keys are exchanged anew, well before the session would fall silent."""


@dataclass(slots=True)
class Session:
    """What a key exchange yields, and what is left of it."""

    algorithm: Algorithm
    keys: list[tuple[bytes, bytes]]
    """Client-to-server and server-to-client; more than one pair where it is not known yet
    which of two the server holds (`ke.exporter_contexts`)."""
    addresses: tuple[Address, ...]
    chain: Chain
    cookies: list[bytes]
    server: str = ""
    checked: Instant | None = None
    """When its chain was found strictly valid, by a belief; None while it is not."""
    saved: bool = False
    """Came from disk: no certificate of this boot is behind it."""
    proven: bool = False
    """An authentic answer came under these keys."""
    switched: int = 0
    """How many of the other pairs of keys were tried."""
    ciphers: Keys = field(init=False)
    _spent: deque[bytes] = field(init=False, default_factory=lambda: deque(maxlen=REMEMBERED))

    def __post_init__(self) -> None:
        self.cookies = list(dict.fromkeys(self.cookies))
        self._use(self.keys[0])

    def _use(self, pair: tuple[bytes, bytes]) -> None:
        self.ciphers = Keys(Aead(self.algorithm, pair[0]), Aead(self.algorithm, pair[1]))

    def switch_keys(self) -> bool:
        """Turn to the next pair of keys, after a NAK to the first; False if all were tried.
        None is lost by it, for anybody can send a NAK."""
        if self.proven or self.switched + 1 >= len(self.keys):
            return False
        self.switched += 1
        self.keys.append(self.keys.pop(0))
        self._use(self.keys[0])
        return True

    def take_cookie(self) -> bytes:
        """A cookie never yielded before; IndexError when there is none left."""
        self._spent.append(self.cookies[0])
        return self.cookies.pop(0)

    def part_with_cookie(self) -> bytes:
        """The same, the last one, for somebody else to send."""
        self._spent.append(self.cookies[-1])
        return self.cookies.pop()

    def add_cookies(self, cookies: Iterable[bytes]) -> None:
        """Those that an authentic answer brought, up to the number worth holding.  A server
        that gives out old ones gets no help in following us."""
        held = {*self._spent, *self.cookies}
        fresh = [cookie for cookie in dict.fromkeys(cookies) if cookie not in held]
        self.cookies += fresh[: MAX_COOKIES - len(self.cookies)]

    def window(self) -> Window | None:
        """The instants a saved session may speak for (TRUST: 28 days from its check)."""
        if self.checked is None:
            return None
        return Window(self.checked, Instant(self.checked + nanoseconds(LIFETIME)))


@dataclass(frozen=True, slots=True)
class SavedSession:
    """One session with one cookie, as a batch on disk holds it."""

    source: str
    algorithm: int
    c2s: bytes
    s2c: bytes
    cookie: bytes
    address: Address
    server: str
    checked: Instant
    chain: Chain


def lay_aside(source: str, session: Session, address: Address) -> SavedSession | None:
    """Part with one cookie for the disk.  None unless the session is proven, strictly checked
    and rich enough to go on without it."""
    if session.checked is None or not session.proven or len(session.cookies) < 2:
        return None
    c2s, s2c = session.keys[0]
    cookie = session.part_with_cookie()
    return SavedSession(
        source, session.algorithm.id, c2s, s2c, cookie, address, session.server,
        session.checked, session.chain,
    )  # fmt: skip


def revive(saved: SavedSession) -> Session | None:
    """The session of a spent batch, or None if this machine lacks its algorithm, or the keys
    cannot be such."""
    algorithm = ALGORITHMS.get(saved.algorithm)
    length = algorithm.key_length if algorithm else 0
    if algorithm is None or {len(saved.c2s), len(saved.s2c)} != {length}:
        return None
    return Session(
        algorithm, [(saved.c2s, saved.s2c)], (saved.address,), saved.chain, [saved.cookie],
        saved.server, saved.checked, saved=True,
    )  # fmt: skip


def encode_batch(board: str, sessions: Iterable[SavedSession]) -> bytes:
    """A batch: one cookie a source.  `board` binds it to this machine and card."""
    rows = [
        {
            "source": s.source,
            "algorithm": s.algorithm,
            "c2s": s.c2s.hex(),
            "s2c": s.s2c.hex(),
            "cookie": s.cookie.hex(),
            "address": [s.address.host, s.address.port],
            "server": s.server,
            "checked": s.checked,
            "windows": [[w.start, w.end] for w in s.chain.windows],
            "leaf": [s.chain.leaf_not_before, s.chain.leaf_key, s.chain.issuer],
            "roots": s.chain.roots,
        }
        for s in sessions
    ]
    return json_line({"pints-sessions": 1, "board": board, "sessions": rows})


def decode_batch(data: bytes, board: str) -> list[SavedSession]:
    """The sessions of a batch; none if another board saved it; StateError if it is torn."""
    with decoding("batch of sessions"):
        document = json.loads(data)
        if document["pints-sessions"] != 1:
            raise StateError("batch of sessions of an unknown version")
        if document["board"] != board:
            return []
        return [
            SavedSession(
                str(row["source"]),
                int(row["algorithm"]),
                bytes.fromhex(row["c2s"]),
                bytes.fromhex(row["s2c"]),
                bytes.fromhex(row["cookie"]),
                _address(row["address"]),
                str(row["server"]),
                Instant(int(row["checked"])),
                Chain(
                    tuple(Window(Instant(int(a)), Instant(int(b))) for a, b in row["windows"]),
                    Instant(int(row["leaf"][0])),
                    str(row["leaf"][1]),
                    tuple(map(str, row["roots"])),
                    str(row["leaf"][2]),
                ),
            )
            for row in document["sessions"]
        ]


def _address(row: list[object]) -> Address:
    host, port = str(row[0]), row[1]
    if not isinstance(port, int) or not 0 < port < 65536:
        raise ValueError("port out of range")
    return Address(host, port)
