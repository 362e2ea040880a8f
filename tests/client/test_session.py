"""Keys and cookies: yielded once, laid aside, and read back from a disk that may lie."""

import json
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.client.session import (
    LIFETIME,
    RENEW_AFTER,
    SavedSession,
    Session,
    decode_batch,
    encode_batch,
    lay_aside,
    revive,
)
from pints.errors import StateError
from pints.timescale import DAY, Instant, nanoseconds
from pints.wire.aead import GCM_SIV, SIV, Aead
from pints.wire.nts import MAX_COOKIES
from tests.client.peer import ADDRESS, CHAIN, TRUE, Peer

BOARD = "serial 42, card 17"


def good(session: Session) -> Session:
    session.proven, session.checked = True, TRUE
    return session


def saved_of(session: Session) -> SavedSession:
    saved = lay_aside("ntp.a.test", good(session), ADDRESS)
    assert saved is not None
    return saved


@pytest.fixture
def session() -> Session:
    return Peer().session()


def test_cookies_are_yielded_once(session: Session) -> None:
    taken = [session.take_cookie() for _ in range(8)]
    assert len(set(taken)) == 8
    with pytest.raises(IndexError):
        session.take_cookie()


def test_no_more_cookies_are_held_than_are_worth_it(session: Session) -> None:
    session.add_cookies([bytes([n]) * 9 for n in range(20)])
    assert len(session.cookies) == MAX_COOKIES


def test_a_server_that_repeats_a_cookie(session: Session) -> None:
    """Neither the one just spent, nor one held, nor one twice in an answer."""
    del session.cookies[2:]
    spent = session.take_cookie()
    held = session.cookies[0]
    session.add_cookies([spent, held, b"new", b"new"])
    assert session.cookies == [held, b"new"]


def test_what_is_laid_aside_is_never_yielded(session: Session) -> None:
    aside = [saved_of(session).cookie for _ in range(3)]
    taken = [session.take_cookie() for _ in range(len(session.cookies))]
    assert len(set(aside + taken)) == 8


@pytest.mark.parametrize("lacking", ["proof", "check", "cookies"])
def test_what_is_not_laid_aside(session: Session, lacking: str) -> None:
    good(session)
    if lacking == "proof":
        session.proven = False
    elif lacking == "check":
        session.checked = None
    else:
        del session.cookies[1:]
    held = list(session.cookies)
    assert lay_aside("a", session, ADDRESS) is None
    assert session.cookies == held


def test_the_keys_that_were_proven_are_laid_aside() -> None:
    session = Peer().session(wrong=1)
    wrong, right = session.keys
    assert session.switch_keys()
    assert not session.switch_keys(), "there are no more"
    assert saved_of(session).c2s == right[0]
    assert wrong in session.keys, "a NAK destroys none"


def test_proven_keys_are_not_switched() -> None:
    session = Peer().session(wrong=1)
    session.proven = True
    assert not session.switch_keys()


def test_a_session_revives_with_one_cookie(session: Session) -> None:
    saved = saved_of(session)
    revived = revive(saved)
    assert revived is not None
    assert revived.saved
    assert not revived.proven
    assert revived.cookies == [saved.cookie]
    assert revived.addresses == (ADDRESS,)
    assert revived.keys[0] == session.keys[0]


def test_it_keeps_the_date_of_its_check_however_often_it_is_saved(session: Session) -> None:
    """Only a strict exchange renews it: 28 days are 28 days."""
    window = None
    for _ in range(5):
        revived = revive(saved_of(session))
        assert revived is not None
        revived.add_cookies([bytes([n]) * 20 for n in range(7)])
        revived.proven = True
        window = revived.window()
        saved = lay_aside("a", revived, ADDRESS)
        assert saved is not None
        session = revived
    assert window is not None
    assert (window.start, window.end) == (TRUE, TRUE + nanoseconds(28 * DAY))
    assert LIFETIME == 28 * DAY
    assert RENEW_AFTER < LIFETIME


def test_a_session_that_was_never_checked_may_speak_for_nothing(session: Session) -> None:
    assert session.window() is None


def test_an_algorithm_that_this_machine_lacks(session: Session) -> None:
    saved = saved_of(session)
    object.__setattr__(saved, "algorithm", 4711)
    assert revive(saved) is None


@pytest.mark.parametrize("algorithm", [SIV, GCM_SIV])
def test_batches_come_back(algorithm: object) -> None:
    peer = Peer()
    rows = [saved_of(peer.session(a)) for a in (SIV, GCM_SIV)]
    assert decode_batch(encode_batch(BOARD, rows), BOARD) == rows


def test_another_board_gets_nothing(session: Session) -> None:
    data = encode_batch(BOARD, [saved_of(session)])
    assert decode_batch(data, "serial 43, card 17") == []
    assert decode_batch(data, "") == []


def test_a_batch_cut_anywhere_is_torn(session: Session) -> None:
    data = encode_batch(BOARD, [saved_of(session)])
    for cut in range(len(data) - 1):
        with pytest.raises(StateError):
            decode_batch(data[:cut], BOARD)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 100, b"[]", b"{}", b"null", b"7", b'"pints-sessions"', b"\xff\xfe",
     b'{"pints-sessions": 2, "board": "serial 42, card 17", "sessions": []}',
     b'{"pints-sessions": 1, "board": "serial 42, card 17", "sessions": [{}]}',
     b'{"pints-sessions": 1, "board": "serial 42, card 17", "sessions": 7}',
     b'{"pints-sessions": 1, "board": "serial 42, card 17"}'],
)  # fmt: skip
def test_foreign_batches(data: bytes) -> None:
    with pytest.raises(StateError):
        decode_batch(data, BOARD)


@pytest.mark.parametrize("field", ["c2s", "algorithm", "cookie", "address", "checked", "windows",
                                   "leaf", "roots"])  # fmt: skip
@given(value=st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3))
def test_fields_of_other_types(field: str, value: object) -> None:
    document = json.loads(encode_batch(BOARD, [saved_of(Peer().session())]))
    document["sessions"][0][field] = value
    with suppress(StateError):
        for saved in decode_batch(json.dumps(document).encode(), BOARD):
            revive(saved)


def test_instants_stay_whole() -> None:
    """JSON's numbers must not go through floats: nanoseconds do not fit into 53 bits."""
    session = Peer().session()
    session.proven, session.checked = True, Instant(TRUE + 1)
    saved = lay_aside("a", session, ADDRESS)
    assert saved is not None
    (back,) = decode_batch(encode_batch(BOARD, [saved]), BOARD)
    assert back.checked == TRUE + 1
    assert back.chain == CHAIN


# --- what neither a server nor a disk can do --------------------------------------------------

steps = st.lists(st.sampled_from(["take", "lay", "add"]), max_size=60)


def gone(session: Session, steps: list[str], fresh: bool) -> list[bytes]:
    """Cookies that were yielded or laid aside; what a server adds is `fresh` or old."""
    left: list[bytes] = []
    good(session)
    first = list(session.cookies)
    for n, step in enumerate(steps):
        if step == "take" and session.cookies:
            left.append(session.take_cookie())
        elif step == "lay":
            saved = lay_aside("a", session, ADDRESS)
            left += [saved.cookie] if saved else []
        elif step == "add":
            session.add_cookies([b"cookie %d" % n] if fresh else first)
    return left


@given(steps)
def test_no_cookie_leaves_twice(steps: list[str]) -> None:
    session = Peer().session()
    left = [*gone(session, steps, fresh=True), *session.cookies]
    assert len(set(left)) == len(left)


@given(steps)
def test_no_cookie_leaves_twice_though_the_server_hands_out_old_ones(steps: list[str]) -> None:
    left = gone(Peer().session(), steps, fresh=False)
    assert len(set(left)) == len(left)


def test_a_key_server_that_gives_one_cookie_twice(session: Session) -> None:
    held = Session(SIV, session.keys, (ADDRESS,), CHAIN, [b"a", b"b", b"a", b"a"])
    assert held.cookies == [b"a", b"b"]


@pytest.mark.parametrize("keys", [(b"", b""), (bytes(31), bytes(32)), (bytes(32), bytes(33))])
def test_keys_that_cannot_be_such(session: Session, keys: tuple[bytes, bytes]) -> None:
    assert revive(replace(saved_of(session), c2s=keys[0], s2c=keys[1])) is None


def test_a_window_ends_to_the_nanosecond(session: Session) -> None:
    window = good(session).window()
    assert window is not None
    end = Instant(TRUE + nanoseconds(28 * DAY))
    assert window.contains(TRUE, end)
    assert not window.contains(Instant(TRUE - 1), end)
    assert not window.contains(TRUE, Instant(end + 1))


def test_every_pair_of_keys_is_tried_once() -> None:
    session = Peer().session(wrong=3)
    tried = [session.keys[0]]
    while session.switch_keys():
        tried.append(session.keys[0])
        assert session.ciphers.c2s.open(
            bytes(16), Aead(SIV, tried[-1][0]).seal(bytes(16), b"x", b""), b""
        )
    assert len(set(tried)) == len(tried) == 4


def sessions_or_refused(data: bytes) -> None:
    """Nothing else is allowed, neither to reading nor to reviving."""
    with suppress(StateError):
        for saved in decode_batch(data, BOARD):
            revive(saved)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    sessions_or_refused(data)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e18, 1e18) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(anything)
def test_any_document(value: object) -> None:
    sessions_or_refused(json.dumps(value).encode())
    sessions_or_refused(
        json.dumps({"pints-sessions": 1, "board": BOARD, "sessions": value}).encode()
    )


def test_flipped_bits(session: Session, rng: random.Random) -> None:
    data = encode_batch(BOARD, [saved_of(session)])
    for _ in range(500):
        bit = rng.randrange(8 * len(data))
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        sessions_or_refused(bytes(flipped))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("algorithm", float("inf")),
        ("checked", float("-inf")),
        ("address", ["192.0.2.1", float("inf")]),
        ("address", ["192.0.2.1", 99_999]),
        ("address", ["192.0.2.1", 0]),
        ("address", ["192.0.2.1", -1]),
    ],
)
def test_numbers_that_nobody_wrote(session: Session, field: str, value: object) -> None:
    document = json.loads(encode_batch(BOARD, [saved_of(session)]))
    document["sessions"][0][field] = value
    with pytest.raises(StateError):
        decode_batch(json.dumps(document).encode(), BOARD)


def test_a_bottomless_batch() -> None:
    with pytest.raises(StateError):
        decode_batch(b"[" * 100_000, BOARD)
