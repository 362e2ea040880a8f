"""Clock errors over time, drawn as SVG: panels below each other, one curve for each program.

There is no background, and all colours are of middle lightness: it reads on white and on black.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.programs import ROOT

WIDTH, LEFT, RIGHT, TOP = 860, 62, 12, 46
HEIGHT, GAP, BOTTOM = 170, 40, 44
"""Pixels, of a panel and between panels."""
POINTS = 420
"""Of a curve at most."""
SETTLE = 3600
"""Seconds whose errors do not set the scale; what leaves the panel is cut off."""
HOUR, HOURS = 3600, 15
"""Seconds; and how many lines at most divide the time."""
TEXT, GRID = "#808080", "#80808055"
COLOURS = {"chrony": "#d9822b", "pints": "#2f86d6"}
"""In the order of drawing: the last is on top."""


@dataclass(frozen=True)
class Panel:
    """A scenario."""

    title: str
    errors: Mapping[str, Sequence[float]]
    """By program: seconds that its clock was off, one value a second."""


def draw(panels: Sequence[Panel]) -> str:
    """An SVG document."""
    height = TOP + len(panels) * (HEIGHT + GAP) - GAP + BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12" '
        f'fill="{TEXT}">',
        "<title>Error of the clock over time, pints and chrony</title>",
        _text(LEFT, 18, "Error of the clock, ms", size=14),
        *_legend(),
    ]
    for number, panel in enumerate(panels):
        lines += _panel(panel, TOP + number * (HEIGHT + GAP), number)
    lines.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 6, "hours since the start", "middle"))
    return "\n".join([*lines, "</svg>", ""])


def save(panels: Sequence[Panel], name: str) -> None:
    """Draw into a file of build/, and say so."""
    path = ROOT / "build" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(draw(panels), encoding="utf-8")
    print(f"  drawn: {path.relative_to(ROOT)}")


def thinned(errors: Sequence[float], points: int = POINTS) -> list[tuple[float, float]]:
    """Second and error of the largest error in each of so many equal parts."""
    part = max(1, math.ceil(len(errors) / points))
    kept: list[tuple[float, float]] = []
    for begin in range(0, len(errors), part):
        second = max(range(begin, min(begin + part, len(errors))), key=lambda s: abs(errors[s]))
        kept.append((second, errors[second]))
    return kept


def step_of(span: float, most: int) -> float:
    """The round step (1, 2 or 5 times a power of ten) that divides a span into at most so many."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(n * power for n in (1, 2, 5, 10) if n * power * most >= span * (1 - 1e-9))


def _legend() -> list[str]:
    lines, x = [], WIDTH - RIGHT - 130
    for name in reversed(COLOURS):
        lines.append(
            f'<line x1="{x}" y1="14" x2="{x + 20}" y2="14" stroke="{COLOURS[name]}" '
            f'stroke-width="3"/>'
        )
        lines.append(_text(x + 25, 18, name))
        x += 70
    return lines


def _panel(panel: Panel, top: float, number: int) -> list[str]:
    seconds = max(map(len, panel.errors.values()))
    most = max(
        max(map(abs, errors[SETTLE:] or errors), default=0.0) for errors in panel.errors.values()
    )
    most = most * 1e3 or 1.0
    step = step_of(2 * most, 6)
    reach = step * math.ceil(most / step)
    across, middle = WIDTH - LEFT - RIGHT, top + HEIGHT / 2

    def x(second: float) -> float:
        return LEFT + across * second / seconds

    def y(error: float) -> float:
        """Of milliseconds."""
        return middle - HEIGHT / 2 * error / reach

    lines = [
        f'<clipPath id="p{number}"><rect x="{LEFT}" y="{top:g}" width="{across}" '
        f'height="{HEIGHT}"/></clipPath>',
        _text(LEFT, top - 7, panel.title, size=13),
    ]
    for count in range(-round(reach / step), round(reach / step) + 1):
        level = count * step
        lines.append(
            _line(LEFT, y(level), WIDTH - RIGHT, y(level), "#808080" if not count else GRID)
        )
        lines.append(_text(LEFT - 6, y(level) + 4, f"{level:g}", "end"))
    for hour in range(0, seconds // HOUR + 1, round(max(step_of(seconds / HOUR, HOURS), 1))):
        lines.append(_line(x(hour * HOUR), top, x(hour * HOUR), top + HEIGHT, GRID))
        lines.append(_text(x(hour * HOUR), top + HEIGHT + 15, str(hour), "middle"))
    for name, colour in COLOURS.items():
        points = " ".join(
            f"{x(second):.1f},{min(max(y(error * 1e3), -999), 9999):.1f}"
            for second, error in thinned(panel.errors.get(name, ()))
        )
        lines.append(
            f'<polyline clip-path="url(#p{number})" fill="none" stroke="{colour}" '
            f'stroke-width="1.3" stroke-linejoin="round" points="{points}"/>'
        )
    return lines


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(words)}</text>"
    )
