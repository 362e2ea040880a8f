"""How much of what is random, enumerated or long a run tries: decided here, and nowhere else.

`make test` tries enough of each kind to notice that something broke.  `make test-all` sets
PINTS_TESTS=all and tries everything.  A test that is one more example of what `make test` has
already is marked `more`; the marker `each_once` thins a table of parameters out so that each value
of each parameter still occurs.  A test that is named on the command line runs in any case.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

ALL = os.environ.get("PINTS_TESTS") == "all"

WORLD = os.environ.get("PINTS_WORLD")
"""A random world to live again, by its seed."""
WORLDS = int(os.environ.get("PINTS_WORLDS") or (400 if ALL else 0))
"""Random worlds to live besides those that are always the same."""
POWER_SEEDS = int(os.environ.get("PINTS_POWER_SEEDS") or (2 if ALL else 1))
"""What a disk may have kept, tried at each moment of a power cut."""


def several(few: int, many: int) -> int:
    """How many examples to try: few in `make test`, many in `make test-all`."""
    return many if ALL else few


def examples(values: Iterable[Any], few: int = 1) -> list[Any]:
    """Values of a parameter (tuples: of several), of which `make test` tries the first `few`."""
    tried, more = [], pytest.mark.more
    for n, value in enumerate(values):
        row = value if isinstance(value, tuple) else (value,)
        tried.append(value if n < few else pytest.param(*row, marks=more))
    return tried


def thin_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only what this run is to try of what was collected."""
    if ALL or any("::" in word for word in config.args):
        return
    tables: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.get_closest_marker("each_once"):
            for name, value in _parameters(item).items():
                if value not in (known := tables[_test(item)][name]):
                    known.append(value)
    left_out = [
        item
        for item in items
        if item.get_closest_marker("more")
        or (item.get_closest_marker("each_once") and _off_diagonal(item, tables[_test(item)]))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        out = set(left_out)
        items[:] = [item for item in items if item not in out]


def _test(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _parameters(item: pytest.Item) -> dict[str, str]:
    """By name, each as its value is shown: what is equal is not always the same (1 and True)."""
    params: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
    return {name: repr(value) for name, value in params.items()}


def _off_diagonal(item: pytest.Item, table: dict[str, list[str]]) -> bool:
    """Whether the value of the longest parameter, counted round the others, takes other ones."""
    values = _parameters(item)
    longest = max(table, key=lambda name: len(table[name]))
    turn = table[longest].index(values[longest])
    return any(table[name].index(values[name]) != turn % len(table[name]) for name in table)
