"""All sources together: the estimate to steer by, and its bound."""

import random
from dataclasses import replace

import pytest

from pints.sync import crystal
from pints.sync.discipline import PROBATION, Discipline, Selection
from pints.sync.select import COMBINED, FALSETICKER, LEFT_OUT, SELECTED
from pints.timescale import NS, Instant, seconds
from tests.sync.samples import START, queued, raw, sample

GAP = 64.0
ALL = dict.fromkeys("abc", True)


def error(discipline: Discipline, at: float, frequency: float = 0.0) -> float:
    """Of its estimate, seconds."""
    true = discipline.true_time(raw(at))
    assert true is not None
    return seconds(true - START) - at - frequency * at


def chosen(discipline: Discipline, at: float, *plain: str, **usable: bool) -> Selection:
    found = discipline.choose(raw(at), usable or ALL)
    assert found is not None
    return found


def marks(found: Selection) -> str:
    return "".join(found.marks[name] for name in sorted(found.marks))


def heard(
    discipline: Discipline, rng: random.Random, turns: range, sources: str = "abc", **off: float
) -> float:
    """In each turn every source is heard, a second after the other; `off` is by how much one
    is wrong.  The time then."""
    at = 0.0
    for n in turns:
        for k, source in enumerate(sources):
            at = GAP * n + k
            discipline.add(queued(rng, at, 1e-3, offset=off.get(source, 0.0), source=source))
    return at


# --- what it knows ----------------------------------------------------------------------------


def test_knows_nothing_at_first() -> None:
    discipline = Discipline()
    assert discipline.true_time(raw(0)) is None
    assert discipline.bound(raw(0)) == discipline.interval(raw(0)) == float("inf")
    assert discipline.choose(raw(0), {"a": True}) is None
    assert discipline.last("a") is None


@pytest.mark.slow
def test_three_sources_are_better_than_one() -> None:
    """Of 10 lives, always the same ones, whose paths are asymmetric by up to a tenth."""
    errors = {"a": 0.0, "abc": 0.0}
    for life in range(10):
        rng = random.Random(life)
        one, three = Discipline(), Discipline()
        skewed = {source: rng.uniform(-1e-3, 1e-3) for source in "abc"}
        for n in range(40):
            for k, source in enumerate("abc"):
                at = GAP * n + k
                made = queued(rng, at, 5e-4, 25e-6, skewed[source], source=source)
                three.add(made)
                chosen(three, at)
                if source == "a":
                    one.add(made)
                    chosen(one, at, a=True)
        errors["a"] += error(one, at, 25e-6) ** 2
        errors["abc"] += error(three, at, 25e-6) ** 2
        assert three.frequency == pytest.approx(25e-6, abs=2e-6)
        assert chosen(three, at).deviation < chosen(one, at, a=True).deviation
    assert errors["abc"] < 0.6 * errors["a"]


def test_without_a_choice_the_last_one_runs_on() -> None:
    discipline = Discipline(frequency=10e-6, skew=1e-7)
    discipline.add(sample(0, delay=1e-4))
    chosen(discipline, 0, a=True)
    assert discipline.choose(raw(500), {}) is None
    assert error(discipline, 1000, 10e-6) == pytest.approx(0, abs=1e-6)


def test_times_far_apart_lose_no_precision() -> None:
    """Nanoseconds since 1970 do not fit into a float; a phase against the base does."""
    discipline = Discipline()
    discipline.add(sample(1e8, 3e-6, delay=0.0, dispersion=1e-9))
    chosen(discipline, 1e8, a=True)
    assert discipline.true_time(raw(1e8)) == pytest.approx(START + 10**17 + 3000, abs=2)


def test_an_earlier_instant_can_be_asked_for_too(rng: random.Random) -> None:
    """Sources' samples are of the middle of an exchange; what is asked about may be older."""
    discipline = Discipline()
    at = heard(discipline, rng, range(20))
    found = chosen(discipline, at - 30)
    assert found.low <= 0 <= found.high
    assert abs(error(discipline, at - 60)) < 2e-3
    assert discipline.bound(raw(at - 100)) > discipline.bound(raw(at - 30)) == found.distance
    assert discipline.interval(raw(at - 100)) > discipline.interval(raw(at - 30)) > 0


def test_a_sample_out_of_order_does_not_stand_for_its_source() -> None:
    discipline = Discipline()
    newest = sample(100)
    discipline.add(newest)
    discipline.add(sample(50, delay=0.001))
    assert discipline.last("a") is newest


def test_a_leap_second_shifts_all_that_is_known(rng: random.Random) -> None:
    discipline = Discipline()
    at = heard(discipline, rng, range(20))
    before = chosen(discipline, at)
    true = discipline.true_time(raw(at))
    assert true is not None
    discipline.shift(-NS)
    assert discipline.true_time(raw(at)) == true - NS
    assert chosen(discipline, at) == before
    heard(discipline, rng, range(20, 21), a=-1.0, b=-1.0, c=-1.0)
    found = chosen(discipline, GAP * 20 + 2)
    assert FALSETICKER not in marks(found)
    assert error(discipline, GAP * 20 + 2) == pytest.approx(-1.0, abs=2e-3)
    discipline.forget("c")  # and so does what is begun anew from what was remembered
    chosen(discipline, GAP * 20 + 2, a=True, b=True)
    assert error(discipline, GAP * 20 + 2) == pytest.approx(-1.0, abs=2e-3)


def test_a_new_source_begins_with_the_crystal_as_another_knows_it(rng: random.Random) -> None:
    discipline = Discipline()
    for n in range(100):
        discipline.add(queued(rng, GAP * n, 1e-4, 40e-6))
    source = discipline.add(sample(GAP * 100, source="b"))
    known = source.estimator.at(raw(GAP * 100))
    assert known is not None
    assert known.frequency == pytest.approx(40e-6, abs=2e-6)
    assert known.skew < 2e-6


# --- how far off it may be --------------------------------------------------------------------


def test_the_bound_is_the_samples_distance_grown_by_the_crystals_reach() -> None:
    discipline = Discipline(skew=1e-9)
    made = sample(0)
    discipline.add(made)
    start = chosen(discipline, 0, a=True)
    assert start.distance == pytest.approx(made.distance, abs=2e-4)
    for span in (1.0, 1000.0, 1e5):
        grown = discipline.bound(raw(span)) - start.distance
        assert grown == pytest.approx(crystal.reach(span, start.cautious_skew, start.wander))
        assert grown >= crystal.unseen(span)
    assert discipline.bound(raw(0)) == start.distance


def test_an_unseen_crystal_may_go_astray_by_15_ppm() -> None:
    assert crystal.unseen(0.0) == 0
    assert crystal.unseen(1.0) < 1e-7, "heat takes its time"
    assert crystal.unseen(300.0) == pytest.approx(1e-6 * 300, rel=0.1)
    late = crystal.unseen(1e6) - crystal.unseen(1e6 - 1000)
    assert late == pytest.approx(15e-6 * 1000)
    rates = [crystal.unseen(t + 1) - crystal.unseen(t) for t in range(0, 30_000, 100)]
    assert rates == pytest.approx(sorted(rates))


def test_who_is_followed_no_more_makes_nothing_surer() -> None:
    """In holdover the servers that turned go on answering, and are measured."""
    discipline = Discipline()
    discipline.add(sample(0, 0.0, source="a"))
    chosen(discipline, 0, a=True)
    for at in range(64, 64_000, 64):
        discipline.add(sample(at, 100.0, source="a"))
    assert discipline.choose(raw(64_000), {}) is None
    assert discipline.bound(raw(64_000)) > crystal.unseen(64_000)


def test_estimate_interval_and_bound_contain_each_other(rng: random.Random) -> None:
    discipline, frequency = Discipline(), rng.uniform(-50e-6, 50e-6)
    for n in range(60):
        for k, source in enumerate("abc"):
            at = GAP * n + k
            discipline.add(queued(rng, at, 5e-3, frequency, source=source))
        found = chosen(discipline, at)
        assert found.low <= found.phase <= found.high
        for later in (at, at + 60, at + 1e4):
            assert 0 < discipline.interval(raw(later)) <= discipline.bound(raw(later))
            # The base is the first sample's, whose error is in both.
            assert abs(error(discipline, later, frequency)) <= discipline.bound(raw(later))


def test_the_interval_grows_until_the_next_choice(rng: random.Random) -> None:
    discipline = Discipline()
    at = heard(discipline, rng, range(20))
    chosen(discipline, at)
    spans = [discipline.interval(raw(at + span)) for span in (0, 60, 600, 6000)]
    assert spans == sorted(set(spans))


def test_the_estimate_never_leaves_what_the_truth_must_be_in() -> None:
    """However sure the past makes it: a truechimer's hard bound is hard."""
    discipline = Discipline(skew=1e-9)
    for n in range(20):
        discipline.add(sample(GAP * n))
    last = sample(GAP * 20, 0.5, delay=1e-3)
    discipline.add(last)
    found = chosen(discipline, GAP * 20, a=True)
    assert found.low <= found.phase <= found.high
    assert abs(found.phase - 0.5) <= last.distance * (1 + 1e-9)


# --- whom it follows --------------------------------------------------------------------------


def test_who_is_not_usable_does_not_count() -> None:
    discipline = Discipline()
    discipline.add(sample(0, 0.0, source="a"))
    for name in "xyz":
        discipline.add(sample(0, 1.0, source=name))
    assert set(chosen(discipline, 0, a=True).marks) == {"a"}
    assert error(discipline, 0) == pytest.approx(0, abs=1e-3)


def test_a_liar_is_forgotten_with_what_it_taught() -> None:
    discipline = Discipline()
    discipline.add(sample(0, 1.0, source="x"))
    discipline.forget("x")
    discipline.forget("never heard of")
    assert discipline.choose(raw(0), {"x": True}) is None
    assert not discipline.sources
    assert discipline.last("x") is None


def test_what_is_forgotten_leaves_the_joint_estimate(rng: random.Random) -> None:
    both, alone = Discipline(), Discipline()
    at = heard(both, rng, range(10), "ab", b=8e-3)
    chosen(both, at, a=True, b=True)
    for each in both.sources["a"].history:
        alone.add(each)
    both.forget("b")
    found, other = chosen(both, at, a=True), chosen(alone, at, a=True)
    assert found.phase == pytest.approx(other.phase, abs=1e-9)
    assert found.deviation == pytest.approx(other.deviation)
    assert found.marks == {"a": SELECTED}


def test_two_sources_that_fall_out_leave_the_last_choice() -> None:
    discipline = Discipline()
    for n in range(5):
        discipline.add(sample(64 * n, source="a"))
        discipline.add(sample(64 * n, source="b"))
    first = chosen(discipline, 300, a=True, b=True)
    for n in range(5, 10):
        discipline.add(sample(64 * n, 500.0, source="b"))
    assert discipline.choose(raw(600), {"a": True, "b": True}) is None
    assert discipline.selection == first
    assert error(discipline, 600) == pytest.approx(0.0, abs=5e-3)


def test_a_falseticker_is_named_and_what_it_taught_goes(rng: random.Random) -> None:
    discipline, honest = Discipline(), Discipline()
    at = heard(discipline, rng, range(20))
    assert FALSETICKER not in marks(chosen(discipline, at))
    at = heard(discipline, rng, range(20, 21), c=0.5)
    found = chosen(discipline, at)
    assert found.marks["c"] == FALSETICKER
    assert sorted(marks(found)) == sorted(SELECTED + COMBINED + FALSETICKER)
    for name in "ab":
        for each in discipline.sources[name].history:
            honest.add(each)
    same = chosen(honest, at, a=True, b=True)
    assert found.phase == pytest.approx(same.phase, abs=1e-3)
    assert abs(error(discipline, at)) < 2e-3


def test_a_former_falseticker_is_on_probation(rng: random.Random) -> None:
    discipline = Discipline()
    at = heard(discipline, rng, range(20))
    chosen(discipline, at)
    at = heard(discipline, rng, range(20, 21), c=0.5)
    assert chosen(discipline, at).marks["c"] == FALSETICKER
    seen = ""
    for n in range(21, 21 + PROBATION):
        at = heard(discipline, rng, range(n, n + 1))
        seen += chosen(discipline, at).marks["c"]
    assert seen[:-1] == LEFT_OUT * (PROBATION - 1)
    assert seen[-1] in SELECTED + COMBINED


def test_who_is_wrong_at_its_first_word_is_not_on_probation(rng: random.Random) -> None:
    """A first answer may come in the middle of anything."""
    discipline = Discipline()
    heard(discipline, rng, range(5), "ab")
    discipline.add(sample(GAP * 5, 0.5, source="c"))
    assert chosen(discipline, GAP * 5).marks["c"] == FALSETICKER
    at = heard(discipline, rng, range(6, 7))
    assert chosen(discipline, at).marks["c"] in SELECTED + COMBINED


def test_the_samples_of_who_fell_silent_stay() -> None:
    """It just does not answer any more."""
    rng, discipline = random.Random(1), Discipline()
    at = heard(discipline, rng, range(20))
    before = chosen(discipline, at)
    after = chosen(discipline, at, a=True, b=True)
    assert (after.phase, after.deviation) == (before.phase, before.deviation)
    assert set(after.marks) == {"a", "b"}


def test_who_answers_and_may_not_be_used_teaches_nothing_more(rng: random.Random) -> None:
    """A source may be refused, or smear a leap second, and go on answering."""
    one, other = Discipline(), Discipline()
    for n in range(30):
        heard_there = {name: queued(rng, GAP * n, 1e-4, source=name) for name in "abc"}
        wrong = n >= 15
        for name, each in heard_there.items():
            lie = NS // 200 if wrong and name == "c" else 0
            one.add(replace(each, time=Instant(each.time + lie)))
            if not (wrong and name == "c"):
                other.add(each)
        usable = {"a": True, "b": True} | ({} if n >= 14 else {"c": True})
        assert chosen(one, GAP * n, **usable) == chosen(other, GAP * n, **usable)


def test_a_plain_source_teaches_nothing_once_another_authenticates_itself(
    rng: random.Random,
) -> None:
    discipline, alone = Discipline(), Discipline()
    for n in range(10):
        discipline.add(queued(rng, GAP * n, 1e-4, offset=4e-3, source="p"))
        chosen(discipline, GAP * n, p=False)
    for n in range(10, 40):
        authentic = queued(rng, GAP * n, 1e-4, source="a")
        discipline.add(authentic)
        alone.add(authentic)
        discipline.add(queued(rng, GAP * n, 1e-4, offset=4e-3, source="p"))
        found = chosen(discipline, GAP * n, p=False, a=True)
        assert found.marks == {"a": SELECTED, "p": LEFT_OUT}
    chosen(alone, GAP * 39, a=True)
    assert error(discipline, GAP * 39) == pytest.approx(error(alone, GAP * 39), abs=1e-4)
