import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.shell.notify import Notifier


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(5)
        yield receiver


def test_what_is_sent(manager: socket.socket, tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    manager.bind(path)
    notifier = Notifier({"NOTIFY_SOCKET": path})
    assert notifier.ready("synchronized\nto 3 sources")
    assert manager.recv(4096) == b"READY=1\nSTATUS=synchronized to 3 sources"
    assert notifier.ready()
    assert manager.recv(4096) == b"READY=1"
    assert notifier.status("waiting")
    assert manager.recv(4096) == b"STATUS=waiting"
    assert notifier.watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1"
    assert notifier.stopping()
    assert manager.recv(4096) == b"STOPPING=1"


def test_abstract_socket(manager: socket.socket) -> None:
    name = f"pints-test-{os.getpid()}"
    manager.bind(f"\0{name}")
    assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/at/all"])
def test_nobody_to_tell(address: str) -> None:
    assert not Notifier({"NOTIFY_SOCKET": address}).ready()
    assert not Notifier({}).ready()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).watchdog_interval == interval
