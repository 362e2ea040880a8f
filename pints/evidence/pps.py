"""Pulses, and fixes as good as pulses: which second each begins, and what several say together.

Guarantees: a pulse is given a number only by others, who know the time well enough to leave no
doubt, and only if it begins where they allow a second to begin; edges that are no seconds, pulses
that are missing or come twice and interrupts that were late do not move the result.

Pure.
"""

import math
from collections import deque

from pints.drivers import Pulse, Sawtooth
from pints.lean import dataclass
from pints.sync.crystal import MAX_FREQUENCY
from pints.timescale import NS, Boot, Instant, Raw, Reading, nanoseconds, seconds, span
from pints.values.sample import LEAP_UNKNOWN, Sample

UNMISTAKABLE = 0.4
"""The time must be known to this, seconds, for the nearest second to be the right one."""
ASTRAY = 4
"""Pulses in a row that begin where no second may: not a spurious edge, but another source of
seconds, or the pulse's other edge."""
STEADILY = 1e-3
"""Seconds within which those lie of one source."""
WIDTHS = (0.01, 0.45)
"""Receivers' pulses are as long as this, seconds: as late is the edge that ends one."""
BATCH = 4
"""Ticks to a sample.  At one a second, that is too short a time for a crystal to wander."""
WINDOW = 64
"""Latest ticks that tell how far one strays: some periods of most receivers' sawtooth."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution, in median absolute deviations."""
GATE = 4.0
"""Standard deviations beyond which a tick is none."""
LEAST = 5e-8
"""Spread that is believed at least, seconds: reading clocks has its own."""
SUPPOSED = 0.25
"""Spread as a share of the driver's bound, until the ticks tell."""
DISPERSION = 4.0
"""A sample's dispersion, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Tick:
    """At `at` true time was `time`, within `error` s."""

    at: Reading
    time: Instant
    error: float

    @property
    def phase(self) -> int:
        """True time less raw time, ns."""
        return self.time - self.at.raw


@dataclass(frozen=True, slots=True)
class Span:
    """Between which instants others have true time to be."""

    low: Instant
    high: Instant

    @property
    def doubt(self) -> float:
        """Half its width, seconds."""
        return seconds(self.high - self.low) / 2

    def allows(self, tick: Tick) -> bool:
        """Whether a tick of then can be true."""
        reach = nanoseconds(tick.error)
        return self.low - reach <= tick.time <= self.high + reach


class Numbering:
    """Which second each pulse of one source begins."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.astray: deque[float] = deque(maxlen=ASTRAY)
        """By how much the latest pulses, if none since was good, were off a second."""
        self.ends: deque[float] = deque(maxlen=ASTRAY)
        """How long the pulses were that the latest edges ended, if none since began one."""

    def number(self, pulse: Pulse, known: Span | None, offset: float) -> Tick | None:
        """A pulse that came `offset` s late, when true time was `known`; None where it cannot be
        told which, or begins none."""
        if known is None or known.doubt > UNMISTAKABLE:
            return None
        shortest, longest = WIDTHS
        # Who sets an offset of that size means that edge.
        if pulse.after is not None and pulse.after <= longest and abs(offset) < shortest:
            self.ends.append(pulse.after)
            return None
        self.ends.clear()
        late = nanoseconds(offset)
        middle = (known.low + known.high) // 2 - late
        second = (middle + NS // 2) // NS * NS
        tick = Tick(pulse.at, Instant(second + late), pulse.error)
        if not known.allows(tick):
            self.astray.append(seconds(middle - second))
            return None
        self.astray.clear()
        return tick

    @property
    def complaint(self) -> str:
        """What is wrong with a source whose every pulse is off by the same; empty: nothing."""
        if len(self.ends) == ASTRAY:
            length = span(self.ends[-1])
            return f"{self.name}: this edge ends pulses of {length}: not followed; set edge"
        if len(self.astray) < ASTRAY or max(self.astray) - min(self.astray) > STEADILY:
            return ""
        off = self.astray[-1]
        text = f"{self.name}: begins seconds {span(abs(off))} {'late' if off > 0 else 'early'}"
        shortest, longest = WIDTHS
        if shortest <= off <= longest:
            return f"{text}: not followed; is it the other edge? set edge, or offset"
        return f"{text}: not followed; set offset if that is its delay"


class Filter:
    """Several ticks of one source, one a second or so, to one sample."""

    def __init__(self, source: str, reference_id: bytes) -> None:
        self.spread = math.nan
        """Standard deviation of the latest ticks, seconds."""
        self.refused = 0
        """Ticks that strayed too far."""
        self._source = source
        self._reference_id = reference_id
        self._ticks: deque[Tick] = deque(maxlen=WINDOW)
        self._sawteeth: deque[Sawtooth] = deque(maxlen=2 * BATCH)
        self._new = 0

    @property
    def last(self) -> Tick | None:
        """The latest one."""
        return self._ticks[-1] if self._ticks else None

    def correct(self, sawtooth: Sawtooth) -> None:
        """A receiver says by how much a pulse, that came or is to come, misses its second."""
        self._sawteeth.append(sawtooth)

    def add(self, tick: Tick) -> None:
        """Take a tick in."""
        last = self.last
        if last is not None and tick.at.raw <= last.at.raw:
            return
        if last is not None and abs(tick.phase - last.phase) > NS // 2:
            # A leap second, a sleep, another numbering: nothing of before compares.
            self._ticks.clear()
            self._new = 0
        self._ticks.append(tick)
        self._new += 1

    def samples(self, leap: int = LEAP_UNKNOWN) -> list[Sample]:
        """What those say together that came since the last sample, once they are enough.  The
        first are given one by one: nothing else tells so soon how fast the crystal is."""
        if self._new < BATCH:
            return []
        ticks = list(self._ticks)
        late = {_nearest(s.time): nanoseconds(s.error) for s in self._sawteeth}
        phases = [tick.phase + late.get(_nearest(tick.time), 0) for tick in ticks]
        strays, self.spread = _strays(ticks, phases)
        recent = range(len(ticks) - self._new, len(ticks))
        self._new = 0
        good = [n for n in recent if abs(strays[n]) <= GATE * self.spread]
        self.refused += len(recent) - len(good)
        begins = len(recent) == len(ticks)
        groups = [[n] for n in good] if begins else [good] if good else []
        return [
            self._mean([ticks[n] for n in group], [phases[n] for n in group], leap)
            for group in groups
        ]

    def _mean(self, ticks: list[Tick], phases: list[int], leap: int) -> Sample:
        count = len(ticks)
        raw = Raw(sum(tick.at.raw for tick in ticks) // count)
        return Sample(
            source=self._source,
            raw=raw,
            boot=Boot(sum(tick.at.boot for tick in ticks) // count),
            time=Instant(raw + sum(phases) // count),
            delay=0.0,
            dispersion=DISPERSION * self.spread / math.sqrt(count),
            root_delay=0.0,
            root_dispersion=max(tick.error for tick in ticks),
            stratum=0,
            leap=leap,
            reference_id=self._reference_id,
            authenticated=False,
        )


def _strays(ticks: list[Tick], phases: list[int]) -> tuple[list[float], float]:
    """How far each is from the line through the most of them, and their spread, seconds."""
    start, base = ticks[0].at.raw, phases[0]
    points = [
        (seconds(tick.at.raw - start), seconds(phase - base))
        for tick, phase in zip(ticks, phases, strict=True)
    ]
    # The line is Theil's and Sen's: the median of slopes, here the long ones, cares for no stray.
    half = len(points) // 2
    long = ((p, q) for n, q in enumerate(points[half:], 1) for p in points[:n])
    slopes = [(y - b) / (x - a) for (a, b), (x, y) in long]
    slope = min(max(_median(slopes), -MAX_FREQUENCY), MAX_FREQUENCY)
    levels = [y - slope * x for x, y in points]
    middle = _median(levels)
    strays = [level - middle for level in levels]
    spread = max(NORMAL * _median([abs(stray) for stray in strays]), LEAST)
    if len(ticks) < 3 * BATCH:
        spread = max(spread, SUPPOSED * ticks[-1].error)
    return strays, spread


def _median(values: list[float]) -> float:
    """The upper one of two.  (The statistics module would cost a megabyte.)"""
    return sorted(values)[len(values) // 2]


def _nearest(time: Instant) -> int:
    """The second that a pulse begins."""
    return (time + NS // 2) // NS
