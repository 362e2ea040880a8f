"""What somebody does who copies the card, or who sits on the path without any key: at most
denial while present."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pints.client.batches import BATCHES
from pints.timescale import seconds
from pints.wire import extension, ntp, nts
from tests.chronyd import ChronydTime, fleet, running
from tests.daemon.test_sessions import BEHIND, cookies_sent
from tests.device import Device, as_json
from tests.extent import examples
from tests.relay import Passed, Relay


def test_a_cloned_card_sends_nothing_saved(tmp_path: Path, peer: Callable[[str], Path]) -> None:
    time = ChronydTime(tmp_path, peer("faketime"))
    servers = fleet(peer, tmp_path, (1, 2, 3), time.true(), prefix=time.prefix)
    with running(servers), Relay() as relay:
        sources = "".join(server.through(relay) for server in servers)
        original = Device(tmp_path / "pi", sources, *BEHIND, world=time.path)
        clone = Device(tmp_path / "clone", sources, *BEHIND, "--board", "another", world=time.path)
        original.world = time
        with original:
            saved = anchored(original, sources=3)
            assert len(saved) == 3 * BATCHES
            original.stop(signal.SIGKILL)
            shutil.copytree(tmp_path / "pi" / "state", tmp_path / "clone" / "state")

            with clone:
                clone.wait_for("verified")
                assert clone.text().count("saved by another machine: destroyed unsent") == BATCHES
            assert not saved & set(cookies_sent(relay))
            assert not batches(clone)

            original.start()
            original.wait_for("anchored")
            assert len(saved & set(cookies_sent(relay))) == 3, "which the original does send"


def anchored(device: Device, sources: int) -> set[bytes]:
    """Bring it to where sessions are saved; the cookies that it laid aside."""
    device.wait_for("verified")
    device.anchor(sources)
    device.until("status", lambda s: len(batches(device)) == sources * BATCHES)
    return batches(device)


def batches(device: Device) -> set[bytes]:
    """The cookies that its card holds."""
    return {
        bytes.fromhex(row["cookie"])
        for batch in (device.folder / "state" / "sessions").glob("*.json")
        for row in json.loads(batch.read_bytes())["sessions"]
    }


def nak(asked: Passed) -> bytes:
    """To a request of anybody's: I do not know your cookie."""
    return nts.nak(kiss_header(asked, nts.NAK), identifier(asked))


def deny_or_rate(asked: Passed) -> bytes:
    """A kiss with the right unique identifier; of every second server the other one."""
    code = "DENY" if int(asked.route[-1]) % 2 else "RATE"
    field = extension.encode(nts.UNIQUE_IDENTIFIER, identifier(asked))
    return kiss_header(asked, code) + field


def kiss_header(asked: Passed, code: str) -> bytes:
    request = ntp.decode(asked.data)
    return ntp.encode(
        ntp.Packet(
            ntp.MODE_SERVER, request.transmit, leap=ntp.LEAP_UNKNOWN, origin=request.transmit,
            reference_id=code.encode(), receive=request.transmit,
        )
    )  # fmt: skip


def identifier(asked: Passed) -> bytes:
    fields = extension.decode(asked.data, ntp.HEADER_LENGTH)
    return next(f.body for f in fields if f.type == nts.UNIQUE_IDENTIFIER)


@pytest.mark.parametrize("spoof", examples([nak, deny_or_rate]))
def test_spoofed_kisses_deny_while_they_last(
    tmp_path: Path, peer: Callable[[str], Path], spoof: Callable[[Passed], bytes]
) -> None:
    """Every request of every source is answered by the attacker alone, until all count as
    lost; then he goes away."""
    time = ChronydTime(tmp_path, peer("faketime"))
    servers = fleet(peer, tmp_path, (1, 2, 3), time.true(), prefix=time.prefix)
    with running(servers), Relay() as relay:
        sources = "".join(server.through(relay) for server in servers)
        with Device(tmp_path / "pi", sources, *BEHIND, world=time.path) as device:
            device.world = time
            saved = anchored(device, sources=3)
            steps = device.ask("status")["steps"]

            relay.attacker = spoof
            during = device.until("status", lambda s: bool(s["answering"] == 0))
            assert during["state"] == "holdover"
            assert (during["sources"], during["witnesses"], during["needed"]) == (3, 3, 2)
            rows = device.ask("authdata")["sources"]
            assert all(row["key_length"] for row in rows), as_json(rows)
            assert all(row["poll"] <= 1 for row in device.ask("sources")["sources"])
            assert batches(device) == saved

            relay.attacker = None
            device.wait_for("verified")
            after = device.until("status", lambda s: bool(s["answering"] == 3))
            assert after["steps"] == steps
            assert abs(seconds(after["time_ns"] - time.true())) < 0.5
        sent = cookies_sent(relay)
        assert len(set(sent)) == len(sent)
