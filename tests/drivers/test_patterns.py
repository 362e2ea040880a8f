"""Every trust state has a look of its own, by which an eye can tell it from the others."""

import itertools
import re
from pathlib import Path

from pints.bootstrap.states import Basis, State
from pints_drivers.patterns import DARK, PATTERNS, Pattern, pattern

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
LEAST = 0.1
"""Seconds: what is shorter may be overlooked."""


def test_every_state_has_its_pattern() -> None:
    shown = {
        pattern(state.value, basis.value)
        for state in State
        for basis in Basis
        if (state is State.VERIFIED) <= (basis is not Basis.NONE)
    }
    assert shown == set(PATTERNS.values())


def test_an_eye_can_tell_them_apart() -> None:
    """By whether it blinks, by how much of the time it is lit, or by how often it changes."""
    blinking = [shown for shown in PATTERNS.values() if shown.dark]
    for one, other in itertools.combinations(blinking, 2):
        share = abs(one.lit / sum(one) - other.lit / sum(other))
        pace = max(sum(one), sum(other)) / min(sum(one), sum(other))
        assert share > 0.3 or pace > 2
    for each in PATTERNS.values():
        assert all(span == 0 or span >= LEAST for span in each)


def test_only_what_lasts_is_steady_and_only_nothing_is_dark() -> None:
    assert [name for name, shown in PATTERNS.items() if not shown.dark] == ["verified (anchored)"]
    assert [name for name, shown in PATTERNS.items() if not shown.lit] == []
    assert DARK.lit == 0


def test_they_are_documented() -> None:
    """A row each: its look, the state, and for how long a lamp is lit and dark."""
    rows = re.findall(r"^\| [\w ,]+ \| `([a-z ()]+)` \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.M)
    assert {name: Pattern(float(lit), float(dark)) for name, lit, dark in rows} == PATTERNS
