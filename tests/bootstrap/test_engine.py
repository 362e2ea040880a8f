"""The bootstrap from event to event, without a network: what it asks for, and when."""

from dataclasses import dataclass, field

import pytest

from pints.actions import Action, Announce, Log, RecordBelief, SetClock
from pints.bootstrap.confirmation import ANCHOR_AFTER
from pints.bootstrap.engine import Bootstrap, Earlier
from pints.bootstrap.states import Basis, State
from pints.bootstrap.witness import Identity
from pints.config.tables import BootstrapConfig
from pints.errors import UntrustedTimeError
from pints.timescale import DAY, HOUR, NS, YEAR, Boot, Instant, Raw, Reading, nanoseconds, seconds
from pints.values.address import Address
from pints.values.belief import Belief, Floors
from pints.values.chain import Chain, Window
from pints.values.sample import Sample

TRUE = Instant(1_795_000_000 * NS)
EPOCH = Instant(TRUE - nanoseconds(YEAR))
BOOT_ID = "this-boot"


@dataclass
class Boots:
    """A bootstrap with witnesses a, b, c ..., of one root each, and its shell."""

    engine: Bootstrap
    elapsed: float = 0.0
    done: list[Action] = field(default_factory=list)
    writable: bool = True

    @property
    def now(self) -> Reading:
        ns = nanoseconds(self.elapsed)
        return Reading(Instant(EPOCH + ns), Boot(ns), Raw(ns))

    def true(self, ahead: float = 0.0) -> Instant:
        return Instant(TRUE + nanoseconds(self.elapsed + ahead))

    def do(self, actions: list[Action]) -> list[Action]:
        for action in actions:
            self.done.append(action)
            if isinstance(action, RecordBelief):
                self.do(self.engine.recorded(self.writable, self.now))
        return actions

    def shows(self, source: str, start: float = -30, end: float = 60, root: str = "") -> None:
        """A key exchange: a chain good between these days from the truth."""
        window = Window(
            Instant(TRUE + nanoseconds(start * DAY)), Instant(TRUE + nanoseconds(end * DAY))
        )
        chain = Chain((window,), window.start, f"key of {source}", (root or f"root of {source}",))
        shown = Identity("", source, chain.leaf_key, frozenset({Address(f"host {source}", 123)}))
        self.do(self.engine.present(source, chain, shown, self.now))

    def says(
        self, source: str, ahead: float = 0.0, *, saved: bool = False, authentic: bool = True
    ) -> list[Action]:
        """An answer that is `ahead` of the truth."""
        now = self.now
        sample = Sample(
            source, now.raw, now.boot, self.true(ahead), 0.02, 1e-6, 0.0, 0.0, 1, 0, b"GPS\0",
            authentic, saved,
        )  # fmt: skip
        window = Window(self.true(-DAY), self.true(27 * DAY)) if saved else None
        return self.do(self.engine.hear(sample, window, now))

    @property
    def steps(self) -> list[Instant]:
        return [action.time for action in self.done if isinstance(action, SetClock)]

    @property
    def announced(self) -> list[str]:
        return [f"{a.state} {a.basis}".strip() for a in self.done if isinstance(a, Announce)]

    def refused(self, rule: str) -> list[str]:
        return [a.text for a in self.done if isinstance(a, Log) and a.rule == rule]


def boots(
    witnesses: str = "abcde",
    config: BootstrapConfig | None = None,
    floors: Floors | None = None,
    recorded: tuple[Belief, str] | None = None,
) -> Boots:
    now = Reading(EPOCH, Boot(0), Raw(0))
    identities = {w: Identity("", w) for w in witnesses}
    return Boots(
        Bootstrap(
            config or BootstrapConfig(),
            floors or Floors(EPOCH),
            identities,
            now,
            Earlier(recorded),
        )
    )


def verified(witnesses: str = "abc") -> Boots:
    boot = boots()
    for source in witnesses:
        boot.shows(source)
        boot.says(source)
    assert boot.engine.state is State.VERIFIED
    return boot


def test_a_quorum_sets_the_clock_once_and_is_announced_when_recorded() -> None:
    boot = verified("abcde")
    assert boot.announced == ["provisional", "verified windows"]
    assert len(boot.steps) == 1
    kinds = [type(a) for a in boot.done if isinstance(a, SetClock | RecordBelief | Announce)]
    assert kinds == [Announce, SetClock, RecordBelief, Announce]


def test_what_is_recorded_is_the_belief() -> None:
    boot = verified()
    (record,) = [a for a in boot.done if isinstance(a, RecordBelief)]
    belief, basis = record.belief, record.basis
    assert belief.low <= TRUE <= belief.high
    assert basis == "windows"


def test_r9_not_recorded_is_not_announced_and_said_once() -> None:
    boot = boots()
    boot.writable = False
    for source in "abcde":
        boot.shows(source)
        boot.says(source)
    assert boot.announced == ["provisional"]
    assert len(boot.refused("R9")) == 1
    boot.writable = True
    boot.says("a")
    assert boot.announced[-1] == "verified windows"


def test_a_late_word_of_the_disk_changes_nothing() -> None:
    boot = verified()
    assert boot.engine.recorded(False, boot.now) == []
    assert boot.engine.recorded(True, boot.now) == []


def test_r9_a_restarted_daemon_believes_what_was_recorded() -> None:
    belief = Belief(TRUE, Boot(0), 0.01)
    boot = boots(recorded=(belief, "windows"))
    with pytest.raises(UntrustedTimeError, match=r"^R6"):
        boot.shows("a", -300, -200)
    for source in "abc":
        boot.shows(source)
        boot.says(source)
    assert boot.announced[-1] == "verified windows"
    assert len(boot.refused("R10")) == 1, "somebody has set the clock meanwhile"
    assert abs(seconds(boot.steps[0] - TRUE)) < 1.0


def test_once_anchored_a_boot_stays_so() -> None:
    boot = boots(recorded=(Belief(TRUE, Boot(0), 0.01), "anchored"))
    for source in "abc":
        boot.shows(source)
        boot.says(source)
    assert boot.announced[-1] == "verified anchored"


def test_r4_a_chain_that_ended_before_the_floor() -> None:
    boot = boots(floors=Floors(EPOCH, ratcheted=boot_day(-100)))
    with pytest.raises(UntrustedTimeError, match=r"^R4"):
        boot.shows("a", -200, -101)
    boot.shows("b", -200, -99)


def boot_day(day: float) -> Instant:
    return Instant(TRUE + nanoseconds(day * DAY))


def test_r4_a_chain_from_the_future_disputes_a_belief() -> None:
    boot = verified()
    with pytest.raises(UntrustedTimeError, match=r"^R4"):
        boot.shows("d", 3, 90)
    boot.do(boot.engine.reconsider(boot.now))
    assert boot.engine.state is State.DISPUTED
    assert boot.refused("R4")
    boot.shows("d")
    boot.says("a")
    assert boot.engine.state is State.DISPUTED, "an older certificate takes nothing back"
    boot.elapsed += 1.1 * DAY
    for source in "abc":
        boot.says(source)
    assert boot.announced[-1] == "verified windows", "until it comes from the future no more"


def test_r4_is_for_witnesses_alone() -> None:
    """Whoever is named by the network cannot dispute anything."""
    boot = verified()
    with pytest.raises(UntrustedTimeError, match=r"^R6"):
        boot.shows("dhcp", 3, 90)
    boot.do(boot.engine.reconsider(boot.now))
    assert boot.engine.state is State.VERIFIED


def test_r5_relaxed_dates_never() -> None:
    boot = boots(config=BootstrapConfig(relaxed_dates="never"))
    with pytest.raises(UntrustedTimeError, match=r"^R5"):
        boot.shows("a")


def test_r6_what_is_not_good_at_the_belief_is_destroyed() -> None:
    boot = boots()
    boot.shows("e", -300, -200)
    boot.shows("dhcp", -300, -200)
    for source in "abc":
        boot.shows(source)
        boot.says(source)
    assert {source for source, _ in boot.engine.dropped} == {"e", "dhcp"}
    assert len(boot.refused("R6")) == 2


def test_r6_an_hour_of_the_same_quorum_anchors() -> None:
    boot = verified()
    boot.elapsed = ANCHOR_AFTER - 1
    for source in "abc":
        boot.says(source)
    assert boot.engine.basis is Basis.WINDOWS
    boot.elapsed = ANCHOR_AFTER
    boot.says("a")
    boot.says("b")
    assert boot.engine.basis is Basis.WINDOWS, "two of them said so before the hour was over"
    boot.says("c")
    assert boot.announced[-1] == "verified anchored"


def test_r6_a_single_issuer_never_does() -> None:
    boot = boots()
    for source in "abcde":
        boot.shows(source, root="r")
        boot.says(source)
    assert boot.engine.single_issuer
    assert any("single issuer" in a.text for a in boot.done if isinstance(a, Announce))
    for hour in range(1, 100):
        boot.elapsed = hour * HOUR
        for source in "abcde":
            boot.says(source)
    assert boot.engine.basis is Basis.WINDOWS


def test_r6_the_fourth_root_of_who_dissents_does_not_count() -> None:
    """Three of one root and a fourth of another agree at first; an hour later only the three."""
    boot = boots()
    for source in "abc":
        boot.shows(source, root="r")
    boot.shows("d", root="s")
    for source in "dcba":
        boot.says(source)
    boot.says("d")
    boot.elapsed = ANCHOR_AFTER + 1
    boot.says("d", ahead=3.0)
    for source in "abc":
        boot.says(source)
    assert boot.engine.basis is Basis.WINDOWS


def test_a_saved_session_in_the_quorum_anchors_at_once() -> None:
    boot = boots()
    boot.says("a", saved=True)
    for source in "bc":
        boot.shows(source)
        boot.says(source)
    assert boot.announced[-1] == "verified anchored"


def test_a_saved_session_against_the_quorum_disputes_it() -> None:
    boot = boots()
    boot.says("d", ahead=60.0, saved=True)
    for source in "abc":
        boot.shows(source)
        boot.says(source)
    assert boot.engine.state is State.DISPUTED
    assert boot.steps == []
    lines = len(boot.done)
    boot.says("a")
    assert len(boot.done) == lines, "said once (R13)"
    boot.do(boot.engine.lose("d", boot.now))
    assert boot.announced[-1] == "verified windows"


def test_as_many_saved_sessions_for_it_as_against_neither_dispute_nor_confirm() -> None:
    boot = boots()
    boot.says("d", ahead=60.0, saved=True)
    boot.says("a", saved=True)
    for source in "bc":
        boot.shows(source)
        boot.says(source)
    assert boot.announced[-1] == "verified windows"


def test_losing_the_quorum_is_holdover_and_never_verified_by_fewer() -> None:
    boot = verified()
    boot.do(boot.engine.lose("a", boot.now))
    assert boot.announced[-1] == "holdover windows"
    boot.says("b")
    assert boot.engine.state is State.HOLDOVER
    boot.says("a")
    assert boot.announced[-1] == "verified windows"
    assert boot.engine.lose("never heard of", boot.now) == []


def test_silence_does_not_lower_n() -> None:
    boot = verified()
    for source in "ab":
        boot.do(boot.engine.lose(source, boot.now))
    assert boot.engine.witnesses == 5
    assert boot.engine.needed == 3


def test_a_claimed_address_does_not_lower_n_but_makes_twins_one_voice() -> None:
    boot = boots()
    for source in "abc":
        boot.shows(source)
    twin = Identity("", "x", "another key", frozenset({Address("host a", 123)}))
    for source in "bc":
        boot.engine.identify(source, twin)
        boot.says(source)
    boot.says("a")
    assert boot.engine.witnesses < 5, "their keys are the same, too"
    assert boot.engine.state is State.PROVISIONAL


def test_one_leaf_key_is_one_witness() -> None:
    boot = boots()
    for source in "ab":
        boot.engine.identify(source, Identity("", source, "same key"))
    assert boot.engine.witnesses == 4


def test_unauthenticated_word_beside_witnesses_moves_nothing() -> None:
    boot = boots(config=BootstrapConfig(step_provisional=True))
    assert boot.says("a", authentic=False) == []
    assert boot.says("stranger", authentic=False) == []
    assert boot.says("stranger") == [], "nor an authentic one of no witness"
    assert boot.engine.state is State.RESTORED


def test_provisional_moves_the_clock_only_if_told_to() -> None:
    for told in (False, True):
        boot = boots(config=BootstrapConfig(step_provisional=told))
        boot.shows("a")
        boot.says("a")
        assert boot.engine.state is State.PROVISIONAL
        assert bool(boot.steps) is told


@pytest.mark.parametrize("ahead", [-2 * YEAR, 25 * YEAR])
def test_r1_for_the_unauthenticated(ahead: float) -> None:
    boot = boots("", BootstrapConfig(step_provisional=True))
    boot.says("plain", ahead, authentic=False)
    assert boot.steps == []
    assert boot.refused("R1")


def test_a_single_witness_is_shown_as_one() -> None:
    boot = boots("a", BootstrapConfig(min_witnesses=1))
    boot.shows("a")
    boot.says("a")
    assert boot.engine.single_witness
    assert any("single witness" in a.text for a in boot.done if isinstance(a, Announce))


def test_checked_is_told_only_by_a_verified_belief() -> None:
    boot = boots()
    boot.shows("a")
    assert boot.engine.checked("a") is None
    boot = verified()
    assert boot.engine.checked("a") is not None
    assert boot.engine.checked("nobody") is None
