"""A device in the world: the real core, the real store and what stands between them, with the
rest of the shell played around it."""

import errno
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from pints import restore
from pints.actions import (
    Action,
    Announce,
    Log,
    RecordBelief,
    ReportClock,
    Save,
    SaveForBoot,
    SaveTime,
    Send,
    SetClock,
    Start,
    Steer,
)
from pints.config import BootstrapConfig, Config, SourceConfig
from pints.core import Core
from pints.remember import Attempts, Keeper, remember
from pints.shell.software_clock import SoftwareClock
from pints.shell.store import Store
from pints.timescale import DAY, Boot, Instant, nanoseconds, seconds
from pints.worker.messages import (
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    RoughtimeTask,
    Task,
)
from tests.world.disk import Disk
from tests.world.rules import Rules
from tests.world.world import World

EPOCH_1970 = Instant(1)
STATE, RUN = "/var/lib/pints", "/run/pints"


class Device:
    """A Pi without a clock.  Its disk and its /run outlast what they should, and no more.

    Whatever it does is held against the rules of the bootstrap (`rules`), in every scenario.
    """

    def __init__(
        self,
        world: World,
        sources: Sequence[SourceConfig] | None = None,
        bootstrap: BootstrapConfig | None = None,
        *,
        build_epoch: Instant | None = None,
        crystal: float = 0.0,
        network: frozenset[str] = frozenset(),
    ) -> None:
        self.world = world
        if sources is None:
            sources = [SourceConfig(name) for name in world.servers]
        self.config = Config(
            tuple(sources), bootstrap=bootstrap or BootstrapConfig(), network=network
        )
        self.build_epoch = build_epoch or Instant(world.true_time() - nanoseconds(400 * DAY))
        luck = random.Random(world.entropy(8))
        self._disk = Disk(STATE, luck)
        self.run = Disk(RUN, luck, forgetful=True)
        self.board = "this board"
        self.clock = SoftwareClock(EPOCH_1970, timebase=world.timebase, crystal=crystal)
        self.core: Core
        self.store: Store
        self.keeper: Keeper
        self.alive = 0
        """Number of the running daemon; events of one that is gone are dropped."""
        self.log: list[tuple[int, str]] = []
        self.states: list[str] = []
        self.set_to: list[Instant] = []
        """What the clock was stepped to."""
        self.sent: list[bytes] = []
        self.writes = 0
        self.saved = 0
        """The highest ratcheted time whose saving was completed."""
        self.rules = Rules(self)
        self._alarm = Boot(0)

    def remember(self, ago: float, *, ratcheted: bool = True) -> None:
        """Put saved time on the disk: what was true `ago` seconds ago."""
        then = self.world.true_time() - nanoseconds(ago)
        self.disk[restore.TIME_FILE] = restore.encode(then if ratcheted else 0, then)

    # --- life ----------------------------------------------------------------------------

    def boot(self, wakes: Instant = EPOCH_1970) -> None:
        """Power on: the clock reads `wakes`, /run is empty, `pints restore` has its say."""
        self.alive += 1
        self.run.power_off()
        self._disk.power_off()
        self.clock = self.clock.reboot(wakes)
        ratcheted, seen = self._saved_time()
        floor, _ = restore.soft_floor(self.build_epoch, ratcheted, seen)
        if self.clock.read().real < floor:
            self.clock.step(floor - self.clock.read().real)
        self.rules.power_on()
        self.start()

    def start(self) -> None:
        """Start the daemon (again, within the same boot)."""
        self.alive += 1
        self.store = Store(STATE, durable=self._disk.durable, files=self._disk)
        runtime = Store(RUN, files=self.run)
        self.keeper = Keeper(self.store, runtime, self.clock.boot_id(), Attempts())
        self.rules.start()
        remembered = remember(self.store, runtime, self.clock, self.build_epoch, self.board)
        self.core = Core(self.config, remembered, self.clock.read(), self.world.entropy)
        self._do(self.core.begin(self.clock.read()))

    def kill(self) -> None:
        """kill -9, or the power is cut: nothing more is written."""
        self.alive += 1

    def stop(self) -> None:
        """A clean stop."""
        self._do(self.core.save(self.clock.read(), final=True))
        self.kill()

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

    def counted(self) -> int:
        """Key exchanges that all servers have seen."""
        return sum(server.exchanges for server in self.world.servers.values())

    # --- the shell -----------------------------------------------------------------------

    def _saved_time(self) -> tuple[int, int]:
        data = self.disk.get(restore.TIME_FILE)
        saved = restore.decode(data) if data else None
        return saved or (0, 0)

    def _do(self, actions: Iterable[Action]) -> None:
        queue = list(actions)
        while queue:
            queue[:0] = self._do_one(queue.pop(0))
        self._wait(self.alive)

    def _wait(self, alive: int) -> None:
        """Ring when the core is due.  An alarm that something later has outdated is silent."""
        due = self.core.due()
        self._alarm = due

        def wake() -> None:
            if self.alive != alive or self._alarm != due:
                return
            if self.clock.boot() < due:  # a crystal that runs slow
                self._wait(alive)
            else:
                self._do(self.core.handle_timer(self.clock.read()))

        self.world.at(max(seconds(due - self.clock.boot()), 0) + 1e-6, wake)

    def _do_one(self, action: Action) -> list[Action]:
        self.rules.before(action)
        followed = self._carry_out(action)
        self.rules.after(action)
        return followed

    def _carry_out(self, action: Action) -> list[Action]:
        match action:
            case Send(source, _, packet):
                self._send(source, packet)
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
                done = self.keeper.record(belief, basis)
                return self.core.belief_recorded(done, self.clock.read())
            case SaveForBoot(name, data):
                self.keeper.save_for_boot(name, data)
            case SaveTime(ratcheted, seen, verified):
                if self.keeper.save_time(ratcheted, seen, verified):
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

    def _send(self, source: str, packet: bytes) -> None:
        self.sent.append(packet)
        server = self.world.servers[source]
        alive, sent = self.alive, self.clock.read()

        def arrive() -> None:
            for reply in server.replies(packet):
                self.world.at(server.way() + server.asymmetry, partial(receive, reply))

        def receive(reply: bytes) -> None:
            if self.alive == alive:
                now = self.clock.read()
                self._do(self.core.handle_packet(source, reply, sent, now, 0.0, now))

        if self.world.network_up:
            self.world.at(server.way(), arrive)

    def _start(self, task: Task) -> None:
        assert not isinstance(task, RoughtimeTask)
        server = self.world.servers[task.host]
        alive = self.alive

        def result() -> Result:
            if not self.world.network_up:
                return Failed(task.id, "resolve", f"{task.host}: name does not resolve")
            if isinstance(task, ResolveTask):
                return Resolved(task.id, (server.address,))
            return server.exchange(task)

        def done() -> None:
            if self.alive == alive:
                self._do(self.core.handle_result(result(), self.clock.read()))

        # TCP, TLS and the records: three round trips; a dead port costs its time-out.
        answers = not isinstance(task, ExchangeTask) or server.ke_up
        self.world.at(6 * server.way() if answers else task.timeout, done)
