"""Floors and ceiling; the belief, as it ages and as /run keeps it."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints import restore
from pints.errors import StateError
from pints.timescale import DAY, NS, YEAR, Boot, Instant, nanoseconds, seconds
from pints.values.belief import (
    CEILING,
    DRIFT_STEERED,
    DRIFT_UNSTEERED,
    Belief,
    Floors,
    decode_belief,
)

EPOCH = Instant(1_780_000_000 * NS)
BOOT_ID = "0123456789abcdef"


def later(days: float) -> Instant:
    return Instant(EPOCH + nanoseconds(days * DAY))


def test_ceiling_is_the_one_of_early_boot() -> None:
    assert nanoseconds(CEILING) == restore.CEILING
    assert Floors(EPOCH).ceiling == EPOCH + restore.CEILING
    assert pytest.approx(20 * YEAR) == CEILING


@pytest.mark.parametrize(
    ("ratcheted", "seen", "hard", "soft"),
    [
        (0, 0, 0, 0),
        (10, 0, 10, 10),
        (10, 20, 10, 20),
        (20, 10, 20, 20),
        (-5, -5, 0, 0),
        (0, 8000, 0, 0),  # seen beyond the ceiling proves nothing and orders nothing
        (10, 8000, 10, 10),
        (8000, 10, 0, 10),  # a poisoned ratchet is ignored
        (8000, 9000, 0, 0),
    ],
)
def test_floors(ratcheted: float, seen: float, hard: float, soft: float) -> None:
    """In days after the build epoch."""
    floors = Floors(EPOCH, later(ratcheted), later(seen))
    assert floors.hard == later(hard)
    assert floors.soft == later(soft)
    assert floors.poisoned is (ratcheted == 8000)
    early_boot, _ = restore.soft_floor(EPOCH, later(ratcheted), later(seen))
    assert early_boot >= floors.soft


def test_nothing_saved() -> None:
    assert Floors(EPOCH).hard == Floors(EPOCH).soft == EPOCH


beliefs = st.builds(
    Belief,
    st.integers(NS, 2**62).map(Instant),
    st.integers(0, 2**60).map(Boot),
    st.floats(1e-9, 9e5),
)


@given(beliefs, st.integers(0, 2**50))
def test_belief_moves_with_the_boot_clock_and_grows(belief: Belief, span: int) -> None:
    moved = belief.at(Boot(belief.boot + span))
    assert moved.time - belief.time == span
    assert moved.error == pytest.approx(belief.error + DRIFT_STEERED * seconds(span))
    wider = replace(belief, drift=DRIFT_UNSTEERED).at(Boot(belief.boot + span))
    assert wider.low <= moved.low <= moved.time <= moved.high <= wider.high


@given(beliefs, st.sampled_from(["windows", "anchored"]))
def test_belief_outlasts_the_daemon(belief: Belief, basis: str) -> None:
    decoded = decode_belief(belief.encode(BOOT_ID, basis), BOOT_ID)
    assert decoded is not None
    back, kept = decoded
    assert (back.time, back.boot, kept) == (belief.time, belief.boot, basis)
    assert back.error == pytest.approx(belief.error, abs=1e-9)


def test_belief_of_an_exact_agreement_outlasts_the_daemon() -> None:
    """Intervals that only touch: an error of 0 must not read as torn, which would reopen."""
    text = Belief(EPOCH, Boot(5), 0.0).encode(BOOT_ID, "windows")
    assert decode_belief(text, BOOT_ID) is not None


def test_belief_outlasts_no_boot() -> None:
    text = Belief(EPOCH, Boot(5), 0.1).encode(BOOT_ID, "anchored")
    assert decode_belief(text, "another boot's id") is None


GOOD = Belief(EPOCH, Boot(5), 0.1).encode(BOOT_ID, "anchored")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        GOOD[: len(GOOD) // 2],
        GOOD.replace("pints-belief 1", "pints-belief 2"),
        GOOD.replace("pints-belief", "chrony"),
        GOOD.replace("0.1", "-0.1"),
        GOOD.replace("0.100000000", "nan"),
        GOOD.replace("0.100000000", "inf"),
        GOOD.replace(str(EPOCH), "0"),
        GOOD.replace(str(EPOCH), "soon"),
        GOOD + GOOD,
        "\ufffd" * 40,
    ],
)
def test_torn_or_foreign_belief(text: str) -> None:
    with pytest.raises(StateError):
        decode_belief(text, BOOT_ID)


@given(st.text(max_size=80))
def test_any_text_is_a_belief_or_a_state_error(text: str) -> None:
    with suppress(StateError):
        assert decode_belief(text, BOOT_ID) is None
