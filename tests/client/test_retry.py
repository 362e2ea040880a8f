"""R12: when keys are asked for again, over restarts and when the network comes up."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.client.retry import (
    FREE_USES,
    FRESH,
    KE_RETRY,
    LINK_UP_SPREAD,
    Backoff,
    Retry,
    decode_backoffs,
    encode_backoffs,
)
from pints.errors import StateError
from pints.timescale import DAY, HOUR, NS, Boot, after, seconds

BOOT = "a-boot"


def middle(length: int) -> bytes:
    """No jitter, nearly."""
    return b"\x7f" * length


def restarted(retry: Retry) -> Retry:
    """The same source in the next daemon of this boot."""
    found = decode_backoffs(encode_backoffs({"a": retry.backoff}, BOOT), BOOT)
    assert found is not None
    return Retry(middle, found.get("a", FRESH))


def restarts(lives: int, life: float, *, used: bool, began: float = 1000.0) -> list[float]:
    """When a daemon that lives so many seconds, again and again, asks for keys."""
    retry, asked = Retry(middle), []
    for n in range(lives):
        now = after(Boot(0), began + n * life)
        retry = restarted(retry)
        retry.want(now)
        if retry.start(now, burdens=True):
            asked.append(seconds(now))
            if used:
                retry.succeeded()
                retry.used()
    return asked


def test_a_daemon_killed_in_every_exchange_asks_as_seldom_as_one_that_lives() -> None:
    asked = restarts(50, 1.0, used=False)
    gaps = [b - a for a, b in pairwise(asked)]
    assert gaps == [pytest.approx(KE_RETRY * 1.5**n, abs=1.01) for n in range(len(gaps))]
    assert len(asked) == 4


@pytest.mark.parametrize("life", [1.0, 10.0, 60.0])
def test_a_daemon_killed_by_each_answer_does_not_ask_each_time(life: float) -> None:
    asked = restarts(50, life, used=True)
    assert asked[FREE_USES - 1] - asked[0] <= FREE_USES * life, "the first ones are free"
    assert len(asked) < 20


def test_a_daemon_restarted_now_and_then_asks_at_once() -> None:
    assert len(restarts(50, 1.1 * HOUR, used=True)) == 50


def test_the_earliest_instant_holds_over_a_restart() -> None:
    retry = Retry(middle)
    for n in range(6):
        retry.want(Boot(n * NS))
        assert retry.start(max(Boot(n * NS), retry.backoff.earliest), burdens=True)
        retry.failed(True, Boot(n * NS))
    again = restarted(retry)
    assert again.backoff == retry.backoff
    again.want(Boot(7 * NS))
    assert again.due == retry.backoff.earliest
    assert not again.start(Boot(retry.backoff.earliest - 1), burdens=True)
    assert again.start(retry.backoff.earliest, burdens=True)


def test_an_attempt_that_reached_nobody_leaves_no_trace() -> None:
    kept = Backoff(5, Boot(3 * NS), Boot(2 * NS), 1)
    retry = Retry(middle, kept)
    retry.want(Boot(4 * NS))
    assert retry.start(Boot(4 * NS), burdens=True)
    assert retry.backoff.attempts == 6, "until that is known, it counts"
    retry.failed(False, Boot(5 * NS))
    assert retry.backoff == kept


def test_a_look_up_burdens_nobody() -> None:
    retry = Retry(middle)
    retry.want(Boot(NS))
    assert retry.start(Boot(NS), burdens=False)
    assert retry.backoff == FRESH


# --- the network comes up ---------------------------------------------------------------------


def unreached(octet: int, times: int = 7) -> tuple[Retry, Boot]:
    retry, now = Retry(lambda length: bytes([octet]) * length), Boot(NS)
    retry.want(now)
    for _ in range(times):
        assert retry.due is not None
        now = retry.due
        assert retry.start(now, burdens=True)
        retry.failed(False, now)
    return retry, now


@pytest.mark.parametrize("octet", [0, 128, 255])
def test_link_up_hastens_who_was_never_reached(octet: int) -> None:
    retry, now = unreached(octet)
    assert retry.due is not None
    assert seconds(retry.due - now) > 50
    now = after(now, 5.0)
    retry.hasten(now)
    assert seconds(retry.due - now) == pytest.approx(LINK_UP_SPREAD * octet / 255)
    retry.start(retry.due, burdens=True)
    retry.failed(False, now)
    assert retry.due < after(now, 2.0), "and it begins with 1 s again"


def test_link_up_hastens_nothing_that_said_hello() -> None:
    retry, now = unreached(128)
    assert retry.due is not None
    now = retry.due
    assert retry.start(now, burdens=True)
    retry.hasten(now)
    retry.failed(True, now)
    due = retry.due
    for n in range(100):
        retry.hasten(after(now, n / 50))
    assert retry.due == due == retry.backoff.earliest


def test_link_up_during_an_attempt_is_remembered() -> None:
    retry, _ = unreached(255)
    assert retry.due is not None
    now = retry.due
    assert retry.start(now, burdens=True)
    retry.hasten(after(now, 3.0))
    now = after(now, 15.0)
    retry.failed(False, now)
    assert seconds(retry.due - now) == pytest.approx(LINK_UP_SPREAD)


def test_a_link_that_flaps_makes_no_storm() -> None:
    retry, now = unreached(0)
    starts = []
    for _ in range(1000):
        now = after(now, 0.01)
        retry.hasten(now)
        if retry.start(now, burdens=True):
            starts.append(now)
            retry.failed(False, now)
    assert len(starts) <= 13, "ten seconds"


def test_link_up_without_a_wish() -> None:
    retry = Retry(middle)
    retry.hasten(Boot(NS))
    assert retry.due is None


# --- the record -------------------------------------------------------------------------------

ROW = Backoff(3, Boot(70 * NS), Boot(50 * NS), 2)


def test_a_record_comes_back() -> None:
    text = encode_backoffs({"a": ROW, "b": FRESH, "[::1]:4461": ROW}, BOOT)
    assert text.count("\n") == 1
    assert decode_backoffs(text, BOOT) == {"a": ROW, "[::1]:4461": ROW}
    assert decode_backoffs(text, "another boot") is None


def broken(row: str) -> str:
    return f'{{"pints-backoffs": 1, "boot": "{BOOT}", "sources": {{"a": {row}}}}}'


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "[" * 100_000, '{"pints-backoffs": 2}', '{"pints-backoffs": 1}',
        broken("null"), broken("[]"), broken("[1, 2, 3]"), broken("[1, 2, 3, 4, 5]"),
        broken("[-1, 0, 0, 0]"), broken("[true, 0, 0, 0]"), broken("[1.0, 0, 0, 0]"),
        broken(f"[1, {1 << 62}, {1 << 61}, 0]"), broken('"1234"'), broken('{"1": 2}'),
        broken(f"[1, {round(1.3 * DAY) * NS}, 0, 0]"),
    ],
)  # fmt: skip
def test_a_record_that_is_torn_or_foreign(text: str) -> None:
    with pytest.raises(StateError):
        decode_backoffs(text, BOOT)


@given(st.text(max_size=60), st.integers(0, 100))
def test_no_text_makes_it_fall_over(text: str, cut: int) -> None:
    good = encode_backoffs({"a": ROW}, BOOT)
    for torn in (text, good[:cut], good[:cut] + text, good[:cut] + good[cut + 1 :]):
        with suppress(StateError):
            decode_backoffs(torn, BOOT)
