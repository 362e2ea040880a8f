"""Half an hour of real time: real chronyd servers over NTS, real sockets, queues made by a relay.

Nothing is simulated but the queues (exponential waits in a relay of our own, for netem is not in
every kernel) and the clock that is kept: a software clock whose crystal is 30 ppm fast and which
begins 0.1 s off.  The servers serve this machine's clock, so that the error is known at any time.
One daemon, three servers, its default polling.
"""

import random
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.clknetsim.figures import reached, rms
from bench.peers import three_chronyd
from bench.programs import folder, peer
from bench.series import align, judge
from pints.config.load import load
from pints.daemon import Daemon, Machine
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, Instant, after, nanoseconds, seconds
from tests.relay import Relay

GOAL = "never outside the hard bound, within 1 ms after five minutes"
MINUTES = 30
"""`runs`, if given, are minutes."""
SETTLE = 300
"""Seconds of the start."""
LEAST, WAIT = 10e-3, 2e-3
"""Of a way: its least time and the mean wait, seconds."""
CRYSTAL, OFF = 30e-6, 0.1
OPERATORS = "Alder", "Birch", "Cedar"


class Queues(Relay):
    """Every packet waits by itself."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        super().__init__()

    @property
    def delay(self) -> float:
        """Of the next packet, seconds."""
        return LEAST + self._rng.expovariate(1 / WAIT)

    @delay.setter
    def delay(self, _: float) -> None:
        """It is drawn."""


@dataclass(frozen=True)
class Look:
    """At the clock, once a second."""

    error: float
    bound: float
    interval: float


def measure(runs: int) -> None:
    seed = 1
    with ExitStack() as stack:
        place = stack.enter_context(folder())
        servers = stack.enter_context(three_chronyd(peer("chronyd-4.6"), place))
        relay = stack.enter_context(Queues(random.Random(seed)))
        sources = [
            f'[[source]]\nserver = "{s.host}"\nke_port = {relay.tcp(s.host, (s.host, s.ke_port))}\n'
            f'port = {relay.udp(s.host, (s.host, s.ntp_port))}\nca = "{s.ca}"\n'
            f'operator = "{operator}"\n'
            for s, operator in zip(servers, OPERATORS, strict=True)
        ]
        looks, packets = _live(place, sources, 60 * (runs or MINUTES))
    _show(looks, packets)


def _live(place: Path, sources: list[str], length: float) -> tuple[list[Look], int]:
    """The daemon itself, in this process, and a look at its clock each second."""
    settings = place / "pints.toml"
    folders = f'[state]\ndirectory = "{place}/state"\nruntime = "{place}/run"\n'
    settings.write_text("".join([*sources, folders]))
    now = time.time_ns()
    clock = SoftwareClock(Instant(now + nanoseconds(OFF)), crystal=CRYSTAL)
    machine = Machine(clock, Instant(now - nanoseconds(30 * DAY)), ke_server=False, board="bench")
    daemon = Daemon(load(str(settings)), machine)
    looks: list[Look] = []
    end = after(clock.boot(), length)

    def look() -> None:
        before = time.time_ns()
        reading = clock.read()
        host = (before + time.time_ns()) // 2
        steering = daemon.core.steering
        looks.append(
            Look(seconds(reading.real - host), steering.bound(reading), steering.interval(reading))
        )
        if reading.boot >= end:
            daemon.loop.stop()
        else:
            daemon.loop.call_at(after(reading.boot, 1.0), look)

    daemon.loop.call_at(clock.boot(), look)
    try:
        daemon.run()
    finally:
        daemon.close()
    return looks, sum(a.counters.requests for a in daemon.core.associations.values())


def _show(looks: list[Look], packets: int) -> None:
    errors, late = [look.error for look in looks], looks[SETTLE:] or looks
    ms = 1e3
    align([
        ("RMS, us", "worst, us", "<10 ms, s", "<1 ms, s", "s/packet", "outside bound, s",
         "outside 99.9 %", "bound, ms", "99.9 %, ms"),
        (
            f"{rms([look.error for look in late]) * 1e6:.1f}",
            f"{max(abs(look.error) for look in late) * 1e6:.0f}",
            f"{reached(errors, 1e-2):.0f}",
            f"{reached(errors, 1e-3):.0f}",
            f"{len(looks) / packets:.1f}",
            str(sum(abs(look.error) > look.bound for look in looks)),
            f"{statistics.fmean(abs(look.error) > look.interval for look in late):.2%}",
            f"{statistics.median(look.bound for look in late) * ms:.3f}",
            f"{statistics.median(look.interval for look in late) * ms:.3f}",
        ),
    ])  # fmt: skip
    judge("seconds outside the hard bound", sum(abs(look.error) > look.bound for look in looks), 0)
    judge("worst error after five minutes, ms", max(abs(look.error) for look in late) * ms, 1)
