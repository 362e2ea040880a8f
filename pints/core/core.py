"""The whole daemon but for its hands: events in, actions out.

Sources are asked, their answers judged (`client`), what they say of the time believed or not
(`bootstrap`), the clock steered by it (`steering`, `sync`) and what is worth it kept (`saving`).
This file is where they meet.  It does no I/O and reads no clock: `now` is the three timescales,
read together by the caller.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pints.actions import (
    Action,
    Announce,
    Log,
    RecordBelief,
    Send,
    SetClock,
    Steer,
)
from pints.bootstrap.engine import Bootstrap, Earlier
from pints.bootstrap.restoring import OPERATOR
from pints.bootstrap.rules import Refusal
from pints.bootstrap.states import State
from pints.bootstrap.witness import identity, is_witness
from pints.client.association import LOST_AFTER, Association, Failure, Remark
from pints.client.batches import Batches
from pints.client.retry import Backoff
from pints.config.tables import Config
from pints.core.saving import Saving
from pints.core.snapshot import Snapshot
from pints.core.steering import Steering
from pints.core.tasks import Tasks
from pints.errors import UntrustedTimeError
from pints.events import (
    BeliefRecorded,
    Event,
    NetworkChanged,
    PacketReceived,
    RefclockLost,
    RefclockReported,
    RtcRead,
    RtcRefined,
    RtcTrimmed,
    RtcWritten,
    SaveRequested,
    SendFailed,
    TaskDone,
    TimeEntered,
    TimerExpired,
)
from pints.sync.discipline import Discipline
from pints.sync.poll import RECEIVER_INTERVAL, PollControl
from pints.sync.select import FALSETICKER, UNUSABLE
from pints.sync.slew import SlewAccount
from pints.timescale import (
    Boot,
    Instant,
    Reading,
    iso,
    nanoseconds,
    seconds,
)
from pints.values.evidence import Evidence, Strength
from pints.values.sample import Sample
from pints.values.worker_tasks import (
    Exchanged,
    Failed,
    Resolved,
    Result,
)

if TYPE_CHECKING:
    from pints.evidence.independent import Independent

ROUGHTIME = ""
"""Stands for the source of a task that is for no source."""
SLEPT, SLEW_LIMIT = 1.0, 1e-3
"""By how much boot time may get ahead of raw time without a sleep: seconds, and a fraction."""
OPERATOR_ERROR = 1.0
"""What a person may be off who types the time, seconds."""
MOST_REMARKS = 8
"""Different ones on a source that are logged before it gives a good answer."""
Timed = TypeVar("Timed", bound=Any)
STORY_LENGTH = 40
"""Lines of this boot's story that are kept for who asks."""


class Core:
    """Protocol core: events in, actions out."""

    def __init__(
        self, config: Config, snapshot: Snapshot, now: Reading, entropy: Callable[[int], bytes]
    ) -> None:
        self.config = config
        self.started = now
        self.refusals: dict[str, int] = {}
        """How often each rule refused something (R13)."""
        self.story: deque[tuple[Boot, str]] = deque(maxlen=STORY_LENGTH)
        """What was announced and refused in this boot, and when."""
        backoffs = snapshot.backoffs
        self.associations = {
            s.id: Association(s, entropy, backoffs.get(s.id, Backoff()))
            for s in (*config.sources, *config.anchors)
        }
        self.discipline = Discipline(snapshot.frequency, snapshot.skew)
        witnesses = {s.id: identity(s) for s in config.sources if is_witness(s, config)}
        record = snapshot.quorum
        of_old = record if record is not None and record.boot_id != snapshot.boot_id else None
        earlier = Earlier(snapshot.belief, of_old)
        self.bootstrap = Bootstrap(config.bootstrap, snapshot.floors, witnesses, now, earlier)
        self._slews = SlewAccount(now)
        self.steering = Steering(self.bootstrap, self.discipline, self._slews)
        self.saving = Saving(
            config, self.bootstrap, self.discipline, snapshot.names,
            Batches(snapshot.board, snapshot.batches), now.boot,
            boot_id=snapshot.boot_id, board=snapshot.board, durable=snapshot.durable,
            quorum_kept=snapshot.quorum is not None,
        )  # fmt: skip
        self.independent = self._make_independent(entropy, snapshot, now)
        self._snapshot = snapshot
        self._anchors = {s.id for s in config.anchors}
        self._polls = {s.id: PollControl(s.minpoll, s.maxpoll) for s in config.sources}
        self._tasks = Tasks(self.bootstrap, snapshot.names)
        self._lost: set[str] = set()
        """Sources that are known not to answer."""
        self._latest = now
        self._told = ""
        """The last announcement."""
        self._said: dict[str, set[str]] = {}
        """The remarks on each source, until it gives a good answer."""

    # --- the door ------------------------------------------------------------------------
    # Slews are taken out of the readings that come in (`sync.slew` says why), here and nowhere
    # else, and what goes back to the shell gets them again.

    def begin(self, now: Reading) -> list[Action]:
        """The first actions: everything is asked at once, nothing waits for anything else."""
        now = self._without_slews(now)
        saved = {s.source: s for s in self._snapshot.sessions}
        for association in self.associations.values():
            session = self._tasks.revived(saved.get(association.id), association.config)
            association.begin(now.boot, session, self._snapshot.names.known(association.id))
        # An earlier daemon may have been killed within a slew.
        actions = [Steer(self._snapshot.frequency), *self._warnings()]
        state = self.bootstrap.state.value
        actions.append(Announce(state, "", f"{state}: waiting for {self._needs()}"))
        if self.independent is not None:
            actions += self.independent.begin()
        return self._noted(actions, now) + self._act(now)

    def due(self) -> Boot:
        """When the core wants `TimerExpired` next."""
        times = [d for a in self._asking() if (d := a.due()) is not None]
        times.append(self.saving.due)
        others = [self.saving.batches.due, self._slews.due(), self.steering.leap_due()]
        others.append(self.independent.due() if self.independent else None)
        times += [t for t in others if t is not None]
        return self._slews.with_slews(min(times))

    def handle(self, event: Event, now: Reading) -> list[Action]:
        """Return what follows from an event.  UntrustedTimeError if the administrator's time is
        refused (`TimeEntered`)."""
        now = self._without_slews(now)
        match event:
            case TimerExpired():
                return self._act(now)
            case PacketReceived():
                return self._packet_received(event, now)
            case SendFailed(source):
                self.associations[source].unsent()
                return []
            case TaskDone(result):
                return self._task_done(result, now)
            case NetworkChanged():
                return self._network_changed(now)
            case BeliefRecorded(done):
                return self._follow(self.bootstrap.recorded(done, now), now, steer_too=False)
            case SaveRequested(final):
                return self._slewed(self.saving.everything(self._sources(), now, final), now)
            case TimeEntered(time):
                return self._time_entered(time, now)
            case RtcRead(_, reading):
                event = replace(event, reading=self._taken(reading))
                return self._follow(self._independent.rtc.handle(event, now), now)
            case RtcRefined(reading) | RtcWritten(reading):
                event = replace(event, reading=self._taken(reading))
                return self._independent.rtc.handle(event, now)
            case RtcTrimmed():
                return self._independent.rtc.handle(event, now)
            case RefclockReported(name, report):
                actions = self._independent.refclocks.handle(name, self._taken(report), now)
                return [] if actions is None else self._follow(actions, now)
            case RefclockLost(name):
                return self._follow(self._independent.refclocks.lost(name, now), now)

    def time_for_rtc(self, now: Reading) -> Instant | None:
        """Return the time to set the real-time clock to; None unless anchored (R7)."""
        raw = self._without_slews(now).raw
        return self.discipline.true_time(raw) if self.bootstrap.anchored else None

    # --- what the reports read -----------------------------------------------------------

    def mark(self, source: str) -> str:
        """Of `pints sources`."""
        selection = self.discipline.selection
        association = self.associations[source]
        if selection is None or not association.reach or association.unanswered >= LOST_AFTER:
            return UNUSABLE
        if any(refusal.source == source for refusal in self.bootstrap.refusals):
            return FALSETICKER
        return selection.marks.get(source, UNUSABLE)

    # --- each event ----------------------------------------------------------------------

    def _packet_received(self, event: PacketReceived, now: Reading) -> list[Action]:
        source = event.source
        sent, received = map(self._slews.without, (event.sent, event.received))
        association = self.associations[source]
        session = association.session
        near = self.bootstrap.estimate(now.boot).time
        backoff = association.retry.backoff
        outcome = association.receive(event.data, sent, received, event.error, near)
        if outcome is None:
            return []
        kept = [] if association.retry.backoff == backoff else self._keep_backoffs()
        if isinstance(outcome, Remark):
            # Said once: a server, or somebody on the way, may send it a thousand times.
            said = self._said.setdefault(source, set())
            known = outcome.text in said or len(said) >= MOST_REMARKS
            if not known:
                said.add(outcome.text)
            level = logging.DEBUG if known else outcome.level
            return [*kept, *self._noted([Log(level, outcome.text, outcome.rule)], now)]
        self._said.pop(source, None)
        if source in self._anchors:
            return kept + self._hear(_anchored_word(outcome), now)
        estimator = self.discipline.add(outcome).estimator
        poll = self._polls[source].after_sample(association.poll, estimator)
        undecided = self.bootstrap.witnesses > 0 and self.bootstrap.belief is None
        # Rules count minutes of agreement until there is a belief: no long waits before.
        association.poll = min(poll, association.config.minpoll) if undecided else poll
        window = session.window() if session is not None and outcome.from_saved_session else None
        self.steering.watch_leaps(now)
        self.bootstrap.measured_drift = self.discipline.drift
        actions = self.bootstrap.hear(outcome, window, now, event.own, self.steering.leaps.smearing)
        return kept + self._follow(actions, now)

    def _task_done(self, result: Result, now: Reading) -> list[Action]:
        source = self._tasks.source_of(result)
        if source is None:
            return []
        if source == ROUGHTIME:
            return self._follow(self._independent.roughtime.handle(result, now), now)
        association = self.associations[source]
        if isinstance(result, Failed):
            rule = "R5" if result.step == "chain" else ""
            reason = f"{rule}: {result.reason}" if rule else result.reason
            failure = Failure(reason, result.hint)
            said = association.task_failed(failure, result.sent_hello, now.boot)
            return self._noted([Log(said.level, said.text, rule)], now) if said else []
        if isinstance(result, Resolved):
            self._tasks.resolved(source, result)
            association.found_addresses(result.addresses, now.boot)
            return self._act(now)
        assert isinstance(result, Exchanged), "only Roughtime's tasks yield anything else"
        return self._exchanged(association, result, now)

    def _network_changed(self, now: Reading) -> list[Action]:
        for association in self.associations.values():
            association.network_changed(now.boot)
        if self.independent is not None:
            self.independent.roughtime.network_changed(now.boot)
        return self._act(now)

    def _time_entered(self, time: Instant, now: Reading) -> list[Action]:
        """UntrustedTimeError where the time is known better, or where `time` is beyond what may
        be."""
        floors = self.bootstrap.floors
        if self.bootstrap.state is State.DISPUTED:
            raise UntrustedTimeError(
                "R6", "the time is disputed: nobody's word decides that",
                "`pints bootstrap` shows who says what; remove the source that is wrong",
            )  # fmt: skip
        if self.bootstrap.belief is not None:
            raise UntrustedTimeError(
                "R10", "this boot has verified the time: nobody's word moves the clock",
                "`pints status` shows it; if it is wrong, `pints bootstrap` shows who said so",
            )  # fmt: skip
        if not floors.hard <= time <= floors.ceiling:
            raise UntrustedTimeError(
                "R1", f"{iso(time)} is not between {iso(floors.hard)} and {iso(floors.ceiling)}",
                "if the saved time is wrong: stop pints, pints restore --forget, start pints",
            )  # fmt: skip
        reach = nanoseconds(OPERATOR_ERROR)
        low, high = Instant(time - reach), Instant(time + reach)
        return self._hear(Evidence(OPERATOR, Strength.BELIEF, now.boot, low, high), now)

    # --- private -------------------------------------------------------------------------

    def _without_slews(self, now: Reading) -> Reading:
        """A reading as the core takes it.  Raw time stands still while the machine sleeps: what
        is known of true time against it moves by as much."""
        now = self._slews.without(now)
        last, self._latest = self._latest, now
        passed = now.boot - last.boot
        slept = passed - (now.raw - last.raw)
        if seconds(slept) > SLEPT + SLEW_LIMIT * seconds(passed):
            self.discipline.shift(slept)
        return now

    def _taken(self, told: Timed) -> Timed:
        """Return a device's report with the slews taken out of its reading."""
        at: Reading | None = getattr(told, "at", None)  # a sawtooth has no reading of its own
        return told if at is None else replace(told, at=self._slews.without(at))

    def _sources(self) -> list[Association]:
        return [a for a in self.associations.values() if a.id not in self._anchors]

    def _asking(self) -> list[Association]:
        """Who has anything left to say: anchors have not once the time is believed."""
        return self._sources() if self.bootstrap.belief else list(self.associations.values())

    def _act(self, now: Reading) -> list[Action]:
        actions: list[Action] = []
        began = False
        for association in self._asking():
            request = association.poll_request(now.boot)
            if request is not None:
                actions.append(Send(association.id, request.address, request.packet))
            actions += self._notice_loss(association, now)
            if association.wants_task(now.boot):
                began = True
                actions.append(self._tasks.start(association.config))
        if began:  # before they are sent: R12 holds for who is killed meanwhile, too
            actions[:0] = self._keep_backoffs()
        if self.independent is not None:
            actions += self.independent.act(partial(self._tasks.number, ROUGHTIME), now)
        if self._slews.over(now.raw):
            actions += self.steering.end_slew(now)
        actions += self.steering.leap(now)
        batches_due = self.saving.batches.due
        if batches_due is not None and now.boot >= batches_due:
            actions += self.saving.awaited(self._sources(), now.boot)
        return actions + self._slewed(self.saving.regular(self._sources(), now), now)

    def _keep_backoffs(self) -> list[Action]:
        return self.saving.backoffs({a.id: a.retry.backoff for a in self.associations.values()})

    def _make_independent(
        self, entropy: Callable[[int], bytes], snapshot: Snapshot, now: Reading
    ) -> "Independent | None":
        config = self.config
        if not (config.rtc.driver or config.refclocks or config.bootstrap.roughtime):
            return None
        # Imported only where it is configured: not needed costs nothing.
        from pints.evidence.independent import Independent

        return Independent(
            config, snapshot.calibration, snapshot.board,
            self.bootstrap, self.discipline, entropy, now,
        )  # fmt: skip

    @property
    def _independent(self) -> "Independent":
        assert self.independent is not None, "nothing else yields these events"
        return self.independent

    def _hear(self, said: Evidence | Refusal, now: Reading) -> list[Action]:
        return self._follow(self.bootstrap.offer(said, now), now)

    def _follow(
        self, actions: Iterable[Action], now: Reading, steer_too: bool = True
    ) -> list[Action]:
        """Complete what the bootstrap decided: keys to destroy, the clock to set and steer."""
        done: list[Action] = []
        for source, why in self.bootstrap.dropped:
            self.associations[source].drop_session(why, now.boot)
            self.discipline.forget(source)
        self.bootstrap.dropped.clear()
        sharpening = self.independent.refclocks.sharpening(now) if self.independent else {}
        selection = self.steering.choose(self._answering(), sharpening, now)
        stepped = now
        for action in self._noted(actions, now):
            if isinstance(action, SetClock):
                step = self.steering.set_clock(action, stepped)
                if step is None:
                    continue
                action = step
                stepped = replace(now, real=step.time)
            done.append(action)
        if selection is not None and self.bootstrap.steady and steer_too:
            done += self.steering.steer(selection, self._interval(selection.best), stepped)
        return self._slewed([*done, *self._on_state(now)], now)

    def _noted(self, actions: Iterable[Action], now: Reading) -> list[Action]:
        """Refusals are counted (R13), and what happens becomes part of the story."""
        noted = list(actions)
        for action in noted:
            match action:
                case Log(level, text, rule):
                    if rule:
                        self.refusals[rule] = self.refusals.get(rule, 0) + 1
                    # An announcement is logged in the same words.
                    if level >= logging.INFO and text != self._told:
                        self.story.append((now.boot, text))
                case Announce(_, _, text):
                    self.story.append((now.boot, text))
                    self._told = text
        return noted

    def _slewed(self, actions: list[Action], now: Reading) -> list[Action]:
        """Beliefs against the boot clock as the next daemon will read it, slews and all."""
        boot = self._slews.with_slews(now.boot, now.raw)
        return [
            replace(a, belief=replace(a.belief.at(now.boot), boot=boot))
            if isinstance(a, RecordBelief) else a
            for a in actions
        ]  # fmt: skip

    def _answering(self) -> Iterable[tuple[str, bool]]:
        """Whom the clock may follow, and whether each is authenticated."""
        for a in self._sources():
            if a.reach and a.unanswered < LOST_AFTER and not a.config.noselect:
                yield a.id, a.config.nts and a.id not in self.config.network
        for name in self.independent.refclocks.usable() if self.independent else ():
            yield name, True

    def _interval(self, source: str) -> float:
        association = self.associations.get(source)
        return float(1 << association.poll) if association else RECEIVER_INTERVAL

    def _on_state(self, now: Reading) -> list[Action]:
        """What a change of trust brings with it."""
        bootstrap = self.bootstrap
        fresh = bootstrap.anchored and not self.saving.anchored
        for association in self._sources():
            session = association.session
            if session is None:
                continue
            if not session.saved and (session.checked is None or fresh):
                session.checked = bootstrap.checked(association.id)
            if self._tasks.outlived(association, session, now):
                association.renew(now.boot)
        actions = self.saving.on_state(self._sources(), now)
        if fresh and self.independent is not None:
            actions += self.independent.rtc.compare()
        return actions if bootstrap.steady else [*actions, *self.steering.rest(now)]

    def _notice_loss(self, association: Association, now: Reading) -> list[Action]:
        """A source that does not answer any more, once."""
        if association.unanswered < LOST_AFTER:
            self._lost.discard(association.id)
            return []
        if association.id in self._lost:
            return []
        self._lost.add(association.id)
        text = f"{association.id}: {LOST_AFTER} polls unanswered: lost"
        actions = self.bootstrap.lose(association.id, now)
        return [Log(logging.WARNING, text), *self._follow(actions, now)]

    def _exchanged(self, association: Association, result: Exchanged, now: Reading) -> list[Action]:
        try:
            session, actions = self._tasks.exchanged(association.config, result, now)
        except UntrustedTimeError as e:
            said = association.task_failed(Failure(str(e), e.hint), True, now.boot)
            # Counted each time (R13), said once.
            heard = Log(said.level if said else logging.DEBUG, f"{association.id}: {e}", e.rule)
            return self._noted([heard], now) + self._follow(self.bootstrap.reconsider(now), now)
        association.found_keys(session, now.boot)
        self.saving.keys_renewed(now.boot)
        return self._follow(actions, now) + self._act(now)

    def _warnings(self) -> list[Action]:
        floors, bootstrap = self._snapshot.floors, self.bootstrap
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


def _anchored_word(sample: Sample) -> Evidence:
    """A bootstrap anchor's answer makes a belief, and no more."""
    error = nanoseconds(sample.distance)
    low, high = Instant(sample.time - error), Instant(sample.time + error)
    return Evidence(f"anchor {sample.source}", Strength.BELIEF, sample.boot, low, high)
