"""The daemon's side of the child process, with children that behave in every way."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from pints.server import supervisor
from pints.server.supervisor import Supervisor
from pints.shell.loop import Loop
from pints.shell.system_clock import SystemClock
from pints.timescale import after

GOOD = """
import os, select, signal, sys
fd = int(sys.argv[2])
assert sys.argv[1:] == ["--ready-fd", str(fd), "--parent-fd", str(fd)]
signal.signal(signal.SIGHUP, lambda *_: os.write(fd, b"again\\n"))
os.write(fd, b"4460\\n")
while os.read(fd, 100):
    pass
"""
DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[2]), b"4460\\n")
time.sleep(60)
"""
BROKEN = "import sys; sys.exit(3)"

log = logging.getLogger("test")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(supervisor, "LAST_DELAY", 0.2)
    monkeypatch.setattr(supervisor, "PATIENCE", 0.3)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop(SystemClock())
    yield loop
    loop.close()


def child(loop: Loop, program: str) -> Supervisor:
    made = Supervisor(loop, [sys.executable, "-c", program], log)
    made.start()
    return made


def run_until(loop: Loop, done: Callable[[], bool], patience: float = 10.0) -> None:
    """Turn the loop, which never sleeps longer than a moment, until something is so."""
    give_up = time.monotonic() + patience
    while not done():
        assert time.monotonic() < give_up
        timer = loop.call_at(after(loop.now(), 0.02), lambda: None)
        loop.run_once()
        loop.cancel(timer)


def is_gone(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
        return False
    return True


def test_a_good_child_says_its_port_and_ends_when_told(loop: Loop) -> None:
    supervised = child(loop, GOOD)
    run_until(loop, lambda: supervised.line == "4460")
    pid = supervised.pid
    supervised.stop()
    assert supervised.pid == 0
    assert is_gone(pid)


def test_a_reload_reaches_the_child(loop: Loop) -> None:
    supervised = child(loop, GOOD)
    run_until(loop, lambda: supervised.line == "4460")
    supervised.reload()
    run_until(loop, lambda: supervised.line == "again")
    supervised.stop()


def test_a_child_that_is_killed_is_started_again_and_the_log_says_so(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    supervised = child(loop, GOOD)
    run_until(loop, lambda: supervised.line != "")
    first = supervised.pid
    os.kill(first, signal.SIGKILL)
    run_until(loop, lambda: supervised.line != "" and supervised.pid != first)
    assert is_gone(first)
    supervised.stop()
    died, again = caplog.messages
    assert "was ended by SIGKILL" in died
    assert again.endswith("serves again")


def test_a_broken_child_is_tried_ever_more_seldom_and_reported_once(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    starts: list[float] = []

    class Watched(Supervisor):
        def start(self) -> None:
            starts.append(time.monotonic())
            super().start()

    supervised = Watched(loop, [sys.executable, "-c", BROKEN], log)
    supervised.start()
    run_until(loop, lambda: len(starts) == 5)
    supervised.stop()
    gaps = [b - a for a, b in pairwise(starts)]
    for gap, delay in zip(gaps, (0.05, 0.1, 0.2, 0.2), strict=True):
        assert gap >= delay
    assert len(caplog.messages) == 1
    assert "exited with 3" in caplog.messages[0]


def test_a_program_that_is_not_there_is_tried_again(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    supervised = Supervisor(loop, ["/nonexistent"], log)
    supervised.start()
    assert supervised.pid == 0
    assert "cannot be started" in caplog.messages[0]
    supervised.stop()


def test_a_deaf_child_is_killed(loop: Loop) -> None:
    supervised = child(loop, DEAF)
    run_until(loop, lambda: supervised.line != "")
    pid = supervised.pid
    began = time.monotonic()
    supervised.stop()
    assert time.monotonic() - began < 5
    assert is_gone(pid)


def test_a_child_that_dies_while_it_is_stopped_is_no_error(loop: Loop) -> None:
    supervised = child(loop, GOOD)
    run_until(loop, lambda: supervised.line != "")
    os.kill(supervised.pid, signal.SIGKILL)
    supervised.stop()
    supervised.stop()
    supervised.reload()


def test_no_start_is_pending_after_the_stop(loop: Loop) -> None:
    supervised = child(loop, BROKEN)
    run_until(loop, lambda: supervised.pid == 0)
    supervised.stop()
    pause = time.monotonic() + 0.3
    run_until(loop, lambda: time.monotonic() > pause)
    assert supervised.pid == 0


def test_the_child_inherits_no_descriptor_of_ours(loop: Loop, tmp_path: Path) -> None:
    seen = tmp_path / "descriptors"
    list_them = f"import os; open({str(seen)!r}, 'w').write(repr(os.listdir('/proc/self/fd')))"
    with open(os.devnull) as secret:
        # Far from the numbers that the child gives out itself.
        os.dup2(secret.fileno(), 200, inheritable=False)
        supervised = child(loop, list_them + GOOD)
        run_until(loop, lambda: supervised.line != "")
        supervised.stop()
        os.close(200)
    assert "'0'" in seen.read_text()
    assert "'200'" not in seen.read_text()
