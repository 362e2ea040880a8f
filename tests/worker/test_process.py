"""The worker as a real child process, seen from the daemon's loop."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pints.demo.authority import Authority, Issued
from pints.shell import worker as shell_worker
from pints.shell.loop import Loop
from pints.shell.system_clock import SystemClock
from pints.shell.worker import InlineWorker, Worker
from pints.timescale import after
from pints.values.address import Address
from pints.values.worker_tasks import (
    MAX_LINE,
    Exchanged,
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    Task,
    decode,
    encode,
)
from tests.ke_server import KeServer, Server

LOOPBACK = "127.0.0.1"
PATIENCE = 30.0
"""Seconds until a test that hangs fails."""


class Daemon:
    """A loop, and the results in the order they came."""

    def __init__(self) -> None:
        self.loop = Loop(SystemClock())
        self.results: list[Result] = []
        self._next = 0

    def take(self, result: Result) -> None:
        self.results.append(result)

    def exchange(self, port: int, ca: str, timeout: float = 10.0) -> ExchangeTask:
        return ExchangeTask(self._id(), LOOPBACK, port, timeout, ca=(ca,))

    def resolve(self, host: str = LOOPBACK) -> ResolveTask:
        return ResolveTask(self._id(), host, 123, 10.0)

    def run(self, until: Callable[[], bool]) -> None:
        late = self.loop.call_at(
            after(self.loop.now(), PATIENCE), lambda: pytest.fail("nothing happened")
        )
        while not until():
            self.loop.run_once()
        self.loop.cancel(late)

    def run_for(self, results: int) -> None:
        self.run(lambda: len(self.results) == results)

    def _id(self) -> int:
        self._next += 1
        return self._next


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    yield daemon
    assert not children(), "a process was left behind"


@pytest.fixture
def worker(daemon: Daemon) -> Iterator[Worker]:
    worker = Worker(daemon.loop, daemon.take)
    yield worker
    worker.close()


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def site(authority: Authority) -> Issued:
    return authority.issue([LOOPBACK])


@pytest.fixture
def ca(authority: Authority, tmp_path: Path) -> str:
    return str(authority.write(tmp_path))


def listen(sock: socket.socket) -> None:
    """And say nothing."""
    while sock.recv(1 << 16):
        pass


def hang_up(sock: socket.socket) -> None:
    sock.recv(1)


def children() -> list[int]:
    """Our children, zombies included."""
    pids = Path("/proc/self/task").glob("*/children")
    return [int(pid) for file in pids for pid in file.read_text().split()]


def test_all_tasks_at_once_in_one_process(
    daemon: Daemon, worker: Worker, site: Issued, ca: str
) -> None:
    with KeServer(site) as good, Server(hang_up) as bad:
        tasks: list[Task] = [
            daemon.exchange(bad.port, ca),
            *(daemon.exchange(good.port, ca) for _ in range(3)),
            daemon.resolve(),
        ]
        for task in tasks:
            worker.submit(task)
        assert not daemon.results, "nothing is delivered within submit"
        daemon.run_for(len(tasks))
        assert len(children()) == 1
    by_id = {result.id: result for result in daemon.results}
    assert isinstance(by_id[1], Failed)
    for number in (2, 3, 4):
        result = by_id[number]
        assert isinstance(result, Exchanged)
        assert result.ke_address == Address(LOOPBACK, good.port)
    assert by_id[5] == Resolved(5, (Address(LOOPBACK, 123),))


def test_idle_process_leaves_and_the_next_task_starts_another(
    daemon: Daemon, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_worker, "IDLE", 0.0)
    worker.submit(daemon.resolve())
    daemon.run_for(1)
    daemon.run(lambda: not children())
    worker.submit(daemon.resolve())
    daemon.run_for(2)


def test_task_that_comes_while_the_process_leaves_is_not_lost(
    daemon: Daemon, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_worker, "IDLE", 0.0)

    def take(result: Result) -> None:
        daemon.take(result)
        if len(daemon.results) < 5:
            # Right after the dismissal that is due in this round.
            daemon.loop.call_at(daemon.loop.now(), lambda: worker.submit(daemon.resolve()))

    worker = Worker(daemon.loop, take)
    worker.submit(daemon.resolve())
    daemon.run_for(5)
    assert all(isinstance(result, Resolved) for result in daemon.results)
    worker.close()


def test_killed_process_fails_its_tasks_and_leaves_no_zombie(
    daemon: Daemon, worker: Worker, ca: str
) -> None:
    def kill(sock: socket.socket) -> None:
        sock.recv(1)  # so the worker is at work
        for pid in children():  # none any more where the other exchange has come first
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with Server(kill) as server:
        worker.submit(daemon.exchange(server.port, ca))
        worker.submit(daemon.exchange(server.port, ca))
        daemon.run_for(2)
    for result in daemon.results:
        assert isinstance(result, Failed)
        assert result.step == "worker"
        assert "died" in result.reason
    daemon.run(lambda: not children())
    worker.submit(daemon.resolve())
    daemon.run_for(3)
    assert isinstance(daemon.results[-1], Resolved)


def test_hanging_process_is_given_up_and_killed(
    daemon: Daemon, worker: Worker, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_worker, "START_GRACE", 0.0)

    def stop(sock: socket.socket) -> None:
        sock.recv(1)
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)

    with Server(stop) as server:
        worker.submit(daemon.exchange(server.port, ca, timeout=2.0))
        daemon.run_for(1)
    (result,) = daemon.results
    assert isinstance(result, Failed)
    assert "silent" in result.reason
    daemon.run(lambda: not children())


def test_program_that_cannot_start(
    daemon: Daemon, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    worker.submit(daemon.resolve())
    assert not daemon.results
    daemon.run_for(1)
    (result,) = daemon.results
    assert isinstance(result, Failed)
    assert "cannot start" in result.reason


@pytest.mark.parametrize(
    ("program", "what"),
    [
        ("pass", "died"),
        ("print('nonsense', flush=True)", "died"),
        ("import os; os.write(0, b'nonsense\\n{}\\n')", "died"),
        (f"import os\nwhile True: os.write(0, bytes({MAX_LINE}))", "endless"),
    ],
)
def test_process_that_talks_nonsense(
    daemon: Daemon, worker: Worker, monkeypatch: pytest.MonkeyPatch, program: str, what: str
) -> None:
    monkeypatch.setattr(shell_worker, "_PROGRAM", program)
    worker.submit(daemon.resolve())
    daemon.run_for(1)
    (result,) = daemon.results
    assert isinstance(result, Failed)
    assert what in result.reason
    daemon.run(lambda: not children())


def test_more_tasks_than_a_socket_holds(daemon: Daemon, worker: Worker) -> None:
    """A process that starts slowly reads nothing yet; submit() must not wait for it."""
    count = 3000
    for _ in range(count):
        worker.submit(daemon.resolve())
    daemon.run_for(count)
    assert {result.id for result in daemon.results} == set(range(1, count + 1))


def test_exchange_where_memory_never_becomes_executable(
    daemon: Daemon, worker: Worker, site: Issued, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under systemd's MemoryDenyWriteExecute, which a callback out of OpenSSL would not
    survive."""
    pr_set_mdwe, mdwe_refuse_exec_gain = 65, 1  # linux/prctl.h, since 6.3
    deny = (
        f"import ctypes; ctypes.CDLL(None).prctl({pr_set_mdwe}, {mdwe_refuse_exec_gain}, 0, 0, 0)"
    )
    monkeypatch.setattr(shell_worker, "_PROGRAM", f"{deny}; {shell_worker._PROGRAM}")
    with KeServer(site) as server:
        worker.submit(daemon.exchange(server.port, ca))
        daemon.run_for(1)
    assert isinstance(daemon.results[0], Exchanged), daemon.results


def test_close_ends_the_process(daemon: Daemon, worker: Worker, ca: str) -> None:
    with Server(listen) as server:
        worker.submit(daemon.resolve())
        worker.submit(daemon.exchange(server.port, ca))
        daemon.run_for(1)
        worker.close()
        assert not children()
    assert len(daemon.results) == 1


def test_inline(daemon: Daemon, site: Issued, ca: str) -> None:
    worker = InlineWorker(daemon.loop, daemon.take)
    with KeServer(site) as server:
        worker.submit(daemon.resolve())
        worker.submit(daemon.exchange(server.port, ca))
        assert not daemon.results
        daemon.run_for(2)
    assert isinstance(daemon.results[0], Resolved)
    assert isinstance(daemon.results[1], Exchanged)
    worker.submit(daemon.resolve())
    worker.close()
    daemon.loop.call_at(daemon.loop.now(), daemon.loop.stop)
    daemon.loop.run()
    assert len(daemon.results) == 2


# The process by itself


@pytest.fixture
def alone() -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "pints.worker"], stdin=theirs.fileno(), stderr=subprocess.PIPE
        )
    ours.settimeout(PATIENCE)
    with process, ours:
        yield process, ours
        process.kill()


def test_malformed_lines_are_reported_and_survived(
    alone: tuple[subprocess.Popen[bytes], socket.socket],
) -> None:
    process, channel = alone
    channel.sendall(b"nonsense\n\n" + encode(Failed(1, "", "")) + b"\xff" * (MAX_LINE + 1) + b"\n")
    channel.sendall(encode(ResolveTask(2, LOOPBACK, 1, 1.0)))
    channel.shutdown(socket.SHUT_WR)
    assert decode(channel.recv(4096)) == Resolved(2, (Address(LOOPBACK, 1),))
    assert channel.recv(4096) == b""
    assert process.wait(PATIENCE) == 0
    assert process.stderr
    assert process.stderr.read().count(b"dropped") >= 4


def test_half_closed_means_finish(
    alone: tuple[subprocess.Popen[bytes], socket.socket], site: Issued, ca: str
) -> None:
    process, channel = alone
    with KeServer(site) as server:
        channel.sendall(encode(ExchangeTask(1, LOOPBACK, server.port, 10.0, ca=(ca,))))
        channel.shutdown(socket.SHUT_WR)
        with channel.makefile("rb") as lines:
            assert isinstance(decode(lines.readline()), Exchanged)
            assert lines.readline() == b""
    assert process.wait(PATIENCE) == 0


def test_closed_means_stop_and_signals_mean_nothing(
    alone: tuple[subprocess.Popen[bytes], socket.socket], ca: str
) -> None:
    process, channel = alone

    def close(sock: socket.socket) -> None:
        sock.recv(1)  # so the worker is at work
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        channel.sendall(encode(ResolveTask(2, LOOPBACK, 1, 1.0)))
        assert decode(channel.recv(4096)) == Resolved(2, (Address(LOOPBACK, 1),))
        channel.close()
        sock.settimeout(PATIENCE)
        while sock.recv(1 << 16):
            pass

    with Server(close) as server:
        channel.sendall(encode(ExchangeTask(1, LOOPBACK, server.port, PATIENCE, ca=(ca,))))
        assert process.wait(PATIENCE / 2) == 0


def test_standard_input_that_is_no_socket() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pints.worker"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert result.returncode == 2
    assert b"has to be a socket" in result.stderr


def test_daemons_side_imports_nothing_heavy() -> None:
    program = (
        "import sys, pints.shell.worker;"
        "heavy = {'ssl', 'OpenSSL', 'subprocess', 'tempfile', 'asyncio', 'hashlib', 'hmac',"
        " 'secrets', 'random', 'pathlib', 'cryptography.x509'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout == b"[]\n"


def test_no_core_file_and_no_secret_in_the_environment(
    daemon: Daemon, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    monkeypatch.setenv("SSL_CERT_FILE", "/a/path")
    worker.submit(daemon.resolve())
    daemon.run_for(1)
    (pid,) = children()
    assert (
        "Max core file size        0                    0"
        in Path(f"/proc/{pid}/limits").read_text()
    )
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"SSL_CERT_FILE=/a/path" in environment
    assert b"SECRET" not in environment


CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def test_worker_has_no_capability_whatever_the_daemon_has(daemon: Daemon, worker: Worker) -> None:
    """Started by root, who has many; as CI is."""
    ours = status(os.getpid())
    assert os.geteuid() or int(ours["CapEff"], 16), "root without capabilities shows nothing"
    worker.submit(daemon.resolve())
    daemon.run_for(results=1)
    assert isinstance(daemon.results[0], Resolved)
    (pid,) = children()
    theirs = status(pid)
    assert [int(theirs[name], 16) for name in CAPABILITIES] == [0, 0, 0, 0]
    assert theirs["NoNewPrivs"] == "1", "nor can it get any by starting another program"


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)
