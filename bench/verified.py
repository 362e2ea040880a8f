"""Real time from exec to `verified`, cold and with saved sessions.

The sources are three of pints' own servers behind a relay that adds 10 ms each way.  The end
is the daemon's own line in its log, written to a pipe that this process sleeps on: the daemon
writes it anyway, while a `wait` on its control socket is one more client in its loop, and one
that has to find out first when there is a socket.

The relay's notes show where the time goes, without touching the daemon.  It cannot delay the
TCP handshake, which the kernel makes on loopback, and the servers are named by address: two
round trips that a cold boot has elsewhere are missing here, and are added before judging.
"""

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.peers import configure
from bench.programs import FLOOR, ROOT, folder, seconds_to_exit
from bench.series import Series, judge, show
from bench.worker import worker_start
from pints.demo.world import SharedTime
from pints.timescale import DAY
from tests.device import Device
from tests.pints_server import three_pints
from tests.relay import Passed, Place, Relay

GOAL = "<= floor + 6 round trips warm, floor + worker's start + 25 cold"
RUNS = 20
ROUND_TRIP = 0.020
MISSING = 2
"""Round trips of a cold start that the set-up lacks: the look-up and TCP's own."""


class Notes(list[Passed]):
    """What passed the relay, and when the first of each kind did."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, float] = {}

    def append(self, passed: Passed) -> None:
        self.first.setdefault(passed.kind, time.monotonic())
        super().append(passed)


@dataclass(frozen=True)
class Start:
    """One start of the daemon; instants in seconds of the monotonic clock."""

    began: float
    hello: float
    """First octet to a key server; as `asked` where there was none."""
    asked: float
    """First NTP request."""
    verified: float

    @property
    def took(self) -> float:
        return self.verified - self.began


@dataclass
class Bed:
    """The network, and what an earlier run left in the state folder."""

    relay: Relay
    ntp: Place
    """A server's address, by the relay."""
    sources: str
    saved: Path
    place: Path
    volatile: Path
    """In memory, as /run is."""
    count: int = 0


def measure(runs: int) -> None:
    floors, workers, cold, warm = [], [], [], []
    with ExitStack() as stack:
        bed = _bed(stack)
        trips = Series.of(_round_trip(bed) for _ in range(RUNS))
        for _ in range((runs or RUNS) + 1):
            floors.append(seconds_to_exit([sys.executable, "-c", FLOOR]))
            workers.append(worker_start())
            cold.append(_start(bed, saved=False))
            warm.append(_start(bed, saved=True))
    # The first of each brought everything from the disk to memory.
    floor, worker = Series.of(floors[1:]), Series.of(workers[1:])
    _show(trips, floor, worker, cold[1:], warm[1:])


def _show(
    trips: Series, floor: Series, worker: Series, cold: Sequence[Start], warm: Sequence[Start]
) -> None:
    took_cold = Series.of(s.took for s in cold)
    took_warm = Series.of(s.took for s in warm)
    rows = [
        ("a round trip through the relay", trips),
        ("floor: interpreter and imports, to exit", floor),
        ("worker: start without a task, to exit", worker),
        ("warm: exec to verified", took_warm),
        ("  exec to the first NTP request", Series.of(s.asked - s.began for s in warm)),
        ("  from there to verified", Series.of(s.verified - s.asked for s in warm)),
        ("cold: exec to verified", took_cold),
        ("  exec to the first ClientHello", Series.of(s.hello - s.began for s in cold)),
        ("  from there to the first NTP request", Series.of(s.asked - s.hello for s in cold)),
        ("  from there to verified", Series.of(s.verified - s.asked for s in cold)),
    ]
    show("real time, ms", [(label, series.times(1e3)) for label, series in rows])
    _judge("warm", took_warm.median, ("floor", floor.median), 6)
    base = floor.median + worker.median
    _judge("cold", took_cold.median + MISSING * ROUND_TRIP, ("floor + worker", base), 25)


def _judge(what: str, reached: float, base: tuple[str, float], trips: int) -> None:
    name, start = base
    allowed = start + trips * ROUND_TRIP
    spent = (reached - start) / ROUND_TRIP
    print(
        f"  {what}: {reached * 1e3:.0f} ms, which is {name} + {spent:.1f} round trips; "
        f"{name} + {trips} round trips = {allowed * 1e3:.0f} ms"
    )
    judge(f"{what} / that", reached / allowed, 1.0)


def _start(bed: Bed, saved: bool) -> Start:
    """Start the daemon on a folder of its own, and end it when it is verified."""
    bed.count += 1
    here = bed.place / f"start{bed.count}"
    config = configure(here, [bed.sources], here / "state", bed.volatile / f"run{bed.count}")
    if saved:
        shutil.copytree(bed.saved, here / "state")
        # Or the daemon would wait for this copy to reach the disk with its own first change.
        os.sync()
    notes = bed.relay.passed = Notes()
    command = [sys.executable, "-m", "pints", "run", "--no-clock", "-c", str(config)]
    began = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT) as daemon:
        assert daemon.stderr is not None
        said = b""
        while b"verified (" not in said:
            line = daemon.stderr.readline()
            verified = time.monotonic()
            if not line:
                raise RuntimeError(said.decode())
            said += line
        daemon.terminate()
        daemon.stderr.read()
    if saved and "tcp" in notes.first:
        raise RuntimeError(f"saved sessions were not used: {said.decode()}")
    asked = notes.first["udp"]
    return Start(began, notes.first.get("tcp", asked), asked, verified)


def _bed(stack: ExitStack) -> Bed:
    """Servers, relay, and saved sessions: an hour of agreement earns them (docs/trust.md)."""
    _allow_many_sockets()
    place = stack.enter_context(folder())
    volatile = stack.enter_context(folder(volatile=True))
    world = f"{place}/world"
    servers = stack.enter_context(three_pints(place, world))
    relay = stack.enter_context(Relay())  # without delay as yet
    ports = [
        (relay.udp(s.host, (s.host, s.ntp_port)), relay.tcp(s.host, (s.host, s.ke_port)))
        for s in servers
    ]
    sources = "".join(s.source(*p) for s, p in zip(servers, ports, strict=True))
    with Device(place / "earlier", sources, world=world) as device:
        device.wait_for("verified")
        device.anchor(len(servers))
    SharedTime(world).skip(DAY)  # so long the power was off
    relay.delay = ROUND_TRIP / 2
    saved = place / "earlier" / "state"
    if not list(saved.glob("sessions/*.json")):
        raise RuntimeError(f"no session was saved: {device.text()}")
    return Bed(relay, (servers[0].host, ports[0][0]), sources, saved, place, volatile)


def _round_trip(bed: Bed) -> float:
    """What a plain NTP request takes, seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(bed.ntp)
        began = time.monotonic()
        client.send(b"\x23" + bytes(47))
        client.recv(1024)
        return time.monotonic() - began


def _allow_many_sockets() -> None:
    """The relay keeps all that ever went through it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
