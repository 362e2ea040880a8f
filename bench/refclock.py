"""A receiver's pulses in shared memory: pints beside chrony, in clknetsim.

Both read the same segment (ntpd's protocol) of the same simulated machine, whose crystal wanders
and whose receiver gives a sample each second; chrony as its documentation has it for pulses
(`poll 4 dpoll 0`), pints at its defaults.  There is no network.  `runs` are seeds.
"""

import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.clknetsim.clients import CLIENTS, Client
from bench.clknetsim.figures import Figures, figures, reached
from bench.clknetsim.simulator import Case, FailedError, Tools, simulate, tools
from bench.programs import folder
from bench.series import align, judge

GOAL = "RMS error <= chrony's, lock within 5 s, never outside the hard bound"
SCENARIOS = ("pulses", "sawtooth", "spurious")
SEEDS = 5
SECONDS = 20_000
LOCKED = 1e-5
"""An error that stays below this is a lock, seconds: ten times the receivers' noise."""
HEAD = (
    ("", "RMS,us", "", "", "worst,us", "", "lock,s", "", "outside", "half width,us", ""),
    ("scenario", "pints", "chrony", "ratio", "pints", "chrony", "pints", "chrony", "bound,s",
     "99.9%", "bound"),
)  # fmt: skip

Lived = tuple[Figures, float]
"""A run's figures, and after how many seconds it was locked."""


def measure(runs: int) -> None:
    rows, ratios, locks, outside = [], [], [], 0.0
    with folder() as place, ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tools(place)
        for scenario in SCENARIOS:
            cases = [
                Case(scenario, 0, False, seed, SECONDS) for seed in range(1, 1 + (runs or SEEDS))
            ]
            ours, theirs = (
                [one for one in pool.map(partial(_live, found, client), cases) if one]
                for client in CLIENTS
            )
            if ours and theirs:
                rows.append(_row(scenario, ours, theirs))
                ratios.append(_rms(ours) / _rms(theirs))
                locks.append(max(lock for _, lock in ours))
                outside += sum(figures.outside_bound for figures, _ in ours)
    print(f"  medians of the seeds, but worst and lock: of all; {SECONDS} s, from 3600 s on")
    align([*HEAD, *rows])
    if rows:
        judge("worst RMS / chrony's", max(ratios), 1)
        judge("seconds to lock", max(locks), 5)
        judge("seconds outside the hard bound", outside, 0)


def _live(found: Tools, client: Client, case: Case) -> Lived | None:
    """None if it failed, which is said."""
    try:
        run = simulate(found, client, case)
    except FailedError as e:
        print(f"  failed: {client.name}, {case}: {e}", flush=True)
        return None
    return figures(run), reached(run.errors, LOCKED)


def _rms(lived: Sequence[Lived]) -> float:
    return statistics.median(figures.rms for figures, _ in lived)


def _row(scenario: str, ours: Sequence[Lived], theirs: Sequence[Lived]) -> Sequence[str]:
    both = (ours, theirs)
    return (
        scenario,
        *(f"{_rms(lived) * 1e6:.2f}" for lived in both),
        f"{_rms(ours) / _rms(theirs):.2f}",
        *(f"{max(figures.worst for figures, _ in lived) * 1e6:.1f}" for lived in both),
        *(f"{max(lock for _, lock in lived):.0f}" for lived in both),
        f"{sum(figures.outside_bound for figures, _ in ours):.0f}",
        f"{statistics.median(figures.confident for figures, _ in ours) * 1e6:.1f}",
        f"{statistics.median(figures.bound for figures, _ in ours) * 1e6:.1f}",
    )
