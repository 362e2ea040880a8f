"""`pints bootstrap --explain`: the evidence as prose, for somebody who never read about clocks.

What the clock knew, who was asked, who said what, whom a rule refused, why the time is believed
or is not, what is missing, what to do.  A pure function of the same document that `--json` has.
"""

import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from pints.cli.show.table import WIDTH
from pints.cli.show.trust import SETTLING, reason
from pints.timescale import span

Document = dict[str, Any]

WITNESSES = ("witness", "certificate", "saved session")
"""Kinds of rows that have a vote."""
BOUNDS = ("build epoch", "saved time", "seen time", "ceiling")

ANSWERS = {
    "unset": "No.  Nothing is known about the time yet; do not rely on the clock.",
    "restored": "No.  The clock goes on from what this machine knew by itself, and nobody "
    "independent has confirmed it yet.",
    "provisional": "Not yet.  Somebody says what time it is, but that is not enough to believe it.",
    "verified": "Yes.",
    "disputed": "No.  Enough servers agreed on a time, but other evidence says that it is "
    "wrong: somebody may be lying.  The clock is left as it is and is served to nobody.",
    "holdover": "For now.  The time was verified in this boot, but too few servers are left to go "
    "on proving it.  The clock runs on its own, and its error grows slowly.",
}
"""By state: can the clock be trusted?"""
BASES = {
    "windows": "Enough servers, each with a certificate in order, agree on the time, and it "
    "lies within the dates of all those certificates.  Somebody who owns old, expired keys of "
    "most of them could still have made this up; nothing independent has confirmed it yet.",
    "anchored": "Enough servers, each with a certificate in order, agree on the time, and "
    "something that does not depend on those certificates' dates confirms it, or they went on "
    "agreeing for an hour or more.",
}
"""By basis: what `verified` promises."""


def explain_text(document: Document) -> str:
    """All of it."""
    chapters: tuple[tuple[str, Callable[[Document], Iterable[str]]], ...] = (
        ("Can the clock be trusted?", _answer),
        ("What it knew when it woke", _woke),
        ("Who was asked, and what they said", _said),
        ("Who was refused, or disputes, and by which rule", _refused),
        ("Why the time is believed", _why),
        ("What is still missing", _missing),
        ("What to do next", _next),
        ("The story of this boot, in seconds since pints started", _story),
    )
    parts = []
    for title, chapter in chapters:
        if lines := list(chapter(document)):
            parts.append("\n".join([title, *lines]))
    return "\n\n".join(parts)


# --- chapters ---------------------------------------------------------------------------------


def _answer(document: Document) -> list[str]:
    state, basis = document["state"], document["basis"]
    name = f"{state} ({basis})" if basis else state
    text = f"{ANSWERS[state]}  The clock says {document['time']}; pints calls this '{name}'."
    lines = _paragraph(text)
    if state == "verified":
        lines += _paragraph(BASES[basis])
    if document["single_witness"]:
        lines += _paragraph(
            "Single witness: the configuration lets one server alone decide.  If that one is "
            "wrong, so is the clock."
        )
    if document["weakened_quorum"] and not document["single_witness"]:
        lines += _paragraph(
            "Weakened quorum: the configuration lets fewer than a majority of the servers decide."
        )
    if document["single_issuer"] and not document["single_witness"]:
        lines += _paragraph(
            "Single issuer: one certificate authority stands behind all of them, so whoever "
            "owned that one's key could have made all of this up.  Time alone does not cure it."
        )
    return lines


def _woke(document: Document) -> list[str]:
    rows = {row["kind"]: row for row in document["evidence"] if row["kind"] in BOUNDS}
    text = (
        f"When pints started, {span(document['running_for'])} ago, the clock said "
        f"{document['woke']}.  This version of pints was built at {document['build_epoch']}; "
        "no true time is older than that."
    )
    lines = _paragraph(text)
    saved, seen = rows["saved time"], rows["seen time"]
    if not saved["not_before"]:
        lines += _paragraph("No time that it was sure of had been saved.")
    elif saved["verdict"] == "refused":
        lines += _paragraph(f"The saved time {saved['not_before']} is ignored: {saved['detail']}.")
    else:
        lines += _paragraph(
            f"The latest time that it had once been sure of is {saved['not_before']}."
        )
    if seen["verdict"] == "bounds":
        lines += _paragraph(
            f"The latest time that it had ever seen, without being sure, is {seen['not_before']}."
        )
    return lines


def _said(document: Document) -> list[str]:
    needed, witnesses = document["needed"], document["witnesses"]
    if witnesses:
        lines = _paragraph(
            f"{_count(witnesses, 'independent witness', 'independent witnesses')} "
            f"{'are' if witnesses != 1 else 'is'} configured: servers that prove who they are.  "
            f"{needed} must agree, whether or not the others answer."
        )
    else:
        lines = _paragraph("No server that could prove who it is is configured.")
    for row in document["evidence"]:
        if row["kind"] not in BOUNDS:
            sentence = _sentence(row)
            lines += _item(
                sentence[0].upper() + sentence[1:] if row["kind"] in SINGLE else sentence
            )
    if document["others"]:
        lines += _paragraph(
            f"These were asked too, but may never decide what time it is, for they are plain NTP, "
            f"or named by the network, or only measured: {', '.join(document['others'])}."
        )
    return lines


def _refused(document: Document) -> list[str]:
    lines = []
    for row in document["evidence"]:
        if row["rule"]:
            detail = f": {reason(row)}" if row["detail"] else ""
            against = row["verdict"] in ("disputes", "vetoes")
            what = "is against the others by" if against else "was refused by"
            lines += _item(f"{row['origin']} {what} rule {row['rule']}{detail}.")
            lines += _quoted(document["rules"].get(row["rule"], ""))
    ended = {
        rule: times for rule, times in document["refused"].items()
        if all(row["rule"] != rule for row in document["evidence"])
    }  # fmt: skip
    if ended:
        names = ", ".join(f"{rule} {_count(n, 'time', 'times')}" for rule, n in ended.items())
        lines += _paragraph(f"Rules that spoke earlier in this boot, and no longer do: {names}.")
    return lines or ["  Nobody."]


def _why(document: Document) -> list[str]:
    lines = _paragraph(_grounds(document))
    if document["confirming"]:
        lines += _paragraph(f"Confirmed by: {', '.join(document['confirming'])}.")
    if document["contradicting"]:
        lines += _paragraph(f"Contradicted by: {', '.join(document['contradicting'])}.")
    return lines


def _grounds(document: Document) -> str:
    """What the belief stands on, or why there is none."""
    state = document["state"]
    if document["belief"] is None:
        return _unbelieved(document)
    held = f"{document['belief']}, give or take {span(document['belief_error'])}"
    if state == "verified":
        return (
            f"{document['agreeing']} witnesses agree on {held}; {document['needed']} are needed.  "
            "Their answers are signed with keys that only they have; each one's certificate, or "
            "its saved session, is good at that time; and it lies between the oldest and the "
            "newest time that can be true."
        )
    if state == "holdover":
        return (
            f"Enough witnesses agreed earlier in this boot.  By the clock that has counted since, "
            f"it is now {held}."
        )
    if state == "disputed":
        return f"Enough witnesses agreed on {held}, and then were contradicted."
    return (
        f"An earlier run of pints in this boot had verified {held}; it is kept, and nothing that "
        "contradicts it is heard."
    )


def _unbelieved(document: Document) -> str:
    if document["state"] == "disputed":
        return "It is not: enough witnesses agreed on a time, and were contradicted at once."
    restoring = [r for r in document["evidence"] if r["verdict"] == "restores the clock"]
    if restoring:
        return (
            f"It is not.  The clock merely follows {_name(restoring[0]).rstrip(',')} until enough "
            "witnesses have spoken; that proves nothing."
        )
    text = "It is not: too few witnesses have agreed on a time yet."
    if document["state"] == "provisional" and document["step_provisional"]:
        text += "  The clock follows those that have, for the configuration says so."
    return text


def _missing(document: Document) -> list[str]:
    state, lines = document["state"], []
    agreeing, needed = document["agreeing"], document["needed"]
    if needed > document["witnesses"]:
        lines += _item(
            f"Witnesses: {needed} are needed, {document['witnesses']} configured.  This can "
            "never be verified."
        )
    elif agreeing < needed:
        more = needed - agreeing
        lines += _item(f"{_count(more, 'more witness that agrees', 'more witnesses that agree')}.")
    if state == "disputed":
        lines += _item("An end to the contradiction.")
    if state == "verified" and document["basis"] == "windows":
        lines += _item(
            "A confirmation that does not depend on certificates' dates.  A real-time clock, a "
            "trusted GPS, Roughtime or saved sessions give it at once; else the same servers, "
            "still agreeing, give it "
            + ("once they have agreed for an hour in all."
               if not document["single_issuer"] else "once several authorities stand behind them.")
        )  # fmt: skip
    for error in document["errors"]:
        lines += _item(f"{error}.")
    return lines or ["  Nothing."]


def _next(document: Document) -> list[str]:
    """The most certain cause first."""
    lines = [part for step in _steps(document) for part in _item(step)]
    return lines or ["  Nothing: all is well."]


def _steps(document: Document) -> list[str]:
    state, rows = document["state"], document["evidence"]
    if document["errors"]:
        return ["See that the folder /run/pints (the option `runtime`) exists and is writable."]
    if state == "disputed":
        against = [r["origin"] for r in rows if r["verdict"] in ("disputes", "vetoes")]
        names = ", ".join(against) or "Somebody"
        return [
            f"Find out who is wrong.  {names} is against the others: compare with a clock that "
            "you trust.  Remove what is wrong from the configuration, and start the machine anew."
        ]
    hints = [f"{r['origin']}: {r['hint']}" for r in rows if r["hint"]]
    if state in ("verified", "holdover") and document["agreeing"] >= document["needed"]:
        steps = hints
        if document["single_witness"]:
            steps = [*steps, "Add servers of other operators, so that one alone decides nothing."]
        elif document["single_issuer"]:
            steps = [*steps, "Add a server whose certificate another authority issued."]
        return steps
    if not document["witnesses"]:
        return ["Configure servers that speak NTS; without any, nothing can be verified."]
    if document["needed"] > document["witnesses"]:
        return ["Add servers of other operators, or set min_witnesses = 1 to let one decide."]
    if document["running_for"] < SETTLING and not hints:
        return ["Wait: it takes some seconds.  `pints wait` returns when it is done."]
    silent = [r for r in rows if r["kind"] in WITNESSES and r["verdict"] == "waiting"]
    if silent and not hints:
        hints = [
            "Let TCP port 4460 and UDP port 123 out through the firewall; `pints ke HOST` tries "
            "one server at once."
        ]
    return hints or ["`pints sources` shows who answers; `pints ke HOST` tries one server at once."]


def _story(document: Document) -> list[str]:
    lines = []
    for row in document["story"]:
        lines += textwrap.wrap(
            row["text"], WIDTH, initial_indent=f"{row['after']:10.2f}  ",
            subsequent_indent=" " * 12,
        )  # fmt: skip
    return lines


# --- sentences --------------------------------------------------------------------------------


def _sentence(row: Document) -> str:
    """Who said what, and what came of it."""
    who, verdict = _name(row), row["verdict"]
    if row["age"] is None:
        if verdict == "vetoes":
            return f"{who} has a certificate that is newer than the time the others agree on."
        if verdict == "refused":
            return f"{who} was refused by rule {row['rule']}."
        return f"{who} has not said anything: {reason(row)}."
    when = f"{span(row['age'])} ago" if row["age"] >= 1.0 else "just now"
    says = f"{who} said {when}"
    if row["time"]:
        says += f" that it is now {row['time']}, give or take {span(row['error'])}"
    comma = f", {row['detail']}" if row["detail"] else ""
    outcome = OUTCOMES[verdict].format(rule=row["rule"], detail=row["detail"], comma=comma)
    return f"{says}: {outcome}."


def _name(row: Document) -> str:
    """Whose word it is, and what that is."""
    kind = row["kind"]
    return SINGLE[kind] if kind in SINGLE else f"{row['origin']}, {NOUNS[kind]},"


SINGLE = {
    "real-time clock": "the real-time clock",
    "Roughtime": "a majority of the Roughtime servers",
    "operator": "the operator",
}
NOUNS = {
    "witness": "a server",
    "certificate": "a server known by its certificate",
    "saved session": "a server known by keys of an earlier boot",
    "receiver": "a receiver",
    "anchor": "a server of an authority that lives long",
    "unauthenticated server": "a server that proves nothing",
}
"""By kind, where there may be several."""
OUTCOMES = {
    "bounds": "it bounds the time",
    "nothing saved": "nothing was saved",
    "agrees": "it agrees with the majority",
    "stands alone": "nobody else has said the same yet",
    "confirms": "it confirms what the witnesses agree on, and needs no certificate's date for it",
    "disputes": "it contradicts what the witnesses agree on",
    "vetoes": "its certificate is newer than the time the others agree on, so that is not true",
    "outvoted": "{detail}",
    "refused": "refused by rule {rule}",
    "restores the clock": "the clock follows it until witnesses have spoken",
    "makes a belief": "it is noted, and verifies nothing",
    "changes nothing": "it changes nothing{comma}",
    "waiting": "it waits for others",
}
"""By verdict: what came of a word."""


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _quoted(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="      ", subsequent_indent="      ")
