"""The two AEADs, and the libraries that fail at them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cryptography
import pytest
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.wire import aead
from pints.wire.aead import ALGORITHMS, GCM_SIV, SIV, TAG_LENGTH, Aead, Algorithm

KEY = bytes(range(32))
NONCE = bytes(range(100, 116))
HEADER = bytes(range(200, 248))

OFFERED = st.sampled_from(list(ALGORITHMS.values()))
TEXTS = st.binary(max_size=80)


def cipher(algorithm: Algorithm, key: bytes = KEY) -> Aead:
    return Aead(algorithm, key[: algorithm.key_length])


def nonce(algorithm: Algorithm) -> bytes:
    return NONCE[: algorithm.nonce_length]


gcm_siv = pytest.mark.skipif(
    GCM_SIV.id not in ALGORITHMS, reason="the library's AES-GCM-SIV is unsound"
)


@given(OFFERED, st.binary(min_size=32, max_size=32), TEXTS, TEXTS)
def test_what_was_sealed_opens(a: Algorithm, key: bytes, text: bytes, associated: bytes) -> None:
    sealed = cipher(a, key).seal(nonce(a), text, associated)
    assert len(sealed) == len(text) + TAG_LENGTH
    assert cipher(a, key).open(nonce(a), sealed, associated) == text


@given(OFFERED, TEXTS, TEXTS, st.data())
def test_no_bit_can_be_flipped(a: Algorithm, text: bytes, associated: bytes, data: Any) -> None:
    key = KEY[: a.key_length]
    parts = [key, nonce(a), cipher(a).seal(nonce(a), text, associated), associated]
    part = data.draw(st.sampled_from([i for i, p in enumerate(parts) if p]))
    # The key's first 16 octets: SIV's others hide the text, and nothing needs no hiding.
    octets = 16 if part == 0 else len(parts[part])
    bit = data.draw(st.integers(0, 8 * octets - 1))
    spoilt = bytearray(parts[part])
    spoilt[bit // 8] ^= 1 << bit % 8
    parts[part] = bytes(spoilt)
    with pytest.raises(WireError, match="does not verify"):
        Aead(a, parts[0]).open(*parts[1:])


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda a: a.name)
@pytest.mark.parametrize("text", [b"", b"secret"])
def test_no_octet_can_be_cut_off(algorithm: Algorithm, text: bytes) -> None:
    sealed = cipher(algorithm).seal(nonce(algorithm), text, HEADER)
    for length in range(len(sealed)):
        with pytest.raises(WireError):
            cipher(algorithm).open(nonce(algorithm), sealed[:length], HEADER)
    with pytest.raises(WireError):
        cipher(algorithm).open(nonce(algorithm), sealed + b"\0", HEADER)


@given(OFFERED, st.binary(max_size=20), TEXTS, TEXTS)
def test_any_bytes_are_a_wire_error(a: Algorithm, n: bytes, sealed: bytes, header: bytes) -> None:
    with pytest.raises(WireError):
        cipher(a).open(n, sealed, header)


@pytest.mark.parametrize("algorithm", [SIV, GCM_SIV], ids=lambda a: a.name)
@pytest.mark.parametrize("length", [0, 15, 17, 31, 33, 64])
def test_keys_of_another_length_are_refused(algorithm: Algorithm, length: int) -> None:
    with pytest.raises(WireError, match=f"key of {length} octets"):
        Aead(algorithm, bytes(length))


@given(st.binary(min_size=1, max_size=40), TEXTS)
def test_siv_takes_a_nonce_of_any_length(odd: bytes, text: bytes) -> None:
    assert cipher(SIV).open(odd, cipher(SIV).seal(odd, text, HEADER), HEADER) == text


@gcm_siv
@pytest.mark.parametrize("length", [0, 1, 11, 13, 16])
def test_gcm_siv_refuses_a_nonce_of_another_length(length: int) -> None:
    sealed = cipher(GCM_SIV).seal(bytes(12), b"text", HEADER)
    with pytest.raises(WireError):
        cipher(GCM_SIV).open(bytes(length), sealed, HEADER)


# The empty plaintext of SIV, which pints computes itself.


def library_seals_nothing() -> bool:
    try:
        AESSIV(KEY).encrypt(b"", [])
    except ValueError:
        return False
    return True


empty_text = pytest.mark.skipif(
    not library_seals_nothing(), reason="the library seals no empty plaintext"
)


@pytest.mark.parametrize(
    ("associated", "n", "tag"),
    [
        (b"", bytes(16), "bdc27f88add2433003c956d887813db7"),
        (HEADER, NONCE, "a9727b3a7bfce4a0990c0b36fc355167"),
        (bytes(500), b"\xff", "aeea3b6c341a1d34d1cf12bf5da2f015"),
    ],
)
def test_tags_over_nothing_as_openssl_makes_them(associated: bytes, n: bytes, tag: str) -> None:
    assert cipher(SIV).seal(n, b"", associated) == bytes.fromhex(tag)
    assert aead._s2v_of_nothing(KEY, associated, n) == bytes.fromhex(tag)


def test_nothing_is_checked_without_the_librarys_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead, "SIV_SEALS_NOTHING", False)
    tag = cipher(SIV).seal(NONCE, b"", HEADER)
    assert cipher(SIV).open(NONCE, tag, HEADER) == b""
    for bit in range(8 * TAG_LENGTH):
        wrong = (int.from_bytes(tag, "big") ^ 1 << bit).to_bytes(TAG_LENGTH, "big")
        with pytest.raises(WireError, match="does not verify"):
            cipher(SIV).open(NONCE, wrong, HEADER)
    for length in range(TAG_LENGTH):
        with pytest.raises(WireError, match="does not verify"):
            cipher(SIV).open(NONCE, tag[:length], HEADER)
    with pytest.raises(WireError, match="does not verify"):
        cipher(SIV).open(NONCE, tag, HEADER + b"?")


@empty_text
@given(st.binary(min_size=32, max_size=32), TEXTS, st.binary(min_size=1, max_size=40))
def test_s2v_of_nothing_is_the_librarys_where_it_has_one(
    key: bytes, associated: bytes, n: bytes
) -> None:
    ours = aead._s2v_of_nothing(key, associated, n)
    assert ours == AESSIV(key).encrypt(b"", [associated, n])
    assert AESSIV(key).decrypt(ours, [associated, n]) == b""


@empty_text
@given(st.lists(TEXTS, max_size=5))
def test_s2v_takes_any_number_of_strings(strings: list[bytes]) -> None:
    assert aead._s2v_of_nothing(KEY, *strings) == AESSIV(KEY).encrypt(b"", list(strings))


# What is offered.


def test_siv_is_always_offered_and_gcm_siv_preferred() -> None:
    assert list(ALGORITHMS) in ([30, 15], [15])
    assert ALGORITHMS[15] is SIV
    assert (SIV.required_nonce, GCM_SIV.required_nonce) == (16, 12)


def test_gcm_siv_is_offered_only_where_the_library_can_do_without_a_plaintext() -> None:
    library = AESGCMSIV(bytes(16))
    try:
        tag = library.encrypt(bytes(12), b"", None)
        library.decrypt(bytes(12), tag, None)
        for wrong in (bytes(16), bytes([tag[0] ^ 1]) + tag[1:], tag[:15] + bytes([tag[15] ^ 128])):
            with pytest.raises(InvalidTag):
                library.decrypt(bytes(12), wrong, None)
    except (ValueError, pytest.fail.Exception):
        assert GCM_SIV.id not in ALGORITHMS
    else:
        assert GCM_SIV.id in ALGORITHMS


@pytest.mark.skipif(not cryptography.__version__.startswith("43."), reason="another library")
def test_cryptography_43_offers_no_gcm_siv_and_this_is_why() -> None:
    assert list(ALGORITHMS) == [SIV.id]
    with pytest.raises(ValueError, match="must not be zero length"):
        AESGCMSIV(bytes(16)).encrypt(bytes(12), b"", None)


TAG = bytes(TAG_LENGTH)


def refuses(*_: object) -> bytes:
    raise InvalidTag


def complains(*_: object) -> bytes:
    raise ValueError("data must not be zero length")


def checks(tag: bytes) -> bytes:
    return b"" if tag == TAG else refuses()


def complains_of_wrong_tags(tag: bytes) -> bytes:
    return b"" if tag == TAG else complains()


@pytest.mark.parametrize(
    ("seal", "open", "sound"),
    [
        (lambda: TAG, checks, True),
        (complains, checks, False),
        (lambda: TAG, lambda tag: b"", False),
        (lambda: TAG, lambda tag: b"?", False),
        (lambda: TAG, refuses, False),
        (lambda: TAG, complains, False),
        (lambda: TAG, complains_of_wrong_tags, False),
    ],
    ids=[
        "sound",
        "seals no empty text",
        "opens anything",
        "opens to something else",
        "opens not even the right tag",
        "opens no empty text",
        "refuses with another error",
    ],
)
def test_the_probe_of_a_library(
    seal: Callable[[], bytes], open: Callable[[bytes], bytes], sound: bool
) -> None:
    assert aead._sound(seal, open) is sound


def test_a_library_whose_openssl_has_no_gcm_siv(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(key: bytes) -> AESGCMSIV:
        raise UnsupportedAlgorithm("AES-GCM-SIV is not supported by this version of OpenSSL")

    monkeypatch.setattr(aead, "AESGCMSIV", unsupported)
    assert aead._available() == {SIV.id: SIV}


# Vectors of others.


@gcm_siv
@pytest.mark.parametrize(
    ("text", "sealed"),
    [
        ("", "dc20e2d83f25705bb49e439eca56de25"),
        ("0100000000000000", "b5d839330ac7b786578782fff6013b815b287c22493a364c"),
    ],
)
def test_rfc_8452_appendix_c_1(text: str, sealed: str) -> None:
    gcm = Aead(GCM_SIV, bytes.fromhex("01" + "00" * 15))
    n = bytes.fromhex("03" + "00" * 11)
    assert gcm.seal(n, bytes.fromhex(text), b"").hex() == sealed
    assert gcm.open(n, bytes.fromhex(sealed), b"").hex() == text


def wycheproof(file: Path, key_bits: int) -> list[dict[str, Any]]:
    groups = json.loads(file.read_text())["testGroups"]
    return [test for g in groups if g["keySize"] == key_bits for test in g["tests"]]


def agrees(algorithm: Algorithm, test: dict[str, Any]) -> None:
    key, n, text, associated, sealed = (
        bytes.fromhex(test[k]) if k != "ct" else bytes.fromhex(test["ct"] + test["tag"])
        for k in ("key", "iv", "msg", "aad", "ct")
    )
    if algorithm is SIV:  # SIV puts its tag before the text, in RFC 5297 and in NTS
        sealed = bytes.fromhex(test["tag"] + test["ct"])
    if test["result"] == "valid":
        assert Aead(algorithm, key).seal(n, text, associated) == sealed, test["tcId"]
        assert Aead(algorithm, key).open(n, sealed, associated) == text, test["tcId"]
    else:
        with pytest.raises(WireError):
            Aead(algorithm, key).open(n, sealed, associated)


def test_wycheproofs_siv(real_data: Path) -> None:
    tests = wycheproof(real_data / "crypto/aead_aes_siv_cmac_test.json", 256)
    for test in tests:
        agrees(SIV, test)
    assert {(t["result"], t["msg"] == "") for t in tests} == {
        ("valid", True),
        ("valid", False),
        ("invalid", True),
        ("invalid", False),
    }


@gcm_siv
def test_wycheproofs_gcm_siv(real_data: Path) -> None:
    tests = wycheproof(real_data / "crypto/aes_gcm_siv_test.json", 128)
    for test in tests:
        agrees(GCM_SIV, test)
    assert {(t["result"], t["msg"] == "") for t in tests} == {
        ("valid", True),
        ("valid", False),
        ("invalid", True),
        ("invalid", False),
    }
