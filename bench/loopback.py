"""Replies of whole servers on loopback, one request in flight: pints beside chrony.

Most of a round trip is the client's and the kernel's there; so the server's own CPU time for
each reply, kernel included, stands beside the rate.  Every request asks for one cookie.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import configure
from bench.programs import MissingError, cpu, folder, peer, running
from bench.series import Series, show
from pints.demo.authority import Authority
from pints.demo.world import free_port
from pints.values.worker_tasks import Exchanged, ExchangeTask
from pints.wire import ntp, nts
from pints.wire.aead import ALGORITHMS, Aead
from pints.worker.run import inline
from tests.chronyd import chronyd, host_now

GOAL = "none of its own; chrony is the reference"
RUNS = 5
SECONDS = 1.0
"""Of each run."""
PATIENCE = 10.0


@dataclass(frozen=True)
class Server:
    """One that listens."""

    name: str
    pid: int
    host: str
    ntp_port: int
    ke_port: int
    ca: Path


def measure(runs: int) -> None:
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        servers = [stack.enter_context(_pints(place / "pints"))]
        try:
            servers.append(stack.enter_context(_chrony(place / "chrony")))
        except MissingError as e:
            print(f"  chrony not measured: {e}")
        asked = [
            (f"{server.name}, {what}", server, request)
            for what in ("plain NTP", *(a.name for a in ALGORITHMS.values()))
            for server in servers
            if (request := _request(server, what)) is not None
        ]
        for run in range((runs or RUNS) + 1):
            for label, server, request in asked:
                rate, cost = _ask_and_ask(server, request)
                if run:  # the first brought everything from the disk to memory
                    rates.setdefault(label, []).append(rate)
                    costs.setdefault(label, []).append(cost * 1e6)
    show("replies a second", [(label, Series.of(v)) for label, v in rates.items()], digits=0)
    show("server's CPU time a reply, us", [(label, Series.of(v)) for label, v in costs.items()])


def _ask_and_ask(server: Server, request: bytes) -> tuple[float, float]:
    """Replies a second, and the server's CPU seconds for each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((server.host, server.ntp_port))
        replies = 0
        used, began = cpu(server.pid), time.monotonic()
        while (now := time.monotonic()) < began + SECONDS:
            client.send(request)
            if len(client.recv(2048)) != len(request):
                raise RuntimeError(f"{server.name} refuses")
            replies += 1
        return replies / (now - began), (cpu(server.pid) - used) / replies


def _request(server: Server, what: str) -> bytes | None:
    """A request that may be sent again and again; None if that AEAD is not to be had."""
    plain = ntp.encode(ntp.Packet(mode=ntp.MODE_CLIENT, transmit=1))
    algorithm = next((a for a in ALGORITHMS.values() if a.name == what), None)
    if algorithm is None:
        return plain
    task = ExchangeTask(
        1, server.host, server.ke_port, PATIENCE, ca=(str(server.ca),), algorithms=(algorithm.id,)
    )
    [result] = inline(task)
    if not isinstance(result, Exchanged):
        raise RuntimeError(f"{server.name}: {result}")
    # Without a word of chrony's own (pints.wire.ke) the first pair may be the wrong one; 4.6
    # and pints say it.
    c2s = Aead(algorithm, result.keys[0][0])
    nonce = os.urandom(algorithm.nonce_length)
    return nts.seal_request(plain, os.urandom(32), result.cookies[0], 0, c2s, nonce)


@contextmanager
def _pints(place: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    """The real daemon, serving its own clock."""
    authority = Authority()
    ntp_port, ke_port = free_port(host=host), free_port(socket.SOCK_STREAM, host)
    config = configure(
        place,
        [
            f'[server]\nlisten = ["{host}"]\nport = {ntp_port}\nke_port = {ke_port}\n'
            f'local_stratum = 1\ncertificate = "{place}/server.crt"\nkey = "{place}/server.key"\n'
        ],
        place / "state",
        place / "run",
    )
    authority.issue([host]).write(place)
    command = [sys.executable, "-m", "pints", "run", "--no-clock", "-c", config]
    with running(command, place / "log") as process:
        server = Server("pints", process.pid, host, ntp_port, ke_port, authority.write(place))
        _until_listening(server)
        yield server


@contextmanager
def _chrony(place: Path) -> Iterator[Server]:
    served = chronyd(peer("chronyd-4.6"), place, "127.0.0.2", host_now())
    try:
        served.start()
        assert served.process is not None
        pid = served.process.pid
        yield Server("chrony", pid, served.host, served.ntp_port, served.ke_port, served.ca)
    finally:
        served.stop()


def _until_listening(server: Server) -> None:
    """Its key server is the last to come up."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if probe.connect_ex((server.host, server.ke_port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the key server does not listen")
