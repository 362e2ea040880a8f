"""How often the daemon wakes the processor in steady state, and what CPU time that takes.

pints and a chronyd 4.6 as a client run at the same time, on the same three chronyd NTS servers, and
ask each every 64 s.  A wake-up is a voluntary context switch (proc(5)): the process had nothing to
do before it.  Under systemd pints also answers a watchdog twice in WatchdogSec.
"""

import subprocess
import time
from contextlib import ExitStack

from bench.peers import chronyd_client, pints_client, three_chronyd
from bench.programs import cpu, folder, peer, status
from bench.series import Series, judge, show
from pints.timescale import DAY, HOUR

GOAL = "CPU time <= 5 s a day"
POLLS = (6, 6)
"""Shortest and longest interval, log2 s."""
INTERVAL = 64.0
RUNS = 5
"""Polling intervals that are looked at."""
SETTLED = 200.0
"""Seconds until the intervals of the start are over."""


def measure(runs: int) -> None:
    program = peer("chronyd-4.6")
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        servers = stack.enter_context(three_chronyd(program, place))
        daemon = stack.enter_context(pints_client(place / "pints", servers, POLLS))
        client = stack.enter_context(
            chronyd_client(place / "client", servers, program, polls=(6, 6))
        )
        time.sleep(SETTLED)
        pairs = []
        for _ in range(runs or RUNS):
            before = [_used(process) for process in (daemon, client)]
            time.sleep(INTERVAL)
            after = [_used(process) for process in (daemon, client)]
            pairs.append([(w - v, d - c) for (v, c), (w, d) in zip(before, after, strict=True)])
    hour, day = HOUR / INTERVAL, DAY / INTERVAL
    pints, chrony = zip(*pairs, strict=True)
    show(
        "wake-ups an hour",
        [
            ("pints run", Series.of(woken * hour for woken, _ in pints)),
            ("chronyd 4.6", Series.of(woken * hour for woken, _ in chrony)),
        ],
        digits=0,
    )
    taken = Series.of(used * day for _, used in pints)
    show(
        "CPU time of a day, s",
        [("pints run", taken), ("chronyd 4.6", Series.of(used * day for _, used in chrony))],
    )
    judge("a day of pints, s / 5 s", taken.median / 5, 1)


def _used(process: "subprocess.Popen[bytes]") -> tuple[int, float]:
    """Wake-ups and CPU seconds so far."""
    return status(process.pid, "voluntary_ctxt_switches"), cpu(process.pid)
