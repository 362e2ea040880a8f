"""What a cookie promises: it opens to what was sealed, for its time, and only here."""

import binascii
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import StateError
from pints.server.cookies import KEPT, ROTATION, KeyRing, MasterKey
from pints.timescale import Instant
from pints.wire.aead import ALGORITHMS, SIV, Aead, Algorithm
from pints.wire.nts import MAX_COOKIE_LENGTH

NOW = Instant(1_800_000_000_000_000_000)


def counting() -> Callable[[int], bytes]:
    """Entropy that never repeats itself and is the same in every run."""
    numbers = itertools.count(1)
    return lambda n: b"".join(next(numbers).to_bytes(4, "big") for _ in range((n + 3) // 4))[:n]


def keys(algorithm: Algorithm) -> tuple[bytes, bytes]:
    length = algorithm.key_length
    return bytes(range(length)), bytes(range(length, 2 * length))


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda a: a.name)
def test_a_cookie_opens_to_the_keys_it_was_sealed_with(algorithm: Algorithm) -> None:
    entropy = counting()
    ring = KeyRing.fresh(NOW, entropy)
    c2s, s2c = keys(algorithm)
    cookie = ring.seal(algorithm.id, c2s, s2c, entropy)
    session = ring.open(cookie)
    assert session is not None
    nonce = bytes(algorithm.nonce_length)
    for ours, theirs in ((session.c2s, c2s), (session.s2c, s2c)):
        assert ours.algorithm is algorithm
        sealed = ours.seal(nonce, b"x", b"y")
        assert Aead(algorithm, theirs).open(nonce, sealed, b"y") == b"x"
    assert len(cookie) % 4 == 0
    assert len(cookie) <= MAX_COOKIE_LENGTH


def test_lengths_are_those_the_module_tells() -> None:
    ring = KeyRing.fresh(NOW, counting())
    assert len(ring.seal(15, bytes(32), bytes(32), counting())) == 104
    assert len(ring.seal(30, bytes(16), bytes(16), counting())) == 72


def test_the_next_cookie_of_a_session_holds_the_same_and_looks_different() -> None:
    entropy = counting()
    ring = KeyRing.fresh(NOW, entropy)
    first = ring.seal(SIV.id, *keys(SIV), entropy)
    session = ring.open(first)
    assert session is not None
    second = ring.renew(session.plaintext, entropy(16))
    again = ring.open(second)
    assert again is not None
    assert again.plaintext == session.plaintext
    # Nothing but the key's id is common: not one octet pair in a row more than chance has.
    assert first[:4] == second[:4]
    assert sum(a == b for a, b in zip(first[4:], second[4:], strict=True)) < 20


def test_a_cookie_outlives_two_rotations_and_not_three() -> None:
    entropy = counting()
    ring = KeyRing.fresh(NOW, entropy)
    cookie = ring.seal(SIV.id, *keys(SIV), entropy)
    for rotation in range(1, KEPT + 1):
        now = Instant(NOW + rotation * ROTATION)
        assert ring.rotated(Instant(now - 1), entropy) is None
        newer = ring.rotated(now, entropy)
        assert newer is not None
        assert newer.keys[1:] == ring.keys[: KEPT - 1]
        ring = newer
        assert (ring.open(cookie) is not None) == (rotation < KEPT)
    assert len(ring.keys) == KEPT


def test_only_the_newest_key_seals() -> None:
    entropy = counting()
    old = KeyRing.fresh(NOW, entropy)
    new = old.rotated(Instant(NOW + ROTATION), entropy)
    assert new is not None
    cookie = new.seal(SIV.id, *keys(SIV), entropy)
    assert new.open(cookie) is not None
    assert old.open(cookie) is None


def test_a_key_from_the_future_is_replaced() -> None:
    """Made while the clock was ahead; else it would seal until the clock gets there."""
    ring = KeyRing.fresh(Instant(NOW + 50 * ROTATION), counting())
    assert ring.rotated(NOW, counting()) is not None


def test_ids_in_a_ring_differ_even_when_chance_repeats_itself() -> None:
    ring = KeyRing.fresh(NOW, lambda n: b"\7" * n)
    answers = iter([b"\7" * 4, b"\7" * 4, b"\1" * 4])
    rotated = ring.rotated(
        Instant(NOW + ROTATION), lambda n: next(answers) if n == 4 else b"\2" * n
    )
    assert rotated is not None
    assert [key.id for key in rotated.keys] == [0x01010101, 0x07070707]


@given(st.binary(max_size=300))
def test_strangers_bytes_open_to_nothing(data: bytes) -> None:
    ring = KeyRing.fresh(NOW, counting())
    assert ring.open(data) is None
    assert ring.open(ring.keys[0].id.to_bytes(4, "big") + data) is None


@given(st.integers(0, 103), st.integers(1, 255))
def test_a_cookie_with_any_octet_changed_opens_to_nothing(place: int, change: int) -> None:
    entropy = counting()
    ring = KeyRing.fresh(NOW, entropy)
    cookie = bytearray(ring.seal(SIV.id, *keys(SIV), entropy))
    cookie[place] ^= change
    assert ring.open(bytes(cookie)) is None


@given(st.integers(0, 103))
def test_a_cookie_cut_short_opens_to_nothing(length: int) -> None:
    ring = KeyRing.fresh(NOW, counting())
    assert ring.open(ring.seal(SIV.id, *keys(SIV), counting())[:length]) is None


def test_a_session_of_an_aead_that_is_not_here_opens_to_nothing() -> None:
    """Sealed by a newer library, read after a downgrade: the client is owed a NAK."""
    ring = KeyRing.fresh(NOW, counting())
    assert ring.open(ring.seal(9999, bytes(32), bytes(32), counting())) is None


def full_ring() -> KeyRing:
    entropy = counting()
    ring = KeyRing.fresh(NOW, entropy)
    for week in (1, 2):
        ring = ring.rotated(Instant(NOW + week * ROTATION), entropy) or ring
    return ring


def test_a_ring_survives_its_file() -> None:
    ring = full_ring()
    assert KeyRing.decode(ring.encode()).keys == ring.keys


@given(st.data())
def test_a_torn_or_changed_file_is_a_state_error(data: st.DataObject) -> None:
    whole = full_ring().encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(StateError):
        KeyRing.decode(whole[:cut])
    changed = bytearray(whole)
    changed[cut] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StateError):
        KeyRing.decode(bytes(changed))


@given(st.binary(max_size=200))
def test_a_foreign_file_is_a_state_error_even_with_a_good_checksum(data: bytes) -> None:
    checksum = b"crc32 %08x\n" % binascii.crc32(data)
    with pytest.raises(StateError):
        KeyRing.decode(data + checksum)


@pytest.mark.parametrize(
    "line",
    [
        "xyz 1 " + "00" * 32,
        "00000001 1 " + "00" * 31,
        "00000001 1 " + "zz" * 32,
        "00000001 later " + "00" * 32,
        "00000001 1",
        "-0000001 1 " + "00" * 32,
        "123456789a 1 " + "00" * 32,
    ],
)
def test_a_malformed_line_is_a_state_error(line: str) -> None:
    text = f"pints-server-keys 1\n{line}\n".encode()
    with pytest.raises(StateError):
        KeyRing.decode(text + b"crc32 %08x\n" % binascii.crc32(text))


def test_a_ring_has_one_to_three_keys_of_different_ids() -> None:
    key = MasterKey(1, bytes(32), NOW)
    for wrong in ((), (key, key), tuple(MasterKey(i, bytes(32), NOW) for i in range(KEPT + 1))):
        with pytest.raises(StateError):
            KeyRing(wrong)
