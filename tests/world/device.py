"""A device in the world: the real core, the real store and what stands between them, with the
rest of the shell played around it."""

import errno
import logging
import random
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from pints import restore
from pints.actions import (
    Action,
    Announce,
    Log,
    ReadRtc,
    RecordBelief,
    ReportClock,
    Save,
    SaveForBoot,
    SaveTime,
    Send,
    SetClock,
    SetRtc,
    Start,
    Steer,
)
from pints.config.tables import (
    AnchorConfig,
    BootstrapConfig,
    Config,
    RefclockConfig,
    RoughtimeConfig,
    RtcConfig,
    SourceConfig,
)
from pints.core.core import Core
from pints.drivers import Fix, Pulse, RtcReading
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
from pints.shell.attempts import Attempts
from pints.storage.keep import Keeper
from pints.storage.load import load_snapshot
from pints.storage.store import Store
from pints.timescale import DAY, NS, Boot, Instant, Reading, nanoseconds, seconds
from pints.values.address import Address
from pints.values.worker_tasks import (
    Exchanged,
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    RoughtimeHeard,
    RoughtimeTask,
    Task,
)
from pints_drivers.fake_rtc import Chip, MemoryRtc
from tests.world.disk import Disk
from tests.world.rules import Rules
from tests.world.worker import ask_roughtime, reach
from tests.world.world import PulsePerSecond, Receiver, SleepyClock, World

EPOCH_1970 = Instant(1)
STATE, RUN = "/var/lib/pints", "/run/pints"


class Device:
    """A Pi without a clock, or with one.  Its disk and its /run outlast what they should, and
    no more; so does a real-time clock.

    Without `sources` it asks all servers of its world; anchors and Roughtime operators are
    configured as the world has them.  Whatever it does is held against the rules of the
    bootstrap (`rules`), in every scenario.
    """

    booted = 0
    """Boots of all devices so far: every scenario's."""

    def __init__(
        self,
        world: World,
        sources: Sequence[SourceConfig] | None = None,
        bootstrap: BootstrapConfig | None = None,
        *,
        build_epoch: Instant | None = None,
        crystal: float = 0.0,
        network: frozenset[str] = frozenset(),
        rtc: Chip | None = None,
        receivers: Sequence[Receiver] = (),
        pulses: Sequence[PulsePerSecond] = (),
    ) -> None:
        self.world = world
        world.devices.append(self)
        if sources is None:
            sources = [SourceConfig(name) for name in world.servers]
        self.config = Config(
            tuple(sources),
            (
                *(RefclockConfig("fake-gps", r.device, trust=r.trust) for r in receivers),
                *(RefclockConfig("fake-pps", p.device, lock=p.lock) for p in pulses),
            ),
            _with_what_is_there(bootstrap or BootstrapConfig(), world),
            RtcConfig("fake-rtc" if rtc else ""),
            network=network,
        )
        self.receivers = {f"fake-gps {r.device}": r for r in receivers}
        self.pulses = {f"fake-pps {p.device}": p for p in pulses}
        self.rtc = MemoryRtc(world.true_time, self, rtc)
        self.serves = False
        """Whether it is an NTP server, too, so that others may follow it."""
        self.reference_id = bytes((192, 0, 2, 250))
        """By which those name it."""
        self.build_epoch = build_epoch or Instant(world.true_time() - nanoseconds(400 * DAY))
        luck = random.Random(world.entropy(8))
        self._disk = Disk(STATE, luck)
        self.run = Disk(RUN, luck, forgetful=True)
        self.board = "this board"
        self.clock = SleepyClock(world, EPOCH_1970, crystal)
        self.core: Core
        self.store: Store
        self.keeper: Keeper
        self.alive = 0
        """Number of the running daemon; events of one that is gone are dropped."""
        self.running = False
        self.log: list[tuple[int, str]] = []
        self.states: list[str] = []
        self.set_to: list[Instant] = []
        """What the clock was stepped to."""
        self.sent: list[bytes] = []
        self.writes = 0
        self.saved = 0
        """The highest ratcheted time whose saving was completed."""
        self.rules = Rules(self)
        self._crystal = crystal
        self._alarm = Boot(0)
        self._wakes = 0
        """Of the world's time: when its sleep is over."""
        self._lost: set[str] = set()
        """Receivers that were unplugged, which the daemon knows."""

    def remember(self, ago: float, *, ratcheted: bool = True) -> None:
        """Put saved time on the disk: what was true `ago` seconds ago."""
        then = self.world.true_time() - nanoseconds(ago)
        self.disk[restore.TIME_FILE] = restore.encode(then if ratcheted else 0, then)

    # --- life ----------------------------------------------------------------------------

    def boot(self, wakes: Instant = EPOCH_1970, *, kernel_rtc: bool = False) -> None:
        """Power on: the clock reads `wakes`, /run is empty, `pints restore` has its say.

        `kernel_rtc`: the kernel has a driver for the real-time clock, and wakes up by it.
        """
        Device.booted += 1
        self.alive += 1
        self.run.power_off()
        self._disk.power_off()
        self._wakes = 0
        chip = self.rtc.read() if kernel_rtc else None
        shown = 0 if chip is None or chip.flags else chip.time
        self.clock = SleepyClock(self.world, Instant(shown or wakes), self._crystal)
        self._restore(shown)
        self.rules.power_on()
        self.start()

    def _restore(self, shown: int) -> None:
        """Early boot's own code, on this disk; the kernel's real-time clock has `shown` ns."""
        with patch.multiple(
            restore,
            build_epoch=lambda: self.build_epoch,
            saved_time=lambda state: self._saved_time(),
            clock_chip=lambda low, high: shown if low <= shown <= high else 0,
            _say=logging.getLogger("world").debug,
        ):
            now = self.clock.read().real
            assert restore.main([], now, lambda time: self.clock.step(time - now)) == 0

    def start(self) -> None:
        """Start the daemon (again, within the same boot)."""
        self.alive += 1
        self.running = True
        self.store = Store(STATE, durable=self._disk.durable, files=self._disk)
        runtime = Store(RUN, files=self.run)
        self._attempts = Attempts()
        self.keeper = Keeper(self.store, runtime, self.clock.boot_id(), self._attempts)
        self.rules.start()
        snapshot = load_snapshot(
            self.store, runtime, self.clock, self.build_epoch, self.board,
            has_rtc=bool(self.config.rtc.driver),
        )  # fmt: skip
        self.core = Core(self.config, snapshot, self.clock.read(), self.world.entropy)
        self._do(self.core.begin(self.clock.read()))
        self._lost.clear()
        for name, receiver in self.receivers.items():
            self._later(receiver.interval, partial(self._tick, name, receiver))
        for name, pulses in self.pulses.items():
            self._later(self._next_second(), partial(self._second, name, pulses))

    def kill(self) -> None:
        """kill -9, or the power is cut: nothing more is written."""
        self.alive += 1
        self.running = False

    def stop(self) -> None:
        """A clean stop."""
        self._tell(SaveRequested(final=True))
        self.kill()

    def suspend(self, span: float) -> None:
        """Sleep for `span` seconds from now: nothing runs, packets are lost, and the network
        comes back a second after it wakes."""
        self.clock.sleep(nanoseconds(span))
        self._wakes = self.world.elapsed + nanoseconds(span)
        self._later(span + 1.0, self.link_came_up)

    def settime(self, time: Instant) -> None:
        """The operator: `pints settime`.  Raises what the command would say."""
        self.rules.heard("operator", time, 1.0)
        self._tell(TimeEntered(time))

    def find_seconds(self, *, written: bool = False) -> None:
        """It is found when the seconds of its real-time clock begin, after reading or setting."""
        time = self.rtc.chip.at(self.world.true_time())
        reading = replace(self.rtc.read(), time=time, error=0.005)
        self._tell(RtcWritten(reading) if written else RtcRefined(reading))

    def trim_rtc(self, change: float) -> None:
        """The operator had its real-time clock made faster by the fraction `change`, as its
        datasheet has it; this one is made faster by four fifths of that."""
        now = self.world.true_time()
        chip = self.rtc.chip
        offset = seconds(chip.at(now) - now)
        self.rtc.chip = Chip(offset, chip.drift + 0.8 * change, chip.flags, now)
        self._tell(RtcTrimmed(change))

    def set_the_date(self, by: float) -> None:
        """Somebody: `date -s`, `by` seconds from what the clock says."""
        self.rules.meddled = True
        self.clock.step(nanoseconds(by))

    def link_came_up(self) -> None:
        """A network interface has its carrier and an address."""
        if self.running and not self._asleep:
            self._later(0.0, lambda: self._tell(NetworkChanged()))

    # --- what tests look at and tamper with ----------------------------------------------

    @property
    def disk(self) -> Disk:
        """The state folder: a mapping, by names."""
        return self._disk

    @disk.setter
    def disk(self, content: Mapping[str, bytes]) -> None:
        self._disk.lay(content)

    @property
    def disk_durable(self) -> bool:
        return self._disk.durable

    @disk_durable.setter
    def disk_durable(self, durable: bool) -> None:
        self._disk.forgetful = not durable

    @property
    def run_writable(self) -> bool:
        return not self.run.failing

    @run_writable.setter
    def run_writable(self, writable: bool) -> None:
        self.run.fail(0 if writable else errno.EROFS)

    @property
    def state(self) -> str:
        return self.core.bootstrap.state.value

    @property
    def basis(self) -> str:
        return self.core.bootstrap.basis.value

    def reaches(self, state: str, basis: str = "", within: float = 30.0) -> bool:
        """Let the world go on until the trust state is this, for `within` seconds at most."""
        return self.world.run(
            within, lambda: self.state == state and (not basis or self.basis == basis)
        )

    def never(self, state: str, basis: str = "", within: float = 30.0) -> bool:
        """The opposite: it never becomes so within `within` seconds."""
        return not self.reaches(state, basis, within)

    def ends(self, *permitted: str, within: float, error: float) -> None:
        """Let the world go on for `within` seconds: the trust state must be one of these then
        (`verified` for any basis, or `verified anchored`), and the clock off by no more."""
        self.world.run(within)
        assert {self.state, f"{self.state} {self.basis}"} & set(permitted), (
            f"ended {self.state} {self.basis}, not {' or '.join(permitted)}; "
            f"log: {[text for _, text in self.log[-5:]]}"
        )
        assert abs(self.error()) <= error, f"off by {self.error()} s, {error} s permitted"

    def error(self) -> float:
        """The system clock less true time, seconds."""
        return seconds(self.clock.read().real - self.world.true_time())

    def refused(self, rule: str) -> list[str]:
        """Lines of the log that name the rule."""
        return [text for _, text in self.log if f"{rule}:" in text]

    def saved_ratchet(self) -> int:
        """What the disk holds, ns; 0 for none."""
        return self._saved_time()[0]

    @property
    def sessions_saved(self) -> bool:
        return any(name.startswith("sessions/") for name in self.disk)

    def said(self, text: str) -> bool:
        """Whether any line of the log has this in it."""
        return any(text in line for _, line in self.log)

    def read(self) -> Reading:
        """As the drivers ask for it."""
        return self.clock.read()

    def stamp(self, host_real: int) -> Reading | None:
        """The same; nothing here has pulses."""
        return None

    def source_of(self, host: str) -> str:
        """The id of the source that is configured with this server; '' for an anchor."""
        return next((s.id for s in self.config.sources if s.server == host), "")

    def counted(self) -> int:
        """Key exchanges that all servers have seen."""
        return sum(server.exchanges for server in self.world.servers.values())

    # --- the shell -----------------------------------------------------------------------

    def _saved_time(self) -> tuple[int, int]:
        data = self.disk.get(restore.TIME_FILE)
        saved = restore.decode(data) if data else None
        return saved or (0, 0)

    def _handle(self, event: Event) -> list[Action]:
        return self.core.handle(event, self.clock.read())

    def _tell(self, event: Event) -> None:
        self._do(self._handle(event))

    def _do(self, actions: Iterable[Action]) -> None:
        queue = deque(actions)
        while queue:
            queue += self._do_one(queue.popleft())
        self._wait()

    @property
    def _asleep(self) -> bool:
        return self.world.elapsed < self._wakes

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        """Call it then, if this daemon still lives; not before it wakes."""
        alive = self.alive

        def ring() -> None:
            if self.alive != alive:
                return
            if self._asleep:
                self.world.at(seconds(self._wakes - self.world.elapsed), ring)
            else:
                call()

        self.world.at(delay, ring)

    def _wait(self) -> None:
        """Ring when the core is due.  An alarm that something later has outdated is silent."""
        due = self.core.due()
        self._alarm = due

        def wake() -> None:
            if self._alarm != due:
                return
            if self.clock.boot() < due:  # a crystal that runs slow
                self._wait()
            else:
                self._tell(TimerExpired())

        self._later(max(seconds(due - self.clock.boot()), 0) + 1e-6, wake)

    def _do_one(self, action: Action) -> list[Action]:
        self.rules.before(action)
        followed = self._carry_out(action)
        self.rules.after(action)
        return followed

    def _carry_out(self, action: Action) -> list[Action]:
        match action:
            case Send(source, address, packet):
                self._send(source, address, packet)
            case Start(task):
                self._start(task)
            case SetClock(instant, boot):
                now = self.clock.read()
                self.set_to.append(instant)
                self.clock.step(instant + (now.boot - boot) - now.real)
            case Steer(rate):
                self.clock.set_rate(rate)
            case ReportClock(synchronized, max_error, est_error):
                self.clock.report(synchronized, max_error, est_error)
            case RecordBelief(belief, basis):
                return self._handle(BeliefRecorded(self.keeper.record(belief, basis)))
            case ReadRtc():
                reading = self._read_rtc()
                if reading is not None:
                    return self._handle(RtcRead(self.rtc.name, reading))
            case SetRtc():
                back = self._set_rtc()
                if back is not None:
                    return self._handle(RtcWritten(back))
            case SaveForBoot(name, data):
                self.keeper.save_for_boot(name, data)
            case SaveTime(ratcheted, seen, sure):
                if self.keeper.save_time(ratcheted, seen, sure):
                    self.saved = max(self.saved, ratcheted)
                    self.write(restore.TIME_FILE, self.disk[restore.TIME_FILE])
            case Save(name, data):
                if self.keeper.save(name, data):
                    self.write(name, data)
            case Announce(state, basis, _):
                self.states.append(f"{state} {basis}".strip())
            case Log(level, text, _):
                self.log.append((level, text))
                logging.getLogger("world").log(level, text)
        return []

    def write(self, name: str, data: bytes) -> None:
        """The disk has taken it."""
        self.writes += 1

    def _send(self, source: str, address: Address, packet: bytes) -> None:
        if not self.world.network_up:
            self._handle(SendFailed(source))
            return
        self.sent.append(packet)
        server = self.world.find(source)
        alive, sent = self.alive, self.clock.read()

        def arrive() -> None:
            for reply in server.replies(packet):
                self.world.at(server.way_back(), partial(receive, reply))

        def receive(reply: bytes) -> None:
            if self.alive == alive and self.world.network_up and not self._asleep:
                now = self.clock.read()
                own = self.reference_id if self.serves else b""
                if source in self.world.anchors or not self._has_witnesses:
                    self.rules.heard(f"hearsay {source}", server.time(), 1.0)
                actions = self._handle(PacketReceived(source, reply, sent, now, 0.0, own))
                self.rules.answered()
                self._do(actions)

        if address.host not in server.dead:
            self.world.at(server.way(), arrive)

    @property
    def _has_witnesses(self) -> bool:
        return any(s.nts and s.id not in self.config.network for s in self.config.sources)

    def _start(self, task: Task) -> None:
        if isinstance(task, RoughtimeTask):
            took, heard = ask_roughtime(self.world, task, self.error())
            self._later(took, partial(self._roughtime_heard, heard))
            return
        server = self.world.find(task.host)
        reached, hosts, failure = reach(self.world, server, task, self.error())

        def result() -> Result:
            if failure is not None:
                return failure
            if not self.world.network_up:
                return Failed(task.id, "tls", f"{task.host}: connection lost", sent_hello=True)
            if isinstance(task, ResolveTask):
                return Resolved(task.id, tuple(Address(host, task.port) for host in hosts))
            heard = server.exchange(task, hosts)
            if isinstance(heard, Exchanged):
                self.rules.shown(self.source_of(task.host), heard.chain, server.refusal)
            return heard

        def done() -> None:
            self._tell(TaskDone(result()))

        # TCP, TLS and the records: three round trips; a dead port costs its time-out.
        answers = not isinstance(task, ExchangeTask) or server.ke_up or failure is not None
        self._later(reached + 6 * server.way() if answers else task.timeout, done)

    def _roughtime_heard(self, heard: RoughtimeHeard) -> None:
        for reading in heard.readings:
            middle = (reading.low + reading.high) // 2 + nanoseconds(reading.age)
            reach = seconds(reading.high - reading.low) / 2
            self.rules.heard(f"hearsay of {reading.host}", middle, reach)
        self._tell(TaskDone(heard))

    # --- clocks on the board -------------------------------------------------------------

    def _read_rtc(self) -> RtcReading | None:
        read: list[RtcReading] = []
        self._attempts.attempt("rtc", lambda: read.append(self.rtc.read()))
        for reading in read:
            self.rules.heard("rtc", reading.time, reading.error)
        return read[0] if read else None

    def _set_rtc(self) -> RtcReading | None:
        time = self.core.time_for_rtc(self.clock.read())
        if time is None or not self._attempts.attempt("rtc", partial(self.rtc.write, time)):
            return None
        return self._read_rtc()

    def _tick(self, name: str, receiver: Receiver) -> None:
        """A receiver's next fix, if it has one."""
        self._later(receiver.interval, partial(self._tick, name, receiver))
        if not receiver.plugged:
            if name not in self._lost:
                self._lost.add(name)
                self._tell(RefclockLost(name))
            return
        self._lost.discard(name)
        if receiver.sees_sky:
            time = receiver.time(self.world.true_time())
            self.rules.heard(name, time, receiver.error)
            fix = Fix(time, receiver.error, self.clock.read())
            self._tell(RefclockReported(name, fix))

    def _next_second(self) -> float:
        return seconds(-self.world.true_time() % NS or NS)

    def _second(self, name: str, pulses: PulsePerSecond) -> None:
        """A second begins: here is what comes with the next one."""

        def edge() -> None:
            now = self.clock.read()
            self._tell(RefclockReported(name, Pulse(now, pulses.error)))

        wait = self._next_second()
        self._later(wait, partial(self._second, name, pulses))
        if pulses.on:
            for late in pulses.edges(self.world.rng):
                self._later(wait + late, edge)


def _with_what_is_there(bootstrap: BootstrapConfig, world: World) -> BootstrapConfig:
    """With the world's anchors and Roughtime servers, unless it names some."""
    anchors = tuple(AnchorConfig(name, ("private-ca.pem",)) for name in world.anchors)
    operators = tuple(
        RoughtimeConfig(o.name, b64encode(o.server.key).decode(), operator=o.name)
        for o in world.operators.values()
    )
    return replace(
        bootstrap,
        anchor=bootstrap.anchor or anchors,
        roughtime=bootstrap.roughtime or operators,
    )
