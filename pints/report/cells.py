"""What the documents of several commands share: failures, ages, silence."""

from typing import Any

from pints.client.association import LOST_AFTER, Association
from pints.core.core import Core
from pints.timescale import Boot, seconds

Document = dict[str, Any]
LOG_HINT = "why: journalctl -u pints"


def failures(core: Core) -> Document:
    """By source: why it does not work, of those that do not."""
    return {a.id: failure(a) for a in core.associations.values() if a.failure is not None}


def failure(association: Association) -> Document | None:
    """Why a source does not work, and what mends it; None for one that does."""
    known = association.failure
    return None if known is None else {"reason": known.reason, "hint": known.hint}


def answering(association: Association) -> bool:
    """Whether a source has answered lately."""
    return association.reach > 0 and association.unanswered < LOST_AFTER


def age(then: Boot | None, now: Boot) -> float | None:
    """Seconds since `then`; None for what never was."""
    return None if then is None else seconds(now - then)
