"""`pints query --roughtime` against real sockets."""

import base64
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from pints.cli import main
from pints.cli.query import split_port
from pints.demo.world import free_port
from pints.errors import ConfigError
from pints.wire.roughtime import VERSIONS
from tests.cli.ntp_server import LOOPBACK
from tests.roughtime_server import Roughtime

Say = Callable[..., str]


@pytest.fixture
def bad(capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a query that has to fail with one line and a hint."""

    def run(*words: str) -> str:
        assert main(["query", "--roughtime", *words, "--timeout", "8"]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        line, hint, *more = err.splitlines()
        assert line.startswith("pints: ")
        assert hint.startswith("  ")
        assert not more
        return err

    return run


def where(server: Roughtime) -> tuple[str, str, str]:
    return f"{LOOPBACK}:{server.port}", "--key", base64.b64encode(server.key).decode()


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "1"), (0x80000008, "draft 8"), (0x8000000B, "draft 11"), (0x8000000C, "draft 14 to 19")],
)
def test_what_it_says(number: int, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert number in VERSIONS
    with Roughtime(versions=(number,), lie=-100.0, radius=5) as server:
        assert main(["query", "--roughtime", *where(server)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("127.0.0.1: this clock is 10")
    assert " s fast of it, within 5" in out
    assert f"127.0.0.1:{server.port}, Roughtime version {name}\n" in out
    assert "Z, radius 5 s\n" in out
    assert "authenticated  by signatures of its key" in out
    assert "delegation     good 20" in out


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    with Roughtime(lie=50.0, mint=1, maxt=1 << 62) as server:
        words = ("query", "--roughtime", LOOPBACK, "--port", str(server.port), "--json", "--key")
        assert main([*words, server.key.hex()]) == 0
    (host,) = json.loads(capfd.readouterr().out)["hosts"]
    assert host["host"] == LOOPBACK
    assert host["good"] is host["authenticated"] is True
    assert host["failure"] is host["hint"] is None
    assert -51 < host["offset"] < -48
    assert 3 <= host["error"] < 5
    assert 0 < host["delay"] < 4
    assert host["address"] == f"127.0.0.1:{server.port}"
    found: dict[str, Any] = host["roughtime"]
    assert found["version"] == 1
    assert found["radius"] == 3.0
    assert found["delegation"][0] == "1970-01-01T00:00:01Z"


def test_json_of_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with Roughtime(silent=99) as server:
        assert main(["query", "--roughtime", "--json", *where(server)]) == 1
    (host,) = json.loads(capfd.readouterr().out)["hosts"]
    assert host["good"] is host["authenticated"] is False
    assert "no answer" in host["failure"]
    assert host["roughtime"] is host["offset"] is host["address"] is None


def test_address_instead_of_a_look_up(capfd: pytest.CaptureFixture[str]) -> None:
    with Roughtime() as server:
        _, *key = where(server)
        words = (f"nobody.invalid:{server.port}", "--address", LOOPBACK)
        assert main(["query", "--roughtime", *words, *key]) == 0
    assert capfd.readouterr().out.startswith("nobody.invalid: this clock is ")


def test_silent_server(bad: Say) -> None:
    with Roughtime(silent=99) as server:
        said = bad(*where(server))
    assert f"127.0.0.1: no answer from 127.0.0.1:{server.port}\n" in said
    assert f"a firewall on the way may drop UDP port {server.port}" in said
    assert "does not have --key" in said


def test_nobody_listens(bad: Say) -> None:
    port = free_port(socket.SOCK_DGRAM)
    began = time.monotonic()
    assert "Connection refused" in bad(f"{LOOPBACK}:{port}", "--key", "00" * 32)
    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"grease": 99}, "bad signature of the response"),
        ({"bad_delegation": True}, "bad signature of the delegation"),
        ({"expired": True}, "outside the delegation"),
        ({"wrong_nonce": True}, "another request's nonce"),
    ],
)
def test_bad_answer(bad: Say, fields: dict[str, Any], why: str) -> None:
    with Roughtime(**fields) as server:
        said = bad(*where(server))
    assert why in said
    assert "does the server really have --key?" in said


def test_name_that_nobody_knows(bad: Say) -> None:
    assert "nobody.invalid" in bad("nobody.invalid", "--key", "00" * 32)


@pytest.mark.parametrize(
    "words",
    [
        ("--roughtime", "a.test"),
        ("--roughtime", "a.test", "--key", "00"),
        ("--roughtime", "a.test", "b.test", "--key", "00" * 32),
        ("--roughtime", "a.test", "--key", "00" * 32, "--nts"),
        ("--roughtime", "a.test", "--key", "00" * 32, "--ca", "x"),
        ("--roughtime", "a.test", "--key", "00" * 32, "--relaxed-dates"),
        ("--roughtime", "a.test", "--key", "00" * 32, "--port", "65536"),
        ("--roughtime", "a.test", "--key", "00" * 32, "--address", "b.test"),
        ("a.test", "--key", "00" * 32),
    ],
)
def test_usage(words: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["query", *words])
    assert caught.value.code == 2
    assert "pints query: error: " in capfd.readouterr().err


def test_host_and_port() -> None:
    assert split_port("a.test") == ("a.test", 0)
    assert split_port("a.test:2003") == ("a.test", 2003)
    assert split_port("::1") == ("::1", 0)
    assert split_port("[::1]") == ("::1", 0)
    assert split_port("[::1]:2003") == ("::1", 2003)
    for text in ("a.test:", "a.test:x", "a.test:65536", "[::1]:-1"):
        with pytest.raises(ConfigError):
            split_port(text)
    assert main(["query", "--roughtime", "a.test:x", "--key", "00" * 32]) == 2
