"""Start of the worker process, to its first results, beside the bare interpreter.

A key exchange cannot be faster than this: what a cold boot spends before its first packet.
The servers are threads of this process, and no network delays anything.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.programs import ROOT, folder, memory, seconds_to_exit
from bench.series import Series, show
from pints.demo.authority import Authority
from pints.values.worker_tasks import ExchangeTask, Failed, ResolveTask, Task, decode, encode
from tests.ke_server import KeServer

GOAL = "none of its own; it is part of `verified`"
RUNS = 20
TIMEOUT = 10.0
_PROGRAM = "import sys; sys.path += sys.argv[1:]; from pints.worker.run import main; main()"


def measure(runs: int) -> None:
    rows: dict[str, list[float]] = {}
    peaks = []
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        authority = Authority()
        ca = authority.write(place)
        servers = [stack.enter_context(KeServer(authority.issue(["127.0.0.1"]))) for _ in range(3)]
        look_up = ResolveTask(1, "127.0.0.1", 123, TIMEOUT)
        tasks = [_exchange(n, server, ca) for n, server in enumerate(servers)]
        for _ in range((runs or RUNS) + 1):
            looked_up, _ = results([look_up])
            exchanged, peak = results(tasks)
            for label, took in (
                ("bare interpreter (-I -c pass), to its exit", bare_start()),
                ("worker without a task, to its exit", worker_start()),
                ("worker, to the result of a look-up", looked_up[0]),
                ("worker, to the first of three key exchanges", exchanged[0]),
                ("worker, to the last of them", exchanged[-1]),
            ):
                rows.setdefault(label, []).append(took * 1e3)
            peaks.append(peak)
    # The first run brought everything from the disk to memory.
    show("real time from exec, ms", [(label, Series.of(took[1:])) for label, took in rows.items()])
    show("memory, MiB", [("worker at its most, three exchanges", Series.of(peaks[1:]))])


def bare_start() -> float:
    """Seconds of an interpreter that does nothing."""
    return seconds_to_exit([sys.executable, "-I", "-c", "pass"])


def worker_start() -> float:
    """Seconds of a worker, imports and all, that finds no task and ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)
        return seconds_to_exit(_command(), theirs.fileno())


def results(tasks: Sequence[Task]) -> tuple[list[float], float]:
    """Seconds from a worker's start to each of its results, and the most memory it had, MiB."""
    ours, theirs = socket.socketpair()
    with ours, ours.makefile("rb") as lines:
        began = time.monotonic()
        with theirs:
            worker = subprocess.Popen(_command(), stdin=theirs.fileno(), cwd=ROOT)
        ours.sendall(b"".join(encode(task) for task in tasks))
        times = []
        for _ in tasks:
            result = decode(lines.readline())
            times.append(time.monotonic() - began)
            if isinstance(result, Failed):
                raise RuntimeError(result.reason)
        peak = memory(worker.pid, "VmHWM")
        ours.shutdown(socket.SHUT_WR)
        worker.wait(TIMEOUT)
    return times, peak


def _command() -> list[str]:
    """As the daemon starts it (pints.shell.worker)."""
    return [sys.executable, "-I", "-c", _PROGRAM, *(os.path.abspath(path) for path in sys.path)]


def _exchange(id: int, server: KeServer, ca: Path) -> ExchangeTask:
    return ExchangeTask(id, server.host, server.port, TIMEOUT, ca=(str(ca),))
