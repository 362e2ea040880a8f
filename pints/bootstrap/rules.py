"""The rules of the bootstrap, each in one place under its number.

`RULES` says every rule in a sentence and where it is carried out.  R1 to R10 are the functions
below as far as they judge the time: pure, a screen each, returning a Refusal (or what is to be
done).  R11 and R12 are about packets and retries and live with the client; R13 is the Refusal
itself and `Refusals`, which says each one once and counts them.
"""

import logging
from collections.abc import Collection, Iterable

from pints.actions import Log
from pints.lean import dataclass
from pints.timescale import DAY, HOUR, Instant, iso, nanoseconds, seconds, span
from pints.values.belief import Belief, Floors
from pints.values.chain import Chain, Window


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in a sentence, and the code that carries it out."""

    text: str
    where: tuple[str, ...]
    """Dotted names of what carries it out."""


RULES: dict[str, Rule] = {
    "R1": Rule(
        "The clock is never taken below the hard floor or above the ceiling.",
        ("pints.bootstrap.rules.r1_bounds", "pints.bootstrap.rules.r1_clock"),
    ),
    "R2": Rule(
        "Network evidence moves the clock only with a quorum, and wide intervals do not vote.",
        ("pints.bootstrap.rules.r2_quorum", "pints.bootstrap.rules.r2_width"),
    ),
    "R3": Rule(
        "The agreed time must lie in the window of every agreeing witness.",
        ("pints.bootstrap.rules.r3_window",),
    ),
    "R4": Rule(
        "A certificate cannot come from the future, nor from before what was already known.",
        ("pints.bootstrap.rules.r4_future", "pints.bootstrap.rules.r4_expired"),
    ),
    "R5": Rule(
        "Only a certificate's dates may be judged later; all else is refused at once.",
        ("pints.bootstrap.rules.r5_dates", "pints.worker.verdict.judge"),
    ),
    "R6": Rule(
        "When the time is known every exchange is judged again; independent evidence confirms "
        "or disputes it, and nothing is saved before that, or an hour's agreement, confirms it.",
        ("pints.bootstrap.rules.r6_strict", "pints.bootstrap.rules.r6_contradiction"),
    ),
    "R7": Rule(
        "Ratcheted saved time only grows, and only on basis anchored.",
        ("pints.bootstrap.rules.r7_ratchet",),
    ),
    "R8": Rule(
        "A saved time in the future is reported, and lowered only by unanimous witnesses with "
        "independent evidence.",
        ("pints.bootstrap.future_floor.FutureFloor",),
    ),
    "R9": Rule(
        "What was verified is recorded before it is announced, so nothing reopens in a boot.",
        ("pints.bootstrap.rules.r9_contradicts", "pints.bootstrap.engine.Bootstrap.recorded"),
    ),
    "R10": Rule(
        "Later steps need a fresh quorum; who takes the time from us, or smears a leap second, "
        "has no vote.",
        (
            "pints.bootstrap.rules.r10_derived",
            "pints.bootstrap.rules.r10_smears",
            "pints.sync.leap.LeapWatch",
        ),
    ),
    "R11": Rule(
        "What nobody authenticated slows a source at most.",
        ("pints.client.association.Association.receive",),
    ),
    "R12": Rule(
        "Retries grow apart, are jittered and remembered.",
        ("pints.client.retry",),
    ),
    "R13": Rule(
        "Every refusal names its rule, the evidence and the figures, once, and is counted.",
        ("pints.bootstrap.rules.Refusals",),
    ),
}

FUTURE_TOLERANCE = 48 * HOUR
"""A leaf may be dated this far after the agreed time before it vetoes (R4), seconds."""
CONFIRMS_WITHIN = DAY
"""Independent evidence less sure than this confirms nothing (R6), seconds."""
HOLDOVER_ID = b"HOLD"
"""Reference id by which a pints server tells its clients that it is in holdover (R10)."""


# --- R13 --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """Evidence that a rule keeps out, with the figures (R13)."""

    rule: str
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.source}: {self.text}"


class Refusals:
    """What is refused at present: said once, until it ends (R13)."""

    def __init__(self) -> None:
        self.standing: tuple[Refusal, ...] = ()

    def report(self, refusals: Iterable[Refusal]) -> list[Log]:
        """These stand now and no others; a line for each that is new.  Figures that merely
        went on do not make a refusal new."""
        known = {(r.rule, r.source) for r in self.standing}
        self.standing = tuple(refusals)
        return [
            Log(logging.WARNING, str(r), r.rule)
            for r in self.standing
            if (r.rule, r.source) not in known
        ]


# --- R1: floor and ceiling --------------------------------------------------------------------


def r1_bounds(source: str, low: Instant, high: Instant, floors: Floors) -> Refusal | None:
    """Evidence wholly below the hard floor, or wholly above the ceiling, is refused."""
    if high < floors.hard:
        limit = f"floor is {iso(floors.hard)}"
    elif low > floors.ceiling:
        limit = f"ceiling is {iso(floors.ceiling)}"
    else:
        return None
    return Refusal("R1", source, f"says {iso(Instant((low + high) // 2))}, {limit}")


def r1_clock(time: Instant, floors: Floors) -> Instant:
    """Where the clock may be taken that somebody would like to take to `time`."""
    return min(max(time, floors.hard), floors.ceiling)


# --- R2: the quorum ---------------------------------------------------------------------------


def r2_width(source: str, error: float, max_distance: float) -> Refusal | None:
    """An interval of +-`error` s wider than `max_distance` does not vote."""
    if 2 * error <= max_distance:
        return None
    text = f"interval {span(2 * error)} wide does not vote, limit {span(max_distance)}"
    return Refusal("R2", source, text)


def r2_quorum(witnesses: int, min_witnesses: int, fixed: bool) -> int:
    """How many must agree: the majority of all configured ones, answering or not."""
    return min_witnesses if fixed else max(min_witnesses, witnesses // 2 + 1)


# --- R3: windows ------------------------------------------------------------------------------


def r3_window(
    source: str, windows: tuple[Window, ...], saved: bool, low: Instant, high: Instant
) -> Refusal | None:
    """A witness that agrees on an interval must be allowed to speak for all of it."""
    if any(window.contains(low, high) for window in windows):
        return None
    what = "saved session" if saved else "certificate"
    middle = iso(Instant((low + high) // 2))
    text = f"its {what} is good {spell(windows)}, not at the agreed {middle}"
    return Refusal("R3", source, text)


# --- R4: no certificate comes from the future, none from before the floor ---------------------


def r4_future(source: str, chain: Chain, low: Instant, high: Instant) -> Refusal | None:
    """An otherwise good chain that was issued after an agreed interval vetoes it."""
    if chain.leaf_not_before <= high + nanoseconds(FUTURE_TOLERANCE):
        return None
    issued, agreed = iso(chain.leaf_not_before), iso(Instant((low + high) // 2))
    return Refusal("R4", source, f"its certificate was issued {issued}, after {agreed}: vetoed")


def r4_expired(source: str, chain: Chain, floor: Instant) -> Refusal | None:
    """A chain whose window ended before what is known for sure (RFC 8915 section 8.5)."""
    if chain.end >= floor:
        return None
    text = f"certificate expired {iso(chain.end)}, before the floor {iso(floor)}"
    return Refusal("R4", source, text)


# --- R5: only dates are ever judged later -----------------------------------------------------


def r5_dates(source: str, chain: Chain, at: Belief, believed: bool, strict: bool) -> Refusal | None:
    """A chain whose dates do not fit is refused where a belief stands (R6), or where the
    administrator wants no relaxed exchange (`strict`); else it is judged again later."""
    if chain.good(at.low, at.high) or not (believed or strict):
        return None
    dates = f"certificate is good {spell(chain.windows)}"
    if believed:
        return Refusal("R6", source, f"{dates}, not now, {iso(at.time)}")
    return Refusal("R5", source, f"{dates}, not at the restored {iso(at.time)}")


# --- R6: judged again; disputed; saved only when anchored -------------------------------------


def r6_strict(source: str, chain: Chain, belief: Belief) -> Refusal | None:
    """When a belief stands, what is not strictly valid at it is destroyed."""
    if chain.good(belief.low, belief.high):
        return None
    return Refusal("R6", source, f"its certificate is not valid at {iso(belief.time)}")


def r6_contradiction(confirming: int, contradicting: list[str]) -> Refusal | None:
    """Independent evidence disputes a quorum that has nothing but its windows, unless as much
    of it confirms as contradicts; then neither counts."""
    if not contradicting or confirming >= len(contradicting):
        return None
    names = ", ".join(contradicting)
    return Refusal("R6", contradicting[0], f"independent evidence contradicts the quorum: {names}")


def r6_single_issuer(roots: Iterable[tuple[str, ...]]) -> bool:
    """Whether one root key stands behind all of these chains: then waiting confirms nothing."""
    sets = [set(r) for r in roots]
    return bool(sets) and bool(set.intersection(*sets))


# --- R7: the ratchet --------------------------------------------------------------------------


def r7_ratchet(saved: Instant, low: Instant, anchored: bool) -> Instant:
    """The ratcheted saved time after an interval that begins at `low` is believed."""
    return max(saved, low) if anchored else saved


# --- R9: nothing reopens within a boot --------------------------------------------------------


def r9_contradicts(
    source: str, said: Belief, belief: Belief | None, tolerance: float
) -> Refusal | None:
    """What is further than `tolerance` s off what this boot has verified does not vote."""
    if belief is None:
        return None
    held = belief.at(said.boot)
    apart = abs(seconds(said.time - held.time))
    if apart <= said.error + held.error + tolerance:
        return None
    return Refusal("R9", source, f"{span(apart)} off what this boot has verified")


# --- R10: who has no vote later ---------------------------------------------------------------


def r10_derived(source: str, reference_id: bytes, stratum: int, own: bytes) -> Refusal | None:
    """A source that takes the time from this machine, or from a pints in holdover, confirms
    nothing.  `own` is the reference id by which its server would name this machine."""
    if stratum > 1 and own and reference_id == own:
        return Refusal("R10", source, "takes its time from this machine")
    if reference_id == HOLDOVER_ID:
        return Refusal("R10", source, "is in holdover itself")
    return None


def r10_smears(source: str, smearing: Collection[str]) -> Refusal | None:
    """A source that does not tell of a leap second that is near, as the others do."""
    if source not in smearing:
        return None
    return Refusal("R10", source, "does not tell of the leap second that is near: it smears it")


def spell(windows: tuple[Window, ...]) -> str:
    """Windows as a line of text."""
    return " and ".join(f"{iso(w.start)} to {iso(w.end)}" for w in windows) or "never"
