"""What receivers report, as evidence and as samples.

Guarantees: a fix verifies nothing unless the administrator trusts its receiver; pulses are no
evidence at all: they sharpen what others, whom the clock follows, know already.
"""

import logging
from collections.abc import Collection
from dataclasses import replace

from pints.actions import Action, Log
from pints.bootstrap.engine import Bootstrap
from pints.config.tables import RefclockConfig, locks
from pints.drivers import Fix, Pulse, Report, Sawtooth
from pints.evidence.gps import Fixes, fix_sample, unfold
from pints.evidence.pps import UNMISTAKABLE, Filter, Numbering, Span, Tick
from pints.lean import dataclass
from pints.sync.discipline import Discipline
from pints.sync.poll import RECEIVER_INTERVAL
from pints.timescale import Instant, Raw, Reading, nanoseconds, seconds, span

FINE = 1e-3
"""Fixes surer than this, seconds, are averaged.  Those of a serial line share a delay that
wanders, so that many are worth no more than one."""
SILENT = 16.0
"""Seconds after which what was within others' bounds then is followed no more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a receiver said last, and whether that counts."""

    steady: bool
    """Its fixes agree with each other; it is known which seconds its pulses begin."""
    pulses: bool
    time: Instant
    error: float
    at: Reading


class Refclocks:
    """All refclocks of one boot.  Readings are without slews (`sync.slew`)."""

    def __init__(
        self,
        configs: tuple[RefclockConfig, ...],
        bootstrap: Bootstrap,
        discipline: Discipline,
    ) -> None:
        self._configs = {config.id: config for config in configs}
        self._locks = {one.id: lock for one in configs for lock in locks(one, configs)}
        """Which receiver alone numbers whose pulses, where the configuration says so."""
        self._bootstrap = bootstrap
        self._discipline = discipline
        self._fixes: dict[str, Fixes] = {}
        self._filters: dict[str, Filter] = {}
        self._pulses: dict[str, Numbering] = {}
        """Of those that give pulses."""
        self._within: dict[str, Raw] = {}
        """When a pulse or a fine fix was last where others allow it to be."""
        self._waiting: set[str] = set()
        """Whose pulses are known to lack a number."""
        self._blamed: set[str] = set()
        """Whose pulses are known to begin no second."""

    def handle(self, name: str, report: Report, now: Reading) -> list[Action] | None:
        """A receiver told something of the time; None where that changes nothing."""
        match report:
            case Fix():
                return self._fix(name, report, now)
            case Pulse():
                return self._pulse(name, report)
            case Sawtooth():
                self._sawtooth(name, report)
                return None

    def lost(self, name: str, now: Reading) -> list[Action]:
        """A receiver was unplugged."""
        for known in (self._fixes, self._filters, self._pulses, self._within):
            known.pop(name, None)
        self._waiting.discard(name)
        self._blamed.discard(name)
        self._discipline.forget(name)
        return self._bootstrap.withdraw(name, now)

    def usable(self) -> list[str]:
        """The receivers whose fixes a clock may follow."""
        steady = (name for name, fixes in self._fixes.items() if fixes.steady)
        return [name for name in steady if not self._configs[name].noselect]

    def standing(self, name: str) -> Standing | None:
        """Of one that has said something since it was plugged in."""
        if name in self._pulses:
            tick = self._filters[name].last
            if tick is None:
                return None
            return Standing(name not in self._waiting, True, tick.time, tick.error, tick.at)
        fixes = self._fixes.get(name)
        if fixes is None or fixes.last is None:
            return None
        return Standing(fixes.steady, False, fixes.last.time, fixes.last.error, fixes.last.at)

    @property
    def pulsing(self) -> Collection[str]:
        """The receivers that give pulses."""
        return self._pulses.keys()

    def sharpening(self, now: Reading) -> dict[str, bool]:
        """The receivers that a clock may follow because they just sharpen what others say whom
        it follows; and whether these authenticate themselves."""
        found: dict[str, bool] = {}
        for name, since in self._within.items():
            lock = self._locks.get(name)
            if self._configs[name].noselect or seconds(now.raw - since) > SILENT:
                continue
            if lock is None:
                found[name] = self._discipline.authenticated
            elif self._bootstrap.agrees(lock):
                found[name] = True
        return found

    # --- private -------------------------------------------------------------------------

    def _fix(self, name: str, fix: Fix, now: Reading) -> list[Action]:
        config, floors = self._configs[name], self._bootstrap.lenient_floors
        if name not in self._fixes:
            self._fixes[name] = Fixes(name, config.trust, floors)
        fixes = self._fixes[name]
        fix = replace(fix, time=Instant(fix.time + nanoseconds(config.offset)))
        was_steady = fixes.steady
        said = fixes.hear(fix, self._bootstrap.estimate(fix.at.boot).time)
        sample = fix_sample(fix, name, floors)
        if fix.error < FINE:
            ticks = self._filter(name, sample.reference_id)
            tick = Tick(fix.at, sample.time, fix.error)
            ticks.add(tick)
            known = self._known(name, fix.at)
            if known is not None and known.allows(tick):
                self._within[name] = fix.at.raw
            for averaged in ticks.samples(fix.leap) if fixes.steady else ():
                if not config.noselect:
                    self._discipline.add(averaged)
        elif fixes.steady and not config.noselect:
            # One of many is enough: its error is the receiver's, which the next one shares.
            last = self._discipline.last(name)
            if last is None or seconds(fix.at.raw - last.raw) >= RECEIVER_INTERVAL:
                self._discipline.add(sample)
        if config.noselect:
            return []
        if said is not None:
            return self._bootstrap.offer(said, now)
        lapsed = was_steady and not fixes.steady
        return self._bootstrap.withdraw(name, now) if lapsed else []

    def _pulse(self, name: str, pulse: Pulse) -> list[Action] | None:
        config = self._configs[name]
        numbering = self._pulses.setdefault(name, Numbering(name))
        ticks = self._filter(name, b"PPS\0")
        known = self._known(name, pulse.at)
        tick = numbering.number(pulse, known, config.offset)
        if tick is None:
            return self._said(name, known, numbering.complaint)
        self._waiting.discard(name)
        self._within[name] = pulse.at.raw
        ticks.add(tick)
        samples = ticks.samples()
        if not samples:
            return None
        self._blamed.discard(name)
        if config.noselect:
            return None
        for sample in samples:
            self._discipline.add(sample)
        return []

    def _said(self, name: str, known: Span | None, complaint: str) -> list[Action] | None:
        """Why a pulse counts for nothing, once."""
        if known is None or known.doubt > UNMISTAKABLE:
            if name in self._waiting:
                return None
            self._waiting.add(name)
            who = self._configs[name].lock or "anybody whom the clock follows"
            doubt = "" if known is None else f", only to {span(known.doubt)}"
            text = f"{name}: no second yet: the time is not known by {who}{doubt}"
            return [Log(logging.INFO, text)]
        if complaint and name not in self._blamed:
            self._blamed.add(name)
            return [Log(logging.WARNING, complaint)]
        return None

    def _sawtooth(self, name: str, report: Sawtooth) -> None:
        """It is for the pulses that the receiver numbers."""
        time = unfold(report.time, self._bootstrap.lenient_floors.hard)
        for pulses in self._pulses:
            if self._locks.get(pulses) == name:
                self._filters[pulses].correct(Sawtooth(time, report.error))

    def _filter(self, name: str, reference_id: bytes) -> Filter:
        if name not in self._filters:
            self._filters[name] = Filter(name, reference_id)
        return self._filters[name]

    def _known(self, name: str, at: Reading) -> Span | None:
        """What those have to say of an instant who number these pulses."""
        lock = self._locks.get(name)
        who = self._discipline.followed - {name, *self._pulses} if lock is None else {lock}
        between = self._discipline.between(at.raw, who)
        return Span(*between) if between else None
