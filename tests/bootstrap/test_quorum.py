"""Rules R1 to R4 (and R9's part), one named situation each.

Times are seconds from `NOW`, dates are days from it.
"""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.bootstrap import quorum
from pints.bootstrap.quorum import DISAGREEMENT, Finding, Terms, deliberate
from pints.bootstrap.rules import FUTURE_TOLERANCE
from pints.bootstrap.witness import Identity
from pints.timescale import DAY, HOUR, NS, YEAR, Boot, Instant, nanoseconds, seconds
from pints.values.belief import Belief, Floors
from pints.values.chain import Chain, Window

NOW = Instant(1_795_000_000 * NS)
BOOT = Boot(1000 * NS)
EPOCH = Instant(NOW - nanoseconds(YEAR))


def at(offset: float) -> Instant:
    return Instant(NOW + nanoseconds(offset))


def window(start: float, end: float) -> Window:
    return Window(at(start * DAY), at(end * DAY))


def chain(start: float, end: float) -> Chain:
    return Chain((window(start, end),), at(start * DAY), "key", ("root",))


def says(
    source: str,
    offset: float,
    distance: float = 0.01,
    *,
    windows: tuple[Window, ...] = (window(-30, 60),),
    age: float = 0.0,
    saved: bool = False,
) -> quorum.Testimony:
    """`source` said `age` seconds ago what makes it NOW + offset now."""
    boot, time = Boot(BOOT - nanoseconds(age)), at(offset - age)
    return quorum.Testimony(source, boot, time, distance, windows, saved, ("root",))


def find(
    *testimonies: quorum.Testimony,
    twins: Mapping[str, str] | None = None,
    chains: Mapping[str, Chain] | None = None,
    floors: Floors | None = None,
    belief: Belief | None = None,
) -> Finding:
    witness_of = {t.source: t.source for t in testimonies} | dict(twins or {})
    terms = Terms(floors or Floors(EPOCH), 1.0, 100e-6, belief)
    identities = {s: Identity(witness, "") for s, witness in witness_of.items()}
    return deliberate(testimonies, identities, chains or {}, terms, BOOT)


def rules(finding: Finding) -> dict[str, str]:
    """Who was refused by which rule."""
    return {refusal.source: refusal.rule for refusal in finding.refusals}


# --- R1: floor and ceiling --------------------------------------------------------------------


def test_r1_below_the_floor_is_not_heard() -> None:
    finding = find(says("a", -2 * YEAR, windows=(window(-1000, 60),)))
    assert rules(finding) == {"a": "R1"}
    assert not finding.members


def test_r1_beyond_the_ceiling_is_not_heard() -> None:
    finding = find(says("a", 20 * YEAR, windows=(window(-1, 9999),)))
    assert rules(finding) == {"a": "R1"}


def test_r1_ratcheted_time_is_a_floor_too() -> None:
    floors = Floors(EPOCH, ratcheted=at(5.0))
    assert rules(find(says("a", 0.0), floors=floors)) == {"a": "R1"}


def test_r1_seen_time_is_none() -> None:
    floors = Floors(EPOCH, seen=at(YEAR))
    assert find(says("a", 0.0), floors=floors).members == {"a"}


def test_r1_an_interval_across_the_floor_is_cut_there() -> None:
    finding = find(says("a", 0.0), floors=Floors(EPOCH, ratcheted=NOW))
    assert finding.low == NOW
    assert finding.members == {"a"}


def test_r1_an_interval_across_the_ceiling_is_cut_there() -> None:
    floors = Floors(Instant(NOW - nanoseconds(20 * YEAR)))
    finding = find(says("a", 0.0), floors=floors)
    assert finding.high == floors.ceiling == NOW


# --- R2: the quorum's arithmetic --------------------------------------------------------------


def test_r2_the_step_takes_the_half_width_of_the_intersection() -> None:
    finding = find(says("a", 0.0, 0.4), says("b", 0.3, 0.2), says("c", 0.05, 0.3))
    assert finding.members == {"a", "b", "c"}
    assert seconds(finding.low - NOW) == pytest.approx(0.1 - DISAGREEMENT)
    assert seconds(finding.high - NOW) == pytest.approx(0.35 + DISAGREEMENT)
    assert finding.half_width == pytest.approx(0.125 + DISAGREEMENT)
    assert seconds(finding.middle - NOW) == pytest.approx(0.225)


def test_r2_too_wide_an_interval_does_not_vote() -> None:
    assert rules(find(says("a", 0.0, 0.51))) == {"a": "R2"}
    assert find(says("a", 0.0, 0.5)).members == {"a"}


def test_r2_an_old_word_grows_until_it_does_not_vote() -> None:
    assert find(says("a", 0.0, 0.1, age=HOUR)).members == {"a"}
    assert rules(find(says("a", 0.0, 0.1, age=2 * HOUR))) == {"a": "R2"}


def test_r2_the_outvoted_is_named_with_its_offset() -> None:
    finding = find(says("a", 0.0), says("b", 0.001), says("liar", 5.0))
    assert finding.members == finding.agreeing == {"a", "b"}
    assert finding.dissenters == {"liar"}
    (refusal,) = finding.refusals
    assert (refusal.rule, refusal.source) == ("R2", "liar")
    assert "outvoted, 5 s off" in str(refusal)


def test_r2_nobody_said_anything() -> None:
    finding = find()
    assert not finding.members
    assert not finding.refusals
    assert not finding.vetoed


def test_r2_two_names_of_one_witness_are_one_voice() -> None:
    twins = {"a1": "a1", "a2": "a1", "a3": "a1"}
    finding = find(*(says(n, 5.0) for n in twins), says("b", 0.0), says("c", 0.0), twins=twins)
    assert finding.members == {"b", "c"}


def test_r2_twins_on_both_sides_are_a_voice_on_each() -> None:
    """Whoever passes for the twin of an honest server does not silence it."""
    twins = {"x": "a", "y": "b"}
    finding = find(
        says("a", 0.0), says("b", 0.0), says("c", 0.0),
        says("x", 5.0, 0.001), says("y", 5.0, 0.001), twins=twins,
    )  # fmt: skip
    assert finding.members == {"a", "b", "c"}
    assert finding.dissenters == {"x", "y"}


def test_r2_of_twins_that_agree_the_narrowest_speaks() -> None:
    finding = find(says("a", 0.0, 0.1), says("b", 0.0, 0.01), twins={"b": "a"})
    assert finding.members == {"b"}
    assert finding.agreeing == {"a", "b"}


# --- R3: windows ------------------------------------------------------------------------------


def test_r3_who_may_not_speak_for_the_agreed_time_is_a_liar() -> None:
    finding = find(says("a", 0.0), says("b", 0.0), says("old", 0.0, windows=(window(-90, -1),)))
    assert finding.members == {"a", "b"}
    assert rules(finding) == {"old": "R3"}


def test_r3_holds_for_twins_as_well() -> None:
    old = says("old", 0.0, 0.02, windows=(window(-90, -1),))
    finding = find(says("a", 0.0), old, twins={"old": "a"})
    assert finding.agreeing == {"a"}


def test_r3_the_whole_interval_must_lie_in_the_window() -> None:
    edge = Window(at(-DAY), at(0.005))
    assert rules(find(says("a", 0.0, windows=(edge,)))) == {"a": "R3"}


def test_r3_two_windows_do_not_add_up() -> None:
    gap = (Window(at(-DAY), at(-0.001)), Window(at(0.001), at(DAY)))
    assert rules(find(says("a", 0.0, windows=gap))) == {"a": "R3"}


def test_r3_no_window_is_never() -> None:
    finding = find(says("a", 0.0, windows=()))
    assert rules(finding) == {"a": "R3"}
    assert "never" in str(finding.refusals[0])


def test_r3_without_the_liars_the_rest_agree_anew() -> None:
    """Three liars out of window outnumber two honest: who is left agrees on the truth."""
    old = (window(-90, -1),)
    finding = find(*(says(n, 7.0, windows=old) for n in "xyz"), says("a", 0.0), says("b", 0.0))
    assert finding.members == {"a", "b"}
    assert rules(finding) == dict.fromkeys("xyz", "R3")


def test_r3_a_saved_session_speaks_for_its_own_days() -> None:
    assert find(says("a", 0.0, windows=(window(-27, 1),), saved=True)).members == {"a"}
    finding = find(says("a", 0.0, windows=(window(-29, -1),), saved=True))
    assert rules(finding) == {"a": "R3"}
    assert "saved session" in str(finding.refusals[0])


# --- R4: certificates from the future ---------------------------------------------------------


def test_r4_one_newer_chain_vetoes_any_number() -> None:
    finding = find(*(says(n, 0.0) for n in "abcd"), chains={"e": chain(3, 90)})
    assert finding.vetoed
    assert rules(finding) == {"e": "R4"}


@pytest.mark.parametrize(("beyond", "vetoed"), [(-1.0, False), (1.0, True)])
def test_r4_two_days_are_tolerated(beyond: float, vetoed: bool) -> None:
    days = (FUTURE_TOLERANCE + 0.01 + beyond) / DAY
    assert find(says("a", 0.0), chains={"b": chain(days, 90)}).vetoed is vetoed


def test_r4_the_leafs_own_date_counts_not_the_chains() -> None:
    """A cross-signed chain may be good from later on; only the leaf tells when it was made."""
    young = Chain((window(5, 60),), at(-10 * DAY), "key", ("root",))
    assert not find(says("a", 0.0), chains={"a": young}).vetoed


def test_r4_without_an_agreed_time_there_is_nothing_to_veto() -> None:
    assert not find(chains={"e": chain(3, 90)}).vetoed


# --- R9: what this boot has verified ----------------------------------------------------------


def test_r9_what_contradicts_the_belief_does_not_vote() -> None:
    belief = Belief(NOW, BOOT, 0.01)
    finding = find(*(says(n, 5.0) for n in "xyz"), says("a", 0.0), belief=belief)
    assert finding.members == {"a"}
    assert rules(finding) == dict.fromkeys("xyz", "R9")
    assert finding.dissenters >= set("xyz"), "but it is not hushed up"


def test_r9_the_belief_grows_with_its_age() -> None:
    old = Belief(Instant(NOW - nanoseconds(10 * DAY)), Boot(BOOT - nanoseconds(10 * DAY)), 0.01)
    assert find(says("a", 60.0), belief=old).members == {"a"}


def test_r2_an_aged_word_still_dissents() -> None:
    finding = find(says("a", 0.0), says("old", 3000.0, 0.1, age=2 * HOUR, saved=True))
    assert finding.members == {"a"}
    assert finding.dissenters == {"old"}


# --- all of them ------------------------------------------------------------------------------

ghosts = st.lists(
    st.tuples(st.floats(-400 * DAY, 400 * DAY), st.floats(0.001, 2.0), st.integers(0, 2)),
    max_size=8,
)


@given(ghosts)
def test_whatever_is_said_what_is_agreed_keeps_the_rules(
    said: list[tuple[float, float, int]],
) -> None:
    kinds = [(window(-30, 60),), (window(-500, 500),), ()]
    testimonies = [
        says(f"s{n}", offset, distance, windows=kinds[kind])
        for n, (offset, distance, kind) in enumerate(said)
    ]
    floors = Floors(EPOCH)
    finding = find(*testimonies, floors=floors)
    by_name = {t.source: t for t in testimonies}
    assert finding.members <= finding.agreeing
    assert not finding.agreeing & finding.dissenters
    if finding.members:
        assert floors.hard <= finding.low <= finding.high <= floors.ceiling
    for source in finding.agreeing:
        testimony = by_name[source]
        assert 2 * testimony.distance <= 1.0
        assert any(w.contains(finding.low, finding.high) for w in testimony.windows)
        apart = abs(seconds(finding.middle - testimony.time))
        assert apart <= testimony.distance + DISAGREEMENT + 1e-6
    refused = {r.source for r in finding.refusals}
    assert refused | finding.agreeing == set(by_name), "who does not agree is named (R13)"


@given(st.integers(1, 4), st.integers(0, 4), st.floats(-300 * DAY, 300 * DAY))
def test_a_minority_never_wins(honest: int, liars: int, lie: float) -> None:
    """Whatever their certificates; a lie of less than the intervals' width is no lie."""
    if liars >= honest or abs(lie) < 0.1:
        return
    wide = (window(-500, 500),)
    finding = find(
        *(says(f"h{n}", 0.0) for n in range(honest)),
        *(says(f"l{n}", lie, 0.001, windows=wide) for n in range(liars)),
    )
    assert finding.members == {f"h{n}" for n in range(honest)}
