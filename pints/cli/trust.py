"""What `pints status` and `pints bootstrap` say: how far the time can be trusted, why, and what
to do about it.

`status` is for somebody who is no expert: the state with its figures on the first line, what
that means, then everything that weakens it, then the next step while it is not verified.
"""

import textwrap
from typing import Any

from pints.cli.table import WIDTH, failure_lines, table
from pints.timescale import span

Document = dict[str, Any]

MEANINGS = {
    "unset": "Nothing is known about the time yet.  Do not rely on the clock.",
    "restored": "The clock goes on from the time that was saved, so it is late by as long as "
    "this machine was off.  Nobody has confirmed it yet.",
    "provisional": "Servers answer, but fewer than it takes to believe them.  Do not rely on the "
    "clock for anything that matters.",
    "verified": "The time is right: enough independent servers proved who they are and agree.",
    "disputed": "There is evidence against the time that was verified: somebody may be lying.  "
    "The clock runs on as it is, and is served to nobody.",
    "holdover": "The time was verified, but too few servers are left to go on proving it.  The "
    "clock runs on its own, and its error grows slowly.",
}
"""By the state's name."""
SETTLING = 30.0
"""Seconds after the start during which waiting is the best advice."""


def status_text(document: Document) -> str:
    """The answer to "can I trust the clock?"."""
    meaning = MEANINGS.get(document["state"], "")
    if document["basis"] == "windows":
        meaning += "  It lies within their certificates' dates; nothing older confirms it yet."
    elif document["basis"] == "anchored":
        meaning += "  Keys from an earlier check, or an hour of agreement, confirm it."
    lines = [_headline(document), *_wrapped(meaning)]
    if document["single_witness"]:
        lines += _wrapped(
            "Single witness: one server alone decides, as the configuration allows.  If it is "
            "wrong, so is the clock.  Add sources of other operators."
        )
    if document["single_issuer"]:
        lines += _wrapped(
            "Single issuer: one certificate authority stands behind all of them.  Add a source "
            "whose certificate another one issued."
        )
    if document["failures"]:
        lines += ["", "Failing sources:"]
        lines += [f"  {line}" for line in failure_lines(document["failures"])]
    step = _next_step(document)
    if step:
        lines += ["", *_wrapped(f"Next: {step}")]
    return "\n".join(lines)


def _headline(document: Document) -> str:
    basis = f" ({document['basis']})" if document["basis"] else ""
    bound = document["error_bound"]
    within = "unconfirmed" if bound is None else f"within {span(bound)}"
    witnesses = document["witnesses"]
    return (
        f"{document['state']}{basis}: {document['time']}, {within}; {document['agreeing']} of "
        f"{witnesses} witness{'es' if witnesses != 1 else ''} agree ({document['needed']} needed)"
    )


def _next_step(document: Document) -> str:
    """What to do while the time is not verified; the most certain cause first."""
    if document["state"] == "verified":
        return ""
    witnesses, needed = document["witnesses"], document["needed"]
    if not witnesses:
        return "configure servers that speak NTS: without one, nothing can ever be verified."
    if witnesses < needed:
        return (
            f"{needed} independent witnesses are needed and {witnesses} configured, so this "
            "will never do.  Add sources of other operators, or set min_witnesses = 1."
        )
    if document["state"] == "disputed":
        return "`pints bootstrap` shows who says what.  Remove the source that is wrong."
    if document["refusals"] and document["answering"] >= needed:
        rules = ", ".join(sorted(document["refusals"]))
        return f"answers were refused (rules {rules}): `pints bootstrap` shows which, and why."
    if document["failures"]:
        return "mend the failing sources above; `pints ke HOST` tries one of them at once."
    if document["running_for"] < SETTLING:
        return "wait: it takes some seconds.  `pints wait` returns when it is done."
    return (
        f"{document['answering']} of {document['sources']} sources answer: `pints sources` shows "
        "which.  Does a firewall let UDP port 123 through?"
    )


def bootstrap_text(document: Document) -> str:
    """Floors, belief, evidence, refusals, failures."""
    basis = f" ({document['basis']})" if document["basis"] else ""
    belief = "none"
    if document["belief"]:
        belief = f"{document['belief']} +- {span(document['belief_error'])}"
    rows = [
        ("State", f"{document['state']}{basis}"),
        ("Belief", belief),
        ("Witnesses", f"{document['witnesses']}, of which {document['needed']} must agree; "
                      f"{len(document['members'])} do"),
        ("Hard floor", f"{document['hard_floor']}  nothing earlier is ever believed (R1)"),
        ("Soft floor", f"{document['soft_floor']}  the latest time that was saved"),
        ("Ceiling", f"{document['ceiling']}  nothing later is ever believed (R1)"),
    ]  # fmt: skip
    lines = [f"{label:<10} : {text}" for label, text in rows]
    lines += ["", *_evidence(document)]
    if document["refusals"]:
        lines += ["", "Refused:", *(f"  {line}" for line in document["refusals"])]
    if document["failures"]:
        lines += ["", "Failing:"]
        lines += [f"  {line}" for line in failure_lines(document["failures"])]
    return "\n".join(lines)


def _evidence(document: Document) -> list[str]:
    if not document["testimonies"]:
        return ["No evidence: no witness has answered."]
    rows = [
        [
            ("s" if row["by"] == "saved session" else "c")
            + ("*" if row["source"] in document["members"] else "?"),
            row["source"],
            row["time"],
            span(row["error"]),
            # The days will do; the document has the seconds.
            ", ".join(f"{start[:10]}..{end[:10]}" for start, end in row["windows"]) or "never",
        ]
        for row in document["testimonies"]
    ]
    heads = "MS", "Witness", "Says", "+-", "May speak for"
    legend = "M: c by certificate, s by saved session.  S: * agrees, ? does not"
    return [*table(heads, rows, left=3), legend]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
