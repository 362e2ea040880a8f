"""Accuracy in simulated networks: pints beside chrony, in clknetsim.

Each scenario is a crystal and a network (bench/clknetsim/*.conf).  Both programs live through it
with the same seeds and the same chronyd servers, each at its own defaults; what a clock was off is
known at every second, for the simulator made it.  Queues are drawn packet by packet, and the two
send theirs at different times: seeds make runs repeatable, not paired.

PINTS_BENCH_SCENARIOS="lan home" chooses scenarios; `runs` are seeds.
"""

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from bench.clknetsim.clients import CLIENTS, Client
from bench.clknetsim.figures import Figures, figures
from bench.clknetsim.simulator import Case, FailedError, Tools, simulate, tools
from bench.picture import Panel, save
from bench.programs import MissingError, folder
from bench.series import align, judge

GOAL = "RMS error and packets <= chrony's, never outside the hard bound"
MAIN = ("lan", "home", "mobile")
"""Everyday networks: more seeds, and NTS too."""
OTHERS = (
    "congested", "route", "detour", "gamma", "heavy", "temperature", "outage", "wrong",
    "asymmetric", "queues", "powersave", "crystal",
)  # fmt: skip
SEEDS = {True: 20, False: 5}
"""Of the everyday networks and of the others."""
SECONDS = 40_000
NTS_SECONDS = 1_800
"""Only the start is looked at."""
DRAWN = (("home", 1), ("home", 3), ("mobile", 3))
PICTURE = "accuracy.svg"
"""In build/; docs/accuracy.svg is a copy."""
HEAD = (
    ("", "", "RMS,us", "", "", "worst,us", "", "<10ms,s", "", "<1ms,s", "", "s/packet", "",
     "outside", "", "half width,ms", "", ""),
    ("scenario", "srv", "pints", "chrony", "ratio", "pints", "chrony", "pints", "chrony",
     "pints", "chrony", "pints", "chrony", "bound,s", "99.9%", "bound", "99.9%", "chrony"),
)  # fmt: skip
NTS_HEAD = ("<10 ms, s, with NTS", "srv", "pints", "max", "chrony", "max")


@dataclass(frozen=True)
class Outcome:
    """One run's figures; the errors themselves only of what is drawn."""

    figures: Figures
    errors: Sequence[float] = ()


@dataclass(frozen=True)
class Pair:
    """All runs of a scenario with so many servers."""

    scenario: str
    servers: int
    pints: Sequence[Outcome]
    chrony: Sequence[Outcome]

    def both(self, of: Callable[[Figures], float]) -> tuple[float, float]:
        """Medians over the seeds, of pints and of chrony."""
        return median(of, self.pints), median(of, self.chrony)

    @property
    def ratio(self) -> float:
        ours, theirs = self.both(lambda f: f.rms)
        return ours / theirs

    @property
    def packets(self) -> float:
        """pints' packets for each of chrony's."""
        ours, theirs = self.both(lambda f: f.interval)
        return theirs / ours

    @property
    def outside_bound(self) -> float:
        """Seconds, of all seeds."""
        return sum(o.figures.outside_bound for o in self.pints)


def median(of: Callable[[Figures], float], outcomes: Iterable[Outcome]) -> float:
    return statistics.median(of(outcome.figures) for outcome in outcomes)


def measure(runs: int) -> None:
    scenarios = _chosen()
    with folder() as place, ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tools(place)
        pairs = list(_lived(found, pool, scenarios, runs))
        _show(pairs)
        everyday = [name for name in scenarios if name in MAIN]
        _show_nts(list(_lived(found, pool, everyday, runs, nts=True)))
    _draw(pairs)
    if pairs:
        judge("worst RMS / chrony's", max(pair.ratio for pair in pairs), 1)
        judge("worst packets / chrony's", max(pair.packets for pair in pairs), 1)
        judge("seconds outside the hard bound", sum(pair.outside_bound for pair in pairs), 0)


def _chosen() -> Sequence[str]:
    names = os.environ.get("PINTS_BENCH_SCENARIOS", "").split()
    if unknown := set(names) - {*MAIN, *OTHERS}:
        raise MissingError(f"no scenario {', '.join(sorted(unknown))}")
    return names or (*MAIN, *OTHERS)


def _lived(
    found: Tools, pool: ThreadPoolExecutor, scenarios: Sequence[str], runs: int, nts: bool = False
) -> Iterable[Pair]:
    for scenario in scenarios:
        for servers in (3,) if scenario == "wrong" else (1, 3):
            seeds = range(1, 1 + (runs or SEEDS[scenario in MAIN]))
            length = NTS_SECONDS if nts else SECONDS
            cases = [Case(scenario, servers, nts, seed, length) for seed in seeds]
            ours, theirs = (
                [o for o in pool.map(partial(_live, found, client), cases) if o]
                for client in CLIENTS
            )
            if ours and theirs:
                yield Pair(scenario, servers, ours, theirs)


def _live(found: Tools, client: Client, case: Case) -> Outcome | None:
    """None if it failed, which is said."""
    try:
        run = simulate(found, client, case)
    except FailedError as e:
        print(f"  failed: {client.name}, {case}: {e}", flush=True)
        return None
    drawn = case.seed == 1 and (case.scenario, case.servers) in DRAWN
    return Outcome(figures(run), run.errors if drawn else ())


def _show(pairs: Sequence[Pair]) -> None:
    print(
        f"  medians of the seeds, but worst: of all; {SECONDS} s, from 3600 s on; outside: of all"
    )
    align([*HEAD, *map(_row, pairs)])


def _row(pair: Pair) -> Sequence[str]:
    worst = [max(o.figures.worst for o in outcomes) for outcomes in (pair.pints, pair.chrony)]
    outside = statistics.fmean(o.figures.outside_interval for o in pair.pints)
    bounds = pair.both(lambda f: f.bound)
    return (
        pair.scenario,
        str(pair.servers),
        *(f"{value * 1e6:.1f}" for value in pair.both(lambda f: f.rms)),
        f"{pair.ratio:.2f}",
        *(f"{value * 1e6:.0f}" for value in worst),
        *(_seconds(value) for value in pair.both(lambda f: f.reached[0])),
        *(_seconds(value) for value in pair.both(lambda f: f.reached[1])),
        *(f"{value:.0f}" for value in pair.both(lambda f: f.interval)),
        f"{pair.outside_bound:.0f}",
        f"{outside:.2%}",
        f"{bounds[0] * 1e3:.3f}",
        f"{median(lambda f: f.confident, pair.pints) * 1e3:.3f}",
        f"{bounds[1] * 1e3:.3f}",
    )


def _seconds(value: float) -> str:
    return "never" if value == float("inf") else f"{value:.0f}"


def _show_nts(pairs: Sequence[Pair]) -> None:
    rows = [
        (
            pair.scenario,
            str(pair.servers),
            *(
                _seconds(of(o.figures.reached[0] for o in outcomes))
                for outcomes in (pair.pints, pair.chrony)
                for of in (statistics.median, max)
            ),
        )
        for pair in pairs
    ]
    if rows:
        align([NTS_HEAD, *rows])


def _draw(pairs: Sequence[Pair]) -> None:
    """The first seed of each."""
    panels = [
        Panel(
            f"{pair.scenario}, {pair.servers} server{'s' * (pair.servers > 1)}",
            {"pints": pair.pints[0].errors, "chrony": pair.chrony[0].errors},
        )
        for pair in pairs
        if (pair.scenario, pair.servers) in DRAWN and pair.pints[0].errors and pair.chrony[0].errors
    ]
    if panels:
        save(panels, PICTURE)
