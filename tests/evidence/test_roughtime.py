"""What a quorum of Roughtime operators takes, one named situation each.

Times are seconds from `NOW`.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.bootstrap.rules import Refusal
from pints.evidence.roughtime import DELIVERY, WIDEST, judge
from pints.timescale import DAY, NS, YEAR, Boot, Instant, nanoseconds
from pints.values.belief import DRIFT_UNSTEERED, Floors
from pints.values.evidence import Evidence, Strength
from pints.values.worker_tasks import RoughtimeReading

NOW = Instant(1_795_000_000 * NS)
BOOT = Boot(1000 * NS)
EPOCH = Instant(NOW - nanoseconds(YEAR))
RADIUS = 3.0


def at(offset: float) -> Instant:
    return Instant(NOW + nanoseconds(offset))


def says(
    operator: str,
    offset: float = 0.0,
    *,
    radius: float = RADIUS,
    ages: tuple[float, ...] = (0.0, 0.0),
    maxt: float = DAY,
) -> list[RoughtimeReading]:
    """Its server says in each round, `age` seconds ago, what makes it NOW + offset now."""
    return [
        RoughtimeReading(
            f"{operator}.test", operator, turn, at(offset - age - radius),
            at(offset - age + radius), age, at(-DAY), at(maxt),
        )
        for turn, age in enumerate(ages, 1)
    ]  # fmt: skip


def ask(
    *readings: list[RoughtimeReading], configured: int = 3, floors: Floors | None = None
) -> tuple[Evidence | None, list[Refusal]]:
    flat = [reading for several in readings for reading in several]
    return judge(flat, configured, floors or Floors(EPOCH), BOOT)


def test_three_operators_agree() -> None:
    evidence, refusals = ask(says("a"), says("b", 1.0), says("c", -2.0))
    assert refusals == []
    assert evidence == Evidence(
        "roughtime", Strength.INDEPENDENT, BOOT, at(1.0 - RADIUS), at(-2.0 + RADIUS + DELIVERY)
    )


def test_nobody_said_anything() -> None:
    assert ask() == (None, [])


def test_two_are_too_few_however_few_are_configured() -> None:
    evidence, (refusal,) = ask(says("a"), says("b"), configured=2)
    assert evidence is None
    assert str(refusal) == "R2: roughtime: 2 of 2 operators agree, 3 are needed"


@pytest.mark.parametrize(("configured", "enough"), [(3, 3), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5)])
def test_majority_of_the_configured_also_of_those_that_are_silent(
    configured: int, enough: int
) -> None:
    several = [says(name) for name in "abcdefgh"]
    assert ask(*several[:enough], configured=configured)[0] is not None
    assert ask(*several[: enough - 1], configured=configured)[0] is None


def test_operator_with_three_servers_is_one() -> None:
    readings = says("a") + says("a") + says("a")
    assert ask(readings, says("b"))[0] is None
    assert ask(readings, says("b"), says("c"))[0] is not None


def test_servers_of_one_operator_that_contradict_each_other() -> None:
    evidence, (refusal,) = ask(says("a") + says("a", 10.0), says("b"), says("c"), says("d"))
    assert evidence is not None
    assert str(refusal) == "R2: roughtime a: contradicts itself by 4 s"


def test_operator_that_answered_in_one_round_only() -> None:
    evidence, (one, none) = ask(says("a", ages=(0.0,)), says("b"), says("c"))
    assert evidence is None
    assert str(one) == "R2: roughtime a: answered in 1 of 2 rounds"
    assert "2 of 3" in none.text


@pytest.mark.parametrize("lie", [-10.0, 10.0, -400 * DAY / 2, DAY])
def test_liar_is_outvoted_and_named(lie: float) -> None:
    evidence, (refusal,) = ask(says("a"), says("b"), says("c", lie), says("d"), configured=4)
    assert evidence is not None
    assert evidence.admits(NOW, NOW)
    assert not evidence.admits(at(lie), at(lie))
    assert refusal.rule == "R2"
    assert refusal.source == "roughtime c"
    assert refusal.text.startswith("outvoted, ")


def test_liar_who_is_off_by_little_does_not_move_the_others() -> None:
    evidence, refusals = ask(says("a"), says("b"), says("c"), says("d", 4.0), configured=4)
    assert refusals == []
    assert evidence is not None
    assert (evidence.low, evidence.high) == (at(-RADIUS), at(RADIUS + DELIVERY))


def test_two_against_three() -> None:
    liars = [says("d", DAY), says("e", DAY)]
    evidence, refusals = ask(says("a"), says("b"), says("c"), *liars, configured=5)
    assert evidence is not None
    assert evidence.admits(NOW, NOW)
    assert [refusal.source for refusal in refusals] == ["roughtime d", "roughtime e"]


def test_delegation_that_ended_before_the_floor() -> None:
    floors = Floors(EPOCH, ratcheted=at(2 * DAY))
    lie = says("c", 2 * DAY + 60)  # by a key whose delegation ended a day ago
    evidence, refusals = ask(says("a", 2 * DAY + 60, maxt=9 * DAY), lie, floors=floors)
    assert evidence is None
    assert [(r.rule, r.source) for r in refusals[:2]] == [("R4", "roughtime c.test")] * 2
    assert "delegation ended 2026-11-19" in refusals[0].text
    assert "before the floor 2026-11-20" in refusals[0].text


def test_wholly_below_the_floor() -> None:
    floors = Floors(EPOCH, ratcheted=at(10.0))
    evidence, refusals = ask(says("a"), says("b"), says("c"), floors=floors)
    assert evidence is None
    assert {(r.rule, r.source) for r in refusals} == {
        ("R1", "roughtime a.test"), ("R1", "roughtime b.test"), ("R1", "roughtime c.test"),
    }  # fmt: skip
    assert "is below the floor 2026-" in refusals[0].text
    floors = Floors(EPOCH, ratcheted=at(RADIUS))
    assert ask(says("a"), says("b"), says("c"), floors=floors)[0] is not None


def test_above_the_ceiling() -> None:
    far = 20 * YEAR
    evidence, refusals = ask(*(says(name, far, maxt=2 * far) for name in "abc"))
    assert evidence is None
    assert {refusal.rule for refusal in refusals} == {"R1"}
    assert "is above the ceiling 2045-" in refusals[0].text


def test_who_is_unsure_has_no_vote() -> None:
    vague = says("c", radius=WIDEST + 1)
    evidence, refusals = ask(says("a"), says("b"), vague)
    assert evidence is None
    assert str(refusals[0]) == "R2: roughtime c.test: known to 61 s only, 60 s at most may vote"
    assert ask(says("a"), says("b"), says("c", radius=WIDEST))[0] is not None


def test_readings_of_different_ages_are_brought_to_one_instant() -> None:
    evidence, refusals = ask(says("a", ages=(100, 40)), says("b", ages=(60, 20)), says("c"))
    assert refusals == []
    assert evidence is not None
    assert (evidence.low, evidence.high) == (at(-RADIUS), at(RADIUS + DELIVERY))


def test_age_grows_the_bound() -> None:
    age = 1000.0
    evidence, _ = ask(*(says(name, ages=(age, age)) for name in "abc"))
    assert evidence is not None
    grown = RADIUS + age * DRIFT_UNSTEERED
    assert (evidence.low, evidence.high) == (at(-grown), at(grown + DELIVERY))


@given(
    honest=st.lists(st.floats(-RADIUS, RADIUS), min_size=3, max_size=6),
    lies=st.lists(st.floats(-YEAR / 2, YEAR), max_size=5),
    ages=st.tuples(st.floats(0, 30), st.floats(0, 30)),
    drift=st.floats(-DRIFT_UNSTEERED, DRIFT_UNSTEERED),
)
def test_a_majority_of_honest_operators_is_never_misled(
    honest: list[float], lies: list[float], ages: tuple[float, float], drift: float
) -> None:
    lies = lies[: len(honest) - 1]
    readings = [
        replace(reading, age=reading.age * (1 + drift))
        for n, offset in enumerate([*honest, *lies])
        for reading in says(f"{n}", offset, ages=ages, maxt=9 * YEAR)
    ]
    evidence, refusals = judge(readings, len(honest) + len(lies), Floors(EPOCH), BOOT)
    assert evidence is not None
    assert evidence.low is not None
    assert evidence.high is not None
    assert evidence.admits(NOW, NOW)
    assert at(-2 * RADIUS - 0.1) <= evidence.low
    assert evidence.high <= at(2 * RADIUS + DELIVERY + 0.1)
    named = {refusal.source for refusal in refusals}
    assert named <= {f"roughtime {n}" for n in range(len(honest), len(honest) + len(lies))}
