"""Text for a terminal: aligned columns, ages, failures.  Eighty columns where names allow it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pints.timescale import span

WIDTH = 80
GAP = "  "
MARKS = "S: * best, + combined, - not combined, x falseticker, ? unusable"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], left: int, right: int | None = None
) -> list[str]:
    """Lines of a table: heads, a rule, rows.  Columns from `left` up to `right` (None: the
    last) are figures and flush right, the others flush left."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heads))]
    figures = range(left, len(heads) if right is None else right)

    def line(cells: Sequence[str]) -> str:
        aligned = (
            f"{cell:>{width}}" if n in figures else f"{cell:<{width}}"
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return GAP.join(aligned).rstrip()

    rule = "=" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return [line(lines[0]), rule, *map(line, lines[1:])]


def if_known(form: Callable[[Any], str], value: Any) -> str:
    """The value in its form, or what stands for an unknown one."""
    return "-" if value is None else form(value)


def signed(seconds: float) -> str:
    """An offset."""
    return f"{'-' if seconds < 0 else '+'}{span(abs(seconds))}"


def ago(seconds: float | None) -> str:
    """An age in four characters, as chronyc writes it: `23`, `17m`, `5h`, `3d`, `2y`."""
    if seconds is None:
        return "-"
    for limit, unit, name in ((999.5, 1, ""), (59400, 60, "m"), (356400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f}{name}"
    days = seconds / 86400
    return f"{days:.0f}d" if days < 999.5 else f"{days / 365.2425:.0f}y"


def failure_lines(failures: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What is wrong with each source, and below it what to do about it."""
    lines = []
    for source, failure in failures.items():
        lines.append(f"{source}: {bare(source, failure['reason'])}")
        if failure["hint"]:
            lines.append(f"  {failure['hint']}")
    return lines


def bare(source: str, reason: str) -> str:
    """A reason without the name that its reader knows already: the worker's lines begin with
    the host, ours with the source."""
    host = source.rpartition(":")[0].strip("[]") or source
    return reason.removeprefix(f"{source}: ").removeprefix(f"{host}: ")
