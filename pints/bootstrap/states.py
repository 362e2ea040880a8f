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


class Trigger(Enum):
    """What moves the state."""

    FLOORED = "the clock is at or above the soft floor"
    BELIEVED = "somebody says the time, but no quorum agrees"
    UNBELIEVED = "nobody says the time any more"
    SUNK = "nobody says the time any more, and the clock is below the soft floor"
    QUORUM = "a quorum agrees and nothing disputes it"
    CONTRADICTED = "independent evidence disputes the quorum or a newer certificate vetoes it"
    QUORUM_LOST = "fewer than a quorum still agree"


TRANSITIONS: dict[tuple[State, Trigger], State] = {
    (State.UNSET, Trigger.FLOORED): State.RESTORED,
    (State.UNSET, Trigger.BELIEVED): State.PROVISIONAL,
    (State.UNSET, Trigger.QUORUM): State.VERIFIED,
    (State.UNSET, Trigger.CONTRADICTED): State.DISPUTED,
    (State.RESTORED, Trigger.BELIEVED): State.PROVISIONAL,
    (State.RESTORED, Trigger.QUORUM): State.VERIFIED,
    (State.RESTORED, Trigger.CONTRADICTED): State.DISPUTED,
    (State.PROVISIONAL, Trigger.UNBELIEVED): State.RESTORED,
    (State.PROVISIONAL, Trigger.SUNK): State.UNSET,
    (State.PROVISIONAL, Trigger.QUORUM): State.VERIFIED,
    (State.PROVISIONAL, Trigger.CONTRADICTED): State.DISPUTED,
    (State.VERIFIED, Trigger.CONTRADICTED): State.DISPUTED,
    (State.VERIFIED, Trigger.QUORUM_LOST): State.HOLDOVER,
    (State.DISPUTED, Trigger.QUORUM): State.VERIFIED,
    (State.HOLDOVER, Trigger.QUORUM): State.VERIFIED,
    (State.HOLDOVER, Trigger.CONTRADICTED): State.DISPUTED,
}
"""(state, trigger) to the next state; a trigger that a state is not listed with changes nothing."""


def follow(state: State, trigger: Trigger) -> State:
    """Return the state after a trigger."""
    return TRANSITIONS.get((state, trigger), state)
