"""`pints ke`: what it prints, and what it never prints."""

import argparse
import json
from pathlib import Path

import pytest

from pints.cli import ke
from pints.demo.authority import Authority
from pints.errors import PeerError
from pints.timescale import NS, Instant
from pints.wire.aead import AES_SIV_CMAC_256
from tests.ke_server import KeServer

HOST = "127.0.0.1"
Y2001 = Instant(978_307_200 * NS)


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    ke.add(parser.add_subparsers(required=True))
    args = parser.parse_args(["ke", *words])
    status: int = args.run(args)
    return status


@pytest.fixture
def authority() -> Authority:
    return Authority("the issuer")


@pytest.fixture
def ca(authority: Authority, tmp_path: Path) -> str:
    return str(authority.write(tmp_path))


def test_for_people(authority: Authority, ca: str, capsys: pytest.CaptureFixture[str]) -> None:
    with KeServer(authority.issue([HOST])) as server:
        assert run(HOST, "--port", str(server.port), "--ca", ca) == 0
    output = capsys.readouterr().out
    for fact in (
        f"{HOST}:{server.port}",
        "by CN=the issuer",
        "2000-01-01T00:00:00Z to 2100-01-01T00:00:00Z",
        "good now",
        "AES-SIV-CMAC-256",
        "8 of 100 octets",
        f"{HOST}:123",
        "connect",
    ):
        assert fact in output
    for key in server.keys[AES_SIV_CMAC_256]:
        assert key.hex() not in output


def test_for_programs(authority: Authority, ca: str, capsys: pytest.CaptureFixture[str]) -> None:
    with KeServer(authority.issue([HOST])) as server:
        assert run(HOST, "--port", str(server.port), "--ca", ca, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["chain"]["good_now"] is True
    assert facts["chain"]["windows"] == [
        {"start": "2000-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
    ]
    assert facts["cookies"] == [100] * 8
    assert facts["ntp_addresses"] == [f"{HOST}:123"]
    assert "keys" not in facts


def test_good_but_for_the_dates(
    authority: Authority, ca: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with KeServer(authority.issue([HOST], not_after=Y2001)) as server:
        assert run(HOST, "--port", str(server.port), "--ca", ca) == 1
    output = capsys.readouterr().out
    assert "good but for the dates: the clock says 2" in output
    assert "2000-01-01T00:00:00Z to 2001-01-01T00:00:00Z" in output


def test_failure_names_the_step(ca: str) -> None:
    with (
        KeServer(Authority("a stranger").issue([HOST])) as server,
        pytest.raises(PeerError, match=r"^chain: .*a stranger") as caught,
    ):
        run(HOST, "--port", str(server.port), "--ca", ca)
    assert "`ca`" in caught.value.hint


@pytest.mark.parametrize("words", [["--port", "0"], ["--port", "x"], ["--aead", "ROT13"]])
def test_wrong_words(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(HOST, *words)
    assert caught.value.code == 2


@pytest.mark.parametrize("words", [["--port", "0"], ["--port", "65536"], ["--timeout", "0"]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(HOST, *words)
    assert end.value.code == 2
    assert f"{words[0]}: {words[1]}: " in capsys.readouterr().err
