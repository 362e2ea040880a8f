"""The bootstrap itself: hears evidence, keeps the belief, moves the trust state.

Guarantees (docs/trust.md):
- the clock is set only to what a quorum agrees on, between hard floor and ceiling (R1, R2);
  before there is one, local evidence may restore it, which proves nothing (`restoring`);
- only dates are ever forgiven, and only until a belief stands (R5, R6); then every exchange is
  judged again, and within this boot nothing reopens (R9);
- saved time ratchets, and sessions are saved, only on basis `anchored` (R6, R7).

Pure: every method takes `now`, the three timescales read together, and returns actions.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from pints.actions import Action, Announce, Log, RecordBelief, SetClock
from pints.bootstrap import rules
from pints.bootstrap.certificates import Certificates
from pints.bootstrap.confirmation import Confirmation, Weighed, single_issuer, weigh
from pints.bootstrap.future_floor import FutureFloor
from pints.bootstrap.ledger import Ledger
from pints.bootstrap.quorum import Finding, Terms, Testimony, deliberate
from pints.bootstrap.record import QuorumRecord
from pints.bootstrap.restoring import RESTORE_OFFSET, SURE, Restoring, plain, plain_evidence
from pints.bootstrap.rules import Refusal, Refusals
from pints.bootstrap.states import Basis, State, Trigger, follow
from pints.bootstrap.witness import Identity, groups
from pints.config.tables import BootstrapConfig
from pints.lean import dataclass
from pints.timescale import Boot, Instant, Reading, iso, nanoseconds, seconds, span
from pints.values.belief import DRIFT_STEERED, DRIFT_UNSTEERED, Belief, Floors
from pints.values.chain import Chain, Window
from pints.values.evidence import Evidence, Strength
from pints.values.sample import Sample

MEASURED_AFTER = 600.0
"""How long a quorum must have agreed until the crystal counts as measured, seconds: before, it
may run off by more than a slew adds."""
DISPUTED_ANCHORED = "disputed-anchored"
"""In /run: disputed, and anchored before that in the same boot (R9)."""
NOBODY = Weighed((), ())


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known from before this daemon."""

    belief: tuple[Belief, str] | None = None
    """Of this very boot, with its basis: what an earlier daemon recorded (R9)."""
    quorum: QuorumRecord | None = None
    """Of an earlier boot."""


class Bootstrap:
    """One boot's way from "no idea" to "verified"."""

    def __init__(
        self,
        config: BootstrapConfig,
        floors: Floors,
        witnesses: Mapping[str, Identity],
        now: Reading,
        earlier: Earlier | None = None,
    ) -> None:
        """`witnesses` are those of the configuration, whether or not they answer."""
        self.state = State.UNSET
        self.basis = Basis.NONE
        self.floors = floors
        self.finding: Finding | None = None
        self.weighed = NOBODY
        """What independent evidence says of the finding."""
        self.pending: Basis | None = None
        """What `verified` will rest on once the belief is recorded."""
        self.dropped: list[tuple[str, str]] = []
        """Sources whose keys must be destroyed, with the reason; the core takes them away."""
        earlier = earlier or Earlier()
        self.belief: Belief | None = earlier.belief[0] if earlier.belief else None
        kept = earlier.belief[1] if earlier.belief else ""
        self._config = config
        self.identities = dict(witnesses)
        """Of the witnesses, as far as they have shown who they are."""
        self._started = now
        self._testimonies: dict[str, Testimony] = {}
        self._certificates = Certificates(config.relaxed_dates == "never")
        self._confirmation = Confirmation(
            self._certificates, earlier.quorum,
            anchored=kept in (Basis.ANCHORED.value, DISPUTED_ANCHORED),
            disputed=kept in (State.DISPUTED.value, DISPUTED_ANCHORED),
        )  # fmt: skip
        self._ledger = Ledger()
        self._first_agreed: Boot | None = None
        """When a quorum first agreed in the life of this daemon."""
        self._refusals = Refusals()
        self._future = FutureFloor(config.future_floor == "unanimous")
        self.measured_drift = DRIFT_STEERED
        """By how much a clock that follows true time may run off, as far as it was measured."""
        self.unrecorded = False
        """Whether the last belief could not be recorded (R9)."""
        self._restoring = Restoring(self._ledger, config)
        if now.real >= floors.soft:
            self.state = follow(self.state, Trigger.FLOORED)
        if self._confirmation.was_disputed:
            self.state = follow(self.state, Trigger.CONTRADICTED)

    # --- what others may ask -------------------------------------------------------------

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Those that stand."""
        return self._refusals.standing

    @property
    def evidence(self) -> dict[str, Evidence]:
        """By origin: all that is no witness's word."""
        return self._ledger.said

    @property
    def chains(self) -> dict[str, Chain]:
        """The newest certificate of each witness that has shown one, whether let in or not."""
        return self._certificates.newest(self.identities)

    @property
    def testimonies(self) -> list[Testimony]:
        """What the sources that answer said last."""
        return [self._testimonies[source] for source in sorted(self._testimonies)]

    @property
    def witnesses(self) -> int:
        """N: the distinct witnesses of the configuration, whether or not they answer.  An NTP
        address is what a key server claims, so nobody lowers N by claiming another's."""
        # Asked at every packet: not by replace(), which takes twice as long.
        bare = {s: Identity(i.operator, i.domain, i.leaf_key) for s, i in self.identities.items()}
        return len(set(groups(bare).values()))

    @property
    def needed(self) -> int:
        """How many of them must agree."""
        fixed = self._config.quorum == "fixed"
        return rules.r2_quorum(self.witnesses, self._config.min_witnesses, fixed)

    @property
    def single_witness(self) -> bool:
        """Whether the administrator lets one server alone decide: shown wherever it matters."""
        return self.needed == 1

    @property
    def single_issuer(self) -> bool:
        """Whether one root key stands behind all who agree (R6)."""
        return self.finding is not None and single_issuer(self.finding.agreeing, self._testimonies)

    @property
    def anchored(self) -> bool:
        """Whether saved time may ratchet and sessions be saved (R6, R7)."""
        return self.state is State.VERIFIED and self.basis is Basis.ANCHORED

    @property
    def steady(self) -> bool:
        """Whether the clock may be steered by the sources."""
        return self.state is State.VERIFIED or (
            self.belief is None and (self._restoring.following is not None or self._follows_few)
        )

    @property
    def _follows_few(self) -> bool:
        """Whether the clock may follow fewer than needed: never once this boot knows better."""
        provisional = self.state is State.PROVISIONAL and self.belief is None
        return provisional and self._config.step_provisional

    @property
    def testimony_drift(self) -> float:
        """By how much a testimony's interval grows until its source is asked again."""
        return DRIFT_UNSTEERED if self.belief is None else min(DRIFT_STEERED, self.measured_drift)

    @property
    def lenient_floors(self) -> Floors:
        """The floors that evidence is read with: where R8 may lower the saved time, without
        it, for what lies below would never be seen."""
        return replace(self.floors, ratcheted=Instant(0)) if self._future.allowed else self.floors

    @property
    def standing(self) -> Belief | None:
        """The belief that others are held against: none while one that has nothing but its
        windows is disputed."""
        unsure = self.state is State.DISPUTED and not self._confirmation.anchored
        return None if unsure else self.belief

    @property
    def follows(self) -> str:
        """Origin of what the clock follows before there is a quorum; empty: it runs on its own."""
        return self._restoring.origin

    def agrees(self, source: str) -> bool:
        """Whether a source may steer the clock: it says what the witnesses agreed on last, or
        until then is what restores it.  Where no witness is configured, all may."""
        if self.belief is None and self._restoring.following is not None:
            return self._restoring.may_steer(source)
        if not self.identities:
            return True
        finding, receiver = self.finding, self._ledger.said.get(source)
        if finding is None or receiver is None:
            return finding is not None and source in finding.agreeing
        return receiver.admits(finding.low, finding.high)

    def estimate(self, now: Boot) -> Belief:
        """What certificates are judged at: the belief; where none stands, what restores the
        clock, or the soft floor moved on by the boot clock (a mere order of magnitude, so its
        error is 0)."""
        if self.standing is not None:
            return self.standing.at(now)
        best = self._restoring.foremost(self.floors, now)
        if best is not None:
            return Belief(best.middle, now, best.error)
        return Belief(self._since_floor(now), now, 0.0)

    def seen(self, now: Boot) -> Instant:
        """What has passed by now as far as is known: the last seen time of the next boot."""
        estimate = self.estimate(now)
        if self.state is State.VERIFIED:  # which alone clears a soft floor in the future
            return estimate.low
        known = self.belief is not None or estimate.error <= SURE
        return max(self._since_floor(now), estimate.low if known else Instant(0))

    def checked(self, source: str) -> Instant | None:
        """The instant at which a source's chain was found strictly valid by a belief that
        was verified; None while it was not."""
        chain = self._certificates.chains.get(source)
        if self.belief is None or chain is None or self.state is not State.VERIFIED:
            return None
        strict = rules.r6_strict(source, chain, self.belief) is None
        return self.belief.time if strict else None

    # --- evidence ------------------------------------------------------------------------

    def identify(self, source: str, identity: Identity) -> None:
        """A saved session tells the leaf key and address of a witness before it is asked."""
        if source in self.identities:
            self.identities[source] = identity

    def present(self, source: str, chain: Chain, identity: Identity, now: Reading) -> list[Action]:
        """A key exchange gave a chain that is good but, maybe, for its dates.  Raises
        UntrustedTimeError if its keys may not be used; `reconsider` what stands then."""
        at, believed = self.estimate(now.boot), self.standing is not None
        witness = source in self.identities
        floor = self.lenient_floors.hard
        actions = self._certificates.admit(source, chain, at, believed, witness, floor)
        if witness:
            self.identities[source] = identity
        return [*actions]

    def reconsider(self, now: Reading) -> list[Action]:
        """Deliberate again without a new testimony: a chain may have come that vetoes."""
        return self._settle(now)

    def hear(
        self,
        sample: Sample,
        window: Window | None,
        now: Reading,
        own: bytes = b"",
        smearing: Collection[str] = (),
    ) -> list[Action]:
        """A witness answered.  `window` is a saved session's; a fresh one has its chain's.
        `own` is the reference id by which its server would name this machine, `smearing` are
        the sources that do not tell of a leap second that is near."""
        if not sample.authenticated or sample.source not in self.identities:
            return self._hear_plain(sample, now)
        chain = self._certificates.chains.get(sample.source)
        windows = (window,) if window else chain.windows if chain else ()
        self._testimonies[sample.source] = Testimony(
            sample.source, sample.boot, sample.time, sample.distance, windows,
            window is not None, chain.roots if chain else (),
            rules.r10_derived(sample.source, sample.reference_id, sample.stratum, own)
            or rules.r10_smears(sample.source, smearing),
        )  # fmt: skip
        return self._settle(now)

    def lose(self, source: str, now: Reading) -> list[Action]:
        """A source left three polls unanswered, or its keys were destroyed."""
        heard = self._testimonies.pop(source, None) is not None
        return self._settle(now) if self._ledger.drop(plain(source)) or heard else []

    def offer(self, said: Evidence | Refusal, now: Reading) -> list[Action]:
        """Anything but a witness spoke: a clock, a receiver, an anchor, the operator."""
        self._ledger.take(said)
        return self._settle(now) + self._restore(now)

    def withdraw(self, origin: str, now: Reading) -> list[Action]:
        """A clock or receiver is gone."""
        return self._settle(now) if self._ledger.drop(origin) else []

    def recorded(self, ok: bool, now: Reading) -> list[Action]:
        """The shell wrote the belief to /run, or could not (R9)."""
        basis, self.pending = self.pending, None
        if basis is None:
            return []
        if not ok:
            known, self.unrecorded = self.unrecorded, True
            if self.state is not State.VERIFIED:  # an hour that nobody was told of is none
                self._confirmation.break_off()
            text = "R9: belief cannot be recorded in the runtime folder: not announced"
            return [] if known else [Log(logging.ERROR, text, "R9")]
        self.unrecorded = False
        self.state = follow(self.state, Trigger.QUORUM)
        self.basis = basis
        self._confirmation.anchored |= basis is Basis.ANCHORED
        return self._announce(self._quorum_text())

    def quorum(self, boot_id: str, now: Boot) -> QuorumRecord | None:
        """Who agrees now and on what, for a later boot to confirm; None while nobody does."""
        if self.state is not State.VERIFIED or self.belief is None or self.finding is None:
            return None
        shown = self._certificates.of(self.finding.agreeing)
        members = {s: chain.leaf_not_before for s, chain in sorted(shown.items())}
        agreed = {s: self._confirmation.lasted(s, now, self.belief) for s in members}
        return QuorumRecord(boot_id, members, self.belief.at(now).low, agreed)

    def ratchet(self, now: Boot) -> Instant:
        """The ratcheted saved time from now on (R7): the least that a verified, anchored clock
        may be."""
        low = self.belief.at(now).low if self.belief is not None else Instant(0)
        ratcheted = rules.r7_ratchet(self.floors.ratcheted, low, self.anchored)
        self.floors = replace(self.floors, ratcheted=ratcheted)
        return ratcheted

    def shift(self, leap: float) -> None:
        """UTC stepped by `leap` seconds: a leap second.  What is believed goes with it."""
        step = nanoseconds(leap)
        if self.belief is not None:
            self.belief = replace(self.belief, time=Instant(self.belief.time + step))
        self._testimonies = {
            s: replace(t, time=Instant(t.time + step)) for s, t in self._testimonies.items()
        }

    # --- private -------------------------------------------------------------------------

    def _since_floor(self, now: Boot) -> Instant:
        """The soft floor moved on by the boot clock."""
        return Instant(self.floors.soft + now - self._started.boot)

    def _terms(self, floors: Floors, belief: Belief | None) -> Terms:
        drift = DRIFT_UNSTEERED if belief is None else self.testimony_drift
        return Terms(floors, self._config.max_distance, drift, belief)

    def _settle(self, now: Reading) -> list[Action]:
        """Let the witnesses deliberate, and follow the state table."""
        witness_of = groups(self.identities)
        testimonies = self._testimonies
        chains = self._certificates.newest(self.identities)
        terms = self._terms(self.floors, self.standing)
        finding = deliberate(testimonies.values(), self.identities, chains, terms, now.boot)
        self.finding = finding
        evidence = self._ledger.within(self.floors, now.boot)
        self.weighed = weigh(finding, testimonies, witness_of, evidence, now.boot)
        reached = len(finding.members) >= self.needed
        if (
            reached
            and (contradiction := self._confirmation.contradiction(finding, self.weighed))
            is not None
        ):
            return self._contradicted(contradiction, finding, now.boot)
        actions: list[Action] = [*self._report(finding.refusals, now.boot)]
        if reached:
            return actions + self._agreed(finding, now)
        self._confirmation.keep(finding.agreeing)
        if lowered := self._lowered_floor(finding, now):
            return actions + lowered
        return actions + self._short_of_quorum(finding, now)

    def _short_of_quorum(self, finding: Finding, now: Reading) -> list[Action]:
        have = f"{len(finding.members)} of {self.needed} needed witnesses"
        if self.state is State.VERIFIED:
            self.state = follow(self.state, Trigger.QUORUM_LOST)
            return self._announce(f"holdover: {have} left, clock kept on its own")
        said = finding.members and not finding.vetoed
        vouched = [e for e in self._ledger.said.values() if e.strength is Strength.BELIEF]
        if said or vouched:
            trigger = Trigger.BELIEVED
        else:
            trigger = Trigger.UNBELIEVED if now.real >= self.floors.soft else Trigger.SUNK
        before, self.state = self.state, follow(self.state, trigger)
        if self.state is before:
            return []
        actions: list[Action] = []
        if said and self._follows_few:
            actions.append(SetClock(finding.middle, now.boot))
        by = f", {vouched[0].origin} says {vouched[0]}" if vouched else ""
        return actions + self._announce(f"{self.state.value}: {have} agree{by}")

    def _agreed(self, finding: Finding, now: Reading) -> list[Action]:
        """A quorum stands: believe it, judge every exchange again, record, announce."""
        first = self.belief is None
        if self._first_agreed is None:
            self._first_agreed = now.boot
        measured = seconds(now.boot - self._first_agreed) >= MEASURED_AFTER
        drift = DRIFT_STEERED if measured else DRIFT_UNSTEERED
        self.belief = Belief(finding.middle, now.boot, finding.half_width, drift)
        self._restoring.end()
        actions: list[Action] = []
        refused, logs = self._certificates.judge_again(self.belief)
        for refusal in refused:
            actions += self._destroy(refusal)
        actions += logs
        self._confirmation.begin(finding.agreeing, now.boot)
        basis = self._confirmation.basis(
            finding, self.weighed, self._testimonies, self.identities, self.belief, self.needed
        )
        if self.state is State.VERIFIED and basis is self.basis:
            return actions
        if first or self.state is not State.VERIFIED:
            actions += self._set_clock(finding, first, now)
        self.pending = basis
        actions.append(RecordBelief(self.belief, basis.value))
        return actions

    def _set_clock(self, finding: Finding, first: bool, now: Reading) -> list[Action]:
        """A quorum's step.  After the first one, only for a clock that somebody else has set
        (R10): whoever waits for `verified` must find it right."""
        off = seconds(now.real - finding.middle)
        if first:
            return [SetClock(finding.middle, now.boot)]
        if abs(off) <= RESTORE_OFFSET + finding.half_width:
            return []
        text = f"R10: clock is {span(off)} off what it was set to: stepped back"
        return [SetClock(finding.middle, now.boot), Log(logging.WARNING, text, "R10")]

    def _contradicted(self, refusal: Refusal, finding: Finding, now: Boot) -> list[Action]:
        refusals = dict.fromkeys((*finding.refusals, refusal))
        actions: list[Action] = [*self._report(refusals, now)]
        before, self.state = self.state, follow(self.state, Trigger.CONTRADICTED)
        if self.state is before:
            return actions
        self._confirmation.break_off()
        # Recorded, or a restart would reopen it (R9).
        disputed = self.belief or Belief(finding.middle, now, finding.half_width)
        kept = DISPUTED_ANCHORED if self._confirmation.anchored else self.state.value
        actions.append(RecordBelief(disputed, kept))
        return actions + self._announce(f"disputed: clock kept, not served; {refusal}")

    def _lowered_floor(self, finding: Finding, now: Reading) -> list[Action]:
        """R8: the floor may be what is wrong."""
        witness_of = groups(self.identities)
        low = [
            r.source for r in finding.refusals
            if r.rule == "R1" and self._testimonies[r.source].time < self.floors.hard
        ]  # fmt: skip
        below = {witness_of[source] for source in (*low, *self._certificates.before_floor)}
        actions: list[Action] = [*self._future.report(below, self.needed, self.floors)]
        if not self._future.allowed:
            return actions
        terms = self._terms(self.lenient_floors, None)
        said = deliberate(self._testimonies.values(), self.identities, {}, terms, now.boot)
        weighed = weigh(said, self._testimonies, witness_of, self._ledger.said.values(), now.boot)
        confirmed = bool(weighed.confirming) and not weighed.contradicting
        voices = len({witness_of[s] for s in self._testimonies})
        lowered = self._future.lowered(said, voices, self.needed, confirmed, self.floors, now.boot)
        if lowered is None:
            return actions
        text = f"R8: saved time {iso(self.floors.hard)} lowered to {iso(lowered.hard)}"
        self.floors = lowered
        if self.belief is not None and self.belief.at(now.boot).low > said.high:
            # What a boot believed above that floor was believed because of it (R9 gives way).
            self.belief, self.basis, self._confirmation.anchored = None, Basis.NONE, False
        return [*actions, Log(logging.ERROR, text, "R8"), *self._settle(now)]

    def _restore(self, now: Reading) -> list[Action]:
        """Let the clock follow what there is, as long as no quorum has decided."""
        if self.belief is not None or self.state is State.DISPUTED:
            self._restoring.end()
            return []
        time = self._restoring.time(self.floors, now)
        best = self._restoring.following
        if best is None or time is None:
            return []
        text = f"clock restored from {best.origin}: {iso(time)}; nothing confirms it yet"
        actions: list[Action] = [SetClock(time, now.boot), Log(logging.INFO, text)]
        before = self.state
        if time >= self.floors.soft:
            self.state = follow(self.state, Trigger.FLOORED)
        return actions if self.state is before else actions + self._announce(self.state.value)

    def _hear_plain(self, sample: Sample, now: Reading) -> list[Action]:
        """An unauthenticated answer counts only where no witness is configured and the
        administrator said so (`step_provisional`)."""
        if self.identities or not self._config.step_provisional or self.belief is not None:
            return []
        return self.offer(plain_evidence(sample, self.floors, self._config.max_distance), now)

    def _destroy(self, refusal: Refusal) -> list[Action]:
        self._testimonies.pop(refusal.source, None)
        self.dropped.append((refusal.source, str(refusal)))
        return [Log(logging.WARNING, str(refusal), refusal.rule)]

    def _report(self, refusals: Iterable[Refusal], now: Boot) -> list[Log]:
        """Say each refusal once, until it ends (R13)."""
        return self._refusals.report((*refusals, *self._ledger.refusals(self.floors, now)))

    def _announce(self, text: str) -> list[Action]:
        level = logging.ERROR if self.state is State.DISPUTED else logging.INFO
        return [Announce(self.state.value, self.basis.value, text), Log(level, text)]

    def _quorum_text(self) -> str:
        assert self.belief is not None
        finding = self.finding
        members = len(finding.members) if finding else 0
        notes = ", single witness" if self.single_witness else ""
        if self.needed < rules.r2_quorum(self.witnesses, self._config.min_witnesses, False):
            notes += ", weakened quorum"
        if self.basis is Basis.WINDOWS and self.single_issuer and not self.single_witness:
            notes += ", single issuer"
        by = (
            f"; confirmed by {', '.join(self.weighed.confirming)}"
            if self.weighed.confirming
            else ""
        )
        return (
            f"verified ({self.basis.value}{notes}): {iso(self.belief.time)} "
            f"+- {span(self.belief.error)}, {members} of {self.witnesses} witnesses agree{by}"
        )
