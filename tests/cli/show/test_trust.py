"""What `pints status` and `pints bootstrap` say of canned documents."""

from typing import Any

import pytest

from pints.bootstrap.rules import RULES
from pints.bootstrap.states import State
from pints.cli.show.table import WIDTH
from pints.cli.show.trust import LETTERS, MEANINGS, WIDE, bootstrap_text, status_text
from pints.report.evidence import VETOES
from pints.values.evidence import Strength

REFUSED = {
    "reason": "127.0.0.9: connecting to 127.0.0.9:4460: Connection refused",
    "hint": "nothing listens there: is it an NTS key server, on that port (4460)?",
}
STATUS: dict[str, Any] = {
    "state": "verified",
    "basis": "anchored",
    "follows": "",
    "single_witness": False,
    "single_issuer": False,
    "time": "2026-11-23T03:44:39Z",
    "error_bound": 0.00123,
    "witnesses": 5,
    "needed": 3,
    "agreeing": 3,
    "sources": 5,
    "answering": 3,
    "failures": {},
    "running_for": 400.0,
    "refusals": {},
}


def test_status_verified() -> None:
    assert status_text(STATUS).splitlines() == [
        "verified (anchored): 2026-11-23T03:44:39Z, within 1.23 ms; 3 of 5 witnesses agree "
        "(3 needed)",
        "The time is right: enough independent servers proved who they are and agree.",
        "Evidence besides their certificates, or an hour of agreement, confirms it.",
    ]


def test_status_warns_of_one_alone() -> None:
    text = status_text(STATUS | {"single_witness": True, "witnesses": 1, "agreeing": 1})
    assert "1 of 1 witness agree" in text
    assert "Single witness: one server alone decides" in text
    text = status_text(STATUS | {"basis": "windows", "single_issuer": True})
    assert "Single issuer: one certificate authority stands behind all of them." in text
    assert "nothing else confirms it" in text.replace("\n", " ")


def test_status_names_the_failing_sources_and_what_to_do() -> None:
    document = STATUS | {
        "state": "provisional", "basis": "", "error_bound": None, "agreeing": 2,
        "failures": {"127.0.0.9": REFUSED},
    }  # fmt: skip
    lines = status_text(document).splitlines()
    assert lines[0] == (
        "provisional: 2026-11-23T03:44:39Z, unconfirmed; 2 of 5 witnesses agree (3 needed)"
    )
    assert lines[-5:] == [
        "Failing sources:",
        "  127.0.0.9: connecting to 127.0.0.9:4460: Connection refused",
        "    nothing listens there: is it an NTS key server, on that port (4460)?",
        "",
        "Next: mend the failing sources above; `pints ke HOST` tries one of them at once.",
    ]


@pytest.mark.parametrize(
    ("origin", "name"),
    [("gps /dev/ttyAMA0", "gps /dev/ttyAMA0"), ("operator", "what its operator said")],
)
def test_status_says_what_the_clock_follows(origin: str, name: str) -> None:
    text = status_text(STATUS | {"state": "restored", "basis": "", "follows": origin})
    assert f"The clock follows {name}, which proves nothing." in text.replace("\n", " ")
    assert "saved" not in text


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"witnesses": 0, "needed": 2}, "configure servers that speak NTS"),
        ({"witnesses": 1, "needed": 2}, "set min_witnesses = 1"),
        ({"state": "disputed"}, "pints bootstrap"),
        ({"refusals": {"R2": 1, "R1": 4}}, "rules R1, R2"),
        ({"running_for": 2.0}, "wait: it takes some seconds"),
        ({"answering": 1}, "1 of 5 sources answer"),
    ],
)
def test_status_gives_the_next_step(changes: dict[str, Any], step: str) -> None:
    document = STATUS | {"state": "restored", "basis": "", "error_bound": None} | changes
    text = status_text(document)
    assert step in text.partition("Next: ")[2].replace("\n", " ")


@pytest.mark.parametrize("state", MEANINGS)
def test_every_state_has_a_meaning_that_fits(state: str) -> None:
    assert set(MEANINGS) == {s.value for s in State}
    lines = status_text(STATUS | {"state": state, "basis": ""}).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= WIDTH for line in lines[1:])


def row(origin: str, kind: str, strength: str, verdict: str, **more: Any) -> dict[str, Any]:
    """A row of evidence."""
    return {
        "origin": origin, "kind": kind, "strength": strength, "verdict": verdict, "time": None,
        "error": None, "not_before": None, "not_after": None, "windows": [], "age": None,
        "rule": "", "detail": "", "hint": "",
    } | more  # fmt: skip


COUNTS = "counts for the quorum"
BOUNDS = "bounds the time"
FLOORS = [
    row("build epoch", "build epoch", BOUNDS, "bounds", not_before="2025-10-19T03:44:35Z"),
    row("saved time", "saved time", BOUNDS, "nothing saved"),
    row("seen time", "seen time", "orders the logs, proves nothing", "nothing saved"),
    row("ceiling", "ceiling", BOUNDS, "bounds", not_after="2045-10-19T00:08:35Z"),
]
AGREEING = row(
    "a.test", "certificate", COUNTS, "agrees", time="2026-11-23T03:44:39Z", error=8.4e-06,
    age=12.0, windows=[["2026-11-22T03:44:34Z", "2027-02-21T03:44:34Z"]],
)  # fmt: skip
LIAR = row(
    "b.test", "saved session", COUNTS, "refused", time="2026-11-23T03:44:40Z", error=0.3, age=4e3,
    rule="R3", detail="its saved session is good never, not at the agreed 2026-11-23T03:44:39Z",
)  # fmt: skip
SILENT = row(
    "c.test", "witness", COUNTS, "waiting", detail="c.test: no such name",
    hint="check the spelling of the server's name",
)  # fmt: skip
BOOTSTRAP: dict[str, Any] = {
    "state": "verified",
    "basis": "windows",
    "single_witness": False,
    "single_issuer": False,
    "weakened_quorum": False,
    "step_provisional": False,
    "time": "2026-11-23T03:44:39Z",
    "woke": "2025-10-19T03:44:35Z",
    "running_for": 40.0,
    "belief": "2026-11-23T03:44:39Z",
    "belief_error": 7.8e-06,
    "build_epoch": "2025-10-19T03:44:35Z",
    "hard_floor": "2025-10-19T03:44:35Z",
    "soft_floor": "2025-10-20T03:44:35Z",
    "ceiling": "2045-10-19T00:08:35Z",
    "leap_second": None,
    "errors": [],
    "witnesses": 3,
    "needed": 2,
    "agreeing": 2,
    "members": ["a.test"],
    "confirming": [],
    "contradicting": [],
    "evidence": [*FLOORS, AGREEING, LIAR, SILENT],
    "others": [],
    "refusals": ["R3: b.test: its saved session is good never"],
    "refused": {"R3": 1},
    "rules": {name: rule.text for name, rule in RULES.items()},
    "story": [{"after": 0.12, "text": "verified (windows): 2 of 3 witnesses agree"}],
    "testimonies": [],
    "failures": {},
}


def test_bootstrap() -> None:
    assert bootstrap_text(BOOTSTRAP).splitlines() == [
        "State      : verified (windows)",
        "Belief     : 2026-11-23T03:44:39Z +- 7.8 us",
        "Witnesses  : 3, of which 2 must agree; 2 do",
        "Hard floor : 2025-10-19T03:44:35Z  nothing earlier is ever believed (R1)",
        "Soft floor : 2025-10-20T03:44:35Z  the latest time that was saved",
        "Ceiling    : 2045-10-19T00:08:35Z  nothing later is ever believed (R1)",
        "",
        "K  Who          Says                         +-  Age  What came of it",
        "=====================================================================",
        "-  build epoch  >= 2025-10-19T03:44:35Z       -    -  bounds",
        "-  saved time   -                             -    -  nothing saved",
        "-  seen time    -                             -    -  nothing saved",
        "-  ceiling      <= 2045-10-19T00:08:35Z       -    -  bounds",
        "c  a.test       2026-11-23T03:44:39Z     8.4 us   12  agrees",
        "s  b.test       2026-11-23T03:44:40Z     300 ms  67m  refused (R3)",
        "c  c.test       -                             -    -  waiting",
        "K: c counts by its certificate, s by a saved session, v only vetoes an earlier time,",
        "   i independent: confirms or disputes, b makes a belief, l restores the clock, - bounds",
        "",
        "May speak for:",
        "  a.test: 2026-11-22T03:44:34Z to 2027-02-21T03:44:34Z",
        "  b.test: never",
        "",
        "Why:",
        "  b.test: R3: its saved session is good never, not at the agreed 2026-11-23T03:44:39Z",
        "  c.test: no such name",
        "    check the spelling of the server's name",
        "",
        "In plain words: pints bootstrap --explain",
    ]


def test_bootstrap_says_what_weakens_it_and_what_is_wrong() -> None:
    text = bootstrap_text(
        BOOTSTRAP
        | {
            "single_issuer": True,
            "weakened_quorum": True,
            "errors": ["R9: cannot be recorded"],
            "others": ["plain.test"],
            "leap_second": "2026-12-31T00:00:00Z",
        }
    )
    assert text.startswith("State      : verified (windows), single issuer, weakened quorum\n")
    assert "Wrong with this machine:\n  R9: cannot be recorded\n" in text
    assert "\n  plain.test\n" in text
    assert "A leap second is due at 2026-12-31T00:00:00Z." in text


def test_bootstrap_without_belief() -> None:
    assert "Belief     : none" in bootstrap_text(BOOTSTRAP | {"belief": None, "belief_error": None})


def test_bootstrap_takes_a_hundred_columns() -> None:
    """With the longest name, figures, verdict and reason that there are."""
    long = row(
        "a" * 80, "receiver", "confirms or disputes the quorum", "restores the clock",
        not_before="2026-11-23T03:44:39Z", error=1e8, age=1e9, rule="R13", detail="why " * 60,
        windows=[["2026-11-22T03:44:34Z", "2027-02-21T03:44:34Z"]] * 4, hint="so " * 60,
    )  # fmt: skip
    text = bootstrap_text(BOOTSTRAP | {"evidence": [*FLOORS, long]})
    assert max(map(len, text.splitlines())) <= WIDE
    assert "a" * 80 in text, "the name in full, below the table"


def test_every_strength_has_its_letter() -> None:
    strengths = {s.value for s in Strength} | {row["strength"] for row in FLOORS}
    assert strengths | {VETOES} == set(LETTERS)
