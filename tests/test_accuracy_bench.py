"""What the accuracy benchmark makes of clocks whose errors are known: figures and picture."""

import math
import re
from xml.etree import ElementTree

import pytest

from bench.clknetsim.figures import claimed, reached, rms, root_distances
from bench.clknetsim.simulator import START
from bench.picture import POINTS, Panel, draw, step_of, thinned

TRACKING = """\
===========================
   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr.
===========================
2030-01-01 00:00:10 192.168.123.2    2    -50.000      9.000  1.0e-01 N  1  1.0e-03 0.0e+00 \
2.0e-02 5.0e-03 1.0e+00
2030-01-01 00:00:20 192.168.123.2    2    -50.000      0.000  1.0e-01 N  1  1.0e-03 0.0e+00 \
2.0e-02 1.0e-03 1.0e+00
"""


def test_the_root_mean_square() -> None:
    assert rms([3e-3, -4e-3]) == pytest.approx(math.sqrt(12.5e-6))


@pytest.mark.parametrize(
    ("errors", "second"),
    [
        ([0.0, 0.0, 0.0, 9.0], 0),
        ([9.0, 0.0, 0.0, -9.0, 0.5, -0.5, 0.0], 4),
        ([0.0, 0.0, 9.0, 0.0, 0.0], math.inf),  # never for long enough
        ([1.0, 1.0, 1.0], math.inf),  # below, not at
    ],
)
def test_a_limit_is_reached_once_it_is_kept(errors: list[float], second: float) -> None:
    assert reached(errors, 1.0, hold=3) == second


def test_a_trace_is_judged_at_true_time() -> None:
    """The clock is 2 s ahead at first: its line of 12 s was written at 10 s."""
    errors = [2.0] * 20 + [0.001] * 20
    first, second = claimed(
        f"{START + 12:.6f} 0.0 0.5 0.25\n{START + 30.001:.6f} 0.0 0.5 0.0005\n", errors
    )
    assert (first.at, first.error, first.bound) == pytest.approx((10, 2.0, 0.5))
    assert (second.at, second.error) == pytest.approx((30, 0.001))


def test_an_error_between_two_seconds() -> None:
    drifting, stepped = [0.0, 0.0008], [0.1, 0.002]
    (claim,) = claimed(f"{START + 0.5002:.6f} 0 1 1", drifting)
    assert claim.error == pytest.approx(0.0004, abs=1e-6)
    (claim,) = claimed(f"{START + 0.6:.6f} 0 1 1", stepped)  # when is not known: the better
    assert claim.error == 0.002


def test_chronys_root_distance_grows_until_its_next_update() -> None:
    distances = root_distances(TRACKING, 31)
    assert distances[9] == math.inf
    assert distances[10] == pytest.approx(0.015)
    assert distances[19] == pytest.approx(0.015 + 9 * 10e-6)
    assert distances[20] == pytest.approx(0.011)
    assert distances[30] == pytest.approx(0.011 + 10 * 1e-6)


def test_thinning_keeps_the_worst_and_its_place() -> None:
    errors = [0.0] * 40_000
    errors[12_345] = -7.0
    kept = thinned(errors)
    assert len(kept) <= POINTS
    assert (12_345, -7.0) in kept


@pytest.mark.parametrize(
    ("span", "most", "step"),
    [(3.0, 6, 0.5), (10, 5, 2), (0.0013, 6, 0.0005), (1, 1, 1), (70, 6, 20)],
)
def test_steps_are_round(span: float, most: int, step: float) -> None:
    assert step_of(span, most) == pytest.approx(step)


def test_the_picture_is_svg_with_a_curve_for_each_program() -> None:
    hours = [1e-3 * math.sin(second / 1000) for second in range(40_000)]
    panels = [Panel(f"home & {n}", {"pints": hours, "chrony": hours}) for n in range(3)]
    text = draw(panels)
    assert len(text) < 60_000
    root = ElementTree.fromstring(text)
    curves = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(curves) == 6
    words = [element.text for element in root.findall("{http://www.w3.org/2000/svg}text")]
    assert {"home & 0", "pints", "chrony", "hours since the start", "11", "-1"} <= set(words)
    xs = [float(x) for c in curves for x in re.findall(r"([\d.]+),", c.attrib["points"])]
    assert 62 <= min(xs) < max(xs) <= 848
