"""The whole daemon but for its hands: events in, actions out.

Sources are asked, their answers judged (`client`), what they say of the time believed or not
(`bootstrap`), and the clock steered by it (`sync`).  This file is where the three meet.  It
does no I/O and reads no clock: `now` is the three timescales, read together by the caller.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pints.actions import (
    Action,
    Announce,
    Log,
    RecordBelief,
    ReportClock,
    Save,
    SaveTime,
    Send,
    SetClock,
    Start,
    Steer,
)
from pints.bootstrap.belief import Belief, Floors
from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.states import Basis, State
from pints.bootstrap.witness import identity, is_witness
from pints.client.association import LOST_AFTER, Association, Failure, Remark
from pints.client.batches import Batches
from pints.client.session import (
    RENEW_AFTER,
    SavedSession,
    Session,
    revive,
)
from pints.config import Config, SourceConfig
from pints.errors import UntrustedTimeError
from pints.sync.discipline import Discipline
from pints.sync.filter import FREQUENCY_PRIOR
from pints.sync.poll import PollControl
from pints.sync.select import FALSETICKER, UNUSABLE, Selection
from pints.sync.slew import SlewAccount
from pints.sync.steer import steer
from pints.timescale import (
    DAY,
    HOUR,
    Boot,
    Instant,
    Reading,
    after,
    seconds,
    span,
)
from pints.wire.aead import ALGORITHMS
from pints.wire.ntp import NTP_PORT
from pints.worker.messages import Exchanged, ExchangeTask, Failed, Resolved, ResolveTask, Result

TASK_TIMEOUT = 15.0
"""Seconds for a key exchange with its look-ups."""
STEP_LIMIT = 0.5
"""A verified clock further off than this was set by somebody: it is stepped back (R10)."""
SETTLE_LIMIT = 1e-3
"""At first sight of the time, less than this is slewed, not stepped."""


@dataclass(slots=True)
class Remembered:
    """What earlier runs left, as the shell read it."""

    floors: Floors
    boot_id: str
    board: str = ""
    frequency: float = 0.0
    skew: float = FREQUENCY_PRIOR
    sessions: list[SavedSession] = field(default_factory=list)
    """Of one batch, which the shell has spent (durably unlinked) before."""
    batches: int = 0
    """Batches still on disk."""
    belief: tuple[Belief, str] | None = None
    """Recorded by an earlier daemon of this very boot."""
    durable: bool = True
    """Whether the state folder outlasts the boot: else no cookie is ever laid aside."""


class Core:
    """One daemon's mind."""

    def __init__(
        self, config: Config, remembered: Remembered, now: Reading, entropy: Callable[[int], bytes]
    ) -> None:
        self.config = config
        self.started = now
        self.associations = {s.id: Association(s, entropy) for s in config.sources}
        self.discipline = Discipline(remembered.frequency, remembered.skew)
        witnesses = {s.id: identity(s) for s in config.sources if is_witness(s, config)}
        self.bootstrap = Bootstrap(
            config.bootstrap, remembered.floors, witnesses, now,
            remembered.boot_id, remembered.belief,
        )  # fmt: skip
        self.last_offset = 0.0
        """System clock less true time at the last update, seconds."""
        self.last_update: Reading | None = None
        self.steps = 0
        self.refusals: dict[str, int] = {}
        """How often each rule refused something (R13)."""
        self._remembered = remembered
        self._polls = {s.id: PollControl(s.minpoll, s.maxpoll) for s in config.sources}
        self._tasks: dict[int, str] = {}
        self._next_task = 1
        self._ratcheted = remembered.floors.ratcheted
        self._save_due = after(now.boot, config.state.save_interval)
        self._refresh_due = after(now.boot, DAY)
        self._was_anchored = False
        self._reported = False
        """Whether the kernel was told that its clock is synchronized."""
        self._batches = Batches(remembered.board, remembered.batches)
        self._slews = SlewAccount(now)
        self._said: dict[str, str] = {}
        """The last remark on each source, until it gives a good answer."""

    # --- events --------------------------------------------------------------------------
    # Each takes the slews out of the readings it is given (`sync.slew` says why), and what
    # goes back to the shell gets them again.

    def begin(self, now: Reading) -> list[Action]:
        """The first actions: every source is asked at once, none waits for another."""
        now = self._slews.without(now)
        saved = {s.source: s for s in self._remembered.sessions}
        for association in self.associations.values():
            session = self._revived(saved.get(association.id), association.config)
            association.begin(now.boot, session)
        # An earlier daemon may have been killed within a slew.
        actions = [Steer(self._remembered.frequency), *self._warnings()]
        state = self.bootstrap.state.value
        actions.append(Announce(state, "", f"{state}: waiting for {self._needs()}"))
        return actions + self._act(now)

    def due(self) -> Boot:
        """When `handle_timer` should be called next."""
        times = [d for a in self.associations.values() if (d := a.due()) is not None]
        times.append(self._save_due)
        times += [t for t in (self._batches.due, self._slews.due()) if t is not None]
        return self._slews.with_slews(min(times))

    def handle_timer(self, now: Reading) -> list[Action]:
        """Do what is due."""
        return self._act(self._slews.without(now))

    def _act(self, now: Reading) -> list[Action]:
        actions: list[Action] = []
        for association in self.associations.values():
            lost = association.unanswered
            request = association.poll_request(now.boot)
            if request is not None:
                actions.append(Send(association.id, request.address, request.packet))
            if lost < LOST_AFTER <= association.unanswered:
                actions += self._lose(association, now)
            if association.wants_task(now.boot):
                actions.append(self._start(association))
        if self._slews.over(now.raw):
            actions += self._end_slew(now)
        if self._batches.due is not None and now.boot >= self._batches.due:
            actions += self._awaited_batches(now)
        if now.boot >= self._save_due:
            self._save_due = after(now.boot, self.config.state.save_interval)
            actions += self._save(now)
        return actions

    def handle_packet(
        self, source: str, data: bytes, sent: Reading, received: Reading, error: float, now: Reading
    ) -> list[Action]:
        """A datagram came on the socket of the source's last request."""
        now, sent, received = map(self._slews.without, (now, sent, received))
        association = self.associations[source]
        session = association.session
        near = self.bootstrap.estimate(now.boot).time
        outcome = association.receive(data, sent, received, error, near)
        if outcome is None:
            return []
        if isinstance(outcome, Remark):
            # Said once: a server, or somebody on the way, may send it a thousand times.
            known = self._said.get(source) == outcome.text
            self._said[source] = outcome.text
            return [Log(logging.DEBUG if known else outcome.level, outcome.text)]
        self._said.pop(source, None)
        path = self.discipline.add(outcome)
        association.poll = self._polls[source].after_sample(association.poll, path)
        window = session.window() if session is not None and outcome.from_saved_session else None
        actions = self.bootstrap.hear(outcome, window, now)
        return self._follow(actions, now)

    def handle_result(self, result: Result, now: Reading) -> list[Action]:
        """The worker has done a task."""
        now = self._slews.without(now)
        source = self._tasks.pop(result.id, None)
        if source is None:
            return []
        association = self.associations[source]
        if isinstance(result, Failed):
            failure = Failure(result.reason, result.hint)
            said = association.task_failed(failure, result.sent_hello, now.boot)
            return [Log(said.level, said.text)] if said else []
        if isinstance(result, Resolved):
            association.found_addresses(result.addresses, now.boot)
            return self._act(now)
        return self._exchanged(association, result, now)

    def belief_recorded(self, ok: bool, now: Reading) -> list[Action]:
        """The shell tells how `RecordBelief` went (R9)."""
        now = self._slews.without(now)
        return self._follow(self.bootstrap.recorded(ok, now), now, steer_too=False)

    def save(self, now: Reading, final: bool = False) -> list[Action]:
        """What should outlast this daemon: seldom, for writes wear the card.  `final` is a
        clean stop, when batches that were spent are replaced."""
        return self._save(self._slews.without(now), final)

    def _save(self, now: Reading, final: bool = False) -> list[Action]:
        bootstrap = self.bootstrap
        verified = bootstrap.state is State.VERIFIED
        seen = bootstrap.estimate(now.boot).low
        if not verified:  # which alone clears a soft floor that lies in the future
            seen = max(seen, self._remembered.floors.soft)
        if bootstrap.anchored and bootstrap.belief is not None:
            # R7: t - e of a verified, anchored clock, and never less than before.
            low = bootstrap.belief.at(now.boot).low
            self._ratcheted = max(self._ratcheted, low)
            bootstrap.floors = replace(bootstrap.floors, ratcheted=self._ratcheted)
        actions: list[Action] = [SaveTime(self._ratcheted, seen)]
        if self.discipline.selection is not None and verified:
            drift = {"frequency": self.discipline.frequency, "skew": self.discipline.skew}
            actions.append(Save("drift.json", json.dumps(drift).encode() + b"\n"))
        if bootstrap.belief is not None and verified:
            actions.append(self._record(bootstrap.belief, bootstrap.basis, now))
        stale = now.boot >= self._refresh_due
        if stale:
            self._refresh_due = after(now.boot, DAY)
        if stale or final:
            actions += self._fill_batches(anew=stale)
        return actions

    # --- what the reports read -----------------------------------------------------------

    def clock_offset(self, now: Reading) -> float | None:
        """System clock less the best estimate of true time, seconds."""
        true = self.discipline.true_time(now.raw)
        return None if true is None else seconds(now.real - true)

    def clock_bound(self, now: Reading) -> float:
        """Hard bound of the system clock's error, seconds."""
        offset = self.clock_offset(now)
        return abs(offset or 0.0) + self.discipline.bound(now.raw)

    def mark(self, source: str) -> str:
        """Of `pints sources`."""
        selection = self.discipline.selection
        association = self.associations[source]
        if selection is None or not association.reach or association.unanswered >= LOST_AFTER:
            return UNUSABLE
        if any(refusal.source == source for refusal in self.bootstrap.refusals):
            return FALSETICKER
        return selection.marks.get(source, UNUSABLE)

    # --- private -------------------------------------------------------------------------

    def _follow(
        self, actions: Iterable[Action], now: Reading, steer_too: bool = True
    ) -> list[Action]:
        """Complete what the bootstrap decided: keys to destroy, the clock to set and steer."""
        done: list[Action] = []
        real = now.real
        for source, why in self.bootstrap.dropped:
            self.associations[source].drop_session(why, now.boot)
            self.discipline.forget(source)
        self.bootstrap.dropped.clear()
        selection = self._choose(now)
        for action in actions:
            if isinstance(action, SetClock):
                action = self._best_within(action, now)
                target = action.time + (now.boot - action.boot)
                if abs(seconds(target - real)) <= SETTLE_LIMIT:
                    continue
                real = Instant(target)
                self.steps += 1
                action = SetClock(real, self._slews.with_slews(now.boot, now.raw))
            if isinstance(action, RecordBelief):
                pending, belief = self.bootstrap.pending, self.bootstrap.belief
                assert pending is not None and belief is not None
                action = self._record(belief, pending, now)
            if isinstance(action, Log) and action.rule:
                self.refusals[action.rule] = self.refusals.get(action.rule, 0) + 1
            done.append(action)
        if selection is not None and self.bootstrap.steady and steer_too:
            done += self._steer(selection, replace(now, real=real))
        done += self._on_state(now)
        return done

    def _record(self, belief: Belief, basis: Basis, now: Reading) -> RecordBelief:
        """The belief against the boot clock as the next daemon will read it, slews and all."""
        believed = replace(belief.at(now.boot), boot=self._slews.with_slews(now.boot, now.raw))
        return RecordBelief(believed.encode(self._remembered.boot_id, basis.value))

    def _choose(self, now: Reading) -> Selection | None:
        """Among the sources that say what the witnesses agreed on: however many others there
        are, they are never followed (R2, R10)."""
        if self.bootstrap.state in (State.HOLDOVER, State.DISPUTED):
            return None
        refused = {r.source for r in self.bootstrap.refusals}
        usable = {
            a.id: a.config.nts and a.id not in self.config.network
            for a in self.associations.values()
            if a.reach
            and a.unanswered < LOST_AFTER
            and not a.config.noselect
            and a.id not in refused
            and self.bootstrap.agrees(a.id)
        }
        return self.discipline.choose(now.raw, usable)

    def _best_within(self, action: SetClock, now: Reading) -> SetClock:
        """The filters' estimate, where it lies within what was agreed: better than the
        middle, and no rule is bent."""
        finding = self.bootstrap.finding
        true = self.discipline.true_time(now.raw)
        if finding is None or true is None or not finding.low <= true <= finding.high:
            return action
        return SetClock(true, now.boot)

    def _target(self, now: Reading) -> Instant | None:
        """Where to steer the clock to: the filters' estimate, never outside what is believed
        nor outside floor and ceiling (R1, R2)."""
        true = self.discipline.true_time(now.raw)
        if true is None:
            return None
        low, high = self.bootstrap.floors.hard, self.bootstrap.floors.ceiling
        if self.bootstrap.belief is not None:
            believed = self.bootstrap.belief.at(now.boot)
            low, high = max(low, believed.low), min(high, believed.high)
        return Instant(min(max(true, low), high))

    def _steer(self, selection: Selection, now: Reading) -> list[Action]:
        true = self._target(now)
        if true is None:
            return []
        offset = seconds(now.real - true)
        actions: list[Action] = []
        if abs(offset) > STEP_LIMIT + self.discipline.bound(now.raw):
            text = f"R10: clock is {span(offset)} off what it was set to: stepped back"
            actions.append(SetClock(true, self._slews.with_slews(now.boot, now.raw)))
            actions.append(Log(logging.WARNING, text, "R10"))
            self.steps += 1
            offset = 0.0
        self.last_offset = offset
        self.last_update = now
        best = self.associations[selection.best]
        steering = steer(offset, selection.frequency, float(1 << best.poll), now.raw)
        self._slews.begin(steering)
        bound = abs(offset) + self.discipline.bound(now.raw)
        verified = self.bootstrap.state is State.VERIFIED
        self._reported = verified
        return [
            *actions,
            Steer(steering.rate),
            ReportClock(verified, bound, selection.deviation),
        ]

    def _end_slew(self, now: Reading) -> list[Action]:
        """Run at the crystal's own frequency error again; keep account of the slew."""
        frequency = self._slews.end(now.raw)
        return [] if frequency is None else [Steer(frequency)]

    def _on_state(self, now: Reading) -> list[Action]:
        """What a change of trust brings with it."""
        bootstrap = self.bootstrap
        newly_anchored = bootstrap.anchored and not self._was_anchored
        for association in self.associations.values():
            session = association.session
            if session is None:
                continue
            if not session.saved and (session.checked is None or newly_anchored):
                session.checked = bootstrap.checked(association.id)
            if self._outlived(association, session, now):
                association.renew(now.boot)
        if newly_anchored:
            self._was_anchored = True
            self._batches.expect(now.boot)
            return self._save(now) + self._awaited_batches(now)
        if self._batches.due is not None:
            return self._awaited_batches(now)
        if bootstrap.steady:
            return []
        if bootstrap.state is State.DISPUTED and self._reported:
            self._reported = False
            return [*self._end_slew(now), ReportClock(False, self.clock_bound(now), 0.0)]
        return self._end_slew(now)

    def _outlived(self, association: Association, session: Session, now: Reading) -> bool:
        """Whether new keys are due: the session may not speak for the present (R3), or half
        of its time as a saved one is over, or its certificate soon ends."""
        exchanged = association.counters.last_exchange
        rested = exchanged is None or now.boot >= after(exchanged, HOUR)
        if any(r.rule == "R3" and r.source == association.id for r in self.bootstrap.refusals):
            return rested
        if self.bootstrap.belief is None or session.checked is None:
            return False
        time = self.bootstrap.belief.at(now.boot).time
        ends_soon = not session.saved and seconds(session.chain.end - time) < DAY
        return seconds(time - session.checked) > RENEW_AFTER or (ends_soon and rested)

    def _lose(self, association: Association, now: Reading) -> list[Action]:
        text = f"{association.id}: {LOST_AFTER} polls unanswered: lost"
        actions = self.bootstrap.lose(association.id, now)
        return [Log(logging.WARNING, text), *self._follow(actions, now)]

    def _exchanged(self, association: Association, result: Exchanged, now: Reading) -> list[Action]:
        algorithm = ALGORITHMS.get(result.algorithm)
        shown = replace(
            identity(association.config),
            leaf_key=result.chain.leaf_key,
            addresses=frozenset(result.addresses[:1]),
        )
        try:
            if algorithm is None:
                raise UntrustedTimeError("R5", f"AEAD {result.algorithm} was not offered")
            actions = self.bootstrap.present(association.id, result.chain, shown, now)
        except UntrustedTimeError as e:
            self.refusals[e.rule] = self.refusals.get(e.rule, 0) + 1
            said = association.task_failed(Failure(str(e), e.hint), True, now.boot)
            heard: list[Action] = [Log(said.level, said.text, e.rule)] if said else []
            return heard + self._follow(self.bootstrap.reconsider(now), now)
        session = Session(
            algorithm, list(result.keys), result.addresses, result.chain, list(result.cookies),
            result.server,
        )  # fmt: skip
        session.checked = self.bootstrap.checked(association.id)
        association.found_keys(session, now.boot)
        if self._was_anchored:
            self._batches.keys_renewed(now.boot)
        return self._follow(actions, now) + self._act(now)

    def _revived(self, saved: SavedSession | None, source: SourceConfig) -> Session | None:
        session = revive(saved) if saved is not None and source.nts else None
        if session is not None:
            shown = replace(
                identity(source),
                leaf_key=session.chain.leaf_key,
                addresses=frozenset(session.addresses),
            )
            self.bootstrap.identify(source.id, shown)
        return session

    def _start(self, association: Association) -> Start:
        source = association.config
        task_id, self._next_task = self._next_task, self._next_task + 1
        self._tasks[task_id] = source.id
        if not source.nts:
            port = source.port or NTP_PORT
            return Start(ResolveTask(task_id, source.server, port, TASK_TIMEOUT))
        return Start(
            ExchangeTask(
                task_id, source.server, source.ke_port, TASK_TIMEOUT, source.addresses,
                source.ca, tuple(ALGORITHMS), source.port,
            )
        )  # fmt: skip

    def _awaited_batches(self, now: Reading) -> list[Action]:
        if not self._may_save_sessions:
            self._batches.give_up(now.boot)
            return []
        sources = self.associations.values()
        awaited = self._batches.awaited(sources, self.config.network, now.boot)
        return [Save(name, data) for name, data in awaited]

    def _fill_batches(self, anew: bool) -> list[Action]:
        if not self._may_save_sessions:
            return []
        files = self._batches.fill(self.associations.values(), self.config.network, anew)
        return [Save(name, data) for name, data in files]

    @property
    def _may_save_sessions(self) -> bool:
        """R6, and only where an unlink is for good."""
        return self.bootstrap.anchored and self._remembered.durable

    def _warnings(self) -> list[Action]:
        floors, bootstrap = self._remembered.floors, self.bootstrap
        actions: list[Action] = []
        if floors.poisoned:
            text = "R1: saved time lies beyond the ceiling: ignored (pints restore --forget)"
            actions.append(Log(logging.ERROR, text, "R1"))
        if bootstrap.witnesses and bootstrap.needed > bootstrap.witnesses:
            text = (
                f"R2: {bootstrap.needed} witnesses needed, {bootstrap.witnesses} configured: "
                "never verified; add sources of other operators, or set min_witnesses = 1"
            )
            actions.append(Log(logging.WARNING, text, "R2"))
        return actions

    def _needs(self) -> str:
        if not self.bootstrap.witnesses:
            return "nothing: no NTS source is configured"
        return f"{self.bootstrap.needed} of {self.bootstrap.witnesses} witnesses"
