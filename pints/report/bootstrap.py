"""The document of `pints bootstrap`: how far the time is trusted, and every piece of evidence."""

from collections.abc import Iterable

from pints.bootstrap.rules import RULES, r2_quorum
from pints.bootstrap.states import Basis
from pints.bootstrap.witness import is_witness, registrable_domain
from pints.client.association import Association
from pints.core.core import Core
from pints.report.cells import LOG_HINT, Document, failures
from pints.report.evidence import Asked, Kind, Row, account
from pints.timescale import Instant, Reading, iso, seconds
from pints.values.chain import Window

UNRECORDED = (
    "R9: what the servers agree on cannot be recorded in the runtime folder, so it is not announced"
)
"""What `pints bootstrap` says while rule R9 keeps `verified` back."""


def bootstrap_document(core: Core, now: Reading) -> Document:
    """`pints bootstrap`."""
    return _standing(core, now) | _grounds(core, now)


def _standing(core: Core, now: Reading) -> Document:
    """How far the time is trusted, and between what it lies."""
    bootstrap, config = core.bootstrap, core.config.bootstrap
    belief = bootstrap.belief.at(now.boot) if bootstrap.belief else None
    majority = r2_quorum(bootstrap.witnesses, config.min_witnesses, False)
    windows, leap = bootstrap.basis is Basis.WINDOWS, core.steering.leaps.pending
    return {
        "state": bootstrap.state.value,
        "basis": bootstrap.basis.value,
        "single_witness": bootstrap.single_witness,
        "single_issuer": bool(windows and bootstrap.single_issuer),
        "weakened_quorum": bootstrap.needed < majority,
        "step_provisional": config.step_provisional,
        "time": iso(now.real),
        "woke": iso(core.started.real),
        "running_for": seconds(now.boot - core.started.boot),
        "belief": iso(belief.time) if belief else None,
        "belief_error": belief.error if belief else None,
        "build_epoch": iso(bootstrap.floors.build_epoch),
        "hard_floor": iso(bootstrap.floors.hard),
        "soft_floor": iso(bootstrap.floors.soft),
        "ceiling": iso(bootstrap.floors.ceiling),
        "leap_second": iso(leap.at) if leap else None,
        "errors": [UNRECORDED] if bootstrap.unrecorded else [],
    }


def _grounds(core: Core, now: Reading) -> Document:
    """Who said what, what came of it, and by which rule."""
    bootstrap, finding = core.bootstrap, core.bootstrap.finding
    agreeing = len(finding.members) if finding else 0
    decided = agreeing >= bootstrap.needed
    return {
        "witnesses": bootstrap.witnesses,
        "needed": bootstrap.needed,
        "agreeing": agreeing,
        "members": sorted(finding.agreeing) if finding else [],
        "confirming": list(bootstrap.weighed.confirming) if decided else [],
        "contradicting": list(bootstrap.weighed.contradicting) if decided else [],
        "evidence": [_row(row) for row in account(bootstrap, _asked(core), now.boot)],
        "others": _others(core),
        "refusals": [str(r) for r in bootstrap.refusals],
        "refused": dict(core.refusals),
        "rules": {name: rule.text for name, rule in RULES.items()},
        "story": [
            {"after": max(seconds(boot - core.started.boot), 0.0), "text": text}
            for boot, text in core.story
        ],
        "testimonies": [
            {
                "source": t.source,
                "time": iso(t.time),
                "error": t.distance,
                "age": seconds(now.boot - t.boot),
                "by": "saved session" if t.saved else "certificate",
                "windows": _spans(t.windows),
            }
            for t in bootstrap.testimonies
        ],
        "failures": failures(core),
    }


def _asked(core: Core) -> list[Asked]:
    """Everything that is asked for the time and may count, with why it is silent."""
    asked = [
        Asked(a.id, Kind.WITNESS, *_silence(a))
        for a in core.associations.values()
        if is_witness(a.config, core.config)
    ]
    if core.config.rtc.driver:
        asked.append(Asked("rtc", Kind.RTC, "it cannot be read", LOG_HINT))
    asked += [
        Asked(receiver.id, Kind.RECEIVER, "no three fixes in a row tell one time yet")
        for receiver in core.config.refclocks
        # Pulses are asked for no time.
        if core.independent and receiver.id not in core.independent.refclocks.pulsing
    ]
    if core.config.bootstrap.roughtime:
        asked.append(Asked("roughtime", Kind.ROUGHTIME, _roughtime_silence(core)))
    for anchor in core.config.anchors:
        why, hint = _silence(core.associations[anchor.id])
        if not why and core.bootstrap.belief is not None:
            why = "not needed: the time is believed without it"
        asked.append(Asked(f"anchor {anchor.id}", Kind.ANCHOR, why, hint))
    return asked


def _roughtime_silence(core: Core) -> str:
    """Why Roughtime says nothing: the last that is known of it."""
    # Imported only where it is configured.
    from pints.evidence.roughtime import LEAST_OPERATORS

    servers = core.config.bootstrap.roughtime
    operators = len({s.operator or registrable_domain(s.server) for s in servers})
    if operators < LEAST_OPERATORS:
        return f"{operators} operators configured, {LEAST_OPERATORS} are needed"
    said = [text for _, text in core.story if ": roughtime" in text]
    if said:
        return said[-1].replace(": roughtime: ", ": ")
    return "not needed: the time is anchored without it" if core.bootstrap.anchored else ""


def _others(core: Core) -> list[str]:
    """Sources that are no witnesses: plain NTP, named by the network, or never used."""
    anchors = {a.id for a in core.config.anchors}
    return [
        a.id for a in core.associations.values()
        if a.id not in anchors and not is_witness(a.config, core.config)
    ]  # fmt: skip


def _silence(association: Association) -> tuple[str, str]:
    """Why a source says nothing, and what to do about it."""
    if association.failure is not None:
        return association.failure.reason, association.failure.hint
    if association.unanswered:
        count = association.unanswered
        return f"{count} request{'s' if count != 1 else ''} unanswered", ""
    return "", ""


def _row(row: Row) -> Document:
    error = seconds(row.high - row.low) / 2 if row.low and row.high else None
    return {
        "origin": row.origin,
        "kind": row.kind.value,
        "strength": row.strength,
        "time": iso(Instant((row.low + row.high) // 2)) if row.low and row.high else None,
        "error": error,
        "not_before": iso(row.low) if row.low is not None else None,
        "not_after": iso(row.high) if row.high is not None else None,
        "windows": _spans(row.windows),
        "age": row.age,
        "verdict": row.verdict.value,
        "rule": row.rule,
        "detail": row.detail,
        "hint": row.hint,
    }


def _spans(windows: Iterable[Window]) -> list[list[str]]:
    return [[iso(w.start), iso(w.end)] for w in windows]
