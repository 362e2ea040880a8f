"""`pints rtc`: canned documents, a chip that is read without a daemon, one that a daemon has."""

import json
from pathlib import Path
from typing import Any

import pytest

from pints import drivers
from pints.cli import main
from pints.cli.rtc import detect_text, rtc_text, trim_text
from pints.drivers import FoundRtc
from pints.evidence.rtc import Calibration, encode_calibration
from pints.storage.board import board_id
from pints.timescale import NS, Instant
from tests.device import Device

TOLD: dict[str, Any] = {
    "chip": "ds3231 i2c-1 0x68",
    "time": "2026-11-04T14:30:05Z",
    "flags": [],
    "warnings": [],
    "temperature": 25.25,
    "ahead_of_clock": 0.2,
    "ahead_of_clock_error": 0.5,
    "ahead_of_true_time": 0.0123,
    "ahead_of_true_time_error": 0.0041,
    "compared_ago": 11000.0,
    "drift_ppm": -1.234,
    "drift_error_ppm": 0.21,
    "stability_ppm": 2.0,
    "set_at": "2026-11-01T00:00:00Z",
    "set_by_pints": True,
    "shared": False,
}


def test_a_good_chip() -> None:
    assert rtc_text(TOLD).splitlines() == [
        "Chip            : ds3231 i2c-1 0x68",
        "Time (UTC)      : 2026-11-04T14:30:05Z",
        "Vouches for it  : yes",
        "Temperature     : 25.25 degrees C",
        "True time       : it is 12.3 ms ahead, +- 4.1 ms, 3.06 h ago",
        "Drift           : 1.23 ppm slow, +- 0.21, and 2 as temperature goes",
        "Set             : by pints, 2026-11-01T00:00:00Z: it confirms or disputes the witnesses",
    ]


def test_a_chip_of_the_kernels() -> None:
    assert rtc_text(TOLD | {"shared": True}).splitlines()[-1] == (
        "Set             : by the kernel as well: it restores the clock and proves nothing"
    )


def test_a_strangers_chip_without_power() -> None:
    told = TOLD | {
        "flags": ["OS"], "warnings": ["BLF"], "temperature": None, "ahead_of_clock": -9e8,
        "ahead_of_true_time": None, "drift_ppm": None, "set_by_pints": False,
    }  # fmt: skip
    assert rtc_text(told).splitlines()[2:] == [
        "Vouches for it  : no: OS",
        "See to          : BLF",
        "System's clock  : it is 28.5 years behind, +- 500 ms",
        "Drift           : not measured yet: that takes a day of anchored time",
        "Set             : not by pints: it restores the clock and proves nothing",
    ]


FOUND = [
    FoundRtc("/dev/rtc0", ("dev",), "held by the kernel: rpi-rtc at soc", device="/dev/rtc0"),
    FoundRtc("i2c-1 0x51", ("pcf85063",), "", 1, 0x51),
    FoundRtc("i2c-1 0x68", ("ds1307", "ds1338"), "cannot be told apart", 1, 0x68),
    FoundRtc("i2c-3 0x68", (), "a motion sensor (MPU-6050), no clock", 3, 0x68),
]


def test_what_is_detected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drivers, "detect_rtcs", lambda: FOUND)
    assert main(["rtc", "detect"]) == 0
    assert capsys.readouterr().out == detect_text(FOUND) + "\n"
    assert detect_text(FOUND).splitlines() == [
        "/dev/rtc0: held by the kernel: rpi-rtc at soc",
        "    [rtc]",
        '    driver = "dev"',
        '    device = "/dev/rtc0"',
        "i2c-1 0x51: PCF85063",
        "    [rtc]",
        '    driver = "pcf85063"',
        "    bus = 1",
        "i2c-1 0x68: DS1307 or DS1338: cannot be told apart",
        "    [rtc]",
        '    driver = "ds1307"',
        "    bus = 1",
        "    [rtc]",
        '    driver = "ds1338"',
        "    bus = 1",
        "i2c-3 0x68: a motion sensor (MPU-6050), no clock",
    ]
    assert main(["rtc", "detect", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["found"]
    assert [row["drivers"] for row in rows] == [list(one.drivers) for one in FOUND]
    monkeypatch.setattr(drivers, "detect_rtcs", lambda: FOUND[3:])
    assert main(["rtc", "detect"]) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (-1.2, "ds3231 i2c-1 0x68: 1.20 ppm slower from now on"),
        (4.34, "ds3231 i2c-1 0x68: 4.34 ppm faster from now on"),
        (0.0, "ds3231 i2c-1 0x68: as near as its register can tell already"),
    ],
)
def test_what_trimming_did(change: float, text: str) -> None:
    assert trim_text({"chip": "ds3231 i2c-1 0x68", "change_ppm": change}) == text


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a machine with a fake chip and no daemon."""
    (tmp_path / "chip").write_text("offset 7200\n")
    file = tmp_path / "pints.toml"
    file.write_text(
        f'[rtc]\ndriver = "fake-rtc"\ndevice = "{tmp_path}/chip"\n'
        f'[state]\ndirectory = "{tmp_path}"\nruntime = "{tmp_path}/run"\n'
    )
    return file


def test_without_a_daemon_it_is_read_here(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rtc", "--json", "-c", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chip"] == f"fake-rtc {config.parent}/chip"
    assert told["ahead_of_clock"] == pytest.approx(7200, abs=1)
    assert (told["ahead_of_true_time"], told["drift_ppm"]) == (None, None)
    learned = Calibration(told["chip"], Instant(NS), 0.0, 0.5, True, 3e-6, 1e-6)
    (config.parent / "rtc.json").write_bytes(encode_calibration(learned, board_id()))
    assert main(["rtc", "--json", "-c", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["drift_ppm"] == pytest.approx(3)
    assert told["set_by_pints"] is True


def test_a_chip_that_does_not_vouch_is_exit_1(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "chip").write_text("flags OSF\n")
    (config.parent / "rtc.json").write_text("torn")
    assert main(["rtc", "-c", str(config)]) == 1
    assert "no: OSF" in capsys.readouterr().out


def test_no_chip_configured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pints.toml"
    file.write_text(f'[state]\nruntime = "{tmp_path}/run"\n')
    assert main(["rtc", "-c", str(file)]) == 1
    error = capsys.readouterr().err
    assert "no real-time clock is configured" in error
    assert "pints rtc detect" in error


def test_a_daemon_tells_of_its_chip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chip = tmp_path / "chip"
    chip.write_text("offset 5\n")
    settings = f'[rtc]\ndriver = "fake-rtc"\ndevice = "{chip}"\n'
    source = '[[source]]\nserver = "127.0.0.1"\nke_port = 9\n'
    with Device(tmp_path / "pi", settings + source) as device:
        told = device.ask("rtc")
        assert told["chip"] == f"fake-rtc {chip}"
        assert told["ahead_of_clock"] is not None
        chip.unlink()
        assert main(["rtc", "--socket", str(device.socket)]) == 1
        assert "cannot be read" in capsys.readouterr().err
        chip.write_text("")
        assert main(["rtc", "--socket", str(device.socket)]) == 0
        assert "not by pints" in capsys.readouterr().out
        for what in ("set", "trim"):
            assert main(["rtc", what, "--socket", str(device.socket)]) == 1
            assert "not anchored yet" in capsys.readouterr().err


def test_a_daemon_without_a_chip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Device(tmp_path / "pi", '[[source]]\nserver = "127.0.0.1"\nke_port = 9\n') as device:
        device.ask("status")
        assert main(["rtc", "--socket", str(device.socket)]) == 1
        assert "no real-time clock is configured" in capsys.readouterr().err
