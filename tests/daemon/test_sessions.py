"""Saved sessions in the whole daemon: they outlast kill -9, and no cookie is ever sent twice."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from pints.demo.world import SharedTime
from pints.timescale import DAY
from pints.wire import extension, nts
from pints.wire.ntp import HEADER_LENGTH
from tests.device import Device
from tests.pints_server import PintsServer
from tests.relay import Relay

BEHIND = ("--behind", str(400 * DAY), "--epoch-behind", str(400 * DAY))


def cookies_sent(relay: Relay) -> list[bytes]:
    """Every cookie that went out in clear, in order."""
    return [
        field.body
        for passed in relay.passed
        if passed.kind == "udp" and passed.upstream
        for field in extension.decode(passed.data, HEADER_LENGTH)
        if field.type == nts.COOKIE
    ]


def relayed(servers: Sequence[PintsServer], relay: Relay) -> str:
    """The servers' [[source]]s, all through the relay."""
    return "".join(
        server.source(
            relay.udp(server.host, (server.host, server.ntp_port)),
            relay.tcp(server.host, (server.host, server.ke_port)),
        )
        for server in servers
    )


def test_killed_daemons_use_saved_sessions_and_no_cookie_twice(
    tmp_path: Path, world: str, three_pints: list[PintsServer]
) -> None:
    with Relay() as relay:
        sources = relayed(three_pints, relay)
        with Device(tmp_path / "pi", sources, *BEHIND, world=world) as device:
            device.wait_for("verified")
            device.anchor(sources=3)
            exchanges = sum(p.kind == "tcp" for p in relay.passed)
            for _ in range(3):
                device.stop(signal.SIGKILL)
                device.start()
                status = device.wait_for("anchored")
                assert status["basis"] == "anchored"
                device.until("status", lambda s: bool(s["answering"] == 3))
            assert sum(p.kind == "tcp" for p in relay.passed) == exchanges, "no key exchange"
        sent = cookies_sent(relay)
        assert len(sent) >= 12
        assert len(set(sent)) == len(sent)


def test_round_trips_to_verified_cold_and_warm(
    tmp_path: Path, world: str, three_pints: list[PintsServer]
) -> None:
    with Relay() as relay:
        sources = relayed(three_pints, relay)
        with Device(tmp_path / "pi", sources, *BEHIND, world=world) as device:
            device.wait_for("verified")
            # The servers are named by address; with names, the resolver's is the fifth.
            trips = [relay.round_trips(server.host) for server in three_pints]
            assert max(trips) + 1 <= 5, trips

            device.anchor(sources=3)
            device.stop(signal.SIGKILL)
            shutil.rmtree(tmp_path / "pi" / "run")
            SharedTime(world).skip(DAY)
            relay.passed.clear()
            device.start()
            device.wait_for("verified")
            assert not [p for p in relay.passed if p.kind == "tcp"]
            assert max(relay.round_trips(server.host) for server in three_pints) == 1
