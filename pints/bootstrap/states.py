"""The trust states and every way from one to another: one table, nothing outside it."""

from enum import Enum


class State(Enum):
    """How far the clock may be trusted.  The value is the name everybody sees."""

    UNSET = "unset"
    RESTORED = "restored"
    PROVISIONAL = "provisional"
    VERIFIED = "verified"
    DISPUTED = "disputed"
    HOLDOVER = "holdover"


class Basis(Enum):
    """What `verified` rests on."""

    NONE = ""
    WINDOWS = "windows"
    ANCHORED = "anchored"


class Event(Enum):
    """What moves the state."""

    FLOORED = "the clock is at or above the soft floor"
    BELIEVED = "somebody says the time, but no quorum agrees"
    UNBELIEVED = "nobody says the time any more"
    SUNK = "nobody says the time any more, and the clock is below the soft floor"
    QUORUM = "a quorum agrees and nothing disputes it"
    CONTRADICTED = "independent evidence disputes the quorum or a newer certificate vetoes it"
    QUORUM_LOST = "fewer than a quorum still agree"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.UNSET, Event.FLOORED): State.RESTORED,
    (State.UNSET, Event.BELIEVED): State.PROVISIONAL,
    (State.UNSET, Event.QUORUM): State.VERIFIED,
    (State.UNSET, Event.CONTRADICTED): State.DISPUTED,
    (State.RESTORED, Event.BELIEVED): State.PROVISIONAL,
    (State.RESTORED, Event.QUORUM): State.VERIFIED,
    (State.RESTORED, Event.CONTRADICTED): State.DISPUTED,
    (State.PROVISIONAL, Event.UNBELIEVED): State.RESTORED,
    (State.PROVISIONAL, Event.SUNK): State.UNSET,
    (State.PROVISIONAL, Event.QUORUM): State.VERIFIED,
    (State.PROVISIONAL, Event.CONTRADICTED): State.DISPUTED,
    (State.VERIFIED, Event.CONTRADICTED): State.DISPUTED,
    (State.VERIFIED, Event.QUORUM_LOST): State.HOLDOVER,
    (State.DISPUTED, Event.QUORUM): State.VERIFIED,
    (State.HOLDOVER, Event.QUORUM): State.VERIFIED,
    (State.HOLDOVER, Event.CONTRADICTED): State.DISPUTED,
}
"""(state, event) to the next state; an event that a state is not listed with leaves it."""


def follow(state: State, event: Event) -> State:
    """The state after an event."""
    return TRANSITIONS.get((state, event), state)
