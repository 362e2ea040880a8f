"""CPU time of what one sample does to the estimate, beside the AEAD calls of its exchange.

It runs in this process: taking a sample in, choosing among the sources and the next polling
interval, in steady state.  Samples are of a simulated path with 2 ms queues, 64 s apart.
"""

import os
import random
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from bench.series import Series, judge, show
from pints.sync.discipline import Discipline
from pints.sync.poll import PollControl
from pints.timescale import DAY, NS, Boot, Instant, Raw, nanoseconds
from pints.values.sample import Sample

GOAL = "a day of 4 sources asked every 64 s <= 5 s of CPU time, all told"
RUNS = 9
SOURCES = (1, 3, 5)
WARM, SAMPLES = 200, 1000
"""Samples before, and in, one run."""
INTERVAL, WAY, QUEUE = 64.0, 0.01, 0.002
"""Seconds."""


def measure(runs: int) -> None:
    count = range(runs or RUNS)
    exchange = Series.of(_cpu_time(_aead_calls(), SAMPLES) for _ in count).times(1e6)
    rows = [("AEAD calls of a client's exchange", exchange)]
    for sources in SOURCES:
        cost = Series.of(_sample_cost(sources, seed) for seed in count).times(1e6)
        rows.append((f"a sample, {sources} source{'s' * (sources > 1)}", cost))
    show("CPU time, us", rows)
    (_, cost) = rows[-1]
    print(f"  a sample / AEAD calls, {SOURCES[-1]} sources: {cost.median / exchange.median:.1f}")
    day = 4 * DAY / INTERVAL * cost.median * 1e-6
    judge("a day's samples of 4 sources, s / 5 s", day / 5, 1)


def _sample_cost(sources: int, seed: int) -> float:
    """CPU seconds of one sample."""
    discipline, polls = Discipline(), [PollControl(6, 10) for _ in range(sources)]
    usable = {str(n): True for n in range(sources)}
    told = _samples(sources, random.Random(seed))

    def take() -> None:
        sample = next(told)
        estimator = discipline.add(sample).estimator
        polls[int(sample.source)].after_sample(6, estimator)
        discipline.choose(sample.raw, usable)

    _cpu_time(take, WARM)
    return _cpu_time(take, SAMPLES)


def _samples(sources: int, rng: random.Random) -> Iterator[Sample]:
    """The sources in turn, all right."""
    at = 0.0
    while True:
        for n in range(sources):
            at += INTERVAL / sources
            there, back = (WAY + rng.expovariate(1 / QUEUE) for _ in range(2))
            ns = nanoseconds(at)
            true = Instant(1_800_000_000 * NS + ns + nanoseconds((there - back) / 2))
            yield Sample(
                str(n), Raw(ns), Boot(ns), true, there + back, 1e-5, 0.0, 1e-5, 1, 0, bytes(4), True
            )


def _aead_calls() -> Callable[[], object]:
    """Seal a request and open its answer, as a client in steady state does."""
    cipher = AESGCMSIV(os.urandom(16))
    nonce, request, answer = os.urandom(12), os.urandom(48 + 36 + 104), os.urandom(48 + 36)
    inside = cipher.encrypt(nonce, bytes(104), answer)

    def calls() -> None:
        cipher.encrypt(nonce, b"", request)
        cipher.decrypt(nonce, inside, answer)

    return calls


def _cpu_time(call: Callable[[], object], times: int) -> float:
    """CPU seconds of one call, on average of many."""
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times
