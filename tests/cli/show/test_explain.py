"""`pints bootstrap --explain`: prose that is right in every state."""

import re
from typing import Any

import pytest

from pints.bootstrap.rules import RULES
from pints.bootstrap.states import Basis, State
from pints.cli.show.explain import ANSWERS, BASES, BOUNDS, NOUNS, OUTCOMES, SINGLE, explain_text
from pints.cli.show.table import WIDTH
from pints.report.evidence import Kind, Verdict
from tests.cli.show.test_trust import AGREEING, BOOTSTRAP, COUNTS, FLOORS, LIAR, row

TITLES = [
    "Can the clock be trusted?",
    "What it knew when it woke",
    "Who was asked, and what they said",
    "Who was refused, or disputes, and by which rule",
    "Why the time is believed",
    "What is still missing",
    "What to do next",
    "The story of this boot, in seconds since pints started",
]
NOTHING: dict[str, Any] = {
    "basis": "",
    "belief": None,
    "belief_error": None,
    "agreeing": 0,
    "members": [],
}


def chapters(**changes: Any) -> dict[str, str]:
    """The text of each chapter, on one line each."""
    text = explain_text(BOOTSTRAP | changes)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    found = re.split(rf"^({'|'.join(map(re.escape, TITLES))})$", text, flags=re.M)[1:]
    assert found[::2] == [title for title in TITLES if title in found[::2]], "in this order"
    return {
        title: " ".join(body.split()) for title, body in zip(found[::2], found[1::2], strict=True)
    }


def test_the_tables_are_complete() -> None:
    assert set(ANSWERS) == {s.value for s in State}
    assert set(BASES) == {b.value for b in Basis} - {""}
    assert set(OUTCOMES) == {v.value for v in Verdict}
    assert set(BOUNDS) | set(NOUNS) | set(SINGLE) == {k.value for k in Kind}


def test_all_of_it() -> None:
    told = chapters()
    assert list(told) == TITLES
    assert told[TITLES[0]].startswith("Yes. The clock says 2026-11-23T03:44:39Z; pints calls this")
    assert "'verified (windows)'" in told[TITLES[0]]
    assert "old, expired keys of most of them could still" in told[TITLES[0]]
    assert "40 s ago, the clock said 2025-10-19T03:44:35Z" in told[TITLES[1]]
    assert "3 independent witnesses are configured" in told[TITLES[2]]
    assert "a.test, a server known by its certificate, said 12 s ago" in told[TITLES[2]]
    assert "c.test, a server, has not said anything: no such name." in told[TITLES[2]]
    assert "b.test was refused by rule R3: its saved session is good never" in told[TITLES[3]]
    assert RULES["R3"].text in told[TITLES[3]]
    assert "2 witnesses agree on 2026-11-23T03:44:39Z" in told[TITLES[4]]
    assert "A confirmation that does not depend on certificates' dates" in told[TITLES[5]]
    assert "c.test: check the spelling" in told[TITLES[6]]
    assert told[TITLES[7]] == "0.12 verified (windows): 2 of 3 witnesses agree"


@pytest.mark.parametrize("state", [s.value for s in State])
@pytest.mark.parametrize("evidence", [FLOORS, BOOTSTRAP["evidence"]])
def test_every_state_has_its_text(state: str, evidence: list[dict[str, Any]]) -> None:
    believed = state in ("verified", "disputed", "holdover")
    changes: dict[str, Any] = {"state": state, "evidence": evidence}
    changes |= {} if believed else NOTHING
    told = chapters(**changes)
    assert told[TITLES[0]].startswith(" ".join(ANSWERS[state].split()))
    assert TITLES[4] in told
    assert all(told.values())


def test_anchored_says_what_confirms_it_and_misses_nothing() -> None:
    told = chapters(basis="anchored", confirming=["rtc"], evidence=[*FLOORS, AGREEING])
    assert "something that does not depend on those certificates' dates" in told[TITLES[0]]
    assert "Confirmed by: rtc." in told[TITLES[4]]
    assert told[TITLES[3]] == "Rules that spoke earlier in this boot, and no longer do: R3 1 time."
    assert told[TITLES[5]] == "Nothing."
    assert told[TITLES[6]] == "Nothing: all is well."


def test_single_witness_and_single_issuer_are_said_with_the_answer() -> None:
    assert "Single witness: the configuration lets one" in chapters(single_witness=True)[TITLES[0]]
    told = chapters(single_issuer=True, evidence=[*FLOORS, AGREEING])
    assert "Single issuer: one certificate authority" in told[TITLES[0]]
    assert "once several authorities stand behind them" in told[TITLES[5]]
    assert "Add a server whose certificate another authority issued" in told[TITLES[6]]
    assert "Weakened quorum" in chapters(weakened_quorum=True)[TITLES[0]]


def test_restored_names_what_the_clock_follows() -> None:
    rtc = row(
        "rtc", "real-time clock", "restores the clock, proves nothing", "restores the clock",
        time="2026-11-23T03:44:39Z", error=82e3, age=3.0,
    )  # fmt: skip
    told = chapters(state="restored", evidence=[*FLOORS, rtc], **NOTHING)
    assert "merely follows the real-time clock until" in told[TITLES[4]]
    assert "The real-time clock said 3 s ago that it is now" in told[TITLES[2]]
    assert told[TITLES[5]].startswith("- 2 more witnesses that agree.")


def test_provisional_says_whether_the_clock_follows() -> None:
    one = NOTHING | {"agreeing": 1}
    assert "The clock follows" not in chapters(state="provisional", **one)[TITLES[4]]
    told = chapters(state="provisional", step_provisional=True, **one)
    assert "The clock follows those that have" in told[TITLES[4]]
    assert "- 1 more witness that agrees." in told[TITLES[5]]


def test_disputed_names_who_is_against() -> None:
    rtc = row(
        "rtc", "real-time clock", "confirms or disputes the quorum", "disputes", rule="R6",
        time="2026-11-23T05:44:39Z", error=0.1, age=3.0, detail="2 h off what is believed",
    )  # fmt: skip
    told = chapters(state="disputed", evidence=[*FLOORS, AGREEING, rtc], contradicting=["rtc"])
    assert "it contradicts what the witnesses agree on" in told[TITLES[2]]
    assert "rtc is against the others by rule R6: 2 h off what is believed." in told[TITLES[3]]
    assert "Contradicted by: rtc." in told[TITLES[4]]
    assert "An end to the contradiction." in told[TITLES[5]]
    assert "rtc is against the others" in told[TITLES[6]]


def test_disputed_before_anything_was_believed() -> None:
    told = chapters(state="disputed", **(NOTHING | {"agreeing": 2}))
    assert "were contradicted at once" in told[TITLES[4]]


def test_holdover_says_what_it_goes_by() -> None:
    told = chapters(state="holdover", agreeing=1)
    assert "Enough witnesses agreed earlier in this boot." in told[TITLES[4]]
    assert "- 1 more witness that agrees." in told[TITLES[5]]


def test_a_restarted_daemon_says_where_its_belief_is_from() -> None:
    assert "An earlier run of pints in this boot" in chapters(state="restored")[TITLES[4]]


def test_a_veto_is_told_of_a_server_that_said_nothing() -> None:
    veto = row(
        "d.test", "certificate", "vetoes an earlier time", "vetoes", rule="R4",
        not_before="2026-11-20T00:00:00Z", detail="its certificate was issued later: vetoed",
    )  # fmt: skip
    told = chapters(state="disputed", evidence=[*FLOORS, AGREEING, veto])
    assert "has a certificate that is newer than the time the others agree on" in told[TITLES[2]]
    assert "d.test is against the others" in told[TITLES[6]]


def test_r9_that_cannot_be_kept_is_what_to_see_to() -> None:
    told = chapters(state="provisional", errors=["R9: it cannot be recorded"])
    assert "R9: it cannot be recorded." in told[TITLES[5]]
    assert "/run/pints" in told[TITLES[6]]


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"witnesses": 0}, "Configure servers that speak NTS"),
        ({"witnesses": 1}, "set min_witnesses = 1"),
        ({"running_for": 2.0}, "Wait: it takes some seconds"),
        ({}, "Let TCP port 4460 and UDP port 123 out"),
    ],
)
def test_the_next_step(changes: dict[str, Any], step: str) -> None:
    silent = row("c.test", "witness", COUNTS, "waiting", detail="2 requests unanswered")
    told = chapters(**{"state": "restored", "evidence": [*FLOORS, silent], **NOTHING, **changes})
    assert step in told[TITLES[6]]


def test_a_saved_session_is_said_so() -> None:
    told = chapters(evidence=[*FLOORS, LIAR])
    assert "b.test, a server known by keys of an earlier boot, said 66.7 min ago" in told[TITLES[2]]
