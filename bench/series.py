"""Measured values, and the tables they are printed in."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """One quantity, measured several times."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Series":
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def times(self, factor: float) -> "Series":
        """The same in another unit."""
        return Series.of(value * factor for value in self.values)

    def cells(self, digits: int) -> tuple[str, ...]:
        """Median, least, most and how many, for a table's row."""
        figures = (self.median, min(self.values), max(self.values))
        return (*(f"{figure:.{digits}f}" for figure in figures), str(len(self.values)))


def show(unit: str, rows: Sequence[tuple[str, Series]], digits: int = 1) -> None:
    """Print a table of series."""
    head = (unit, "median", "min", "max", "runs")
    align([head, *((label, *series.cells(digits)) for label, series in rows)])


def align(lines: Sequence[Sequence[str]]) -> None:
    """Print columns: the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for label, *cells in lines:
        row = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print(f"  {label:{widths[0]}}  {row}".rstrip(), flush=True)


def judge(what: str, ratio: float, goal: float) -> None:
    """Print a ratio beside its goal."""
    verdict = "met" if ratio <= goal else "missed"
    print(f"  {what}: {ratio:.2f}, goal <= {goal:g}: {verdict}", flush=True)
