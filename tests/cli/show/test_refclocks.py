"""`pints refclocks` and `pints gps`: text from canned documents, and from a running daemon."""

import time
from pathlib import Path
from typing import Any

import pytest

from pints.cli import main
from pints.cli.show.refclocks import gps_text, refclocks_text
from pints.timescale import NS, Instant
from pints_drivers.fake_receiver import Line, nmea_burst
from tests.device import Device

GPS: dict[str, Any] = {
    "mark": "-",
    "receiver": "gps /dev/ttyAMA0",
    "driver": "gps",
    "device": "/dev/ttyAMA0",
    "steady": True,
    "pulses": False,
    "numbered_by": None,
    "last_rx": 0.4,
    "time": "2026-11-23T12:00:00Z",
    "offset": 0.0213,
    "error": 0.35,
    "details": {
        "fix": True, "satellites": 9, "speed": 9600, "sentences": {"GGA": 2, "RMC": 3}, "noise": 7,
    },
    "failure": None,
}  # fmt: skip
PPS: dict[str, Any] = GPS | {
    "mark": "*",
    "receiver": "pps /dev/pps0",
    "pulses": True,
    "numbered_by": "gps /dev/ttyAMA0",
    "offset": -1.2e-7,
    "error": 2e-6,
    "details": None,
}
GONE: dict[str, Any] = GPS | {
    "mark": "?",
    "receiver": "gps /dev/ttyUSB0",
    "steady": False,
    "last_rx": None,
    "time": None,
    "offset": None,
    "error": None,
    "details": None,
    "failure": {"reason": "gps /dev/ttyUSB0: No such file or directory", "hint": "is it in?"},
}


def test_refclocks() -> None:
    assert refclocks_text({"refclocks": [GPS, PPS, GONE]}).splitlines() == [
        "S  Name              Steady  LastRx    Offset   +- Error  Fix  Sats",
        "===================================================================",
        "-  gps /dev/ttyAMA0     yes       0  +21.3 ms  +- 350 ms  yes     9",
        "*  pps /dev/pps0        yes       0   -120 ns    +- 2 us    -     -",
        "?  gps /dev/ttyUSB0      no       -         -          -    -     -",
        "S: * best, + combined, - not combined, x falseticker, ? unusable",
        "gps /dev/ttyUSB0: No such file or directory",
        "  is it in?",
    ]


def test_gps() -> None:
    assert gps_text({"refclocks": [GPS, PPS, GONE]}).splitlines() == [
        "gps /dev/ttyAMA0",
        "  Fix        : yes, 9 satellites",
        "  Time (UTC) : 2026-11-23T12:00:00Z",
        "  Offset     : +21.3 ms +- 350 ms",
        "  Pulses     : -120 ns +- 2 us, pps /dev/pps0",
        "  Line       : 9600 baud, 7 bytes of noise",
        "  Sentences  : RMC 3, GGA 2",
        "",
        "gps /dev/ttyUSB0: No such file or directory",
        "  is it in?",
    ]


def test_pulses_that_another_numbers_are_not_its_own() -> None:
    others = PPS | {"numbered_by": "gps /dev/ttyS9"}
    assert "Pulses" not in gps_text({"refclocks": [GPS, others]})
    anyones = PPS | {"numbered_by": None}
    assert "Pulses" in gps_text({"refclocks": [GPS, anyones]})


def test_a_receiver_that_says_nothing_yet() -> None:
    details: dict[str, Any] = {
        "fix": False,
        "satellites": None,
        "speed": None,
        "sentences": {},
        "noise": 0,
    }
    text = gps_text({"refclocks": [GONE | {"details": details, "failure": None}]})
    assert "Fix        : no, - satellites" in text
    assert "Time (UTC) : -, not steady" in text
    assert "Line       : -, 0 bytes" in text
    assert "nothing understood yet" in text


def test_receivers_that_tell_only_the_time() -> None:
    assert gps_text({"refclocks": [PPS]}) == "no receiver that tells of itself: pints refclocks"


def test_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A daemon on a fake receiver's line, and beside it one that is not plugged in."""
    line = Line(tmp_path / "receiver")
    settings = "".join(
        f'[[refclock]]\ndriver = "gps"\ndevice = "{path}"\n' for path in (line.path, "/dev/absent")
    )
    settings += "[server]\nlocal_stratum = 10\n"
    with Device(tmp_path / "pi", settings) as device:
        began, true = time.monotonic_ns(), device.world.now()
        due = began

        def steady(document: dict[str, Any]) -> bool:
            nonlocal due
            now = time.monotonic_ns()
            if now >= due:  # no faster than such a line can be
                due = now + NS // 3
                line.send(nmea_burst(Instant(true + now - began)))
            return bool(document["refclocks"][0]["steady"])

        first, absent = device.until("refclocks", steady)["refclocks"]
        assert first.keys() == GPS.keys()
        assert first["details"].keys() == GPS["details"].keys()
        assert first["time"].startswith("20")
        assert absent["failure"]["reason"] == "gps /dev/absent: No such file or directory"
        for command, shown in (("refclocks", " yes "), ("gps", "9600 baud")):
            assert main([command, "--socket", device.socket]) == 0
            text = capsys.readouterr().out
            assert shown in text
            assert "gps /dev/absent: No such file" in text
            assert "None" not in text
    line.unplug()
