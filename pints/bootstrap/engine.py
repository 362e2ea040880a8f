"""The bootstrap itself: hears evidence, keeps the belief, moves the trust state.

Guarantees (docs/trust.md):
- the clock is set only to what a quorum agrees on, between hard floor and ceiling (R1, R2);
- only dates are ever forgiven, and only until a belief stands (R5, R6); then every exchange is
  judged again, and within this boot nothing reopens (R9);
- saved time ratchets, and sessions are saved, only on basis `anchored` (R6, R7).

Pure: every method takes `now`, the three timescales read together, and returns actions.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pints.actions import Action, Announce, Log, RecordBelief, SetClock
from pints.bootstrap.belief import DRIFT_STEERED, DRIFT_UNSTEERED, Belief, Floors
from pints.bootstrap.quorum import FUTURE_TOLERANCE, Finding, Refusal, Terms, Testimony, deliberate
from pints.bootstrap.states import Basis, Event, State, follow
from pints.bootstrap.witness import Identity, groups, quorum, single_issuer
from pints.chain import Chain, Window
from pints.config import BootstrapConfig
from pints.errors import UntrustedTimeError
from pints.sample import Sample
from pints.timescale import HOUR, Boot, Instant, Reading, after, iso, nanoseconds, span

ANCHOR_AFTER = HOUR
"""How long the same quorum must go on agreeing to confirm itself, seconds."""


class Bootstrap:
    """One boot's way from "no idea" to "verified"."""

    def __init__(
        self,
        config: BootstrapConfig,
        floors: Floors,
        witnesses: Mapping[str, Identity],
        now: Reading,
        boot_id: str,
        recorded: tuple[Belief, str] | None = None,
    ) -> None:
        """`recorded` is the belief that an earlier daemon of this boot left, with its basis."""
        self.state = State.UNSET
        self.basis = Basis.NONE
        self.belief: Belief | None = recorded[0] if recorded else None
        self.finding: Finding | None = None
        self.refusals: tuple[Refusal, ...] = ()
        self.verified_at: Boot | None = None
        self.dropped: list[tuple[str, str]] = []
        """Sources whose keys must be destroyed, with the reason; the core takes them away."""
        self._config = config
        self.floors = floors
        self._identities = dict(witnesses)
        self._boot_id = boot_id
        self._started = now
        self._was_anchored = bool(recorded and recorded[1] == Basis.ANCHORED.value)
        self._testimonies: dict[str, Testimony] = {}
        self._chains: dict[str, Chain] = {}
        self._quorum: frozenset[str] = frozenset()
        self._relaxed: set[str] = set()
        """Sources whose certificates only their dates kept from being good (R6)."""
        self.pending: Basis | None = None
        """What `verified` will rest on once the belief is recorded."""
        self._unrecorded = False
        if now.real >= floors.soft:
            self.state = follow(self.state, Event.FLOORED)

    # --- what others may ask -------------------------------------------------------------

    @property
    def testimonies(self) -> list[Testimony]:
        """What the sources that answer said last."""
        return [self._testimonies[source] for source in sorted(self._testimonies)]

    @property
    def witnesses(self) -> int:
        """N: the distinct witnesses of the configuration, whether or not they answer.  An NTP
        address is what a key server claims, so nobody lowers N by claiming another's."""
        return len(set(groups(self._without_addresses()).values()))

    @property
    def needed(self) -> int:
        """How many of them must agree."""
        fixed = self._config.quorum == "fixed"
        return quorum(self.witnesses, self._config.min_witnesses, fixed)

    @property
    def single_witness(self) -> bool:
        """Whether the administrator lets one server alone decide: shown wherever it matters."""
        return self.needed == 1

    @property
    def steady(self) -> bool:
        """Whether the clock may be steered by the sources."""
        return self.state is State.VERIFIED or self.follows_provisional

    @property
    def follows_provisional(self) -> bool:
        return self.state is State.PROVISIONAL and self._config.step_provisional

    @property
    def anchored(self) -> bool:
        """Whether saved time may ratchet and sessions be saved (R6, R7)."""
        return self.state is State.VERIFIED and self.basis is Basis.ANCHORED

    @property
    def single_issuer(self) -> bool:
        """Whether one root key stands behind the whole quorum (R6)."""
        return self._of_single_issuer(self._quorum)

    def agrees(self, source: str) -> bool:
        """Whether a source may steer the clock: it says what the witnesses agreed on last.
        Where no witness is configured, all may."""
        if not self._identities:
            return True
        return self.finding is not None and source in self.finding.agreeing

    def estimate(self, now: Boot) -> Belief:
        """What certificates are judged at: the belief, or where none stands the soft floor
        moved on by the boot clock (a mere order of magnitude, so its error is 0)."""
        if self.belief is not None:
            return self.belief.at(now)
        return Belief(Instant(self.floors.soft + now - self._started.boot), now, 0.0)

    def checked(self, source: str) -> Instant | None:
        """The instant at which a source's chain was found strictly valid by a belief that
        was verified; None while it was not."""
        chain = self._chains.get(source)
        if self.belief is None or chain is None or self.state is not State.VERIFIED:
            return None
        return self.belief.time if chain.good(self.belief.low, self.belief.high) else None

    # --- evidence ------------------------------------------------------------------------

    def identify(self, source: str, identity: Identity) -> None:
        """A saved session tells the leaf key and address of a witness before it is asked."""
        if source in self._identities:
            self._identities[source] = identity

    def present(self, source: str, chain: Chain, identity: Identity, now: Reading) -> list[Action]:
        """A key exchange gave a chain that is good but, maybe, for its dates.  Raises
        UntrustedTimeError if its keys may not be used; `reconsider` what stands then."""
        at = self.estimate(now.boot)
        actions: list[Action] = []
        if chain.end < self.floors.hard:
            raise UntrustedTimeError(
                "R4",
                f"certificate expired {iso(chain.end)}, before the floor "
                f"{iso(self.floors.hard)} (RFC 8915 section 8.5)",
                "its operator must renew it; or, if it is the floor that is wrong: "
                "pints restore --forget",
            )
        from_future = chain.leaf_not_before > at.high + nanoseconds(FUTURE_TOLERANCE)
        if from_future and self.belief is not None and source in self._identities:
            self._chains[source] = chain  # it vetoes for as long as its server shows no other
            raise UntrustedTimeError(
                "R4",
                f"certificate issued {iso(chain.leaf_not_before)}, but believed is {iso(at.time)}",
                "a witness whose certificate comes from the future disputes the belief",
            )
        if not chain.good(at.low, at.high):
            dates = " and ".join(f"{iso(w.start)} to {iso(w.end)}" for w in chain.windows)
            if self.belief is not None:
                raise UntrustedTimeError(
                    "R6", f"certificate is good {dates}, not now, {iso(at.time)}",
                    "its operator must renew it",
                )  # fmt: skip
            if self._config.relaxed_dates == "never":
                raise UntrustedTimeError(
                    "R5", f"certificate is good {dates}, not at the restored {iso(at.time)}",
                    "set relaxed_dates = \"until-verified\", or wait for its dates",
                )  # fmt: skip
            self._relaxed.add(source)
            text = f"{source}: certificate good {dates}: judged again when the time is known"
            actions.append(Log(logging.INFO, text))
        else:
            self._relaxed.discard(source)
        self._chains[source] = chain
        if source in self._identities:
            self._identities[source] = identity
        return actions

    def reconsider(self, now: Reading) -> list[Action]:
        """Deliberate again without a new testimony: a chain may have come that vetoes."""
        return self._settle(now)

    def hear(self, sample: Sample, window: Window | None, now: Reading) -> list[Action]:
        """A source answered.  `window` is a saved session's; a fresh one has its chain's."""
        if not sample.authenticated or sample.source not in self._identities:
            return self._hear_anybody(sample, now)
        chain = self._chains.get(sample.source)
        windows = (window,) if window else chain.windows if chain else ()
        self._testimonies[sample.source] = Testimony(
            sample.source, sample.boot, sample.time, sample.distance, windows,
            window is not None, chain.roots if chain else (),
        )  # fmt: skip
        return self._settle(now)

    def lose(self, source: str, now: Reading) -> list[Action]:
        """A source left three polls unanswered, or its keys were destroyed."""
        if self._testimonies.pop(source, None) is None:
            return []
        return self._settle(now)

    def recorded(self, ok: bool, now: Reading) -> list[Action]:
        """The shell wrote the belief to /run, or could not (R9)."""
        basis, self.pending = self.pending, None
        if basis is None:
            return []
        if not ok:
            known, self._unrecorded = self._unrecorded, True
            text = "R9: belief cannot be recorded in the runtime folder: not announced"
            return [] if known else [Log(logging.ERROR, text, "R9")]
        self._unrecorded = False
        if self.state is not State.VERIFIED and self.verified_at is None:
            self.verified_at = now.boot
        self.state = follow(self.state, Event.QUORUM)
        self.basis = basis
        return self._announce(self._quorum_text())

    # --- private -------------------------------------------------------------------------

    def _witness_of(self) -> dict[str, str]:
        return groups(self._identities)

    def _without_addresses(self) -> dict[str, Identity]:
        return {s: replace(i, addresses=frozenset()) for s, i in self._identities.items()}

    def _settle(self, now: Reading) -> list[Action]:
        """Let the witnesses deliberate, and follow the state table."""
        finding = deliberate(
            self._testimonies.values(),
            self._witness_of(),
            {s: chain for s, chain in self._chains.items() if s in self._identities},
            Terms(
                self.floors, self._config.max_distance,
                DRIFT_UNSTEERED if self.belief is None else DRIFT_STEERED, self.belief,
            ),
            now.boot,
        )  # fmt: skip
        self.finding = finding
        reached = len(finding.members) >= self.needed
        contradiction = self._contradiction(finding) if reached else None
        if contradiction is not None:
            return self._contradicted(contradiction, finding)
        actions: list[Action] = self._report(finding.refusals)
        if reached:
            return actions + self._agreed(finding, now)
        if self.state is State.VERIFIED:
            self.state = follow(self.state, Event.QUORUM_LOST)
            have = f"{len(finding.members)} of {self.needed} needed witnesses"
            return actions + self._announce(f"holdover: {have} left, clock kept on its own")
        if finding.members and not finding.vetoed:
            event = Event.BELIEVED
        else:
            event = Event.UNBELIEVED if now.real >= self.floors.soft else Event.SUNK
        before, self.state = self.state, follow(self.state, event)
        if self.state is not before:
            if self.follows_provisional:
                actions.append(SetClock(finding.middle, now.boot))
            have = f"{len(finding.members)} of {self.needed} needed witnesses agree"
            actions += self._announce(f"{self.state.value}: {have}")
        return actions

    def _agreed(self, finding: Finding, now: Reading) -> list[Action]:
        """A quorum stands: believe it, judge every exchange again, record, announce."""
        first = self.belief is None
        self.belief = Belief(finding.middle, now.boot, finding.half_width)
        actions: list[Action] = []
        for source, chain in sorted(self._chains.items()):
            if not chain.good(self.belief.low, self.belief.high):
                why = f"its certificate is not valid at {iso(self.belief.time)}"
                actions += self._destroy(Refusal("R6", source, why))
        if relaxed := sorted(self._relaxed & self._chains.keys()):
            names = ", ".join(relaxed)
            text = f"R6: judged again at {iso(self.belief.time)} and good: {names}"
            actions.append(Log(logging.INFO, text))
        self._relaxed.clear()
        if self.state is State.DISPUTED or len(finding.members & self._quorum) < self.needed:
            # The hour of R6 is for one quorum, undisputed: another's begins now.
            self._quorum = finding.members
            self.verified_at = now.boot if self.state is State.VERIFIED else None
        basis = self._basis(finding, now.boot)
        if self.state is State.VERIFIED and basis is self.basis:
            return actions
        if first:
            actions.append(SetClock(finding.middle, now.boot))
        self.pending = basis
        actions.append(RecordBelief(self.belief.encode(self._boot_id, basis.value)))
        return actions

    def _basis(self, finding: Finding, now: Boot) -> Basis:
        """What `verified` rests on now; once anchored, a boot stays so."""
        if self.basis is Basis.ANCHORED or self._was_anchored:
            return Basis.ANCHORED
        if self._confirmations(finding):
            return Basis.ANCHORED
        if self.verified_at is None:
            return Basis.WINDOWS
        late = after(self.verified_at, ANCHOR_AFTER)
        still = {s for s in finding.members & self._quorum if self._testimonies[s].boot >= late}
        if len(still) < self.needed or self._of_single_issuer(still):
            return Basis.WINDOWS
        return Basis.ANCHORED

    def _of_single_issuer(self, sources: Iterable[str]) -> bool:
        return single_issuer(self._testimonies[s].roots for s in sources if s in self._testimonies)

    def _confirmations(self, finding: Finding) -> int:
        """Witnesses that agree by a saved session, which no certificate's date is behind."""
        witness = self._witness_of()
        return len({witness[s] for s in finding.agreeing if self._testimonies[s].saved})

    def _contradiction(self, finding: Finding) -> Refusal | None:
        """What disputes a quorum: a certificate from its future, or independent evidence where
        it has nothing but its windows."""
        if finding.vetoed:
            return next(r for r in finding.refusals if r.rule == "R4")
        if self._was_anchored or self.basis is Basis.ANCHORED:
            return None
        against = [s for s in sorted(finding.dissenters) if self._speaks_by_session(s)]
        witness = self._witness_of()
        if len({witness[s] for s in against}) <= self._confirmations(finding):
            return None
        return Refusal("R6", against[0], "its saved session contradicts the quorum's time")

    def _speaks_by_session(self, source: str) -> bool:
        """Whether a source's word comes by a saved session that may speak for what it says."""
        testimony = self._testimonies[source]
        stated = Belief(testimony.time, testimony.boot, testimony.distance)
        return testimony.saved and any(
            w.contains(stated.low, stated.high) for w in testimony.windows
        )

    def _contradicted(self, refusal: Refusal, finding: Finding) -> list[Action]:
        known = refusal in finding.refusals
        actions = self._report((*finding.refusals, *(() if known else (refusal,))))
        before, self.state = self.state, follow(self.state, Event.CONTRADICTED)
        if self.state is not before:
            actions += self._announce(f"disputed: clock kept, not served; {refusal}")
        return actions

    def _hear_anybody(self, sample: Sample, now: Reading) -> list[Action]:
        """An unauthenticated answer moves a clock only where no witness is configured and the
        administrator said so (`step_provisional`)."""
        if self._identities or not self._config.step_provisional or self.belief is not None:
            return []
        inside = self.floors.hard <= sample.time <= self.floors.ceiling
        if not inside or 2 * sample.distance > self._config.max_distance:
            return self._report((Refusal("R1", sample.source, f"says {iso(sample.time)}"),))
        before, self.state = self.state, follow(self.state, Event.BELIEVED)
        if self.state is before:
            return []
        text = f"provisional: unauthenticated word of {sample.source}"
        return [SetClock(sample.time, sample.boot), *self._announce(text)]

    def _destroy(self, refusal: Refusal) -> list[Action]:
        self._chains.pop(refusal.source, None)
        self._testimonies.pop(refusal.source, None)
        self.dropped.append((refusal.source, str(refusal)))
        return [Log(logging.WARNING, str(refusal), refusal.rule)]

    def _report(self, refusals: Iterable[Refusal]) -> list[Action]:
        """Say each refusal once, until it ends (R13)."""
        known = {(r.rule, r.source) for r in self.refusals}
        self.refusals = tuple(refusals)
        return [
            Log(logging.WARNING, str(r), r.rule)
            for r in self.refusals
            if (r.rule, r.source) not in known
        ]

    def _announce(self, text: str) -> list[Action]:
        level = logging.ERROR if self.state is State.DISPUTED else logging.INFO
        return [Announce(self.state.value, self.basis.value, text), Log(level, text)]

    def _quorum_text(self) -> str:
        assert self.belief is not None
        finding = self.finding
        members = len(finding.members) if finding else 0
        notes = ", single witness" if self.single_witness else ""
        if self.needed < quorum(self.witnesses, self._config.min_witnesses, False):
            notes += ", weakened quorum"
        if self.basis is Basis.WINDOWS and self.single_issuer and not self.single_witness:
            notes += ", single issuer"
        return (
            f"verified ({self.basis.value}{notes}): {iso(self.belief.time)} "
            f"+- {span(self.belief.error)}, {members} of {self.witnesses} witnesses agree"
        )
