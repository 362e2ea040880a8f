"""Thirty simulated days with temperature and outages, in clknetsim: neither steps nor ringing.

The scenario is bench/clknetsim/month.conf, with three servers; pints beside chrony, as in
`bench.accuracy`.  A step would show as a second in which the clock moves by more than it may be
slewed (1 ms), ringing as an error that changes its sign with every poll; the picture shows both.
"""

from collections.abc import Sequence
from itertools import pairwise

from bench.clknetsim.clients import CLIENTS
from bench.clknetsim.figures import SETTLE, figures
from bench.clknetsim.simulator import Case, Run, simulate, tools
from bench.picture import Panel, save
from bench.programs import folder
from bench.series import align, judge
from pints.sync.steer import MAX_SLEW

GOAL = "no second moves the clock by more than a slew may, RMS error <= chrony's"
DAYS = 30
SERVERS = 3
PICTURE = "month.svg"
"""In build/."""
HEAD = ("", "RMS, us", "worst, us", "quickest, us/s", "sign changes an hour", "s/packet")


def measure(runs: int) -> None:
    seed = max(runs, 1)
    with folder() as place:
        found = tools(place)
        case = Case("month", SERVERS, False, seed, DAYS * 86_400)
        lived = {client.name: simulate(found, client, case) for client in CLIENTS}
    align([HEAD, *(_row(name, run) for name, run in lived.items())])
    ours, theirs = lived["pints"], lived["chrony"]
    judge(
        "quickest second of pints' clock, of its largest slew", quickest(ours.errors) / MAX_SLEW, 1
    )
    judge("RMS / chrony's", figures(ours).rms / figures(theirs).rms, 1)
    judge("seconds outside the hard bound", figures(ours).outside_bound, 0)
    save(
        [Panel(f"{DAYS} days, {SERVERS} servers", {n: r.errors for n, r in lived.items()})], PICTURE
    )


def quickest(errors: Sequence[float]) -> float:
    """The most that the error changed within a second, once started: seconds."""
    return max(abs(b - a) for a, b in pairwise(errors[SETTLE:]))


def changes(errors: Sequence[float]) -> float:
    """How often an hour the error changes its sign."""
    late = errors[SETTLE:]
    count = sum((a < 0) != (b < 0) for a, b in pairwise(late))
    return count * 3600 / len(late)


def _row(name: str, run: Run) -> Sequence[str]:
    told = figures(run)
    return (
        name,
        f"{told.rms * 1e6:.1f}",
        f"{told.worst * 1e6:.0f}",
        f"{quickest(run.errors) * 1e6:.1f}",
        f"{changes(run.errors):.2f}",
        f"{told.interval:.0f}",
    )
