"""The account of the evidence: a row for everything, and what came of each."""

from dataclasses import replace

import pytest

from pints.bootstrap.rules import Refusal
from pints.bootstrap.states import State
from pints.config.tables import BootstrapConfig
from pints.errors import UntrustedTimeError
from pints.report.evidence import Asked, Kind, Row, Verdict, account
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength
from tests.bootstrap.test_engine import EPOCH, TRUE, Boots, boots, verified


def rows(boot: Boots, *asked: Asked) -> dict[str, Row]:
    """By origin."""
    witnesses = tuple(Asked(w, Kind.WITNESS) for w in "abcde")
    found = account(boot.engine, asked or witnesses, boot.now.boot)
    assert len({row.origin for row in found}) == len(found)
    return {row.origin: row for row in found}


def independent(
    boot: Boots, origin: str = "rtc", ahead: float = 0.0, error: float = 1.0
) -> Evidence:
    low, high = boot.true(ahead - error), boot.true(ahead + error)
    return Evidence(origin, Strength.INDEPENDENT, boot.now.boot, low, high)


def test_bounds_come_first_and_are_always_there() -> None:
    found = account(boots().engine, (), boots().now.boot)
    assert [row.kind for row in found] == [Kind.BUILD_EPOCH, Kind.SAVED, Kind.SEEN, Kind.CEILING]
    epoch, saved, seen, ceiling = found
    assert (epoch.low, epoch.high, epoch.verdict) == (EPOCH, None, Verdict.BOUNDS)
    assert (ceiling.low, ceiling.verdict) == (None, Verdict.BOUNDS)
    assert ceiling.high == Floors(EPOCH).ceiling
    assert saved.verdict is seen.verdict is Verdict.NOTHING
    assert saved.low is None


@pytest.mark.parametrize(
    ("days", "verdict", "rule"),
    [
        (10, Verdict.BOUNDS, ""),
        (-10, Verdict.IDLE, ""),
        (21 * 365.25, Verdict.REFUSED, "R1"),
    ],
)
def test_saved_and_seen_time(days: float, verdict: Verdict, rule: str) -> None:
    time = Instant(EPOCH + nanoseconds(days * DAY))
    found = rows(boots(floors=Floors(EPOCH, time, time)))
    for kind in ("saved time", "seen time"):
        row = found[kind]
        assert (row.low, row.verdict, row.rule) == (time, verdict, rule)
        assert bool(row.detail) == (verdict is not Verdict.BOUNDS)
    assert bool(found["saved time"].hint) == (verdict is Verdict.REFUSED)


def test_a_witness_that_was_not_heard_has_a_row_that_says_why() -> None:
    found = rows(
        boots(),
        Asked("a", Kind.WITNESS),
        Asked("b", Kind.WITNESS, "no such name", "check the spelling"),
        Asked("c", Kind.WITNESS, "R5: b's certificate is for another name"),
        Asked("d", Kind.WITNESS, "R6: d: its certificate is not valid at noon"),
    )
    assert (found["a"].verdict, found["a"].detail) == (Verdict.WAITING, "no answer yet")
    assert (found["b"].detail, found["b"].hint) == ("no such name", "check the spelling")
    assert (found["c"].verdict, found["c"].rule) == (Verdict.REFUSED, "R5")
    assert found["d"].detail == "its certificate is not valid at noon"
    assert all(found[w].low is found[w].age is None for w in "abcd")


def test_one_answer_stands_alone_and_two_agree() -> None:
    boot = boots()
    boot.shows("a")
    boot.says("a")
    assert rows(boot)["a"].verdict is Verdict.ALONE
    boot.shows("b")
    boot.says("b")
    found = rows(boot)
    assert {found[w].verdict for w in "ab"} == {Verdict.AGREES}
    assert found["a"].kind is Kind.CERTIFICATE
    assert found["a"].windows
    assert found["a"].strength == Strength.WITNESS.value


def test_what_was_said_is_moved_on_to_now_and_grows() -> None:
    boot = verified()
    fresh = rows(boot)["a"]
    boot.elapsed += 100.0
    later = rows(boot)["a"]
    assert later.age == 100.0
    for row in (fresh, later):
        assert row.low is not None
        assert row.high is not None
    assert fresh.low < boot.true(-100) < fresh.high  # type: ignore[operator]
    assert later.low < boot.true() < later.high  # type: ignore[operator]
    assert later.high - later.low > fresh.high - fresh.low  # type: ignore[operator]


def test_the_twin_of_a_witness_is_named() -> None:
    boot = boots("abcd")
    for source in "abc":
        boot.shows(source)
    # d turns out to be a, by its key.
    boot.shows("d")
    identity = boot.engine.identities["a"]
    boot.engine.identify("d", replace(identity, domain="d"))
    for source in "abcd":
        boot.says(source)
    found = rows(boot)
    assert found["d"].verdict is Verdict.AGREES
    assert {found["a"].detail, found["d"].detail} == {"", "same witness as a"}


def test_who_is_outvoted() -> None:
    boot = verified("abcd")
    boot.shows("e")
    boot.says("e", 0.4 * HOUR)
    row = rows(boot)["e"]
    assert (row.verdict, row.rule) in {(Verdict.OUTVOTED, "R2"), (Verdict.REFUSED, "R9")}
    assert "min" in row.detail


def test_who_is_refused_by_r3() -> None:
    boot = boots()
    for source in "abcd":
        boot.shows(source, *((-400, -200) if source == "d" else (-30, 60)))
    for source in "dab":
        boot.says(source)
    row = rows(boot)["d"]
    assert (row.verdict, row.rule) == (Verdict.REFUSED, "R3")


def test_a_certificate_that_never_spoke_vetoes() -> None:
    """Three owners of expired keys agree on last year; the certificate of one who is not even
    heard is of this one."""
    boot = boots()
    for source in "abc":
        boot.shows(source, -400, -200)
    boot.shows("d")
    early = rows(boot)["d"]
    assert (early.kind, early.verdict) == (Kind.CERTIFICATE, Verdict.WAITING)
    assert early.low == TRUE - nanoseconds(32 * DAY)
    for source in "abc":
        boot.says(source, -300 * DAY)
    row = rows(boot)["d"]
    assert (row.verdict, row.rule) == (Verdict.VETOES, "R4")
    assert "vetoed" in row.detail
    assert row.high is row.age is None


def test_a_saved_session_confirms() -> None:
    boot = boots()
    for source in "abc":
        boot.says(source, saved=True)
    row = rows(boot)["a"]
    assert (row.kind, row.verdict) == (Kind.SESSION, Verdict.CONFIRMS)


def test_a_saved_session_disputes() -> None:
    boot = boots()
    for source in "bcd":
        boot.shows(source)
    boot.says("a", saved=True)
    for source in "bcd":
        boot.says(source, -HOUR)
    assert boot.engine.state is State.DISPUTED
    row = rows(boot)["a"]
    assert (row.verdict, row.rule) == (Verdict.DISPUTES, "R6")


def test_a_clock_restores_then_confirms_or_disputes() -> None:
    asked = (*(Asked(w, Kind.WITNESS) for w in "abc"), Asked("rtc", Kind.RTC, "it cannot be read"))
    boot = boots()
    row = rows(boot, *asked)["rtc"]
    assert (row.verdict, row.detail) == (Verdict.WAITING, "it cannot be read")
    boot.do(boot.engine.offer(independent(boot), boot.now))
    assert rows(boot, *asked)["rtc"].verdict is Verdict.RESTORES
    for source in "abc":
        boot.shows(source)
        boot.says(source)
    assert rows(boot, *asked)["rtc"].verdict is Verdict.CONFIRMS
    boot.do(boot.engine.offer(independent(boot, ahead=HOUR), boot.now))
    row = rows(boot, *asked)["rtc"]
    assert (row.verdict, row.rule) == (Verdict.DISPUTES, "R6")
    assert row.detail == "60 min off what is believed"


def test_what_is_too_unsure_confirms_nothing() -> None:
    boot = boots()
    boot.do(boot.engine.offer(independent(boot, "gps x", error=2 * DAY), boot.now))
    for source in "abc":
        boot.shows(source)
        boot.says(source)
    row = rows(boot, Asked("gps x", Kind.RECEIVER))["gps x"]
    assert (row.kind, row.verdict) == (Kind.RECEIVER, Verdict.IDLE)
    assert row.detail == "agrees with what is believed"


def test_a_refused_clock() -> None:
    boot = boots()
    boot.do(boot.engine.offer(Refusal("R1", "rtc", "its flags say OSF"), boot.now))
    row = rows(boot, Asked("rtc", Kind.RTC))["rtc"]
    assert (row.verdict, row.rule, row.detail) == (Verdict.REFUSED, "R1", "its flags say OSF")


def test_operator_and_anchor_make_a_belief() -> None:
    boot = boots(config=BootstrapConfig(step_provisional=False))
    for origin, kind in (("operator", Kind.OPERATOR), ("anchor x", Kind.ANCHOR)):
        said = replace(independent(boot, origin), strength=Strength.BELIEF)
        boot.do(boot.engine.offer(said, boot.now))
        asked = () if kind is Kind.OPERATOR else (Asked(origin, kind),)
        row = rows(boot, *asked)[origin]
        assert row.kind is kind
        # Only the operator's word moves the clock without `step_provisional`.
        restores = kind is Kind.OPERATOR
        assert row.verdict is (Verdict.RESTORES if restores else Verdict.BELIEVED)


def test_who_was_never_asked_has_a_row_as_well() -> None:
    boot = boots("", config=BootstrapConfig(step_provisional=True))
    boot.says("plain", authentic=False)
    row = rows(boot)["plain plain"]
    assert (row.kind, row.verdict) == (Kind.PLAIN, Verdict.RESTORES)


def test_r8_a_floor_that_lies_in_the_future_is_disputed() -> None:
    future = Instant(TRUE + nanoseconds(YEAR))
    boot = boots(floors=Floors(EPOCH, future))
    for source in "abc":
        with pytest.raises(UntrustedTimeError):
            boot.shows(source)
        boot.shows(source, -30, 800)
        boot.says(source)
    row = rows(boot)["saved time"]
    assert (row.verdict, row.rule) == (Verdict.DISPUTES, "R8")
    assert "3 witnesses" in row.detail
    assert "pints restore --forget" in row.hint


def test_names_of_keys_are_nowhere() -> None:
    boot = verified()
    assert not any("key of" in str(row) or "root of" in str(row) for row in rows(boot).values())
