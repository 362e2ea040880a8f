"""The whole daemon but for its hands: events in, actions out.

Sources are asked, their answers judged (`client`), what they say of the time believed or not
(`bootstrap`), the clock steered by it (`steering`, `sync`) and what is worth it kept (`saving`).
This file is where they meet.  It does no I/O and reads no clock: `now` is the three timescales,
read together by the caller.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pints.actions import (
    Action,
    Announce,
    Log,
    RecordBelief,
    Save,
    Send,
    SetClock,
    Start,
    Steer,
)
from pints.bootstrap.belief import Belief, Floors
from pints.bootstrap.engine import Bootstrap, Earlier
from pints.bootstrap.evidence import Evidence, Strength
from pints.bootstrap.record import QuorumRecord
from pints.bootstrap.restoring import OPERATOR
from pints.bootstrap.rules import Refusal
from pints.bootstrap.witness import identity, is_witness
from pints.client.association import LOST_AFTER, Association, Failure, Remark
from pints.client.batches import Batches
from pints.client.names import Names
from pints.client.retry import Backoff
from pints.client.session import RENEW_AFTER, SavedSession, Session, revive
from pints.config import Config, SourceConfig
from pints.drivers import Fix, RtcReading
from pints.errors import UntrustedTimeError
from pints.local_clocks import Receivers, RtcKeeper
from pints.roughtime_poll import RoughtimePoll
from pints.sample import Sample
from pints.saving import MALFEASANCE_FILE, Saving
from pints.steering import Steering
from pints.sync.discipline import Discipline
from pints.sync.filter import FREQUENCY_PRIOR
from pints.sync.leap import LeapWatch
from pints.sync.poll import PollControl
from pints.sync.select import FALSETICKER, UNUSABLE
from pints.sync.slew import SlewAccount
from pints.timescale import (
    DAY,
    HOUR,
    Boot,
    Instant,
    Reading,
    after,
    iso,
    nanoseconds,
    seconds,
    span,
)
from pints.wire.aead import ALGORITHMS
from pints.wire.ntp import NTP_PORT
from pints.worker.messages import (
    Exchanged,
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    RoughtimeHeard,
)

TASK_TIMEOUT = 15.0
"""Seconds for a key exchange with its look-ups."""
RECEIVER_INTERVAL = 16.0
"""Seconds over which a clock that follows a receiver is steered."""
OPERATOR_ERROR = 1.0
"""What a person may be off who types the time, seconds."""
STORY_LENGTH = 40
"""Lines of this boot's story that are kept for who asks."""


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
    quorum: QuorumRecord | None = None
    """The last one that was kept."""
    names: Names = field(default_factory=Names)
    """Addresses that the servers had last time."""
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    """How often an earlier daemon of this boot asked for keys."""
    rtc: RtcKeeper | None = None
    """The real-time clock with its calibration, if one is configured."""


class Core:
    """One daemon's mind."""

    def __init__(
        self, config: Config, remembered: Remembered, now: Reading, entropy: Callable[[int], bytes]
    ) -> None:
        self.config = config
        self.started = now
        self.refusals: dict[str, int] = {}
        """How often each rule refused something (R13)."""
        self.story: deque[tuple[Boot, str]] = deque(maxlen=STORY_LENGTH)
        """What was announced and refused in this boot, and when."""
        backoffs = remembered.backoffs
        self.associations = {
            s.id: Association(s, entropy, backoffs.get(s.id, Backoff()))
            for s in (*config.sources, *config.anchors)
        }
        self.discipline = Discipline(remembered.frequency, remembered.skew)
        witnesses = {s.id: identity(s) for s in config.sources if is_witness(s, config)}
        record = remembered.quorum
        of_old = record if record is not None and record.boot_id != remembered.boot_id else None
        earlier = Earlier(remembered.belief, of_old)
        self.bootstrap = Bootstrap(config.bootstrap, remembered.floors, witnesses, now, earlier)
        self.rtc = remembered.rtc
        self.receivers = Receivers(config, self.bootstrap.lenient_floors)
        self.leaps = LeapWatch()
        self.roughtime = RoughtimePoll(config.bootstrap.roughtime, entropy, now.boot)
        self._slews = SlewAccount(now)
        self.steering = Steering(self.bootstrap, self.discipline, self._slews)
        self.saving = Saving(
            config, self.bootstrap, self.discipline, remembered.names,
            Batches(remembered.board, remembered.batches), now.boot,
            boot_id=remembered.boot_id, board=remembered.board, durable=remembered.durable,
            quorum_kept=remembered.quorum is not None,
        )  # fmt: skip
        self._remembered = remembered
        self._anchors = {s.id for s in config.anchors}
        self._polls = {s.id: PollControl(s.minpoll, s.maxpoll) for s in config.sources}
        self._tasks: dict[int, str] = {}
        """Source of each task; '' for Roughtime."""
        self._next_task = 1
        self._lost: set[str] = set()
        """Sources that are known not to answer."""
        self._said: dict[str, str] = {}
        """The last remark on each source, until it gives a good answer."""

    # --- events --------------------------------------------------------------------------
    # Each takes the slews out of the readings it is given (`sync.slew` says why), and what
    # goes back to the shell gets them again.

    def begin(self, now: Reading) -> list[Action]:
        """The first actions: everything is asked at once, nothing waits for anything else."""
        now = self._slews.without(now)
        saved = {s.source: s for s in self._remembered.sessions}
        for association in self.associations.values():
            session = self._revived(saved.get(association.id), association.config)
            association.begin(now.boot, session, self._remembered.names.known(association.id))
        # An earlier daemon may have been killed within a slew.
        actions = [Steer(self._remembered.frequency), *self._warnings()]
        state = self.bootstrap.state.value
        actions.append(Announce(state, "", f"{state}: waiting for {self._needs()}"))
        if self.rtc is not None:
            actions += self.rtc.begin()
        return actions + self._act(now)

    def due(self) -> Boot:
        """When `handle_timer` should be called next."""
        times = [d for a in self._asking() if (d := a.due()) is not None]
        times.append(self.saving.due)
        others = [self.saving.batches.due, self._slews.due(), self.roughtime.due()]
        others += [self._leap_due(), self.rtc.due() if self.rtc else None]
        times += [t for t in others if t is not None]
        return self._slews.with_slews(min(times))

    def handle_timer(self, now: Reading) -> list[Action]:
        """Do what is due."""
        return self._act(self._slews.without(now))

    def handle_packet(
        self,
        source: str,
        data: bytes,
        sent: Reading,
        received: Reading,
        error: float,
        now: Reading,
        own: bytes = b"",
    ) -> list[Action]:
        """A datagram came on the socket of the source's last request.  `own` is the reference
        id by which a server would name this machine."""
        now, sent, received = map(self._slews.without, (now, sent, received))
        association = self.associations[source]
        session = association.session
        near = self.bootstrap.estimate(now.boot).time
        backoff = association.retry.backoff
        outcome = association.receive(data, sent, received, error, near)
        if outcome is None:
            return []
        kept = [] if association.retry.backoff == backoff else self._keep_backoffs()
        if isinstance(outcome, Remark):
            # Said once: a server, or somebody on the way, may send it a thousand times.
            known = self._said.get(source) == outcome.text
            self._said[source] = outcome.text
            return [*kept, Log(logging.DEBUG if known else outcome.level, outcome.text)]
        self._said.pop(source, None)
        if source in self._anchors:
            return kept + self._hear(_anchored_word(outcome), now)
        path = self.discipline.add(outcome)
        association.poll = self._polls[source].after_sample(association.poll, path)
        window = session.window() if session is not None and outcome.from_saved_session else None
        self._watch_leaps(now)
        actions = self.bootstrap.hear(outcome, window, now, own)
        return kept + self._follow(actions, now)

    def handle_result(self, result: Result, now: Reading) -> list[Action]:
        """The worker has done a task."""
        now = self._slews.without(now)
        source = self._tasks.pop(result.id, None)
        if source is None:
            return []
        if source == "":
            return self._roughtime_heard(result, now)
        association = self.associations[source]
        if isinstance(result, Failed):
            rule = "R5" if result.step == "chain" else ""
            reason = f"{rule}: {result.reason}" if rule else result.reason
            failure = Failure(reason, result.hint)
            said = association.task_failed(failure, result.sent_hello, now.boot)
            return self._noted([Log(said.level, said.text, rule)], now) if said else []
        if isinstance(result, Resolved):
            self._remembered.names.learned(source, [a.host for a in result.addresses])
            association.found_addresses(result.addresses, now.boot)
            return self._act(now)
        assert isinstance(result, Exchanged), "only Roughtime's tasks yield anything else"
        return self._exchanged(association, result, now)

    def handle_rtc(self, name: str, reading: RtcReading, now: Reading) -> list[Action]:
        """The real-time clock was read."""
        assert self.rtc is not None, "nobody else reads one"
        now = self._slews.without(now)
        reading = replace(reading, at=self._slews.without(reading.at))
        said = self.rtc.judge(name, reading, self.bootstrap.lenient_floors)
        return self._hear(said, now) + self._compare_rtc(now)

    def rtc_written(self, back: RtcReading, now: Reading) -> list[Action]:
        """The real-time clock was set, and read again."""
        now = self._slews.without(now)
        true = self.discipline.true_time(back.at.raw)
        if self.rtc is None or true is None or not self.bootstrap.anchored:
            return []
        return self.rtc.written(back, true, self.discipline.bound(back.at.raw))

    def handle_fix(self, name: str, fix: Fix, now: Reading) -> list[Action]:
        """A receiver told the time."""
        now = self._slews.without(now)
        said, sample = self.receivers.hear(name, replace(fix, at=self._slews.without(fix.at)))
        if sample is not None:
            self.discipline.add(sample)
        return [] if said is None else self._hear(said, now)

    def receiver_lost(self, name: str, now: Reading) -> list[Action]:
        """A receiver was unplugged."""
        now = self._slews.without(now)
        self.discipline.forget(name)
        return self._follow(self.bootstrap.withdraw(name, now), now)

    def set_time(self, time: Instant, now: Reading) -> list[Action]:
        """The operator says that it is `time` now.  UntrustedTimeError where it is known
        better, or beyond what may be."""
        now = self._slews.without(now)
        floors = self.bootstrap.floors
        if self.bootstrap.belief is not None:
            raise UntrustedTimeError(
                "R10", "this boot has verified the time: nobody's word moves the clock",
                "`pints status` shows it; if it is wrong, `pints bootstrap` shows who said so",
            )  # fmt: skip
        if not floors.hard <= time <= floors.ceiling:
            raise UntrustedTimeError(
                "R1", f"{iso(time)} is not between {iso(floors.hard)} and {iso(floors.ceiling)}",
                "if it is the saved time that is wrong: pints restore --forget, and start again",
            )  # fmt: skip
        reach = nanoseconds(OPERATOR_ERROR)
        low, high = Instant(time - reach), Instant(time + reach)
        return self._hear(Evidence(OPERATOR, Strength.BELIEF, now.boot, low, high), now)

    def network_changed(self, now: Reading) -> list[Action]:
        """A link or an address came up: whoever could not be reached may be now (R12)."""
        now = self._slews.without(now)
        for association in self.associations.values():
            association.network_changed(now.boot)
        self.roughtime.network_changed(now.boot)
        return self._act(now)

    def unsent(self, source: str) -> None:
        """The request that was to be sent did not leave this machine."""
        self.associations[source].unsent()

    def belief_recorded(self, ok: bool, now: Reading) -> list[Action]:
        """The shell tells how `RecordBelief` went (R9)."""
        now = self._slews.without(now)
        return self._follow(self.bootstrap.recorded(ok, now), now, steer_too=False)

    def save(self, now: Reading, final: bool = False) -> list[Action]:
        """What should outlast this daemon.  `final` is a clean stop."""
        now = self._slews.without(now)
        return self._slewed(self.saving.everything(self._sources(), now, final), now)

    # --- what the reports read -----------------------------------------------------------

    def true_time(self, now: Reading) -> Instant | None:
        """The best estimate of true time; None while there is none."""
        return self.discipline.true_time(now.raw)

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
                actions.append(self._start(association))
        if began:  # before they are sent: R12 holds for who is killed meanwhile, too
            actions[:0] = self._keep_backoffs()
        if not self.bootstrap.anchored:
            task = self.roughtime.task(self._next_task, now.boot)
            if task is not None:
                self._tasks[task.id] = ""
                self._next_task += 1
                actions.append(Start(task))
        if self._slews.over(now.raw):
            actions += self.steering.end_slew(now)
        if self.rtc is not None:
            actions += self.rtc.handle_timer(now.boot)
        actions += self._leap(now)
        batches_due = self.saving.batches.due
        if batches_due is not None and now.boot >= batches_due:
            actions += self.saving.awaited(self._sources(), now.boot)
        return actions + self._slewed(self.saving.regular(self._sources(), now), now)

    def _keep_backoffs(self) -> list[Action]:
        return self.saving.backoffs({a.id: a.retry.backoff for a in self.associations.values()})

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
        selection = self.steering.choose(self._answering(), now)
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
            if isinstance(action, Log) and action.rule:
                self.refusals[action.rule] = self.refusals.get(action.rule, 0) + 1
            if isinstance(action, Announce) or (isinstance(action, Log) and action.rule):
                self.story.append((now.boot, action.text))
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
            answers = a.reach and a.unanswered < LOST_AFTER
            if answers and not a.config.noselect and a.id not in self.leaps.smearing:
                yield a.id, a.config.nts and a.id not in self.config.network
        for name in self.receivers.usable():
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
            if self._outlived(association, session, now):
                association.renew(now.boot)
        actions = self.saving.on_state(self._sources(), now)
        if fresh:
            actions += self._compare_rtc(now)
        return actions if bootstrap.steady else [*actions, *self.steering.rest(now)]

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
            said = association.task_failed(Failure(str(e), e.hint), True, now.boot)
            # Counted each time (R13), said once.
            heard = Log(said.level if said else logging.DEBUG, f"{association.id}: {e}", e.rule)
            return self._noted([heard], now) + self._follow(self.bootstrap.reconsider(now), now)
        same = result.server == association.config.server
        ntp_hosts = (a.host for a in result.addresses if same)
        self._remembered.names.learned(association.id, (result.ke_address.host, *ntp_hosts))
        session = Session(
            algorithm, list(result.keys), result.addresses, result.chain, list(result.cookies),
            result.server,
        )  # fmt: skip
        session.checked = self.bootstrap.checked(association.id)
        association.found_keys(session, now.boot)
        self.saving.keys_renewed(now.boot)
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
        known = (*source.addresses, *self._remembered.names.known(source.id))
        addresses = tuple(dict.fromkeys(known))
        if not source.nts:
            port = source.port or NTP_PORT
            return Start(ResolveTask(task_id, source.server, port, TASK_TIMEOUT))
        return Start(
            ExchangeTask(
                task_id, source.server, source.ke_port, TASK_TIMEOUT, addresses,
                source.ca, tuple(ALGORITHMS), source.port,
            )
        )  # fmt: skip

    def _roughtime_heard(self, result: Result, now: Reading) -> list[Action]:
        """Roughtime servers answered: a quorum of them is independent evidence."""
        if not isinstance(result, RoughtimeHeard):
            reason = result.reason if isinstance(result, Failed) else "no answer"
            self.roughtime.done(False, now.boot)
            return [Log(logging.WARNING, f"roughtime: {reason}")]
        from pints.bootstrap.roughtime import judge  # for those who configured it

        operators, floors = self.roughtime.operators, self.bootstrap.lenient_floors
        evidence, refusals = judge(result.readings, operators, floors, now.boot)
        actions: list[Action] = [Log(logging.WARNING, str(r), r.rule) for r in refusals]
        actions += [Log(logging.INFO, f"roughtime: {line}") for line in result.failures]
        if result.malfeasance:
            actions.append(Save(MALFEASANCE_FILE, result.malfeasance.encode()))
            text = f"roughtime: servers contradict each other: proof kept as {MALFEASANCE_FILE}"
            actions.append(Log(logging.ERROR, text))
        self.roughtime.done(evidence is not None, now.boot)
        heard = self._noted(actions, now)
        return heard if evidence is None else heard + self._hear(evidence, now)

    def _compare_rtc(self, now: Reading) -> list[Action]:
        """Hold the real-time clock against anchored time."""
        if self.rtc is None or not self.bootstrap.anchored or self.rtc.reading is None:
            return []
        raw = self.rtc.reading.at.raw
        true = self.discipline.true_time(raw)
        return [] if true is None else self.rtc.compare(true, self.discipline.bound(raw), now.boot)

    # --- leap seconds ---

    def _watch_leaps(self, now: Reading) -> None:
        finding, belief = self.bootstrap.finding, self.bootstrap.belief
        if finding is None or belief is None:
            return
        said = {s: sample.leap for s, sample in self.discipline.last.items()}
        self.leaps.hear(said, finding.members, self.bootstrap.needed, belief.at(now.boot).time)

    def _leap_due(self) -> Boot | None:
        pending, belief = self.leaps.pending, self.bootstrap.belief
        return Boot(belief.boot + pending.at - belief.time) if pending and belief else None

    def _leap(self, now: Reading) -> list[Action]:
        """The count of seconds steps, and all that is known of it, at the instant of a leap."""
        belief = self.bootstrap.belief
        leap = self.leaps.take(belief.at(now.boot).time) if belief else None
        if leap is None:
            return []
        self.bootstrap.shift(leap.step)
        self.discipline.shift(nanoseconds(leap.step))
        text = (
            f"R10: leap second at {iso(leap.at)}: the count of seconds steps by {span(leap.step)}"
        )
        actions: list[Action] = [Log(logging.WARNING, text)]
        if self.bootstrap.steady:
            target = Instant(now.real + nanoseconds(leap.step))
            actions.append(SetClock(target, self._slews.with_slews(now.boot, now.raw)))
        return actions

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


def _anchored_word(sample: Sample) -> Evidence:
    """A bootstrap anchor's answer makes a belief, and no more."""
    error = nanoseconds(sample.distance)
    low, high = Instant(sample.time - error), Instant(sample.time + error)
    return Evidence(f"anchor {sample.source}", Strength.BELIEF, sample.boot, low, high)
