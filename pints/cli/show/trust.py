"""What `pints status` and `pints bootstrap` say: how far the time can be trusted, why, and what
to do about it.

`status` is for somebody who is no expert: the state with its figures on the first line, what
that means, then everything that weakens it, then the next step while it is not verified.
"""

import textwrap
from collections.abc import Iterable
from typing import Any

from pints.cli.show.table import WIDTH, ago, bare, failure_lines, table
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
FOLLOWS = "The clock follows {}, which proves nothing.  No server has confirmed it yet."
"""In place of `restored`, where there is something to follow."""
FOLLOWED = {"operator": "what its operator said", "roughtime": "Roughtime servers"}
"""By origin, where that is no device's name."""
SETTLING = 30.0
"""Seconds after the start during which waiting is the best advice."""


def status_text(document: Document) -> str:
    """The answer to "can I trust the clock?"."""
    meaning = MEANINGS.get(document["state"], "")
    if document["state"] == "restored" and (origin := document["follows"]):
        meaning = FOLLOWS.format(FOLLOWED.get(origin, origin))
    if document["basis"] == "windows":
        meaning += "  It lies within their certificates' dates; nothing else confirms it yet."
    elif document["basis"] == "anchored":
        meaning += "  Evidence besides their certificates, or an hour of agreement, confirms it."
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
    """State, belief, then every piece of evidence with what came of it, and why."""
    basis = f" ({document['basis']})" if document["basis"] else ""
    belief = "none"
    if document["belief"]:
        belief = f"{document['belief']} +- {span(document['belief_error'])}"
    rows = [
        ("State", f"{document['state']}{basis}{weaknesses(document)}"),
        ("Belief", belief),
        ("Witnesses", f"{document['witnesses']}, of which {document['needed']} must agree; "
                      f"{document['agreeing']} do"),
        ("Hard floor", f"{document['hard_floor']}  nothing earlier is ever believed (R1)"),
        ("Soft floor", f"{document['soft_floor']}  the latest time that was saved"),
        ("Ceiling", f"{document['ceiling']}  nothing later is ever believed (R1)"),
    ]  # fmt: skip
    lines = [f"{label:<10} : {text}" for label, text in rows]
    lines += ["", *_evidence(document["evidence"])]
    lines += _section("May speak for", _windows(document["evidence"]))
    lines += _section("Why", _reasons(document["evidence"]))
    lines += _section("Not witnesses (plain, named by the network, or unused)", document["others"])
    if document["leap_second"]:
        lines += ["", f"A leap second is due at {document['leap_second']}."]
    lines += _section("Wrong with this machine", document["errors"])
    return "\n".join([*lines, "", "In plain words: pints bootstrap --explain"])


def weaknesses(document: Document) -> str:
    """What makes `verified` worth less than it could be, to follow the state."""
    named = "single_witness", "single_issuer", "weakened_quorum"
    return "".join(f", {name.replace('_', ' ')}" for name in named if document[name])


def _evidence(rows: list[Document]) -> list[str]:
    heads = "K", "Who", "Says", "+-", "Age", "What came of it"
    cells = [
        [
            LETTERS[row["strength"]] if row["kind"] != "saved session" else "s",
            _shortened(row["origin"]),
            row["time"] or _bound(row),
            "-" if row["error"] is None else span(row["error"]),
            ago(row["age"]),
            row["verdict"] + (f" ({row['rule']})" if row["rule"] else ""),
        ]
        for row in rows
    ]
    return [*table(heads, cells, left=3, right=5), *LEGEND]


LETTERS = {
    "bounds the time": "-",
    "orders the logs, proves nothing": "-",
    "vetoes an earlier time": "v",
    "counts for the quorum": "c",
    "confirms or disputes the quorum": "i",
    "makes a belief, verifies nothing": "b",
    "restores the clock, proves nothing": "l",
}
"""Of a strength, as the document has it."""
LEGEND = (
    "K: c counts by its certificate, s by a saved session, v only vetoes an earlier time,",
    "   i independent: confirms or disputes, b makes a belief, l restores the clock, - bounds",
)
LONGEST = 28
"""Characters of a name in the table; lines below it have them in full."""


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}~"


def _bound(row: Document) -> str:
    if row["not_before"]:
        return f">= {row['not_before']}"
    return f"<= {row['not_after']}" if row["not_after"] else "-"


def _windows(rows: list[Document]) -> list[str]:
    return [
        f"{row['origin']}: " + ("never" if not row["windows"] else "")
        + ", ".join(f"{start} to {end}" for start, end in row["windows"])
        for row in rows if row["windows"] or row["kind"] in ("certificate", "saved session")
    ]  # fmt: skip


def _reasons(rows: list[Document]) -> list[str]:
    """The details and, below each, what to do about it."""
    lines = []
    for row in rows:
        if row["detail"]:
            rule = f"{row['rule']}: " if row["rule"] else ""
            lines.append(f"{row['origin']}: {rule}{reason(row)}")
            if row["hint"]:
                lines.append(f"  {row['hint']}")
    return lines


def reason(row: Document) -> str:
    """The detail of a row of evidence, without its name."""
    return bare(row["origin"].removeprefix("anchor "), row["detail"])


def _section(title: str, lines: Iterable[str]) -> list[str]:
    """Its lines below its title, indented; nothing where there are none."""
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(
            line, WIDE, initial_indent="  ", subsequent_indent="    ", drop_whitespace=True
        )
    ]
    return ["", f"{title}:", *wrapped] if wrapped else []


WIDE = 100
"""Columns of `pints bootstrap`, whose table needs them."""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
