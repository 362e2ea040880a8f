"""What `pints status` and `pints bootstrap` say of canned documents."""

from typing import Any

import pytest

from pints.bootstrap.states import State
from pints.cli.table import WIDTH
from pints.cli.trust import MEANINGS, bootstrap_text, status_text

REFUSED = {
    "reason": "127.0.0.9: connecting to 127.0.0.9:4460: Connection refused",
    "hint": "nothing listens there: is it an NTS key server, on that port (4460)?",
}
STATUS: dict[str, Any] = {
    "state": "verified",
    "basis": "anchored",
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
        "Keys from an earlier check, or an hour of agreement, confirm it.",
    ]


def test_status_warns_of_one_alone() -> None:
    text = status_text(STATUS | {"single_witness": True, "witnesses": 1, "agreeing": 1})
    assert "1 of 1 witness agree" in text
    assert "Single witness: one server alone decides" in text
    text = status_text(STATUS | {"basis": "windows", "single_issuer": True})
    assert "Single issuer: one certificate authority stands behind all of them." in text
    assert "nothing older\nconfirms it" in text or "nothing older confirms it" in text


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


BOOTSTRAP: dict[str, Any] = {
    "state": "verified",
    "basis": "windows",
    "belief": "2026-11-23T03:44:39Z",
    "belief_error": 7.8e-06,
    "hard_floor": "2025-10-19T03:44:35Z",
    "soft_floor": "2025-10-20T03:44:35Z",
    "ceiling": "2045-10-19T00:08:35Z",
    "witnesses": 3,
    "needed": 2,
    "members": ["a.test"],
    "refusals": ["R3: b.test: its saved session is good never"],
    "testimonies": [
        {
            "source": "a.test",
            "time": "2026-11-23T03:44:39Z",
            "error": 8.4e-06,
            "age": 0.009,
            "by": "certificate",
            "windows": [["2026-11-22T03:44:34Z", "2027-02-21T03:44:34Z"]],
        },
        {
            "source": "b.test",
            "time": "2026-11-23T03:44:40Z",
            "error": 2.0,
            "age": 1.5,
            "by": "saved session",
            "windows": [],
        },
    ],
    "failures": {
        "c.test": {
            "reason": "c.test: no such name",
            "hint": "check the spelling of the server's name",
        }
    },
}


def test_bootstrap() -> None:
    assert bootstrap_text(BOOTSTRAP).splitlines() == [
        "State      : verified (windows)",
        "Belief     : 2026-11-23T03:44:39Z +- 7.8 us",
        "Witnesses  : 3, of which 2 must agree; 1 do",
        "Hard floor : 2025-10-19T03:44:35Z  nothing earlier is ever believed (R1)",
        "Soft floor : 2025-10-20T03:44:35Z  the latest time that was saved",
        "Ceiling    : 2045-10-19T00:08:35Z  nothing later is ever believed (R1)",
        "",
        "MS  Witness  Says                      +-           May speak for",
        "=================================================================",
        "c*  a.test   2026-11-23T03:44:39Z  8.4 us  2026-11-22..2027-02-21",
        "s?  b.test   2026-11-23T03:44:40Z     2 s                   never",
        "M: c by certificate, s by saved session.  S: * agrees, ? does not",
        "",
        "Refused:",
        "  R3: b.test: its saved session is good never",
        "",
        "Failing:",
        "  c.test: no such name",
        "    check the spelling of the server's name",
    ]


def test_bootstrap_without_evidence() -> None:
    text = bootstrap_text(BOOTSTRAP | {"belief": None, "belief_error": None, "testimonies": []})
    assert "Belief     : none" in text
    assert "No evidence: no witness has answered." in text
