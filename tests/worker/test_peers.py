"""Key exchanges with real chrony servers: Debian 12's knows one AEAD, Debian 13's two.  Roughtime
with another's server and client."""

import base64
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pints.demo.authority import Authority
from pints.demo.world import free_port
from pints.values.address import Address
from pints.values.worker_tasks import (
    Exchanged,
    ExchangeTask,
    Failed,
    RoughtimeServer,
    RoughtimeTask,
)
from pints.wire.aead import AES_128_GCM_SIV, AES_SIV_CMAC_256, ALGORITHMS
from pints.worker.exchange import exchange
from pints.worker.roughtime import measure
from tests.conftest import PEERS
from tests.roughtime_server import Roughtime

LOOPBACK = "127.0.0.1"
PATIENCE = 20.0


@contextmanager
def chronyd(program: Path, folder: Path, authority: Authority) -> Iterator[tuple[int, int]]:
    """An NTS server; its TCP and UDP ports."""
    chain, key = authority.issue(["chrony.test", LOOPBACK]).write(folder)
    ke_port, ntp_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    configuration = folder / "chrony.conf"
    configuration.write_text(
        f"local stratum 1\nport {ntp_port}\nntsport {ke_port}\nntsserverkey {key}\n"
        f"ntsservercert {chain}\nbindaddress {LOOPBACK}\nallow {LOOPBACK}\ncmdport 0\n"
        f"bindcmdaddress /\npidfile {folder}/chronyd.pid\nntsprocesses 0\n"
    )
    process = subprocess.Popen(
        [program, "-U", "-x", "-d", "-f", configuration],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            yield ke_port, ntp_port
        finally:
            process.terminate()
            output, _ = process.communicate()
            print(output.decode())


def patiently(task: ExchangeTask) -> Exchanged | Failed:
    """Again while nothing listens yet."""
    began = time.monotonic()
    while True:
        result = exchange(task)
        listening = not isinstance(result, Failed) or result.step != "connect"
        if listening or time.monotonic() - began > PATIENCE:
            return result
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "algorithms"),
    [
        ("chronyd", {AES_SIV_CMAC_256}),
        ("chronyd-4.6", {AES_SIV_CMAC_256, AES_128_GCM_SIV}),
    ],
)
def test_chronyd(
    peer: Callable[[str], Path], tmp_path: Path, name: str, algorithms: set[int]
) -> None:
    authority = Authority()
    ca = str(authority.write(tmp_path))
    with chronyd(peer(name), tmp_path, authority) as (ke_port, ntp_port):
        for algorithm in ALGORITHMS:
            task = ExchangeTask(
                *(1, "chrony.test", ke_port, 10.0),
                addresses=(LOOPBACK,), ca=(ca,), algorithms=(algorithm,),
            )  # fmt: skip
            result = patiently(task)
            if algorithm not in algorithms:
                assert isinstance(result, Failed)
                assert "none of our AEAD" in result.reason
                continue
            assert isinstance(result, Exchanged), result
            assert result.algorithm == algorithm
            assert len(result.cookies) == 8
            assert result.addresses[0] == Address(LOOPBACK, ntp_port)
            # Since 4.6.1 it says which of the two exporter contexts it means.
            assert len(result.keys) == 1
            assert {len(key) for key in result.keys[0]} == {ALGORITHMS[algorithm].key_length}


def _runs(program: Path) -> bool:
    """Whether it is there, and its interpreter, too."""
    try:
        return subprocess.run([program, "--help"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_roughly = pytest.mark.skipif(
    not _runs(PEERS / "roughly"), reason="roughly wants Python 3.12 (make peers)"
)


@needs_roughly
def test_roughtime_server_of_others() -> None:
    """Two rounds, chained; the server is asked until it listens."""
    secret = Ed25519PrivateKey.generate()
    key, port = secret.public_key().public_bytes_raw(), free_port()
    process = subprocess.Popen(
        [
            *(PEERS / "roughly", "server", "run", "--host", LOOPBACK, "--port", str(port)),
            *("--private-key", base64.b64encode(secret.private_bytes_raw())),
            *("--no-grease", "--radius", "4"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            began = time.monotonic()
            server = RoughtimeServer(LOOPBACK, port, key, "other")
            while time.monotonic() - began < PATIENCE:
                heard = measure(RoughtimeTask(1, (server,), 2, 5.0))
                if heard.readings:
                    break
        finally:
            process.terminate()
    assert [reading.round for reading in heard.readings] == [1, 2], heard.failures
    for reading in heard.readings:
        assert reading.low <= time.time_ns() <= reading.high + 10**9 * PATIENCE
        assert 8 <= (reading.high - reading.low) / 10**9 < 9
    assert heard.malfeasance == ""


@needs_roughly
def test_roughtime_client_of_others() -> None:
    """It is content with what the tests' server says, so that server obeys the RFC's rules."""
    with Roughtime(versions=(1,)) as server:
        words = [LOOPBACK, str(server.port), base64.b64encode(server.key).decode()]
        asked = subprocess.run(
            [PEERS / "roughly", "query", *words], capture_output=True, text=True, check=False
        )
    assert asked.returncode == 0, asked.stderr
    assert server.requests
