"""Samples as a path with queues would give them."""

import random

from pints.sample import Sample
from pints.timescale import NS, Boot, Instant, Raw, nanoseconds

START = 1_795_000_000 * NS
LEAST = 0.02
"""Round trip without queues, seconds."""


def sample(
    at: float,
    offset: float = 0.0,
    *,
    source: str = "a",
    delay: float = LEAST,
    frequency: float = 0.0,
    authenticated: bool = True,
    stratum: int = 1,
) -> Sample:
    """At `at` seconds of the crystal, true time is said to be START + at + offset, on a
    crystal that true time outruns by `frequency`."""
    raw = nanoseconds(at)
    return Sample(
        source, Raw(raw), Boot(raw), Instant(START + raw + nanoseconds(offset + frequency * at)),
        delay, 1e-6, 0.0, 0.0, stratum, 0, b"GPS\0", authenticated,
    )  # fmt: skip


def queued(
    rng: random.Random, at: float, mean: float, frequency: float = 0.0, offset: float = 0.0
) -> Sample:
    """One whose ways each waited exponentially, `mean` seconds on average."""
    there, back = rng.expovariate(1 / mean), rng.expovariate(1 / mean)
    error = (there - back) / 2
    return sample(at, offset + error, delay=LEAST + there + back, frequency=frequency)
