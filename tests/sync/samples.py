"""Samples as a path with queues would give them."""

import random

from pints.timescale import NS, Boot, Instant, Raw, nanoseconds
from pints.values.sample import Sample

START = 1_795_000_000 * NS
LEAST = 0.02
"""Round trip without queues, seconds."""


def raw(at: float) -> Raw:
    """The crystal at `at` seconds."""
    return Raw(nanoseconds(at))


def sample(
    at: float,
    offset: float = 0.0,
    *,
    source: str = "a",
    delay: float = LEAST,
    frequency: float = 0.0,
    dispersion: float = 1e-6,
    authenticated: bool = True,
    stratum: int = 1,
) -> Sample:
    """At `at` seconds of the crystal, true time is said to be START + at + offset, on a
    crystal that true time outruns by `frequency`."""
    return Sample(
        source, raw(at), Boot(raw(at)),
        Instant(START + raw(at) + nanoseconds(offset + frequency * at)),
        delay, dispersion, 0.0, 0.0, stratum, 0, b"GPS\0", authenticated,
    )  # fmt: skip


def queued(
    rng: random.Random,
    at: float,
    mean: float,
    frequency: float = 0.0,
    offset: float = 0.0,
    *,
    back: float | None = None,
    source: str = "a",
    least: float = LEAST,
) -> Sample:
    """One whose ways each waited exponentially, `mean` seconds on average, or `back` on the way
    back."""
    waited = rng.expovariate(1 / mean)
    returned = rng.expovariate(1 / (mean if back is None else back))
    return sample(
        at, offset + (waited - returned) / 2,
        delay=least + waited + returned, frequency=frequency, source=source,
    )  # fmt: skip
