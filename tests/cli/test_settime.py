"""`pints settime`: what it takes for a time, and what a real daemon does with it."""

from pathlib import Path

import pytest

from pints.cli import main
from pints.cli.settime import parse_time
from pints.demo.world import SharedTime
from pints.timescale import DAY, NS, Instant, iso, nanoseconds, seconds
from tests.device import Device
from tests.pints_server import three_pints

NOON = 1795435200 * NS
"""2026-11-23T12:00:00Z."""


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T12:00:00Z", NOON),
        ("2026-11-23T12:00Z", NOON),
        ("2026-11-23 12:00:00Z", NOON),
        ("2026-11-23T13:00:00+01:00", NOON),
        ("2026-11-23 05:30-06:30", NOON),
        ("2026-11-23 12:00 UTC", NOON),
        ("20261123T120000Z", NOON),
        ("2026-11-23T12:00:00.25Z", NOON + NS // 4),
        ("@1795435200", NOON),
        ("@1795435200.000000001", NOON + 1),
        ("2026-11-23T12:00:00", None),
        ("2026-11-23", None),
        ("2026-11-23Z", None),
        ("2026-11-23 UTC", None),
        ("2026-11-23T12:00:00Z UTC", None),
        ("12:00:00Z", None),
        ("tomorrow", None),
        ("2026-13-23T12:00:00Z", None),
        ("@", None),
        ("@-5", None),
        ("@1e9", None),
        ("@1795435200 UTC", None),
        ("", None),
    ],
)
def test_what_is_a_time(text: str, time: int | None) -> None:
    if time is None:
        with pytest.raises(ValueError, match=r"write|add|is not"):
            parse_time(text)
    else:
        assert parse_time(text) == time


@pytest.mark.parametrize("words", [["2026-11-23T12:00:00"], ["yesterday"], [], ["@x"]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["settime", *words])
    assert end.value.code == 2
    assert "usage: pints settime" in capsys.readouterr().err


def test_a_time_without_a_zone_says_what_to_add(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["settime", "2026-11-23", "12:00"])
    assert "add Z for UTC, or an offset" in capsys.readouterr().err


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["settime", "@1795435200", "--socket", str(tmp_path / "none.sock")]
    assert main(words) == 1
    line, hint = capsys.readouterr().err.splitlines()
    assert line.startswith("pints: no daemon answers on ")
    assert hint.startswith("  ")


BEHIND = ("--behind", str(400 * DAY), "--epoch-behind", str(400 * DAY))


def test_the_operators_word_is_a_belief_until_servers_prove_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = f"{tmp_path}/world"
    with three_pints(tmp_path, world) as servers:
        settings = "".join(server.source() for server in servers)
        for server in servers:
            server.device.stop()
        with Device(tmp_path / "pi", settings, *BEHIND, world=world) as device:
            assert device.ask("status")["state"] == "restored"
            floor = Instant(SharedTime(world).now() - nanoseconds(401 * DAY))

            # Below the floor: R1, and the clock stays.
            assert main(["settime", iso(floor), "--socket", device.socket]) == 1
            line, hint = capsys.readouterr().err.splitlines()
            assert line.startswith("pints: R1: ")
            assert "pints restore --forget" in hint
            assert device.ask("status")["steps"] == 0

            # A day off, as people are: the clock follows, nothing is verified.
            said = Instant(SharedTime(world).now() - nanoseconds(DAY))
            assert main(["settime", iso(said), "--socket", device.socket]) == 0
            out = capsys.readouterr().out
            assert out.startswith("provisional: the clock says 20")
            assert "never verified nor saved" in out
            status = device.ask("status")
            assert status["state"] == "provisional"
            assert abs(seconds(status["time_ns"] - said)) < 10
            rows = {row["origin"]: row for row in device.ask("bootstrap")["evidence"]}
            assert rows["operator"]["verdict"] == "restores the clock"

            # The servers come back: they verify, and they set the clock right.
            for server in servers:
                server.device.start()
            device.world.skip(120)
            assert device.wait_for("verified")["basis"] == "windows"
            status = device.ask("status")
            assert abs(seconds(status["time_ns"] - SharedTime(world).now())) < 5

            # From then on nobody's word counts: R10.
            assert main(["settime", iso(said), "--socket", device.socket]) == 1
            assert capsys.readouterr().err.startswith("pints: R10: this boot has verified")
            assert device.ask("status")["state"] == "verified"
