"""Properties of the table of trust states, whatever its rows are."""

import pytest

from pints.bootstrap.states import TRANSITIONS, Basis, State, Trigger, follow

UNSET, RESTORED, PROVISIONAL, VERIFIED, DISPUTED, HOLDOVER = State
DECIDED = (VERIFIED, DISPUTED, HOLDOVER)
"""States that only a quorum, or what contradicts one, leads to."""
UNDECIDED = (UNSET, RESTORED, PROVISIONAL)
MINORITY = (Trigger.FLOORED, Trigger.BELIEVED, Trigger.UNBELIEVED, Trigger.SUNK)
"""Events for which no quorum is needed."""


def test_every_state_is_reached_from_unset() -> None:
    reached = {UNSET}
    for _ in State:
        reached |= {follow(state, event) for state in reached for event in Trigger}
    assert reached == set(State)


@pytest.mark.parametrize("event", Trigger)
@pytest.mark.parametrize("state", State)
def test_an_event_that_comes_again_changes_nothing_more(state: State, event: Trigger) -> None:
    once = follow(state, event)
    assert follow(once, event) is once


def test_every_row_changes_the_state() -> None:
    assert [key for key, to in TRANSITIONS.items() if to is key[0]] == []


@pytest.mark.parametrize("state", State)
def test_a_quorum_verifies_and_a_contradiction_disputes_from_everywhere(state: State) -> None:
    assert follow(state, Trigger.QUORUM) is VERIFIED
    assert follow(state, Trigger.CONTRADICTED) is DISPUTED


def test_nothing_else_verifies_or_disputes() -> None:
    assert {event for (_, event), to in TRANSITIONS.items() if to is VERIFIED} == {Trigger.QUORUM}
    assert {e for (_, e), to in TRANSITIONS.items() if to is DISPUTED} == {Trigger.CONTRADICTED}


@pytest.mark.parametrize("state", State)
def test_only_a_verified_boot_loses_its_quorum(state: State) -> None:
    """It holds over; and nothing else leads to holdover."""
    assert follow(state, Trigger.QUORUM_LOST) is (HOLDOVER if state is VERIFIED else state)
    others = set(Trigger) - {Trigger.QUORUM_LOST}
    assert all(follow(state, event) is not HOLDOVER for event in others) or state is HOLDOVER


@pytest.mark.parametrize("event", MINORITY)
@pytest.mark.parametrize("state", DECIDED)
def test_a_minority_moves_nothing_that_a_quorum_decided(state: State, event: Trigger) -> None:
    assert follow(state, event) is state


@pytest.mark.parametrize("state", UNDECIDED)
def test_whoever_says_the_time_makes_it_provisional(state: State) -> None:
    assert follow(state, Trigger.BELIEVED) is PROVISIONAL
    others = set(MINORITY) - {Trigger.BELIEVED}
    assert all(follow(state, event) is not PROVISIONAL for event in others) or state is PROVISIONAL


@pytest.mark.parametrize(("gone", "back"), [(Trigger.UNBELIEVED, RESTORED), (Trigger.SUNK, UNSET)])
def test_nobody_says_the_time_any_more(gone: Trigger, back: State) -> None:
    """The floor decides which state is left; who was not provisional had nobody to lose."""
    assert follow(PROVISIONAL, gone) is back
    assert (follow(UNSET, gone), follow(RESTORED, gone)) == (UNSET, RESTORED)


def test_the_floor_restores_an_unset_clock_and_no_other() -> None:
    moved = {state for state in State if follow(state, Trigger.FLOORED) is not state}
    assert (moved, follow(UNSET, Trigger.FLOORED)) == ({UNSET}, RESTORED)


def test_names_are_what_people_and_scripts_see() -> None:
    assert [s.value for s in State] == [
        "unset", "restored", "provisional", "verified", "disputed", "holdover",
    ]  # fmt: skip
    assert [b.value for b in Basis] == ["", "windows", "anchored"]
