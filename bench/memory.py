"""Resident memory of the daemon in steady state, beside what its imports alone cost.

Three daemons, three bare interpreters and three chronyd as clients run at the same time, on
the same three chronyd NTS servers.  Steady state: verified, bursts over, each source asked
every second or two all the time.  The second reading shows whether it grows.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.peers import chronyd_client, pints_client, three_chronyd
from bench.programs import FLOOR, folder, memory, peer, running, until
from bench.series import Series, judge, show
from pints.control.client import ask

GOAL = "<= 1.15 times an interpreter with the same imports"
RUNS = 3
EARLY, LATE = 60.0, 180.0
"""Seconds after `verified` at which memory is read."""
_FLOOR_AND_STAY = f"{FLOOR}print('ready', flush=True)\nselect.select([], [], [])"

Process = subprocess.Popen[bytes]


def measure(runs: int) -> None:
    program = peer("chronyd-4.6")
    count = range(runs or RUNS)
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        servers = stack.enter_context(three_chronyd(program, place))
        floors = [stack.enter_context(_floor(place / f"floor{n}")) for n in count]
        daemons = [stack.enter_context(pints_client(place / f"pints{n}", servers)) for n in count]
        clients = [
            stack.enter_context(chronyd_client(place / f"client{n}", servers, program))
            for n in count
        ]
        time.sleep(EARLY)
        early = _read(daemons)
        time.sleep(LATE - EARLY)
        late, floor = _read(daemons), _read(floors)
        show(
            "resident memory (VmRSS), MiB",
            [
                ("interpreter and imports alone: the floor", floor),
                ("  its own pages (RssAnon)", _read(floors, "RssAnon")),
                (f"pints run, {EARLY:.0f} s after verified", early),
                (f"pints run, {LATE:.0f} s after verified", late),
                ("  its own pages (RssAnon)", _read(daemons, "RssAnon")),
                ("chronyd 4.6, client of the same servers", _read(clients)),
            ],
            digits=2,
        )
        for n in count:
            _check(place / f"pints{n}")
    judge("pints / floor", late.median / floor.median, 1.15)
    growth = (late.median - early.median) * 1024
    print(f"  growth in the last {LATE - EARLY:.0f} s: {growth:.0f} KiB")


def _read(processes: Sequence[Process], field: str = "VmRSS") -> Series:
    return Series.of(memory(process.pid, field) for process in processes)


@contextmanager
def _floor(place: Path) -> Iterator[Process]:
    place.mkdir()
    with running([sys.executable, "-c", _FLOOR_AND_STAY], place / "log") as process:
        until(place / "log", "ready")
        yield process


def _check(place: Path) -> None:
    """It has been what it was measured as, to the end."""
    socket = f"{place}/run/control.sock"
    status, sources = (ask(socket, {"command": command}) for command in ("status", "sources"))
    if status["state"] != "verified" or any(row["reach"] != 0o377 for row in sources["sources"]):
        raise RuntimeError(f"no steady state: {status} {sources}")
