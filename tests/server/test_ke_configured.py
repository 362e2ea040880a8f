"""`pints ke-server` by the daemon's configuration: beside a daemon that leaves it to others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pints.demo.world import SharedTime
from pints.server.cookies import RING, KeyRing
from pints.storage.store import Store
from tests.pints_server import PintsServer, pints_server
from tests.server.ke_client import exchange

COMMAND = (sys.executable, "-m", "pints", "ke-server", "-c")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PintsServer]:
    """A daemon that serves NTP, without a child for NTS-KE."""
    world = str(tmp_path / "time")
    SharedTime(world)
    server = pints_server(tmp_path / "server", "127.0.0.1", world)
    server.device.options += ("--no-ke-server",)
    with server.device:
        yield server


@contextmanager
def configured(server: PintsServer) -> Iterator[int]:
    """The key exchange server of that daemon's configuration; its port."""
    ready, theirs = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, str(server.device.config), "--ready-fd", str(theirs)], pass_fds=(theirs,)
    )
    os.close(theirs)
    with open(ready, encoding="ascii") as file:
        port = int(file.readline())
    try:
        yield port
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_it_serves_what_the_configuration_says(server: PintsServer) -> None:
    assert server.device.ask("status")["state"]
    assert not children(server), "the daemon has left it to others"
    with configured(server) as port:
        assert port == server.ke_port
        got = exchange(port, server.ca)
    assert got.response.port == server.ntp_port
    ring = Store(f"{server.device.folder}/state/server-keys", owner=False).read(RING)
    assert ring is not None
    opened = KeyRing.decode(ring).open(got.response.cookies[0])
    assert opened is not None
    assert got.c2s + got.s2c in opened.plaintext, "sealed by the daemon's own ring"


def children(server: PintsServer) -> list[str]:
    assert server.device.process is not None
    pid = server.device.process.pid
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for file in tasks for child in file.read_text().split()]


def run(config: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, str(config), *more], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize("text", ["", '[server]\nlisten = ["127.0.0.1"]\n'])
def test_without_a_certificate_it_is_done_at_once(tmp_path: Path, text: str) -> None:
    config = tmp_path / "pints.toml"
    config.write_text(text)
    done = run(config)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")


def test_a_port_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "pints.toml"
    config.write_text(
        '[server]\nlisten = ["127.0.0.1"]\nport = 0\ncertificate = "/c"\nkey = "/k"\n'
    )
    done = run(config)
    assert done.returncode == 2
    assert "port" in done.stderr


def test_a_command_line_that_lacks_something_says_what(tmp_path: Path) -> None:
    done = run(tmp_path / "none", "--listen", "127.0.0.1", "--certificate", "/c", "--key", "/k")
    assert done.returncode == 2
    assert "--keys" in done.stderr
