"""NTS cookies under rotating keys (RFC 8915 section 6): the server's memory, kept by clients.

- The newest key seals; it and its two predecessors open.  A key seals for a week, so a cookie
  serves for two weeks at least and three at most.
- A cookie that opens was made here, whole, under one of these keys.  Whatever else opens to
  None; nothing here raises for what a client sent.
- No two cookies are alike, nor can they be told to be of one session by who holds no key.

A cookie is

    key id (4)  nonce (16)  AEAD_AES_SIV_CMAC_256 of [AEAD id (2)  C2S key  S2C key  zeros]

with as many zeros as make its length a multiple of 4, and the key id as associated data: 104
octets for a session of AES-SIV-CMAC-256, 72 for one of AES-128-GCM-SIV.  The keys are always
those of AES-SIV, which every machine has and which forgives a repeated nonce, so that a ring
outlives a change of the library.  Randomness is an argument: `entropy(n)` gives n octets.
"""

import binascii
from collections.abc import Callable

from pints.errors import StateError, WireError
from pints.lean import dataclass
from pints.timescale import NS, Instant
from pints.wire.aead import ALGORITHMS, SIV, TAG_LENGTH, Aead
from pints.wire.nts import Keys

Entropy = Callable[[int], bytes]

FOLDER = "server-keys"
RING = "ring"
"""The ring's file is FOLDER/RING in the state folder, for its owner only."""
ROTATION = 7 * 86400 * NS
"""How long a key seals."""
KEPT = 3
"""Keys in a full ring."""
_ID_LENGTH = 4
NONCE_LENGTH = 16
"""Of a cookie, octets."""
_HEAD_LENGTH = _ID_LENGTH + NONCE_LENGTH
_TITLE = "pints-server-keys 1"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key that seals and opens cookies."""

    id: int
    """32 bits, random: tells a cookie's key, not its age."""
    key: bytes
    """32 octets, of AEAD_AES_SIV_CMAC_256."""
    created: Instant


@dataclass(frozen=True, slots=True)
class Session(Keys):
    """What a cookie held: the session's ciphers, and the plaintext that makes its next cookie."""

    plaintext: bytes


class KeyRing:
    """One to KEPT master keys, the newest first.  Immutable: rotation makes another ring."""

    def __init__(self, keys: tuple[MasterKey, ...]) -> None:
        if not 1 <= len(keys) <= KEPT or len({key.id for key in keys}) != len(keys):
            raise StateError(f"a key ring of {len(keys)} keys, or with two of one id")
        self.keys = keys
        self._aeads = {key.id.to_bytes(_ID_LENGTH, "big"): Aead(SIV, key.key) for key in keys}
        self._newest, self._sealing = next(iter(self._aeads.items()))

    @classmethod
    def fresh(cls, now: Instant, entropy: Entropy) -> "KeyRing":
        """A ring of one new key."""
        return cls((_new_key(now, entropy, ()),))

    def rotated(self, now: Instant, entropy: Entropy) -> "KeyRing | None":
        """The ring with a new key in front once its newest has sealed for a week, else None.

        `now` should be a time that is believed: every rotation ages the clients' cookies, and
        a key "from the future", made by a clock that was wrong, is replaced like an old one.
        """
        if 0 <= now - self.keys[0].created < ROTATION:
            return None
        return KeyRing((_new_key(now, entropy, self.keys), *self.keys[: KEPT - 1]))

    def seal(self, algorithm: int, c2s: bytes, s2c: bytes, entropy: Entropy) -> bytes:
        """A cookie for a session of that AEAD (IANA number) with those keys."""
        plaintext = algorithm.to_bytes(2, "big") + c2s + s2c
        return self.renew(plaintext + bytes(-len(plaintext) % 4), entropy(NONCE_LENGTH))

    def renew(self, plaintext: bytes, nonce: bytes) -> bytes:
        """Another cookie with the content of one that was opened.  `nonce`: 16 new octets."""
        return self._newest + nonce + self._sealing.seal(nonce, plaintext, self._newest)

    def open(self, cookie: bytes) -> Session | None:
        """The session of a cookie; None if it is not ours, too old, or of an AEAD that this
        machine does not have (any more)."""
        id = cookie[:_ID_LENGTH]
        aead = self._aeads.get(id)
        if aead is None or len(cookie) <= _HEAD_LENGTH + TAG_LENGTH:
            return None
        try:
            plaintext = aead.open(cookie[_ID_LENGTH:_HEAD_LENGTH], cookie[_HEAD_LENGTH:], id)
            algorithm = ALGORITHMS.get(int.from_bytes(plaintext[:2], "big"))
            if algorithm is None:
                return None
            middle = 2 + algorithm.key_length
            c2s, s2c = plaintext[2:middle], plaintext[middle : middle + algorithm.key_length]
            return Session(Aead(algorithm, c2s), Aead(algorithm, s2c), plaintext)
        except WireError:
            return None

    def encode(self) -> bytes:
        """The ring as lines of text.  They are secret: whoever reads them reads the sessions."""
        lines = [_TITLE, *(f"{key.id:08x} {key.created} {key.key.hex()}" for key in self.keys)]
        text = "".join(line + "\n" for line in lines).encode("ascii")
        return text + b"crc32 %08x\n" % binascii.crc32(text)

    @classmethod
    def decode(cls, data: bytes) -> "KeyRing":
        """The ring of such lines, or StateError for what is torn or foreign."""
        end = data.rfind(b"crc32 ")
        if end < 0 or data[end:] != b"crc32 %08x\n" % binascii.crc32(data[:end]):
            raise StateError("server keys: the checksum does not fit")
        try:
            title, *lines = data[:end].decode("ascii").splitlines()
            if title != _TITLE:
                raise StateError(f"server keys: not '{_TITLE}'")
            rows = [line.split(" ") for line in lines]
            keys = [
                MasterKey(int(id, 16), bytes.fromhex(key), Instant(int(created)))
                for id, created, key in rows
            ]
            return cls(tuple(keys))
        except (ValueError, OverflowError) as e:
            raise StateError(f"server keys: malformed ({type(e).__name__})") from None


def _new_key(now: Instant, entropy: Entropy, others: tuple[MasterKey, ...]) -> MasterKey:
    taken = {key.id for key in others}
    while (id := int.from_bytes(entropy(_ID_LENGTH), "big")) in taken:
        pass
    return MasterKey(id, entropy(SIV.key_length), now)
