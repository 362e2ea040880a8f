"""The whole daemon that wakes far in the past, against real chronyd servers: those that are
right, and those of thieves, who tell the time when their certificates were good."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pints.timescale import DAY, Instant, nanoseconds, seconds
from tests.chronyd import Chronyd, fleet, host_now, running, thief
from tests.device import Device, as_json
from tests.relay import Relay

Find = Callable[[str], Path]
RENEWED = (-20.0, 70.0)
SIX_DAYS = (-2.0, 4.0)
NINE_YEARS = 9 * 365.25


def fleets(
    folder: Path, find: Find, thieves: int, ago: float
) -> tuple[list[Chronyd], list[Chronyd]]:
    """Five servers: of so many a key was stolen that was good `ago` days back and expired
    since; the others have renewed certificates."""
    now = host_now()
    days, prefix = thief(find("faketime"), ago)
    return (
        fleet(find, folder, range(1, thieves + 1), now, days=days, prefix=prefix),
        fleet(find, folder, range(thieves + 1, 6), now, days=RENEWED),
    )


def asleep(folder: Path, sources: str, days: float) -> Device:
    """A device that was built, and last knew the time, so many days ago."""
    behind = str(days * DAY)
    device = Device(folder, sources, "--behind", behind, "--epoch-behind", behind)
    device.remember(Instant(device.world.now() - nanoseconds(days * DAY)))
    return device


def off(status: dict[str, Any]) -> float:
    """How far a device's clock is off this machine's, seconds."""
    return abs(seconds(status["time_ns"] - time.time_ns()))


@pytest.mark.each_once
@pytest.mark.parametrize("certificates", [RENEWED, SIX_DAYS], ids=["renewed", "six days"])
@pytest.mark.parametrize("days", [30, 400, NINE_YEARS], ids=["30 days", "400 days", "9 years"])
def test_verified_in_five_round_trips(
    tmp_path: Path, peer: Find, days: float, certificates: tuple[float, float]
) -> None:
    five = fleet(peer, tmp_path, range(1, 6), host_now(), days=certificates)
    with running(five) as servers, Relay() as relay:
        # At poll 2 a burst's second request comes after 2 s: none is counted by mistake.
        sources = "".join(server.through(relay, minpoll=2) for server in servers)
        with asleep(tmp_path / "pi", sources, days) as device:
            status = device.wait_for("verified")
            trips = [relay.round_trips(server.host) for server in servers]
            # The servers are named by address; with names, the resolver's is the fifth.
            assert max(trips) + 1 <= 5, trips
            assert status["basis"] == "windows"
            assert status["steps"] == 1
            assert off(status) < 0.5


@pytest.mark.parametrize("ago", [2, 100, 400])
def test_two_stolen_keys_are_outvoted_and_named(tmp_path: Path, peer: Find, ago: float) -> None:
    thieves, honest = fleets(tmp_path, peer, thieves=2, ago=ago)
    with running([*thieves, *honest]) as servers, Relay() as relay:
        sources = "".join(server.through(relay) for server in servers)
        for server in honest:
            relay.hold(server.host)
        with asleep(tmp_path / "pi", sources, days=500) as device:
            two = device.until("bootstrap", lambda b: len(b["members"]) == 2)
            assert two["state"] == "provisional", "and the thieves were the first to speak"
            for server in honest:
                relay.let_go(server.host)
            status = device.wait_for("verified")
            assert off(status) < 0.5
            assert status["steps"] == 1
            answer = device.until("bootstrap", lambda b: len(b["failures"]) == 2)
            for name in two["members"]:
                assert said(device, "R2", name)
                assert "R6" in answer["failures"][name]["reason"], as_json(answer)


def test_three_stolen_keys_are_vetoed_by_one_newer_certificate(tmp_path: Path, peer: Find) -> None:
    thieves, (honest, silent) = fleets(tmp_path, peer, thieves=3, ago=400)
    servers = [*thieves, honest]
    with running(servers), Relay() as relay:
        sources = "".join(server.through(relay) for server in (*servers, silent))
        for server in thieves:
            relay.hold(server.host)
        with asleep(tmp_path / "pi", sources, days=500) as device:
            one = device.until("bootstrap", lambda b: len(b["members"]) == 1)
            for server in thieves:
                relay.let_go(server.host)
            device.until("status", lambda s: bool(s["state"] == "disputed"))
            # They insist.
            asked = relay.asked(honest.host)
            device.until("sources", lambda s: relay.asked(honest.host) > asked + 2)
            status = device.ask("status")
            assert status["state"] == "disputed"
            assert status["steps"] == 0
            assert off(status) > 499 * DAY
            assert said(device, "R4", one["members"][0])
            assert "verified (" not in device.text()


def said(device: Device, rule: str, source: str) -> bool:
    """Whether one line of its log names both."""
    return any(f"{rule}: " in line and f"{source}: " in line for line in device.text().splitlines())
