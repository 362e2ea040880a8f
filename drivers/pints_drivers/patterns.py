"""How a lamp shows how far the clock may be trusted: the lighter, the surer.

One that never changes costs no wake-ups, so that is what the state looks like that lasts.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Pattern(NamedTuple):
    """Lit and dark in turn, seconds each."""

    lit: float
    dark: float


DARK = Pattern(0.0, 1.0)
"""When nobody shows anything any more."""
PATTERNS: Mapping[str, Pattern] = {
    "unset": Pattern(0.1, 2.9),
    "restored": Pattern(0.1, 0.9),
    "provisional": Pattern(0.5, 0.5),
    "verified (windows)": Pattern(0.9, 0.1),
    "verified (anchored)": Pattern(1.0, 0.0),
    "holdover": Pattern(1.5, 1.5),
    "disputed": Pattern(0.1, 0.1),
}
"""By the names of docs/trust.md."""


def pattern(state: str, basis: str) -> Pattern:
    """How the trust state looks."""
    return PATTERNS[f"verified ({basis})" if state == "verified" else state]
