"""The diagram says what the table says, no more and no less."""

import re
import subprocess
import sys

from pints.bootstrap.diagram import mermaid
from pints.bootstrap.states import TRANSITIONS, State


def test_every_way_is_drawn_once() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", mermaid(), re.M)
    assert sorted(drawn) == sorted((a.value, b.value, e.value) for (a, e), b in TRANSITIONS.items())


def test_it_is_mermaid_that_begins_unset() -> None:
    first, second, *_ = mermaid().splitlines()
    assert (first, second) == ("stateDiagram-v2", "    [*] --> unset")
    # A colon or semicolon in a label would end it.
    assert all(line.count(":") <= 1 and ";" not in line for line in mermaid().splitlines())


def test_every_state_is_drawn() -> None:
    assert all(f" {state.value}" in mermaid() for state in State)


def test_as_a_program() -> None:
    words = [sys.executable, "-m", "pints.bootstrap.diagram"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said == mermaid() + "\n"
