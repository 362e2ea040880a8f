"""Pulses: which second each begins, and what several say together."""

import math
import random
from collections.abc import Iterable

import pytest

from pints.drivers import Pulse, Sawtooth
from pints.evidence.pps import BATCH, UNMISTAKABLE, WINDOW, Filter, Numbering, Span, Tick
from pints.timescale import NS, Boot, Instant, Raw, Reading, nanoseconds, seconds
from pints.values.sample import Sample

START = 1_795_000_000 * NS
"""A whole second: true time when raw time was 0."""
MICROSECOND = 1e-6


def at(time: float) -> Reading:
    """The clocks `time` s after START, true time; the raw one has another base."""
    return Reading(
        Instant(START + nanoseconds(time)), Boot(nanoseconds(time)), Raw(nanoseconds(time))
    )


def known(time: float, doubt: float = 0.01, off: float = 0.0) -> Span:
    middle = START + nanoseconds(time + off)
    reach = nanoseconds(doubt)
    return Span(Instant(middle - reach), Instant(middle + reach))


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-0.3, 0.0, 0.3])
def test_others_say_which_second_it_is(off: float) -> None:
    """As long as they know it to less than half of one."""
    tick = Numbering("pps").number(Pulse(at(7.0), MICROSECOND), known(7.0, 0.35, off), 0.0)
    assert tick is not None
    assert tick.time == START + 7 * NS


def test_who_does_not_know_gives_no_number() -> None:
    numbering = Numbering("pps")
    assert numbering.number(Pulse(at(7.0), MICROSECOND), None, 0.0) is None
    doubt = UNMISTAKABLE + 0.01
    assert numbering.number(Pulse(at(7.0), MICROSECOND), known(7.0, doubt), 0.0) is None
    assert not numbering.complaint


@pytest.mark.parametrize("late", [0.2, -0.05, 1.3e-6])
def test_an_offset_is_taken_off(late: float) -> None:
    tick = Numbering("pps").number(Pulse(at(7.0 + late), MICROSECOND), known(7.0 + late), late)
    assert tick is not None
    assert tick.time == START + 7 * NS + nanoseconds(late)


def test_a_pulse_where_no_second_begins_is_none() -> None:
    numbering = Numbering("pps")
    for n in range(3):
        assert numbering.number(Pulse(at(n + 0.02), MICROSECOND), known(n + 0.02), 0.0) is None
    assert not numbering.complaint, "some spurious edges are nothing to speak of"
    assert numbering.number(Pulse(at(3.0), MICROSECOND), known(3.0), 0.0) is not None
    assert not numbering.astray


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (0.1, "begins seconds 100 ms late: not followed; is it the other edge? set edge"),
        (-0.3, "begins seconds 300 ms early: not followed; set offset"),
    ],
)
def test_one_that_is_always_off_is_named(off: float, said: str) -> None:
    numbering = Numbering("pps")
    for n in range(4):
        assert numbering.number(Pulse(at(n + off), MICROSECOND), known(n + off), 0.0) is None
    assert said in numbering.complaint


def test_an_edge_that_ends_pulses_is_named() -> None:
    """Though nobody knows the time well enough to miss a tenth of a second."""
    numbering = Numbering("pps")
    for n in range(4):
        pulse = Pulse(at(n + 0.1), MICROSECOND, after=0.1)
        assert numbering.number(pulse, known(n + 0.1, 0.35), 0.0) is None
    assert numbering.complaint == "pps: this edge ends pulses of 100 ms: not followed; set edge"
    pulse = Pulse(at(4.0), MICROSECOND, after=0.9)
    assert numbering.number(pulse, known(4.0, 0.35), 0.0) is not None
    assert not numbering.complaint


def test_who_knows_how_long_pulses_are_may_follow_their_end() -> None:
    pulse = Pulse(at(7.1), MICROSECOND, after=0.1)
    tick = Numbering("pps").number(pulse, known(7.1, 0.35), 0.1)
    assert tick is not None
    assert tick.time == START + 7 * NS + nanoseconds(0.1)


def test_random_edges_are_no_other_source() -> None:
    numbering = Numbering("pps")
    for n, off in enumerate((0.1, 0.3, -0.2, 0.4)):
        numbering.number(Pulse(at(n + off), MICROSECOND), known(n + off), 0.0)
    assert not numbering.complaint


# --- samples ---------------------------------------------------------------------------------


class Source:
    """Pulses on a crystal that true time outruns by `frequency`."""

    def __init__(self, seed: int = 1, noise: float = MICROSECOND, frequency: float = 0.0) -> None:
        self.rng = random.Random(seed)
        self.noise = noise
        self.frequency = frequency
        self.filter = Filter("pps", b"PPS\0")
        self.samples: list[Sample] = []

    def tick(self, n: int, late: float = 0.0, error: float = 5e-6) -> None:
        """The pulse of second n, stamped `late` and some noise."""
        time = n + late + self.rng.gauss(0.0, self.noise)
        raw = Raw(nanoseconds(time / (1 + self.frequency)))
        reading = Reading(Instant(0), Boot(raw), raw)
        self.filter.add(Tick(reading, Instant(START + n * NS), error))
        self.samples += self.filter.samples()

    def errors(self) -> list[float]:
        """What the samples are off, seconds."""
        return [
            seconds(sample.time - START) - seconds(sample.raw) * (1 + self.frequency)
            for sample in self.samples
        ]


def rms(values: Iterable[float]) -> float:
    squares = [value * value for value in values]
    return math.sqrt(sum(squares) / len(squares))


def test_the_first_come_one_by_one_and_then_some_together() -> None:
    source = Source()
    counts = []
    for n in range(3 * BATCH):
        source.tick(n)
        counts.append(len(source.samples))
    assert counts == [0, 0, 0, 4, 4, 4, 4, 5, 5, 5, 5, 6]
    assert [s.raw // NS for s in source.samples[-2:]] == [5, 9], "in the middle of their time"


@pytest.mark.parametrize("frequency", [0.0, 100e-6, -400e-6])
def test_the_mean_of_several_and_their_spread(frequency: float) -> None:
    source = Source(noise=MICROSECOND, frequency=frequency)
    for n in range(4000):
        source.tick(n)
    errors = source.errors()[10:]
    assert rms(errors) == pytest.approx(MICROSECOND / math.sqrt(BATCH), rel=0.1)
    told = [sample.dispersion / 4 for sample in source.samples[10:]]
    assert sum(told) / len(told) == pytest.approx(rms(errors), rel=0.15)
    assert all(sample.root_dispersion == 5e-6 for sample in source.samples)
    assert source.filter.refused < 20


@pytest.mark.parametrize("seed", range(1, 6))
def test_late_interrupts_and_spurious_edges_move_nothing(seed: int) -> None:
    source, luck = Source(seed), random.Random(seed)
    for n in range(2000):
        if luck.random() < 0.1:
            continue  # missed
        source.tick(n, luck.expovariate(1 / 50e-6) if luck.random() < 0.1 else 0.0)
        if luck.random() < 0.1:
            source.tick(n, luck.uniform(1e-4, 0.3))
    errors = source.errors()[10:]
    assert rms(errors) < 0.9 * MICROSECOND, "as they come: 20 us"
    assert max(map(abs, errors)) < 6 * MICROSECOND
    assert source.filter.refused > 200


def test_a_spurious_edge_among_the_first() -> None:
    source = Source()
    for n in range(2 * BATCH):
        source.tick(n, 0.02 if n == 1 else 0.0)
    assert len(source.samples) == 4
    assert max(map(abs, source.errors())) < 5 * MICROSECOND


def test_another_phase_is_found_again() -> None:
    """The cable was changed: after half a window, most of the ticks say so."""
    source = Source()
    for n in range(100):
        source.tick(n)
    for n in range(100, 100 + 2 * WINDOW):
        source.tick(n, 1e-3)
    assert source.errors()[-1] == pytest.approx(-1e-3, abs=3 * MICROSECOND)


def test_the_same_tick_twice_and_one_that_is_older() -> None:
    source = Source(noise=0.0)
    for n in (0, 0, 1, 0, 1):
        source.tick(n)
    assert not source.samples
    source.tick(2)
    source.tick(3)
    assert len(source.samples) == 4


@pytest.mark.parametrize("step", [-1, 1, 3600])
def test_a_leap_second_or_a_sleep_begins_anew(step: int) -> None:
    source = Source(noise=0.0)
    for n in range(10):
        source.tick(n)
    told = len(source.samples)
    for n in range(10, 10 + BATCH):
        reading = Reading(Instant(0), Boot(n * NS), Raw(n * NS))
        source.filter.add(Tick(reading, Instant(START + (n + step) * NS), MICROSECOND))
    samples = source.filter.samples()
    assert told == 5
    assert [s.time - START - s.raw for s in samples] == [step * NS] * BATCH


@pytest.mark.parametrize("before", [True, False])
def test_a_sawtooth_is_taken_off(before: bool) -> None:
    """Whether it is said before its pulse or after; what is for another second is not its."""
    plain, corrected = Source(noise=0.0), Source(noise=0.0)
    luck = random.Random(1)
    for n in range(200):
        quantized = luck.uniform(-5e-7, 5e-7)
        said = Sawtooth(Instant(START + n * NS), quantized)
        if before:
            corrected.filter.correct(said)
        plain.tick(n, quantized)
        if before:
            corrected.tick(n, quantized)
        else:
            reading = Reading(Instant(0), Boot(0), Raw(nanoseconds(n + quantized)))
            corrected.filter.add(Tick(reading, Instant(START + n * NS), 5e-6))
            corrected.filter.correct(said)
            corrected.samples += corrected.filter.samples()
    assert rms(plain.errors()) > 1e-7
    assert rms(corrected.errors()) < 2e-9
