"""An account of the evidence: who said what of the time, and what came of it.

One row for everything that was asked or known, whether or not it said anything: the answer to
"why is this believed", for `pints bootstrap`.  No keys are in it, nor names of keys.

Pure: reads a `Bootstrap` and changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum

from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.quorum import Finding, Testimony
from pints.bootstrap.restoring import OPERATOR
from pints.bootstrap.rules import CONFIRMS_WITHIN, FUTURE_TOLERANCE, RULES, Refusal
from pints.bootstrap.witness import groups
from pints.lean import dataclass
from pints.timescale import Boot, Instant, iso, nanoseconds, seconds, span
from pints.values.belief import DRIFT_UNSTEERED, Belief
from pints.values.chain import Window
from pints.values.evidence import Evidence, Strength


class Kind(Enum):
    """What something is; the value is how reports say it."""

    BUILD_EPOCH = "build epoch"
    SAVED = "saved time"
    SEEN = "seen time"
    CEILING = "ceiling"
    WITNESS = "witness"
    """That has not shown anything yet."""
    CERTIFICATE = "certificate"
    """A witness that is known by one."""
    SESSION = "saved session"
    """A witness that is known by keys of an earlier boot."""
    RTC = "real-time clock"
    RECEIVER = "receiver"
    ROUGHTIME = "Roughtime"
    ANCHOR = "anchor"
    OPERATOR = "operator"
    PLAIN = "unauthenticated server"


class Verdict(Enum):
    """What came of it; the value is how reports say it."""

    BOUNDS = "bounds"
    NOTHING = "nothing saved"
    AGREES = "agrees"
    ALONE = "stands alone"
    CONFIRMS = "confirms"
    DISPUTES = "disputes"
    VETOES = "vetoes"
    OUTVOTED = "outvoted"
    REFUSED = "refused"
    RESTORES = "restores the clock"
    BELIEVED = "makes a belief"
    IDLE = "changes nothing"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody who was asked for the time, whether or not an answer came."""

    origin: str
    kind: Kind
    failure: str = ""
    """Why there is no answer."""
    hint: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One word in the matter of the time, as of now."""

    origin: str
    kind: Kind
    strength: str
    """What it may do at most."""
    verdict: Verdict
    detail: str = ""
    """The figures, the reason."""
    rule: str = ""
    """By which it was refused, or disputes."""
    low: Instant | None = None
    """True time is not before it; None: not bounded."""
    high: Instant | None = None
    windows: tuple[Window, ...] = ()
    """Instants for which it may speak; none where it needs no leave."""
    age: float | None = None
    """Seconds since it was said; None: not said in this boot."""
    hint: str = ""


def account(bootstrap: Bootstrap, asked: Iterable[Asked], now: Boot) -> list[Row]:
    """All rows: bounds, then those `asked` in their order, then what came unasked."""
    rows = _bounds(bootstrap)
    known = set()
    for one in asked:
        known.add(one.origin)
        witness = one.kind is Kind.WITNESS
        rows.append((_witness if witness else _other)(bootstrap, one, now))
    for origin in (*bootstrap.evidence, *(r.source for r in bootstrap.refusals)):
        if origin not in known:
            known.add(origin)
            kind = Kind.OPERATOR if origin == OPERATOR else Kind.PLAIN
            rows.append(_other(bootstrap, Asked(origin, kind), now))
    return rows


VETOES = "vetoes an earlier time"
"""Strength of a certificate before its server has said anything."""
ORDERS = "orders the logs, proves nothing"
"""Strength of a time that was seen and not verified."""

# --- bounds -----------------------------------------------------------------------------------


def _bounds(bootstrap: Bootstrap) -> list[Row]:
    floors, strength = bootstrap.floors, Strength.BOUND.value
    epoch = Row("build epoch", Kind.BUILD_EPOCH, strength, Verdict.BOUNDS, low=floors.build_epoch)
    saved = Row("saved time", Kind.SAVED, strength, Verdict.NOTHING)
    if floors.ratcheted:
        saved = replace(saved, low=floors.ratcheted, verdict=Verdict.BOUNDS)
        if floors.poisoned:
            text = f"beyond the ceiling {iso(floors.ceiling)}"
            saved = replace(saved, verdict=Verdict.REFUSED, rule="R1", detail=text, hint=_FORGET)
        elif floors.ratcheted < floors.build_epoch:
            saved = replace(saved, verdict=Verdict.IDLE, detail="older than this build")
    seen = Row("seen time", Kind.SEEN, ORDERS, Verdict.NOTHING)
    if floors.seen:
        seen = replace(seen, low=floors.seen, verdict=Verdict.BOUNDS)
        if floors.seen > floors.ceiling:
            text = f"beyond the ceiling {iso(floors.ceiling)}"
            seen = replace(seen, verdict=Verdict.REFUSED, rule="R1", detail=text)
        elif floors.seen < floors.hard:
            seen = replace(seen, verdict=Verdict.IDLE, detail="older than what is sure")
    ceiling = Row("ceiling", Kind.CEILING, strength, Verdict.BOUNDS, high=floors.ceiling)
    below = _below_floor(bootstrap)
    if len(below) >= max(bootstrap.needed, 2):
        wrong = f"{len(below)} witnesses say an earlier time"
        if floors.hard == floors.build_epoch:
            hint = "if they are right, install a build of a right date"
            epoch = replace(epoch, verdict=Verdict.DISPUTES, rule="R8", detail=wrong, hint=hint)
        else:
            hint = f"if they are right: {_FORGET}"
            saved = replace(saved, verdict=Verdict.DISPUTES, rule="R8", detail=wrong, hint=hint)
    return [epoch, saved, seen, ceiling]


_FORGET = "stop pints, run `pints restore --forget`, start pints"


def _below_floor(bootstrap: Bootstrap) -> set[str]:
    """Witnesses that the hard floor keeps out."""
    witness_of = groups(bootstrap.identities)
    refused = {r.source for r in bootstrap.refusals if r.rule == "R1"}
    said = (t for t in bootstrap.testimonies if t.source in refused)
    return {witness_of[t.source] for t in said if t.time < bootstrap.floors.hard}


# --- witnesses --------------------------------------------------------------------------------


def _witness(bootstrap: Bootstrap, one: Asked, now: Boot) -> Row:
    """The row of a witness: what it said, or else what its certificate says."""
    said = {t.source: t for t in bootstrap.testimonies}
    chain = bootstrap.chains.get(one.origin)
    testimony = said.get(one.origin)
    refusal = _refusal(bootstrap, one.origin)
    row = Row(one.origin, one.kind, Strength.WITNESS.value, Verdict.WAITING, hint=one.hint)
    if testimony is not None:
        drift = bootstrap.testimony_drift
        stated = Belief(testimony.time, testimony.boot, testimony.distance, drift)
        present = stated.at(now)
        row = replace(
            row, kind=Kind.SESSION if testimony.saved else Kind.CERTIFICATE, hint="",
            low=present.low, high=present.high, windows=testimony.windows,
            age=seconds(now - testimony.boot),
        )  # fmt: skip
    elif chain is not None:
        # Before an answer comes, its date alone vetoes an earlier time (R4).
        issued = Instant(chain.leaf_not_before - nanoseconds(FUTURE_TOLERANCE))
        row = replace(
            row, kind=Kind.CERTIFICATE, windows=chain.windows, low=issued,
            strength=VETOES,
        )  # fmt: skip
    if _decided(bootstrap) and one.origin in bootstrap.weighed.contradicting:
        text = refusal.text if refusal is not None else ""
        return replace(row, verdict=Verdict.DISPUTES, rule="R6", detail=text)
    if refusal is not None:
        return _refused(row, refusal)
    if testimony is None:
        return _waiting(row, one)
    return _heard(row, testimony, bootstrap)


def _heard(row: Row, testimony: Testimony, bootstrap: Bootstrap) -> Row:
    """What came of a word that no rule refused."""
    finding, source = bootstrap.finding, testimony.source
    if finding is None or source not in finding.agreeing:
        return row
    if _decided(bootstrap) and source in bootstrap.weighed.confirming:
        return replace(row, verdict=Verdict.CONFIRMS, detail="by keys of an earlier boot")
    twin = _twin(source, finding, groups(bootstrap.identities))
    if twin:
        return replace(row, verdict=Verdict.AGREES, detail=f"same witness as {twin}")
    alone = len(finding.members) == 1 and bootstrap.needed > 1
    return replace(row, verdict=Verdict.ALONE if alone else Verdict.AGREES)


def _twin(source: str, finding: Finding, witness_of: Mapping[str, str]) -> str:
    """The source that speaks for the same witness; '' if it is this one."""
    if source in finding.members:
        return ""
    return next((m for m in finding.members if witness_of[m] == witness_of[source]), "")


# --- all else ---------------------------------------------------------------------------------


def _other(bootstrap: Bootstrap, one: Asked, now: Boot) -> Row:
    """The row of a clock, a receiver, an anchor, the operator."""
    said = bootstrap.evidence.get(one.origin)
    refusal = _refusal(bootstrap, one.origin)
    if said is None:
        row = Row(one.origin, one.kind, _MOST[one.kind].value, Verdict.WAITING, hint=one.hint)
        return _waiting(row, one) if refusal is None else _refused(row, refusal)
    present = said.at(now, DRIFT_UNSTEERED)
    row = Row(
        one.origin, one.kind, said.strength.value, Verdict.IDLE,
        low=present.low, high=present.high, age=seconds(now - said.boot),
    )  # fmt: skip
    if refusal is not None:
        return _refused(row, refusal)
    independent = said.strength is Strength.INDEPENDENT
    if independent and said.error > CONFIRMS_WITHIN:
        text = f"known to {span(said.error)} only, {span(CONFIRMS_WITHIN)} at most may confirm"
        row = replace(row, detail=text)
    elif independent and _decided(bootstrap):
        if one.origin in bootstrap.weighed.confirming:
            return replace(row, verdict=Verdict.CONFIRMS)
        return replace(row, verdict=Verdict.DISPUTES, rule="R6", detail=_apart(present, bootstrap))
    if bootstrap.belief is not None:
        return replace(row, detail=_apart(present, bootstrap))
    if bootstrap.steady and bootstrap.agrees(one.origin):
        return replace(row, verdict=Verdict.RESTORES)
    if said.strength is Strength.BELIEF:
        return replace(row, verdict=Verdict.BELIEVED)
    return row


_MOST = {
    Kind.RTC: Strength.INDEPENDENT,
    Kind.RECEIVER: Strength.INDEPENDENT,
    Kind.ROUGHTIME: Strength.INDEPENDENT,
    Kind.ANCHOR: Strength.BELIEF,
    Kind.OPERATOR: Strength.BELIEF,
    Kind.PLAIN: Strength.BELIEF,
}
"""What each may do at most, before it has said anything."""


def _apart(present: Evidence, bootstrap: Bootstrap) -> str:
    """How far something is off what is believed, its own error allowed for."""
    if bootstrap.belief is None:
        return ""
    held = bootstrap.belief.at(present.boot)
    if present.admits(held.low, held.high):
        return "agrees with what is believed"
    return f"{span(abs(seconds(present.middle - held.time)))} off what is believed"


# --- shared -----------------------------------------------------------------------------------


def _decided(bootstrap: Bootstrap) -> bool:
    """Whether there is a quorum for independent evidence to weigh."""
    finding = bootstrap.finding
    return finding is not None and len(finding.members) >= bootstrap.needed


def _refusal(bootstrap: Bootstrap, origin: str) -> Refusal | None:
    """Why it is refused.  Who disputes (R6) is named last: what keeps it out says more."""
    mine = [r for r in bootstrap.refusals if r.source == origin]
    return min(mine, key=lambda r: r.rule == "R6", default=None)


def _refused(row: Row, refusal: Refusal) -> Row:
    """With the rule that keeps it out, or by which it keeps out others."""
    verdict = Verdict.REFUSED
    if refusal.rule == "R6":
        verdict = Verdict.DISPUTES
    elif refusal.rule == "R4" and refusal.text.endswith(_VETOED):
        verdict = Verdict.VETOES
    elif refusal.text.startswith("outvoted"):
        verdict = Verdict.OUTVOTED
    return replace(row, verdict=verdict, rule=refusal.rule, detail=refusal.text)


_VETOED = ": vetoed"


def _waiting(row: Row, one: Asked) -> Row:
    """Nothing was said yet; the reason may be that a rule refused what came."""
    rule, _, text = one.failure.partition(": ")
    if rule in RULES:
        # What destroyed its keys names the source once more.
        text = text.removeprefix(f"{one.origin}: ")
        return replace(row, verdict=Verdict.REFUSED, rule=rule, detail=text)
    return replace(row, detail=one.failure or "no answer yet")
