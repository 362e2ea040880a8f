"""Thirty simulated days with temperature and outages, in clknetsim: neither steps nor ringing.

The scenario is bench/clknetsim/month.conf, with three servers; pints beside chrony, as in
`bench.accuracy`.  A step would show as a second in which the clock moves by more than it may be
slewed (1 ms), ringing as an error that changes its sign with every poll; the picture shows both.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from bench.clknetsim.clients import CLIENTS
from bench.clknetsim.figures import figures
from bench.clknetsim.simulator import Case, Run, simulate, tools
from bench.picture import Panel, draw
from bench.programs import ROOT, folder
from bench.series import align, judge
from pints.sync.steer import MAX_SLEW

GOAL = "no second moves the clock by more than a slew may, RMS error <= chrony's"
DAYS = 30
SERVERS = 3
PICTURE = ROOT / "build" / "month.svg"
"""docs/month.svg is a copy."""
SETTLE = 3600
"""Seconds of the start, which are not looked at."""
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
    PICTURE.parent.mkdir(exist_ok=True)
    panel = Panel(f"{DAYS} days, {SERVERS} servers", {n: run.errors for n, run in lived.items()})
    PICTURE.write_text(draw([panel]), encoding="utf-8")
    print(f"  drawn: {PICTURE.relative_to(ROOT)}")


def quickest(errors: Sequence[float]) -> float:
    """The most that the error changed within a second, once started: seconds."""
    return max(abs(b - a) for a, b in pairwise(errors[SETTLE:]))


def changes(errors: Sequence[float]) -> float:
    """How often an hour the error changes its sign."""
    late = errors[SETTLE:]
    count = sum((a < 0) != (b < 0) for a, b in pairwise(late))
    return count * 3600 / len(late)


def _row(name: str, run: Run) -> Sequence[str]:
    late = run.errors[SETTLE:]
    rms = math.sqrt(sum(error * error for error in late) / len(late))
    return (
        name,
        f"{rms * 1e6:.1f}",
        f"{max(map(abs, late)) * 1e6:.0f}",
        f"{quickest(run.errors) * 1e6:.1f}",
        f"{changes(run.errors):.2f}",
        f"{run.interval:.0f}",
    )
