"""A daemon that is killed and started again, and again, within one boot: nothing that was
closed is reopened by it (R9), and nobody is asked for keys without end (R12)."""

import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pints.timescale import NS, YEAR, seconds
from tests.chronyd import ChronydTime, fleet, running, successor, thief
from tests.daemon.test_sessions import BEHIND, cookies_sent
from tests.device import Device
from tests.relay import Relay

RESTARTS = 50
PAUSE = 600.0
"""Seconds from one to the next: keys may be asked for again where the last ones were of use."""
EXCHANGES = 20
"""In the eight hours of it, with a server whose keys are never of use: 10 s x 1.5^n apart."""
IN_2019 = ("--behind", str(7 * YEAR))


@pytest.mark.more
def test_fifty_restarts_reopen_nothing(tmp_path: Path, peer: Callable[[str], Path]) -> None:
    """The clock is set to 2019 each time, the card is full, and of the five addresses two
    have fallen to thieves, at last all."""
    time = ChronydTime(tmp_path, peer("faketime"))
    servers = fleet(peer, tmp_path, range(1, 6), time.true(), prefix=time.prefix)
    days, prefix = thief(peer("faketime"), ago=200)
    thieves = [
        successor(s, tmp_path / f"thief{n}", time.true(), days=days, prefix=prefix)
        for n, s in enumerate(servers)
    ]

    options = (*BEHIND, "--boot-id", "the-same")
    with running(servers), Relay() as relay:
        sources = "".join(server.through(relay) for server in servers)
        with Device(tmp_path / "pi", sources, *options, world=time.path) as device:

            def restart() -> None:
                device.stop(signal.SIGKILL)
                time.skip(PAUSE)
                device.start(*IN_2019, "--disk-full")

            device.wait_for("verified")
            for server in servers[:2]:
                server.stop()
            with running(thieves[:2]):
                for _ in range(RESTARTS):
                    restart()
                    assert device.wait_for("verified")["basis"] == "windows"
                    assert misbelief(device, time) < 2
                    assert device.ask("save")["failed"], "the disk is full"
                device.until("status", lambda s: abs(seconds(s["time_ns"] - time.true())) < 1)
                assert max(relay.key_exchanges(s.host) for s in servers[:2]) <= EXCHANGES

                for server in servers[2:]:
                    server.stop()
                with running(thieves[2:]):
                    restart()
                    fallen = {server.host for server in servers[2:]}
                    status = device.until("status", lambda s: fallen <= refused(s))
                    assert status["state"] != "verified"
                    assert misbelief(device, time) < 2
        sent = cookies_sent(relay)
        assert len(sent) > 3 * RESTARTS
        assert len(set(sent)) == len(sent)


def refused(status: dict[str, Any]) -> set[str]:
    """The servers whose keys may not be used."""
    return {source.partition(":")[0] for source in status["failures"]}


def misbelief(device: Device, time: ChronydTime) -> float:
    """How far what it believes is off, seconds."""
    believed = datetime.fromisoformat(device.ask("bootstrap")["belief"])
    return abs(believed.timestamp() - time.true() / NS)
