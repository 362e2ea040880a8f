"""The whole daemon against real chronyd servers: from 400 days behind to verified, and what it
says when they die."""

from pathlib import Path

import pytest

from pints.timescale import DAY, seconds
from pints.wire.aead import ALGORITHMS
from tests.chronyd import Chronyd, host_now
from tests.device import Device, as_json

BEHIND = ("--behind", str(400 * DAY), "--epoch-behind", str(400 * DAY))


def test_a_clock_400_days_behind_is_verified(tmp_path: Path, five_chronyd: list[Chronyd]) -> None:
    with Device(tmp_path / "pi", "".join(s.source for s in five_chronyd), *BEHIND) as device:
        status = device.wait_for("verified")
        assert status["basis"] == "windows"
        assert status["needed"] == 3
        assert abs(seconds(status["time_ns"] - host_now())) < 5
        assert "judged again" in device.text()
        assert status["steps"] == 1

        device.until("status", lambda s: bool(s["answering"] == 5))
        rows = device.ask("authdata")["sources"]
        assert [row["mode"] for row in rows] == ["NTS"] * 5
        assert all(row["cookies"] > 0 and row["attempts"] == 0 for row in rows), as_json(rows)
        assert {row["key_length"] for row in rows} == {
            8 * algorithm.key_length for algorithm in ALGORITHMS.values()
        }


@pytest.mark.slow
def test_holdover_once_the_quorum_is_gone(tmp_path: Path, five_chronyd: list[Chronyd]) -> None:
    with Device(tmp_path / "pi", "".join(s.source for s in five_chronyd), *BEHIND) as device:
        device.wait_for("verified")
        device.until("bootstrap", lambda b: len(b["members"]) == 5)
        for server in five_chronyd[:2]:
            server.stop()
        device.until("bootstrap", lambda b: len(b["members"]) == 3)
        assert device.text().count("3 polls unanswered: lost") == 2
        assert device.ask("status")["state"] == "verified"

        five_chronyd[2].stop()
        status = device.until("status", lambda s: bool(s["state"] == "holdover"))
        assert status["agreeing"] == 2

        for server in five_chronyd[:3]:
            server.start()
        assert device.wait_for("verified")["state"] == "verified"
