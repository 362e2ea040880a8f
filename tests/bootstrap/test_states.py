"""The table of trust states: what is in it, and that nothing is outside it."""

import itertools

import pytest

from pints.bootstrap.states import TRANSITIONS, Basis, Event, State, follow

U, R, P, V, D, H = State


def test_every_state_is_reached_from_unset() -> None:
    reached = {State.UNSET}
    for _ in State:
        reached |= {follow(state, event) for state in reached for event in Event}
    assert reached == set(State)


def test_no_state_is_a_dead_end() -> None:
    """From everywhere a quorum, or a chain of events that ends in one, leads to verified."""
    for state in State:
        assert follow(state, Event.QUORUM) is V


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_an_event_that_is_not_listed_changes_nothing(state: State, event: Event) -> None:
    assert follow(state, event) is TRANSITIONS.get((state, event), state)


def test_only_a_quorum_verifies() -> None:
    assert {event for (_, event), to in TRANSITIONS.items() if to is V} == {Event.QUORUM}


def test_only_a_verified_boot_holds_over() -> None:
    assert {state for (state, _), to in TRANSITIONS.items() if to is H} == {V}


def test_only_a_restored_clock_is_called_so() -> None:
    """`unset` is left to `restored` by the clock alone, and come back to where it was not."""
    assert {key for key, to in TRANSITIONS.items() if to is R} == {
        (U, Event.FLOORED),
        (P, Event.UNBELIEVED),
    }
    assert follow(P, Event.SUNK) is U


@pytest.mark.parametrize("state", [V, D, H])
@pytest.mark.parametrize("event", [Event.BELIEVED, Event.UNBELIEVED, Event.SUNK, Event.FLOORED])
def test_a_minority_moves_nothing_that_a_quorum_decided(state: State, event: Event) -> None:
    assert follow(state, event) is state


def test_names_are_what_people_and_scripts_see() -> None:
    assert [s.value for s in State] == [
        "unset", "restored", "provisional", "verified", "disputed", "holdover",
    ]  # fmt: skip
    assert [b.value for b in Basis] == ["", "windows", "anchored"]
