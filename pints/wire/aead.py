"""The two AEADs of NTS: AEAD_AES_SIV_CMAC_256 (RFC 5297) and AEAD_AES_128_GCM_SIV (RFC 8452).

The first is mandatory, the second makes shorter cookies.  NTS seals mostly *empty* plaintexts
(a client's request carries nothing secret), and there older libraries fail: cryptography 43
refuses to seal nothing, and its AES-GCM-SIV does not check a bare tag as it should (as its
OpenSSL goes, it opens any or none).  For SIV the empty case is one S2V, computed here from
the library's CMAC, whatever the library's age; AES-GCM-SIV is offered only where a probe at
import finds the library sound.
"""

from _operator import _compare_digest as compare_digest  # hmac's own, without hmac's 3 MB
from collections.abc import Callable

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV

from pints.errors import WireError
from pints.lean import dataclass

AES_SIV_CMAC_256 = 15
"""IANA's number, as for the next."""
AES_128_GCM_SIV = 30
TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What NTS must know of an AEAD.  Lengths in octets."""

    id: int
    name: str
    key_length: int
    nonce_length: int
    """Used here; for SIV any length would do."""
    required_nonce: int
    """N_REQ of RFC 8915 section 5.6: 16, or the AEAD's largest nonce where that is less."""


SIV = Algorithm(AES_SIV_CMAC_256, "AES-SIV-CMAC-256", 32, 16, 16)
GCM_SIV = Algorithm(AES_128_GCM_SIV, "AES-128-GCM-SIV", 16, 12, 12)


class Aead:
    """One algorithm under one key.

    `associated` is what is authenticated but not hidden; the nonce comes separately, also for
    SIV, whose RFC counts it as the last of the associated strings (RFC 8915 section 5.6).
    """

    __slots__ = ("_cipher", "_key", "algorithm")

    def __init__(self, algorithm: Algorithm, key: bytes) -> None:
        if len(key) != algorithm.key_length:
            raise WireError(f"{algorithm.name} key of {len(key)} octets")
        self.algorithm = algorithm
        self._key = key
        gcm = algorithm.id == AES_128_GCM_SIV
        self._cipher = AESGCMSIV(key) if gcm else AESSIV(key)

    def seal(self, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """The ciphertext with its tag: TAG_LENGTH longer than the plaintext."""
        if isinstance(self._cipher, AESGCMSIV):
            return self._cipher.encrypt(nonce, plaintext, associated)
        if plaintext or SIV_SEALS_NOTHING:
            return self._cipher.encrypt(plaintext, [associated, nonce])
        return _s2v_of_nothing(self._key, associated, nonce)

    def open(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """The plaintext, or WireError when key, nonce, text or associated data do not fit."""
        try:
            if isinstance(self._cipher, AESGCMSIV):
                return self._cipher.decrypt(nonce, ciphertext, associated)
            if len(ciphertext) > TAG_LENGTH or SIV_SEALS_NOTHING:
                return self._cipher.decrypt(ciphertext, [associated, nonce])
        except (InvalidTag, ValueError):
            raise WireError("authenticator does not verify") from None
        if compare_digest(ciphertext, _s2v_of_nothing(self._key, associated, nonce)):
            return b""
        raise WireError("authenticator does not verify")


def _s2v_of_nothing(key: bytes, *strings: bytes) -> bytes:
    """S2V(strings..., "") under the first half of an AES-SIV key (RFC 5297 section 2.4): the
    whole output of AES-SIV for an empty plaintext."""
    # Imported where it is used: with a newer library nothing here ever is.
    from cryptography.hazmat.primitives.ciphers import algorithms
    from cryptography.hazmat.primitives.cmac import CMAC

    aes = algorithms.AES(key[: len(key) // 2])

    def cmac(data: bytes) -> bytes:
        mac = CMAC(aes)
        mac.update(data)
        return mac.finalize()

    def double(block: int) -> int:
        return (block << 1) % (1 << 128) ^ (0x87 if block >> 127 else 0)

    state = int.from_bytes(cmac(bytes(16)), "big")
    for string in strings:
        state = double(state) ^ int.from_bytes(cmac(string), "big")
    padded = 1 << 127  # pad(""): a one bit, then zeros
    return cmac((double(state) ^ padded).to_bytes(16, "big"))


def _sound(seal: Callable[[], bytes], open: Callable[[bytes], bytes]) -> bool:
    """Whether a library's cipher seals nothing, opens that, and refuses a wrong tag over it."""
    try:
        tag = seal()
        if open(tag) != b"":
            return False
    except (InvalidTag, ValueError):
        return False
    try:
        open(bytes(octet ^ 1 for octet in tag))
    except InvalidTag:
        return True
    except ValueError:
        return False
    return False


def _siv_seals_nothing() -> bool:
    cipher = AESSIV(bytes(SIV.key_length))
    strings = [b"associated", bytes(SIV.nonce_length)]
    return _sound(
        lambda: cipher.encrypt(b"", strings),
        lambda tag: cipher.decrypt(tag, strings),
    )


def _gcm_siv_is_sound() -> bool:
    nonce = bytes(GCM_SIV.nonce_length)
    try:
        cipher = AESGCMSIV(bytes(GCM_SIV.key_length))
    except UnsupportedAlgorithm:  # the library's OpenSSL has none at all
        return False
    return _sound(
        lambda: cipher.encrypt(nonce, b"", None),
        lambda tag: cipher.decrypt(nonce, tag, None),
    )


def _available() -> dict[int, Algorithm]:
    return {a.id: a for a in ((GCM_SIV, SIV) if _gcm_siv_is_sound() else (SIV,))}


SIV_SEALS_NOTHING = _siv_seals_nothing()
"""Whether S2V over nothing is the library's affair."""
ALGORITHMS = _available()
"""Those this machine can use, by IANA number, the preferred first."""
