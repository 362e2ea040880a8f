"""What a clock's error over time amounts to.

Errors are the clock less true time, one a second from the start of the simulation; everything is
in seconds.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.clknetsim.simulator import START, Run

SETTLE = 3600
"""Seconds that no steady figure counts."""
HOLD = 60
"""Seconds for which a limit must be kept to count as reached."""
TRACE_INTERVAL = 16
CHRONY_DRIFT = 1e-6
"""By which chrony lets its root distance grow beside the skew (maxclockerror), s/s."""
STEPPED = 1e-3
"""More than a slew does in a second: a step."""


@dataclass(frozen=True)
class Figures:
    """One run; those that a program does not tell are NaN."""

    rms: float
    worst: float
    reached: tuple[float, float]
    """First second from which the error stays below 10 ms and 1 ms; infinite if none."""
    interval: float
    """Seconds per packet."""
    outside_bound: float = math.nan
    """Seconds, from the start."""
    outside_interval: float = math.nan
    """Share of the time."""
    bound: float = math.nan
    """Median; of chrony, its root distance."""
    confident: float = math.nan
    """Median half width of the 99.9 % interval."""


def figures(run: Run) -> Figures:
    settled = run.errors[SETTLE:] or run.errors
    claims = claimed(run.trace, run.errors)
    late = [claim for claim in claims if claim.at >= SETTLE] or claims
    told: dict[str, float] = {}
    if late:
        told = {
            "outside_bound": TRACE_INTERVAL * sum(claim.error > claim.bound for claim in claims),
            "outside_interval": statistics.fmean(claim.error > claim.confident for claim in late),
            "bound": statistics.median(claim.bound for claim in late),
            "confident": statistics.median(claim.confident for claim in late),
        }
    elif distances := root_distances(run.tracking, len(run.errors))[SETTLE:]:
        told = {"bound": statistics.median(distances)}
    return Figures(
        rms(settled), max(map(abs, settled)),
        (reached(run.errors, 1e-2), reached(run.errors, 1e-3)), run.interval, **told,
    )  # fmt: skip


def rms(errors: Sequence[float]) -> float:
    return math.sqrt(math.fsum(error * error for error in errors) / len(errors))


def reached(errors: Sequence[float], limit: float, hold: int = HOLD) -> float:
    """First second from which the error stays below the limit for `hold` seconds."""
    kept = 0
    for second, error in enumerate(errors):
        kept = kept + 1 if abs(error) < limit else 0
        if kept == hold:
            return second + 1 - hold
    return math.inf


@dataclass(frozen=True)
class Claim:
    """What pints said of its clock, and what was true."""

    at: float
    error: float
    """Without its sign."""
    bound: float
    confident: float


def claimed(trace: str, errors: Sequence[float]) -> list[Claim]:
    """The lines of a trace, each beside the true error at its time."""
    claims = []
    for line in trace.splitlines():
        unix, _, bound, confident = map(float, line.split())
        at = unix - START
        # The clock's own time; by its error, true time.
        for _ in range(2):
            at = unix - START - _at(errors, at)
        claims.append(Claim(at, abs(_at(errors, at)), bound, confident))
    return claims


def _at(errors: Sequence[float], at: float) -> float:
    """The error between two seconds; where there was a step, the smaller of theirs."""
    before = min(max(int(at), 0), len(errors) - 1)
    after = min(before + 1, len(errors) - 1)
    if abs(errors[after] - errors[before]) > STEPPED:
        return min(errors[before], errors[after], key=abs)
    return errors[before] + (at - before) * (errors[after] - errors[before])


def root_distances(tracking: str, seconds: int) -> list[float]:
    """chrony's root distance at every second from its first update on.

    Its log has it at each update (delay / 2 + dispersion); until the next it grows by the skew
    then and by CHRONY_DRIFT, as chrony's own answers to its clients do.  Seconds before the first
    update are infinite.
    """
    distances, now, growth = [math.inf] * seconds, math.inf, 0.0
    updates = _updates(tracking)
    for second in range(seconds):
        while updates and updates[0][0] <= second:
            _, now, growth = updates.pop(0)
        distances[second] = now
        now += growth
    return distances


def _updates(tracking: str) -> list[tuple[float, float, float]]:
    """Seconds from the start, root distance, growth per second."""
    updates = []
    for line in tracking.splitlines():
        words = line.split()
        if len(words) < 14 or not words[0][:1].isdigit():
            continue
        when = datetime.fromisoformat(f"{words[0]} {words[1]}").replace(tzinfo=UTC)
        skew, delay, dispersion = float(words[5]) * 1e-6, float(words[11]), float(words[12])
        at = when.timestamp() - START
        updates.append((at, delay / 2 + dispersion, CHRONY_DRIFT + skew))
    return updates
