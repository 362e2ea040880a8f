"""The worker's process: reads tasks, carries all of them out at once, streams the results.

Its life hangs on its socket alone.  The daemon half-closes it when there is nothing more to
do: the worker ends after its last result.  The daemon dies or closes it: the worker ends at
once.  Signals meant for the daemon's whole control group or terminal end nothing here.

A line that is no task is reported and skipped.  Neither keys nor cookies are logged, and no
core file is written.
"""

import os
import resource
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from queue import SimpleQueue

from pints.errors import WireError
from pints.values.worker_tasks import (
    MAX_LINE,
    ExchangeTask,
    Failed,
    ResolveTask,
    Result,
    RoughtimeTask,
    Task,
    decode,
    encode,
)
from pints.worker.anchors import Anchors, load_anchors
from pints.worker.exchange import exchange
from pints.worker.resolve import resolve
from pints.worker.roughtime import measure

_PIECE = 65536
_Load = Callable[[Sequence[str]], Anchors]


def main() -> None:
    """The whole process: the socket is its standard input."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The libraries' remarks on strangers' certificates would fill the log.
    warnings.simplefilter("ignore")
    status = 0
    try:
        serve(socket.socket(fileno=0))
    except BrokenPipeError:
        pass  # the daemon is gone, and so is the need
    except OSError as e:
        print(f"pints.worker: standard input has to be a socket: {e.strerror}", file=sys.stderr)
        status = 2
    sys.stderr.flush()
    os._exit(status)  # a thread may still hang in getaddrinfo


def inline(task: Task) -> list[Result]:
    """Carry out one task here and now, without threads: for simulators, which know none."""
    return [_carry_out(task, load_anchors, threaded=False)]


def serve(channel: socket.socket) -> None:
    """Tasks in, results out, until the other end closes."""
    results: SimpleQueue[Result] = SimpleQueue()
    bell, ringer = socket.socketpair()
    load = cache(lambda paths: load_anchors(paths))
    lines = _Lines()
    pending = 0
    reading = True

    def work(task: Task) -> None:
        results.put(_carry_out(task, load, threaded=True))
        ringer.send(b"\0")

    poll = select.poll()
    poll.register(bell, select.POLLIN)
    poll.register(channel, select.POLLIN)
    while pending or reading:
        ready = dict(poll.poll())
        if bell.fileno() in ready:
            bell.recv(1)
            channel.sendall(encode(results.get()))
            pending -= 1
        if ready.get(channel.fileno(), 0) & select.POLLIN:
            data = channel.recv(_PIECE)
            for task in lines.feed(data):
                threading.Thread(target=work, args=(task,), daemon=True).start()
                pending += 1
            if not data:
                reading = False
                poll.modify(channel, 0)
        if ready.get(channel.fileno(), 0) & (select.POLLHUP | select.POLLERR):
            return  # both directions are closed: nobody would read a result


class _Lines:
    """Puts the lines of a stream together and the tasks out of them."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Task]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            self._rest = b""
            print("pints.worker: endless line dropped", file=sys.stderr)
        return [task for line in lines if (task := _task(line)) is not None]


def _task(line: bytes) -> Task | None:
    try:
        task = decode(line)
        if isinstance(task, ResolveTask | ExchangeTask | RoughtimeTask):
            return task
        raise WireError(f"a {type(task).__name__} is no task")
    except WireError as e:
        print(f"pints.worker: line dropped: {e}", file=sys.stderr)
        return None


def _carry_out(task: Task, load: _Load, threaded: bool) -> Result:
    """One result for one task, whatever happens."""
    try:
        if isinstance(task, ResolveTask):
            return resolve(task, threaded)
        if isinstance(task, RoughtimeTask):
            return measure(task, threaded)
        return exchange(task, load, threaded)
    except Exception as e:
        # A bug of ours must not leave the task without an answer.  Tracebacks show code, no
        # values, so no key gets out by them.
        traceback.print_exc()
        return Failed(task.id, "worker", f"{task.host}: {type(e).__name__}: {e}", "report this bug")
