"""Fixes: the one date each can have, and which of them are heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.bootstrap.rules import Refusal
from pints.drivers import Fix
from pints.evidence.gps import CALM, ROLLOVER, Fixes, fix_evidence, fix_sample, unfold
from pints.timescale import DAY, HOUR, NS, Boot, Instant, Raw, Reading, midnight, nanoseconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength

EPOCH = Instant(1_780_000_000 * NS)
FLOORS = Floors(EPOCH)
NOW = Instant(EPOCH + nanoseconds(200 * DAY))
NAME = "gps /dev/ttyAMA0"


def fix(after: float = 0.0, off: float = 0.0, error: float = 0.05, slept: float = 0.0) -> Fix:
    """`after` s from the start, of which raw time did not count `slept`."""
    boot, raw = nanoseconds(after), nanoseconds(after - slept)
    return Fix(
        Instant(NOW + boot + nanoseconds(off)), error,
        Reading(Instant(0), Boot(boot), Raw(raw)), 1,
    )  # fmt: skip


def test_the_rollover_is_1024_weeks() -> None:
    assert ROLLOVER == 1024 * 7 * 86400 * NS


@given(st.integers(-(1 << 62), 1 << 62), st.integers(0, 1 << 62))
def test_unfolding_gives_the_one_date_in_range(time: int, floor: int) -> None:
    unfolded = unfold(Instant(time), Instant(floor))
    assert floor <= unfolded < floor + ROLLOVER
    assert (unfolded - time) % ROLLOVER == 0
    assert unfold(unfolded, Instant(floor)) == unfolded


@given(
    st.integers(0, nanoseconds(19 * 365 * DAY)),
    st.integers(-5, 5),
    st.floats(0, 2),
    st.floats(-1, 1),
)
def test_however_often_it_rolled_over_the_truth_is_in_its_interval(
    passed: int, times: int, error: float, share: float
) -> None:
    true = Instant(EPOCH + passed)  # the floor itself included, where a fix may be below it
    time = true + nanoseconds(0.999 * error * share) + times * ROLLOVER
    heard = fix_evidence(
        Fix(Instant(time), error, Reading(true, Boot(0), Raw(0))), False, FLOORS, NAME
    )
    assert isinstance(heard, Evidence)
    assert heard.admits(true, true)


@pytest.mark.parametrize(
    ("trust", "strength"), [(False, Strength.LOCAL), (True, Strength.INDEPENDENT)]
)
def test_it_verifies_only_with_trust(trust: bool, strength: Strength) -> None:
    heard = fix_evidence(fix(5.0), trust, FLOORS, NAME)
    assert isinstance(heard, Evidence)
    assert (heard.strength, heard.origin, heard.boot) == (strength, NAME, 5 * NS)
    assert heard.error == pytest.approx(0.05)


def test_beyond_the_ceiling_it_is_refused() -> None:
    """The floor was raised meanwhile, so the receiver's past unfolds into the far future."""
    floors = Floors(EPOCH, ratcheted=Instant(NOW + nanoseconds(300 * DAY)))
    refused = fix_evidence(fix(), True, floors, NAME)
    assert isinstance(refused, Refusal)
    assert (refused.rule, refused.source) == ("R1", NAME)
    assert "ceiling" in refused.text
    assert "(as 20" in refused.text


def test_a_fix_is_a_sample() -> None:
    rolled = Fix(Instant(NOW - ROLLOVER), 0.02, Reading(Instant(0), Boot(3), Raw(4)), 1)
    sample = fix_sample(rolled, NAME, FLOORS)
    assert (sample.source, sample.time, sample.boot, sample.raw) == (NAME, NOW, 3, 4)
    assert (sample.stratum, sample.leap, sample.reference_id) == (0, 1, b"GPS\0")
    assert sample.distance == 0.02
    assert not sample.authenticated


# --- in a row --------------------------------------------------------------------------------


def heard(fixes: Fixes, *row: Fix, known: Instant = NOW) -> str:
    """What each of them is worth: `.` nothing, E evidence, r a refusal."""
    marks: dict[type, str] = {type(None): ".", Evidence: "E", Refusal: "r"}
    return "".join(marks[type(fixes.hear(one, known))] for one in row)


def test_the_first_ones_count_for_nothing() -> None:
    assert heard(Fixes(NAME, False, FLOORS), *(fix(n) for n in range(5))) == "..EEE"


def test_a_cold_start_on_a_wrong_date_is_refused_once() -> None:
    fixes = Fixes(NAME, True, FLOORS)
    row = [fix(0, off=3000 * DAY), fix(1, off=3000 * DAY), *(fix(n) for n in range(2, 6))]
    assert heard(fixes, *row) == "..r.EE"
    assert fixes.steady


def test_a_jump_is_refused_once_and_restarts_the_count() -> None:
    fixes = Fixes(NAME, False, FLOORS)
    assert heard(fixes, *(fix(n) for n in range(3))) == "..E"
    refused = fixes.hear(fix(3, off=HOUR), NOW)
    assert isinstance(refused, Refusal)
    assert (refused.rule, refused.source) == ("R10", NAME)
    assert "jumped 60 min" in refused.text
    assert not fixes.steady
    erratic = [fix(n, off=n % 3 * HOUR) for n in range(4, 19)]
    assert heard(fixes, *erratic) == "." * 15
    assert heard(fixes, *(fix(n, off=HOUR) for n in range(19, 22))) == "..E"
    assert heard(fixes, fix(22), *(fix(n) for n in range(23, 25))) == "..E", "known, if it recurs"
    assert heard(fixes, *(fix(n) for n in range(25, 22 + CALM))) == "E" * (CALM - 3)
    assert isinstance(fixes.hear(fix(22 + CALM, off=HOUR), NOW), Refusal), "news after all that"


@given(st.floats(0.2, 1e8), st.sampled_from([-1, 1]))
def test_no_jump_beyond_both_errors_is_followed(jump: float, sign: int) -> None:
    fixes = Fixes(NAME, True, FLOORS)
    heard(fixes, *(fix(n) for n in range(3)))
    assert not isinstance(fixes.hear(fix(3, off=sign * jump), NOW), Evidence)


def test_a_better_fix_contradicts_no_worse_one() -> None:
    row = [fix(0, off=1.0, error=1.0), fix(1), fix(2, off=-1.0, error=1.0)]
    assert heard(Fixes(NAME, False, FLOORS), *row) == "..E"


def test_a_rollover_in_between_is_no_jump() -> None:
    row = [fix(0), fix(1, off=-ROLLOVER / NS), fix(2, off=ROLLOVER / NS)]
    assert heard(Fixes(NAME, False, FLOORS), *row) == "..E"


def test_sleep_is_no_jump() -> None:
    row = [fix(0), fix(1), fix(2), fix(3 + HOUR, slept=HOUR), fix(4 + HOUR, slept=HOUR)]
    assert heard(Fixes(NAME, False, FLOORS), *row) == "..EEE"


def test_the_same_fix_again_counts_once() -> None:
    assert heard(Fixes(NAME, False, FLOORS), *[fix(1)] * 9) == "." * 9


def test_beyond_the_ceiling_is_said_once() -> None:
    floors = Floors(EPOCH, ratcheted=Instant(NOW + nanoseconds(300 * DAY)))
    fixes = Fixes(NAME, True, floors)
    assert heard(fixes, *(fix(n) for n in range(4))) == "r..."
    assert not fixes.steady


def test_a_receiver_that_runs_past_the_ceiling_is_steady_no_more() -> None:
    off = (FLOORS.ceiling - NOW) / NS - 2.5
    floors = Floors(EPOCH, ratcheted=NOW)
    fixes = Fixes(NAME, True, floors)
    assert heard(fixes, *(fix(n, off=off) for n in range(5))) == "..Er."
    assert not fixes.steady


# --- week 0 ----------------------------------------------------------------------------------

NEXT_WEEK_0 = midnight(2038, 11, 21)


@pytest.mark.parametrize(
    "said",
    [
        midnight(1980, 1, 6), midnight(1999, 8, 22), midnight(2019, 4, 7), NEXT_WEEK_0,
        Instant(midnight(1999, 8, 22) - 18 * NS), Instant(midnight(1980, 1, 13) - 9 * NS),
    ],
)  # fmt: skip
@pytest.mark.parametrize("trust", [True, False])
def test_week_0_is_no_date(said: Instant, trust: bool) -> None:
    off = (said - NOW) / NS
    fixes = Fixes(NAME, trust, FLOORS)
    refused = fixes.hear(fix(0, off), NOW)
    assert isinstance(refused, Refusal)
    assert (refused.rule, refused.source) == ("R1", NAME)
    assert "week 0" in refused.text
    assert heard(fixes, *(fix(n, off) for n in range(1, 5))) == "....", "said once"
    assert heard(fixes, *(fix(n) for n in range(5, 9))) == "..EE"


@pytest.mark.parametrize("said", [midnight(1980, 1, 5), midnight(1980, 1, 13)])
def test_the_weeks_beside_it_are_dates(said: Instant) -> None:
    row = [fix(n, (said - NOW) / NS) for n in range(3)]
    assert heard(Fixes(NAME, False, FLOORS), *row) == "..E"


def test_it_is_one_when_it_is_about_then() -> None:
    fixes = Fixes(NAME, False, FLOORS)
    row = [fix(n, (NEXT_WEEK_0 - NOW) / NS - 2) for n in range(5)]
    known = Instant(NEXT_WEEK_0 - nanoseconds(27 * DAY))
    assert heard(fixes, *row, known=known) == "..EEE"
