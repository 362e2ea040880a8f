"""`pints wait` and `pints save`, with real daemons and with ones that misbehave."""

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

from pints.cli import control, main
from pints.demo.world import free_port
from pints.report.reporter import Reporter
from tests.device import Device


class FakeDaemon:
    """Answers every request with the same line; `None` hangs up instead."""

    def __init__(self, path: Path, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve)
        self.requests: list[Any] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self.requests.append(json.loads(client.makefile().readline()))
                if self._answer is not None:
                    client.sendall(self._answer + b"\n")


@pytest.fixture
def dead_source() -> str:
    """A witness that never answers."""
    port = free_port(socket.SOCK_STREAM)
    return f'[[source]]\nserver = "127.0.0.1"\nke_port = {port}\n'


ALONE = "[bootstrap]\nmin_witnesses = 1\n"
"""One server is enough."""


def test_levels_are_the_daemons() -> None:
    assert control.LEVELS == Reporter.LEVELS


def test_wait(tmp_path: Path, dead_source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Device(tmp_path, dead_source + ALONE, "--epoch-behind", "3600") as device:
        device.wait_for("restored")
        words = ["wait", "--for", "restored", "--timeout", "20"]
        assert main([*words, "--config", str(device.config)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("restored after ")
    assert out.count("\n") == 1


def test_wait_for_a_daemon_that_is_not_up_yet(
    tmp_path: Path,
    dead_source: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    device = Device(tmp_path, dead_source + ALONE, "--epoch-behind", "3600")
    tries = 0
    really_sleep = time.sleep

    def sleep(seconds: float) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            device.start()
        really_sleep(seconds)

    monkeypatch.setattr("pints.cli.control.time.sleep", sleep)
    try:
        words = ["wait", "--for", "restored", "--timeout", "20", "--socket", device.socket]
        assert main(words) == 0
    finally:
        device.stop()
    assert tries >= 2
    assert capsys.readouterr().out.startswith("restored after ")


def test_wait_not_in_time(
    tmp_path: Path, dead_source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Device(tmp_path, dead_source + ALONE, "--epoch-behind", "3600") as device:
        device.wait_for("restored")
        began = time.monotonic()
        assert main(["wait", "--timeout", "0.3", "--socket", device.socket]) == 1
        assert time.monotonic() - began < 0.3 + control.LAST_LOOK + 2.0
    assert capsys.readouterr().err.splitlines() == [
        "pints: not verified within 0.3 s: restored, 0 of 1 needed witnesses agree",
        "  why: pints status",
    ]


def test_wait_without_a_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.sock"
    began = time.monotonic()
    assert main(["wait", "--timeout", "0.3", "--socket", str(path)]) == 1
    assert 0.3 <= time.monotonic() - began < 3.0
    line, hint = capsys.readouterr().err.splitlines()
    assert line == f"pints: not verified within 0.3 s: no daemon answers on {path}"
    assert "systemctl status pints" in hint


def test_wait_survives_a_daemon_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with FakeDaemon(path, None) as daemon:
        assert main(["wait", "--timeout", "0.5", "--socket", str(path)]) == 1
    assert len(daemon.requests) > 2
    assert daemon.requests[0] == {"command": "wait", "for": "verified"}
    assert daemon.requests[-1] == {"command": "status"}


def test_a_refusal_ends_the_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "control.sock"
    with FakeDaemon(path, b'{"error": "busy", "hint": "later"}') as daemon:
        assert main(["wait", "--socket", str(path)]) == 1
    assert len(daemon.requests) == 1
    assert capsys.readouterr().err == "pints: busy\n  later\n"


@pytest.mark.parametrize("answer", [b"SSH-2.0", b"[]", b"\xff"])
def test_somebody_else_on_the_socket(
    tmp_path: Path, answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control.sock"
    with FakeDaemon(path, answer):
        assert main(["wait", "--socket", str(path)]) == 1
        assert main(["status", "--socket", str(path)]) == 1
    assert capsys.readouterr().err.count("is not pints") == 2


def test_save(tmp_path: Path, dead_source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Device(tmp_path, dead_source, "--epoch-behind", "3600") as device:
        device.wait_for("restored")
        assert main(["save", "--socket", device.socket]) == 0
        assert (tmp_path / "state" / "time").exists()
    assert capsys.readouterr().out == "saved: 1 file written\n"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b'{"files": 3, "failed": false}', 0, "saved: 3 files written\n"),
        (b'{"files": 0, "failed": false}', 0, "saved: nothing to write\n"),
        (b'{"files": 1, "failed": true}', 1, "pints: the state folder cannot be written\n"),
    ],
)
def test_save_says_what_came_of_it(
    tmp_path: Path, answer: bytes, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control.sock"
    with FakeDaemon(path, answer) as daemon:
        assert main(["save", "--socket", str(path)]) == status
    out, err = capsys.readouterr()
    assert (out or err).startswith(said)
    assert daemon.requests == [{"command": "save"}]


@pytest.mark.parametrize("words", [["--for", "disputed"], ["--timeout", "0"], ["now"]])
def test_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["wait", *words])
    assert end.value.code == 2
