"""The daemon's side of the worker: look-ups and key exchanges, without blocking.

What this guarantees:
- Every task gets exactly one result, by its time-out and a grace for the process's start, also
  if the worker dies, hangs or talks nonsense: then it is `Failed(step="worker")`.
- No result is delivered from within `submit`.
- One process at a time takes tasks; it is started when there is one and dismissed when it was
  idle for a while.  All are reaped; none outlives `close`.
"""

import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from pints.errors import WireError
from pints.shell.loop import Alarm, Loop, Timer
from pints.timescale import after
from pints.values.worker_tasks import (
    MAX_LINE,
    Exchanged,
    Failed,
    Resolved,
    Result,
    RoughtimeHeard,
    Task,
    decode,
    encode,
)

log = logging.getLogger(__name__)

IDLE = 5.0
"""Seconds a process without tasks is kept: key exchanges come in bunches."""
START_GRACE = 60.0
"""Seconds beyond a task's time-out until the worker is given up.  Its imports alone take up to
twelve on a Pi Zero that is busy booting."""
EXIT_GRACE = 2.0
"""Seconds from the end of its answers to SIGKILL."""
_REAP_EVERY = 0.05
_PIECE = 65536
_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "LC_MESSAGES", "TZ"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF"),
    *("SYSTEMD_NSS_RESOLVE_VALIDATE", "LOCALDOMAIN", "RES_OPTIONS"),
)
# Isolated from the environment and the current folder, yet finding modules where the daemon
# found its own: installed, in a virtual environment, or in a source tree.
# Its capabilities go before its libraries come.
_PROGRAM = (
    "import sys; sys.path += sys.argv[1:]; from pints.worker.privileges import drop; drop(); "
    "from pints.worker.run import main; main()"
)

OnResult = Callable[[Result], None]


class Worker:
    """Tasks in, results out, by way of a child process."""

    def __init__(self, loop: Loop, on_result: OnResult) -> None:
        self._loop = loop
        self._on_result = on_result
        self._process: _Process | None = None
        self._leaving: set[_Process] = set()

    def submit(self, task: Task) -> None:
        """Have a task carried out.  Its id must not be in use."""
        try:
            if self._process is None:
                self._process = _Process(self._loop, self._on_result, self._left, self._reaped)
            self._process.submit(task)
        except OSError as e:  # no process or descriptor to be had
            reason = f"{task.host}: cannot start the worker: {e.strerror}"
            failed = Failed(task.id, "worker", reason)
            self._loop.call_at(self._loop.now(), lambda: self._on_result(failed))

    def close(self) -> None:
        """End all processes at once.  Unfinished tasks get no result any more."""
        if self._process is not None:
            self._process.kill()
        for process in self._leaving.copy():
            process.kill()

    def _left(self, process: "_Process") -> None:
        """It takes no more tasks."""
        if self._process is process:
            self._process = None
        self._leaving.add(process)

    def _reaped(self, process: "_Process") -> None:
        self._leaving.discard(process)


class InlineWorker:
    """The same, in this process: for simulators, which know neither processes nor threads.
    The loop stands still meanwhile."""

    def __init__(self, loop: Loop, on_result: OnResult) -> None:
        self._loop = loop
        self._on_result = on_result
        self._tasks: list[Task] = []
        self._alarm = Alarm(loop)

    def submit(self, task: Task) -> None:
        """Have a task carried out, in the loop's next round."""
        self._tasks.append(task)
        if self._alarm.due is None:
            self._alarm.set(0.0, self._run)

    def close(self) -> None:
        """Forget the tasks that were not begun."""
        self._alarm.stop()
        self._tasks.clear()

    def _run(self) -> None:
        # Here, for this is what the daemon has a worker for: not to import OpenSSL.
        from pints.worker.run import inline

        tasks, self._tasks = self._tasks, []
        # All results after all tasks: what the first one's makes the daemon send would else be
        # answered while the second keeps the loop from hearing.
        for result in [result for task in tasks for result in inline(task)]:
            self._on_result(result)


class _Process:
    """One child, from its start until it is reaped."""

    def __init__(
        self,
        loop: Loop,
        on_result: OnResult,
        on_leaving: Callable[["_Process"], None],
        on_reaped: Callable[["_Process"], None],
    ) -> None:
        self._loop = loop
        self._on_result = on_result
        self._on_leaving = on_leaving
        self._on_reaped = on_reaped
        self._pending: dict[int, tuple[Task, Timer]] = {}
        self._unsent = b""
        self._unread = b""
        self._idle = Alarm(loop)
        self._reaping = Alarm(loop)
        self._connected = True
        self._socket, theirs = socket.socketpair()
        try:
            self._pid: int | None = _spawn(theirs)
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._socket.setblocking(False)
        loop.register(self._socket.fileno(), select.POLLIN, self._on_event)

    def submit(self, task: Task) -> None:
        """Send a task; the process must not have been dismissed."""
        self._idle.stop()
        timer = self._loop.call_at(
            after(self._loop.now(), task.timeout + START_GRACE),
            lambda: self._give_up(f"worker silent about {task.host}"),
        )
        self._pending[task.id] = task, timer
        self._unsent += encode(task)
        self._loop.modify(self._socket.fileno(), select.POLLIN | select.POLLOUT)

    def kill(self) -> None:
        """End it now; pending tasks are forgotten."""
        for _, timer in self._pending.values():
            self._loop.cancel(timer)
        self._pending.clear()
        self._disconnect()
        self._reaping.stop()
        if self._pid is not None:
            # A pid is ours until it is reaped, so this hits nobody else.
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None
        self._on_reaped(self)

    def _on_event(self, events: int) -> None:
        if events & select.POLLOUT and self._unsent:
            # A dead worker's socket breaks here; its end is noticed below or next time.
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            if not self._unsent:
                self._loop.modify(self._socket.fileno(), select.POLLIN)
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._give_up("worker died")
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._unread) > MAX_LINE:
            self._give_up("worker sends an endless line")

    def _take(self, line: bytes) -> None:
        try:
            result = decode(line)
        except WireError as e:
            log.error("%s", e)
            return
        # An answer nobody waits for is no news, whoever gives it.
        if not isinstance(result, Resolved | Exchanged | RoughtimeHeard | Failed):
            return
        if result.id not in self._pending:
            return
        _, timer = self._pending.pop(result.id)
        self._loop.cancel(timer)
        if not self._pending and self._connected:
            self._idle.set(IDLE, self._dismiss)
        self._on_result(result)

    def _dismiss(self) -> None:
        """No more tasks; it ends by itself, which `_read` sees.  A task that comes from now on
        starts a new one, so none can get lost in between."""
        self._on_leaving(self)
        self._socket.shutdown(socket.SHUT_WR)

    def _give_up(self, why: str) -> None:
        """The end of its answers, of its own accord or ours."""
        self._on_leaving(self)
        self._disconnect()
        self._reap(round(EXIT_GRACE / _REAP_EVERY) if not self._pending else 0)
        pending, self._pending = self._pending, {}
        for _, timer in pending.values():
            self._loop.cancel(timer)
        for task, _ in pending.values():
            self._on_result(
                Failed(task.id, "worker", f"{task.host}: {why}", "the log may say why: journalctl")
            )

    def _disconnect(self) -> None:
        self._idle.stop()
        if self._connected:
            self._connected = False
            self._loop.unregister(self._socket.fileno())
            self._socket.close()

    def _reap(self, patience: int) -> None:
        """Look again until it is gone; out of patience, kill it."""
        if self._pid is None:
            return
        if patience == 0:
            os.kill(self._pid, signal.SIGKILL)
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            self._reaping.set(_REAP_EVERY, lambda: self._reap(patience - 1))
            return
        self._pid = None
        if status:
            log.error("worker ended with status %d", os.waitstatus_to_exitcode(status))
        self._on_reaped(self)


def _spawn(channel: socket.socket) -> int:
    """Start the program with `channel` as its standard input; its output goes to our log."""
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-c", _PROGRAM, *(os.path.abspath(path) for path in sys.path)],
        {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, channel.fileno(), 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),
        ],
        setpgroup=0,  # Ctrl-C in a terminal is for the daemon
        setsigmask=(),
    )
