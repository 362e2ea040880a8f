"""The status commands: text from canned documents, and everything from a running daemon."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pints.cli import main
from pints.cli.reports import (
    COMMANDS,
    authdata_text,
    serverstats_text,
    sources_text,
    status_of,
    tracking_text,
)
from pints.cli.show.table import ago, failure_lines
from pints.cli.show.trust import MEANINGS
from pints.report.reporter import Reporter
from tests.chronyd import Chronyd, chronyd, host_now
from tests.cli.show.test_trust import AGREEING, BOOTSTRAP
from tests.device import ROOT, Device
from tests.pints_server import three_pints

NOT_HERE = {"refclocks", "gps", "serverstats"}
"""Commands of what that daemon lacks."""
REFUSED = {
    "reason": "127.0.0.9: connecting to 127.0.0.9:4460: Connection refused",
    "hint": "nothing listens there: is it an NTS key server, on that port (4460)?",
}
SOURCE: dict[str, Any] = {
    "mark": "*",
    "source": "time.cloudflare.com",
    "stratum": 3,
    "poll": 6,
    "reach": 0o377,
    "last_rx": 23.4,
    "offset": -1.342e-06,
    "error": 4.5e-03,
    "authenticated": True,
    "failure": None,
}
DEAD: dict[str, Any] = SOURCE | {
    "mark": "?",
    "source": "127.0.0.9",
    "stratum": 0,
    "reach": 0,
    "last_rx": None,
    "offset": None,
    "error": None,
    "authenticated": False,
    "failure": REFUSED,
}


# Text from canned documents


def test_sources() -> None:
    rows = [SOURCE, SOURCE | {"mark": "+", "source": "a.test", "reach": 0o17, "last_rx": 4000.0}]
    assert sources_text({"sources": [*rows, DEAD]}).splitlines() == [
        "S  Name                 Auth  Stratum  Poll  Reach  LastRx    Offset   +- Error",
        "===============================================================================",
        "*  time.cloudflare.com  NTS         3     6    377      23  -1.34 us  +- 4.5 ms",
        "+  a.test               NTS         3     6     17     67m  -1.34 us  +- 4.5 ms",
        "?  127.0.0.9            -           0     6      0       -         -          -",
        "S: * best, + combined, - not combined, x falseticker, ? unusable",
        "127.0.0.9: connecting to 127.0.0.9:4460: Connection refused",
        "  nothing listens there: is it an NTS key server, on that port (4460)?",
    ]


def test_no_sources() -> None:
    assert sources_text({"sources": []}).count("\n") == 2


def test_authdata() -> None:
    row = {
        "source": "time.cloudflare.com",
        "mode": "NTS",
        "key_id": 2,
        "type": 30,
        "key_length": 128,
        "last": 7300.0,
        "attempts": 0,
        "naks": 1,
        "cookies": 8,
        "cookie_length": 100,
        "saved_session": False,
    }
    saved = row | {"source": "a.test", "last": None, "saved_session": True}
    assert authdata_text({"sources": [row, saved]}).splitlines() == [
        "Name                 Mode  KeyID  Type  KLen  Last  Atmp  NAK  Cook  CLen",
        "=========================================================================",
        "time.cloudflare.com  NTS       2    30   128  122m     0    1     8   100",
        "a.test               NTS       2    30   128     -     0    1     8   100",
        "By keys saved before this boot: a.test",
    ]


TRACKING = {
    "state": "verified",
    "reference": "time.cloudflare.com",
    "stratum": 4,
    "offset": 3.49e-07,
    "last_offset": -3.49e-07,
    "deviation": 2.88e-07,
    "frequency_ppm": -0.2381,
    "skew_ppm": 0.1026,
    "rate_ppm": 0.1109,
    "error_interval": 0.000812345,
    "error_bound": 0.004262196,
    "last_update": "2026-11-23T03:44:39Z",
    "last_update_age": 12.3,
}


def test_tracking() -> None:
    assert tracking_text(TRACKING).splitlines() == [
        "Reference       : time.cloudflare.com",
        "Stratum         : 4",
        "Ref time (UTC)  : 2026-11-23T03:44:39Z",
        "System time     : 0.000000349 seconds fast of true time",
        "Last offset     : -0.000000349 seconds",
        "Deviation       : 0.000000288 seconds",
        "Frequency       : 0.238 ppm fast",
        "Skew            : 0.103 ppm",
        "Steered by      : +0.111 ppm",
        "Error interval  : 0.000812345 seconds",
        "Error bound     : 0.004262196 seconds",
        "Update age      : 12.3 s",
        "Trust state     : verified",
    ]


def test_tracking_says_slow_of_a_clock_that_is_behind() -> None:
    text = tracking_text(TRACKING | {"offset": -1.5, "frequency_ppm": 12.0})
    assert "1.500000000 seconds slow of true time" in text
    assert "12.000 ppm slow" in text


def test_tracking_of_nothing() -> None:
    text = tracking_text(dict.fromkeys(TRACKING) | {"state": "unset", "stratum": 0})
    assert "Reference       : none\nStratum         : none\nRef time (UTC)  : never" in text
    assert "System time     : -\n" in text
    assert text.endswith("Update age      : never\nTrust state     : unset")


def test_serverstats() -> None:
    text = serverstats_text({"requests": 17, "rate_limited": 2})
    assert text == "Requests     : 17\nRate limited : 2"


@pytest.mark.parametrize("state", MEANINGS)
def test_exit_status(state: str) -> None:
    assert status_of("status", {"state": state}) == (0 if state == "verified" else 1)
    assert status_of("tracking", {"state": state}) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0.0, "0"), (999.0, "999"), (999.6, "17m"), (7200.0, "120m"),
        (86400.0, "24h"), (400000.0, "5d"), (1e8, "3y"),
    ],
)  # fmt: skip
def test_ages_take_four_characters(seconds: float | None, text: str) -> None:
    assert ago(seconds) == text
    assert len(text) <= 4


@pytest.mark.parametrize(
    ("source", "reason", "hint", "lines"),
    [
        ("a", "a: no", "try (this) again", ["a: no", "  try (this) again"]),
        ("a:123", "a: no", "", ["a:123: no"]),
        ("[::1]:5", "::1: no", "", ["[::1]:5: no"]),
        ("a", "no (odd", "", ["a: no (odd"]),
    ],
)
def test_failures(source: str, reason: str, hint: str, lines: list[str]) -> None:
    assert failure_lines({source: {"reason": reason, "hint": hint}}) == lines


# A daemon that runs


@pytest.fixture(scope="module")
def device(
    peer: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    """Verified by three real servers, with a fourth that does not exist."""
    folder = tmp_path_factory.mktemp("device")
    servers: list[Chronyd] = []
    try:
        for n in range(1, 5):
            host = f"127.0.0.{n}"
            servers.append(chronyd(peer("chronyd"), folder / f"server{n}", host, host_now()))
            if n < 4:
                servers[-1].start()
        options = "--behind", "34560000", "--epoch-behind", "34560000"
        with Device(folder, "".join(s.source for s in servers), *options) as device:
            device.wait_for("verified")
            yield device
    finally:
        for server in servers:
            server.stop()


def test_commands_are_the_reporters() -> None:
    """`pints rtc` has options of its own."""
    assert {*COMMANDS, "rtc"} == set(Reporter(*[cast(Any, None)] * 4).commands)


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - NOT_HERE))
def test_live(command: str, device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--socket", device.socket]) == 0
    text = capsys.readouterr().out
    assert text.endswith("\n")
    assert "None" not in text
    if command not in ("tracking", "authdata"):
        assert "127.0.0.4" in text
        assert "Connection refused" in text
    if command == "status":
        assert text.startswith("verified (windows): 20")
        assert "3 of 4 witnesses agree (3 needed)" in text


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - NOT_HERE))
def test_live_json(command: str, device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--json", "--config", str(device.config)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == device.ask(command).keys()
    assert COMMANDS[command][1](document)


def test_the_account_of_a_running_daemon(
    device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    document = device.ask("bootstrap")
    assert document.keys() == BOOTSTRAP.keys()
    rows = {row["origin"]: row for row in document["evidence"]}
    assert all(row.keys() == AGREEING.keys() for row in rows.values())
    agreeing = [origin for origin, row in rows.items() if row["verdict"] == "agrees"]
    assert len(agreeing) == 3
    assert all(rows[origin]["windows"] for origin in agreeing)
    (dead,) = [row for origin, row in rows.items() if origin.startswith("127.0.0.4")]
    assert dead["verdict"] == "waiting"
    assert "Connection refused" in dead["detail"]
    assert any(line["text"].startswith("verified (windows)") for line in document["story"])

    assert main(["bootstrap", "--explain", "--socket", device.socket]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Can the clock be trusted?\n  Yes.")
    assert all(origin in told for origin in agreeing)


def test_what_cannot_be_recorded_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """R9: something in the runtime folder is in the way of the belief."""
    (tmp_path / "pi" / "run" / "belief" / "in the way").mkdir(parents=True)
    with three_pints(tmp_path, f"{tmp_path}/world") as servers:
        settings = "".join(server.source() for server in servers)
        with Device(tmp_path / "pi", settings, world=f"{tmp_path}/world") as device:
            document = device.until("bootstrap", lambda b: bool(b["errors"]))
            assert document["state"] != "verified"
            assert main(["bootstrap", "--socket", device.socket]) == 0
            assert "R9: what the servers agree on cannot be recorded" in capsys.readouterr().out
            assert main(["bootstrap", "--explain", "--socket", device.socket]) == 0
            assert "exists and is writable" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("serverstats", "this pints serves nobody"),
        ("refclocks", "this pints has no receiver"),
        ("gps", "this pints has no receiver"),
    ],
)
def test_what_it_lacks_it_says(
    command: str, complaint: str, device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--socket", device.socket]) == 1
    assert complaint in capsys.readouterr().err


def test_broken_configuration_does_not_matter_with_a_socket(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[")
    assert main(["status", "--config", str(broken), "--socket", device.socket]) == 0
    assert main(["status", "--config", str(broken)]) == 2
    assert f"pints: {broken}: not TOML" in capsys.readouterr().err


def test_watch(device: Device) -> None:
    """One compact document a line, until somebody interrupts."""
    words = ["status", "--socket", device.socket, "--json", "--watch", "0.05"]
    with subprocess.Popen(
        [sys.executable, "-m", "pints", *words], stdout=subprocess.PIPE, cwd=ROOT
    ) as watcher:
        assert watcher.stdout is not None
        documents = [json.loads(watcher.stdout.readline()) for _ in range(3)]
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(10) == 130
    times = [document["running_for"] for document in documents]
    assert times == sorted(set(times))


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--socket", str(tmp_path / "none.sock")]) == 1
    err = capsys.readouterr().err
    assert "no daemon answers on" in err
    assert "systemctl status pints" in err


def test_no_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pints.toml"
    file.write_text('[control]\nsocket = "none"\n')
    assert main(["status", "--config", str(file)]) == 1
    assert "no control socket" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--watch", "-1"], ["--watch", "inf"], ["--watch", "x"], ["y"]])
def test_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["status", *words])
    assert end.value.code == 2
