"""Whether the scenarios would notice: each rule is switched off in turn, here and nowhere else,
and every scenario named beside it must fail.  With the rule on it passes: each is a test of its
own, with these very parameters.

A scenario fails by one of its own assertions, or one of `rules` or of the world: an accident in
a program that lost a part of itself proves nothing.
"""

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pints import actions
from pints.bootstrap import rules
from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.future_floor import FutureFloor
from pints.bootstrap.quorum import Finding
from pints.client import packets
from pints.client.association import Association, Remark
from pints.client.packets import Pending
from pints.client.retry import Retry
from pints.client.schedule import Schedule
from pints.client.session import SavedSession, Session, decode_batch
from pints.config.tables import Config, SourceConfig
from pints.sync.leap import LeapWatch
from pints.timescale import DAY, HOUR, YEAR, Boot, Instant, Reading, nanoseconds
from pints.values.belief import Belief, Floors, decode_belief
from pints.wire import ntp
from tests.world import test_chains as chains
from tests.world import test_false_clocks as false_clocks
from tests.world import test_future_floor as future_floor
from tests.world import test_honest as honest
from tests.world import test_impostors as impostors
from tests.world import test_leaked_keys as leaked_keys
from tests.world import test_on_path as on_path
from tests.world import test_restarts as restarts
from tests.world import test_turncoats as turncoats
from tests.world.world import World

Scenario = Callable[[World], None]
RULES = "pints.bootstrap.rules"
ENGINE = "pints.bootstrap.engine"


@dataclass(frozen=True, slots=True)
class Mutant:
    """The program without one of its rules, or without a part of it."""

    rule: str
    what: str
    """What is let through."""
    patches: Mapping[str, Any]
    """By dotted name: what stands there instead."""
    caught_by: tuple[Scenario, ...]

    def __str__(self) -> str:
        return f"{self.rule} off: {self.what}"


def nothing(*_: object, **__: object) -> None:
    """In place of a rule that refuses."""


# --- what stands in place of what is longer than a line --------------------------------------

lowered = FutureFloor.lowered
recorded = Bootstrap.recorded
nak, kissed = Association._nak, Schedule.kissed
authenticate = packets.authenticate
hear = LeapWatch.hear


def lowered_though_some_dissent(
    self: FutureFloor, finding: Finding, voices: int, *rest: Any
) -> Floors | None:
    finding = replace(finding, dissenters=frozenset())
    return lowered(self, finding, len(finding.members), *rest)


def lowered_without_evidence(
    self: FutureFloor, finding: Finding, voices: int, needed: int, confirmed: bool,
    floors: Floors, now: Boot,
) -> Floors | None:  # fmt: skip
    return lowered(self, finding, voices, needed, True, floors, now)


def lowered_below_the_build(
    self: FutureFloor, finding: Finding, voices: int, needed: int, confirmed: bool,
    floors: Floors, now: Boot,
) -> Floors | None:  # fmt: skip
    found = lowered(self, finding, voices, needed, confirmed, floors, now)
    return found and Floors(finding.low)


def a_year_earlier(self: Bootstrap) -> Floors:
    return Floors(Instant(self.floors.build_epoch - nanoseconds(YEAR)))


def announced_unrecorded(self: Bootstrap, ok: bool, now: Reading) -> list[actions.Action]:
    return recorded(self, True, now)


def belief_of_any_boot(text: str, boot_id: str) -> tuple[Belief, str] | None:
    return decode_belief(text, text.split()[2])


def sessions_of_any_board(data: bytes, board: str) -> list[SavedSession]:
    return decode_batch(data, "this board")


def nak_deletes_keys(self: Association, pending: Pending) -> Remark:
    remark = nak(self, pending)
    self.drop_session("NAK", pending.sent)
    return remark


def any_kiss_is_obeyed(
    packet: ntp.Packet, data: bytes, pending: Pending
) -> tuple[bytes, ...] | None:
    return () if packet.kiss_code else authenticate(packet, data, pending)


def network_hastens_all(self: Retry, now: Boot) -> None:
    if not self.running and self.due is not None:
        self.due = now


def one_herald_is_enough(
    self: LeapWatch, said: Mapping[str, int], members: Any, needed: int, true: Instant
) -> bool:
    return hear(self, said, members, 1, true)


def cookie_that_stays(self: Session) -> bytes:
    return self.cookies[0]


def any_authenticated(source: SourceConfig, config: Config) -> bool:
    return source.nts


# --- scenarios that make a world of their own, at its date ---


def invented_leap_second(world: World) -> None:
    turncoats.test_leap_second_that_a_minority_invents(1, 1)


def smearing(world: World) -> None:
    turncoats.test_smearing_servers_have_no_vote_near_a_leap_second(1)


def leap_second_in_november(world: World) -> None:
    turncoats.test_leap_second_where_none_may_be(1, 10)


OF_THEIR_OWN: Mapping[Scenario, tuple[Any, Mapping[str, object]]] = {
    invented_leap_second: (turncoats.test_leap_second_that_a_minority_invents, {"heralds": 1}),
    smearing: (turncoats.test_smearing_servers_have_no_vote_near_a_leap_second, {}),
    leap_second_in_november: (turncoats.test_leap_second_where_none_may_be, {"day": 10}),
}
"""The tests that these are."""

# --- the table -------------------------------------------------------------------------------

MUTANTS = [
    Mutant("R1", "evidence from below the floor and above the ceiling",
           {f"{RULES}.r1_bounds": nothing},
           (partial(leaked_keys.test_quorum_beyond_the_ceiling, sources=5),
            partial(leaked_keys.test_quorum_at_the_floor, margin=-2 * HOUR))),
    Mutant("R1", "the clock is taken wherever the sources say",
           {f"{RULES}.r1_clock": lambda time, floors: time},
           (partial(false_clocks.test_vague_receiver_just_below_the_floor, below=20.0),)),
    Mutant("R2", "one witness is enough",
           {f"{RULES}.r2_quorum": lambda *_: 1},
           (honest.test_three_of_five_servers_are_down,
            leaked_keys.test_twins_of_silenced_servers)),
    Mutant("R2", "silence lowers what is needed",
           {f"{ENGINE}.Bootstrap.needed": property(lambda self: len(self.testimonies) // 2 + 1)},
           (honest.test_three_of_five_servers_are_down,
            leaked_keys.test_twins_of_silenced_servers)),
    Mutant("R2", "wide intervals vote",
           {f"{RULES}.r2_width": nothing},
           (on_path.test_delayed_answers_do_not_vote,)),
    Mutant("R2", "servers that the network named are witnesses",
           {"pints.core.core.is_witness": any_authenticated},
           (partial(impostors.test_network_that_adds_a_majority_of_servers,
                    nts=True, lie=-HOUR),)),
    Mutant("R2", "each name is a witness of its own",
           {f"{ENGINE}.groups": lambda identities: {s: s for s in identities}},
           (partial(impostors.test_many_names_are_one_witness, by="operator"),
            partial(impostors.test_many_names_are_one_witness, by="domain"),
            partial(impostors.test_many_names_are_one_witness, by="leaf key"))),
    Mutant("R3", "certificates speak for any time",
           {f"{RULES}.r3_window": nothing},
           (chains.test_r3_who_may_not_speak_for_the_time_leaves_the_quorum_not_n,
            honest.test_sessions_of_twenty_nine_days_are_no_evidence)),
    Mutant("R3", "saved sessions speak for ever",
           {"pints.client.session.LIFETIME": 1000 * DAY},
           (honest.test_sessions_of_twenty_nine_days_are_no_evidence,)),
    Mutant("R4", "certificates from the future",
           {f"{RULES}.r4_future": nothing},
           (partial(leaked_keys.test_r4_one_honest_newer_chain_vetoes, answers=True),
            partial(leaked_keys.test_r4_one_honest_newer_chain_vetoes, answers=False),
            leaked_keys.test_r4_one_honest_newer_chain_that_comes_late_disputes)),
    Mutant("R4", "certificates that expired before the floor",
           {f"{RULES}.r4_expired": nothing},
           (leaked_keys.test_certificates_that_expired_before_the_floor,)),
    Mutant("R5", "wrong names, issuers, signatures",
           {"tests.world.world.Server.refusal": property(lambda self: "", nothing)},
           (impostors.test_on_path_without_keys_cannot_present_chains,)),
    Mutant("R5", "certificates for another name",
           {"pints.worker.verdict._check_name": nothing},
           (partial(chains.test_r5_only_dates_are_forgiven, wrong="name", dates=(-10, 80)),)),
    Mutant("R5", "signatures by another key",
           {"pints.worker.verdict._verify": nothing},
           (partial(chains.test_r5_only_dates_are_forgiven, wrong="key of the CA",
                    dates=(-300, -200)),)),
    Mutant("R5", "dates, where the administrator forgives none",
           {f"{RULES}.r5_dates": nothing},
           (partial(chains.test_relaxed_dates_never, ago=400 * DAY, verified=False),
            chains.test_relaxed_exchange_that_finishes_late)),
    Mutant("R6", "nothing is judged again",
           {f"{RULES}.r6_strict": nothing},
           (impostors.test_relaxed_exchange_of_a_network_source_is_judged_again,)),
    Mutant("R6", "independent evidence does not dispute",
           {f"{RULES}.r6_contradiction": nothing},
           (leaked_keys.test_saved_session_disputes_a_quorum_of_windows,
            leaked_keys.test_saved_session_that_was_silenced_disputes_later)),
    Mutant("R6", "a single issuer confirms itself",
           {f"{RULES}.r6_single_issuer": lambda roots: False},
           (leaked_keys.test_owner_of_a_lapsed_ca_is_a_single_issuer,
            leaked_keys.test_single_issuer_hides_behind_one_that_leaves)),
    Mutant("R6", "anchored without the hour",
           {"pints.bootstrap.confirmation.ANCHOR_AFTER": 0.0},
           (leaked_keys.test_quorum_with_leaked_keys_reaches_windows_at_most,
            leaked_keys.test_quorum_with_leaked_keys_and_restarts)),
    Mutant("R6", "certificates older than the earlier quorum's confirm it",
           {"pints.bootstrap.record.QuorumRecord.agreed_for":
            lambda self, source, since: self.agreed.get(source, 0.0)},
           (leaked_keys.test_leaked_keys_after_an_honest_boot_do_not_pass_for_its_quorum,)),
    Mutant("R6", "sessions are saved before anything confirms them",
           {"pints.core.saving.Saving.sessions_allowed": property(lambda self: True)},
           (leaked_keys.test_owner_of_a_lapsed_ca_is_a_single_issuer,)),
    Mutant("R7", "saved time ratchets on any basis",
           {f"{RULES}.r7_ratchet": lambda saved, low, anchored: max(saved, low)},
           (leaked_keys.test_owner_of_a_lapsed_ca_is_a_single_issuer,)),
    Mutant("R7", "saved time decreases",
           {f"{RULES}.r7_ratchet": lambda saved, low, anchored: low},
           (honest.test_saved_time_beyond_the_ceiling_is_ignored,)),
    Mutant("R8", "lowered at once",
           {"pints.bootstrap.future_floor.UNANIMOUS_FOR": 0.0},
           (future_floor.test_unanimous_witnesses_with_their_sessions_lower_it,
            future_floor.test_a_dissenter_within_the_ten_minutes_begins_them_anew)),
    Mutant("R8", "lowered though some dissent",
           {"pints.bootstrap.future_floor.FutureFloor.lowered": lowered_though_some_dissent},
           (partial(future_floor.test_one_dissenting_witness_keeps_it, session=False),)),
    Mutant("R8", "lowered without independent evidence",
           {"pints.bootstrap.future_floor.FutureFloor.lowered": lowered_without_evidence},
           (future_floor.test_witnesses_without_independent_evidence_keep_it,)),
    Mutant("R8", "lowered by two witnesses",
           {"pints.bootstrap.future_floor.LEAST_WITNESSES": 2},
           (future_floor.test_two_witnesses_are_too_few,)),
    Mutant("R8", "lowered unasked",
           {f"{ENGINE}.FutureFloor": lambda allowed: FutureFloor(True)},
           (future_floor.test_by_default_it_is_kept,)),
    Mutant("R8", "lowered below the build epoch",
           {"pints.bootstrap.future_floor.FutureFloor.lowered": lowered_below_the_build,
            f"{ENGINE}.Bootstrap.lenient_floors": property(a_year_earlier)},
           (partial(future_floor.test_nobody_gets_below_the_build_epoch, ago=0.0),)),
    Mutant("R8", "not reported",
           {"pints.bootstrap.future_floor.FutureFloor.report": lambda *_: []},
           (partial(future_floor.test_it_is_reported_whether_or_not_it_may_be_lowered,
                    floor="keep"),)),
    Mutant("R9", "what contradicts this boot votes",
           {f"{RULES}.r9_contradicts": nothing},
           (partial(turncoats.test_quorum_that_turns_is_never_followed, by=10.0),
            partial(turncoats.test_quorum_that_turns_is_never_followed, by=-HOUR))),
    Mutant("R9", "announced though it could not be recorded",
           {f"{ENGINE}.Bootstrap.recorded": announced_unrecorded},
           (honest.test_runtime_folder_that_cannot_be_written,)),
    Mutant("R9", "a restarted daemon forgets the belief",
           {"pints.storage.load.decode_belief": nothing},
           (restarts.test_restarts_do_not_reopen_relaxed_dates,
            restarts.test_fifty_restarts_reopen_nothing)),
    Mutant("R9", "another boot's belief is taken",
           {"pints.storage.load.decode_belief": belief_of_any_boot},
           (restarts.test_belief_of_another_boot_is_not_taken,)),
    Mutant("R10", "who follows us, or is in holdover, votes",
           {f"{RULES}.r10_derived": nothing},
           (turncoats.test_servers_in_holdover_confirm_nothing,
            turncoats.test_servers_that_take_the_time_from_us_confirm_nothing)),
    Mutant("R10", "who smears a leap second votes near it",
           {f"{RULES}.r10_smears": nothing}, (smearing,)),
    Mutant("R10", "one server's word makes a leap second",
           {"pints.sync.leap.LeapWatch.hear": one_herald_is_enough},
           (invented_leap_second,)),
    Mutant("R10", "leap seconds at any month's end",
           {"pints.sync.leap.MONTHS": range(1, 13)},
           (leap_second_in_november,)),
    Mutant("R11", "a NAK deletes the keys",
           {"pints.client.association.Association._nak": nak_deletes_keys},
           (partial(on_path.test_forged_kisses_before_the_answers, code=b"NTSN", foreign=False),
            on_path.test_naks_do_not_take_the_keys_that_work)),
    Mutant("R11", "a kiss removes the source",
           {"pints.client.schedule.Schedule.kissed": lambda self, now: self.stop()},
           (partial(on_path.test_authentic_kisses_slow_a_source_and_do_not_remove_it,
                    code=b"DENY"),)),
    Mutant("R11", "anybody's kiss is obeyed",
           {"pints.client.packets.authenticate": any_kiss_is_obeyed},
           (partial(on_path.test_forged_kisses_before_the_answers, code=b"DENY", foreign=True),)),
    Mutant("R12", "retries do not grow apart",
           {"pints.client.retry.KE_RETRY_FACTOR": 1.0},
           (restarts.test_key_exchanges_grow_apart,)),
    Mutant("R12", "retries are not remembered",
           {"pints.storage.load.decode_backoffs": nothing},
           (restarts.test_fifty_restarts_ask_no_more_than_one_daemon,)),
    Mutant("R12", "retries are not jittered",
           {"pints.client.retry.JITTER": 0.0},
           (partial(restarts.test_region_that_comes_back_after_a_blackout_does_not_stampede,
                    link=False),)),
    Mutant("R12", "all ask when the link comes up",
           {"pints.client.retry.LINK_UP_SPREAD": 0.0},
           (partial(restarts.test_region_that_comes_back_after_a_blackout_does_not_stampede,
                    link=True),)),
    Mutant("R12", "a link that flaps hastens what was sent a ClientHello",
           {"pints.client.retry.Retry.hasten": network_hastens_all},
           (restarts.test_link_that_flaps_hastens_no_key_exchange,)),
    Mutant("R13", "refusals are not said",
           {f"{RULES}.Refusals.report": lambda self, refusals: []},
           (leaked_keys.test_every_refusal_is_said_once_and_counted,
            partial(leaked_keys.test_minority_with_leaked_keys_is_outvoted_and_named, ago=HOUR))),
    Mutant("R13", "refusals are not counted",
           {"pints.core.core.Core._noted": lambda self, said, now: list(said)},
           (leaked_keys.test_every_refusal_is_said_once_and_counted,)),
    Mutant("cookies", "one is sent twice",
           {"pints.client.session.Session.take_cookie": cookie_that_stays},
           (honest.test_anchored_after_an_hour_of_the_same_quorum,)),
    Mutant("cookies", "a batch is not unlinked before it is used",
           {"pints.storage.store.Store.unlink": lambda self, name: True},
           (honest.test_sessions_cut_off_before_any_use_are_never_used_again,)),
    Mutant("cookies", "another board's are sent",
           {"pints.storage.load.decode_batch": sessions_of_any_board},
           (honest.test_another_board_uses_nothing_of_a_cloned_card,)),
    Mutant("cookies", "saved where they would be forgotten",
           {"pints.storage.store.Store.durable": lambda self: True},
           (honest.test_nothing_is_laid_aside_where_it_would_be_forgotten,)),
]  # fmt: skip


def name_of(scenario: Any) -> str:
    """As somebody would look for it."""
    called = getattr(scenario, "func", scenario)
    given = getattr(scenario, "keywords", {})
    name = str(called.__name__).removeprefix("test_").replace("_", " ")
    return f"{name} ({', '.join(f'{k}={v}' for k, v in given.items())})" if given else name


def failure(scenario: Scenario, world: World) -> str:
    """The assertion of tests/ that a scenario fails by; '' if it does not fail."""
    try:
        scenario(world)
    except AssertionError as e:
        place = traceback.extract_tb(e.__traceback__)[-1]
        ours = Path(place.filename).is_relative_to(Path(__file__).parent.parent)
        return f"{place.line}" if ours else ""
    except pytest.fail.Exception as e:
        return str(e)
    return ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_switched_off(
    mutant: Mutant, seed: int, record_property: Callable[[str, object], None]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        for name, instead in mutant.patches.items():
            patched.setattr(name, instead)
        for scenario in mutant.caught_by:
            assert failure(scenario, World(seed)), f"{name_of(scenario)}: goes unnoticed"
    record_property("mutant", f"{mutant}: caught by {', '.join(map(name_of, mutant.caught_by))}")


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_scenarios_are_tests_with_these_parameters(mutant: Mutant) -> None:
    """So that what fails with a rule off is known to pass with it on."""
    for scenario in mutant.caught_by:
        test, given = OF_THEIR_OWN.get(scenario) or (
            getattr(scenario, "func", scenario), getattr(scenario, "keywords", {}),
        )  # fmt: skip
        assert getattr(sys.modules[test.__module__], test.__name__) is test
        assert test.__name__.startswith("test_")
        tried = parameters(test)
        assert given.keys() == tried.keys(), f"{name_of(scenario)}: not all parameters"
        for name, value in given.items():
            assert value in tried[name], f"{name_of(scenario)}: {name} is never {value}"


def parameters(test: Callable[..., None]) -> dict[str, list[Any]]:
    """The values that a test is tried with, by parameter."""
    tried: dict[str, list[Any]] = {}
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names, rows = mark.args
            names = [names] if isinstance(names, str) else names
            for row in rows:
                values = getattr(row, "values", (row,) if len(names) == 1 else row)
                for name, value in zip(names, values, strict=True):
                    tried.setdefault(name, []).append(value)
    return tried


def test_every_rule_is_switched_off() -> None:
    assert set(rules.RULES) <= {mutant.rule for mutant in MUTANTS}
    functions = {f"{RULES}.{name}" for name in vars(rules) if name.startswith("r") and "_" in name}
    assert functions <= {name for mutant in MUTANTS for name in mutant.patches}
