"""A device in the world: the real core, with a played shell around it."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from pints import restore
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
from pints.bootstrap.belief import Floors, decode_belief
from pints.client.batches import batch_names
from pints.client.session import SavedSession, decode_batch
from pints.config import BootstrapConfig, Config, SourceConfig
from pints.core import Core, Remembered
from pints.errors import StateError
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, Boot, Instant, nanoseconds, seconds
from pints.worker.messages import ExchangeTask, Failed, Resolved, ResolveTask, Result, Task
from tests.world.rules import Rules
from tests.world.world import World

EPOCH_1970 = Instant(1)
T = TypeVar("T")


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
        self.disk: dict[str, bytes] = {}
        self.run: dict[str, bytes] = {}
        self.run_writable = True
        self.disk_durable = True
        self.board = "this board"
        self.clock = SoftwareClock(EPOCH_1970, timebase=world.timebase, crystal=crystal)
        self.core: Core
        self.alive = 0
        """Number of the running daemon; events of one that is gone are dropped."""
        self.log: list[tuple[int, str]] = []
        self.states: list[str] = []
        self.set_to: list[Instant] = []
        """What the clock was stepped to."""
        self.sent: list[bytes] = []
        self.writes = 0
        self.rules = Rules(self)
        self._alarm = Boot(0)

    def remember(self, ago: float, *, ratcheted: bool = True) -> None:
        """Put saved time on the disk: what was true `ago` seconds ago."""
        then = self.world.true_time() - nanoseconds(ago)
        self.disk[restore.TIME_FILE] = restore.encode(then if ratcheted else 0, then)

    # --- life ----------------------------------------------------------------------------

    def boot(self, wakes: Instant = EPOCH_1970) -> None:
        """Power on: the clock reads `wakes`, /run is empty, `pints restore` has its say."""
        self.run.clear()
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
        ratcheted, seen = self._saved_time()
        sessions, batches = self._spend_batch() if self.disk_durable else ([], 0)
        drift = self._read("drift.json", json.loads) or {"frequency": 0.0, "skew": 1e-4}
        boot_id = self.clock.boot_id()
        try:
            belief = decode_belief(self.run.get("belief", b"").decode("ascii", "replace"), boot_id)
        except StateError:
            belief = None
        remembered = Remembered(
            Floors(self.build_epoch, Instant(ratcheted), Instant(seen)), boot_id, self.board,
            drift["frequency"], drift["skew"], sessions, batches, belief, self.disk_durable,
        )  # fmt: skip
        self.rules.start()
        self.core = Core(self.config, remembered, self.clock.read(), self.world.entropy)
        self._do(self.core.begin(self.clock.read()))

    def kill(self) -> None:
        """kill -9, or the power is cut: nothing more is written."""
        self.alive += 1

    def stop(self) -> None:
        """A clean stop."""
        self._do(self.core.save(self.clock.read(), final=True))
        self.kill()

    # --- what tests look at --------------------------------------------------------------

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

    def _read(self, name: str, decode: Callable[[bytes], T]) -> T | None:
        """As the daemon reads: what is torn is set aside."""
        data = self.disk.get(name)
        try:
            return None if data is None else decode(data)
        except (StateError, ValueError):
            self.disk[f"{name}.bad"] = self.disk.pop(name)
            return None

    def _spend_batch(self) -> tuple[list[SavedSession], int]:
        names = batch_names()
        for n, name in enumerate(names):
            sessions = self._read(name, partial(decode_batch, board=self.board))
            if sessions is not None:
                del self.disk[name]
            if sessions:
                return sessions, len(names) - n - 1
        return [], 0

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
            case RecordBelief(text):
                if self.run_writable:
                    self.run["belief"] = text.encode()
                return self.core.belief_recorded(self.run_writable, self.clock.read())
            case SaveTime(ratcheted, seen):
                self.write(restore.TIME_FILE, restore.encode(ratcheted, seen))
            case Save(name, data):
                self.write(name, data)
            case Announce(state, basis, _):
                self.states.append(f"{state} {basis}".strip())
            case Log(level, text, _):
                self.log.append((level, text))
                logging.getLogger("world").log(level, text)
        return []

    def write(self, name: str, data: bytes) -> None:
        """Durable, or never."""
        self.disk[name] = data
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
