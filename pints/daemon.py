"""The daemon, from top to bottom: read what was saved, build the parts, run the loop, carry
out what the core decides.

This is the composition root: the only place that may be given another clock, another build
epoch or another source of randomness (`Machine`), which is how the demo and the tests run the
very same daemon on a clock of their own.
"""

import json
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from pints.address import Address
from pints.bootstrap.belief import Belief, Floors, decode_belief
from pints.bootstrap.states import State
from pints.client.batches import batch_names
from pints.client.session import SavedSession, decode_batch
from pints.config import Config
from pints.core import Core, Remembered
from pints.errors import DeviceError, PintsError, StateError
from pints.report import Reporter
from pints.shell.board import board_id
from pints.shell.clock import Clock
from pints.shell.control import ControlServer, Reply
from pints.shell.loop import Loop, Timer
from pints.shell.memory import release
from pints.shell.notify import Notifier
from pints.shell.software_clock import SoftwareClock
from pints.shell.store import Store, hold
from pints.shell.system_clock import SystemClock
from pints.shell.udp import NetError, RequestSocket, Stamp, hold_stamps
from pints.shell.worker import InlineWorker, Worker
from pints.sync.filter import FREQUENCY_PRIOR
from pints.sync.steer import MAX_FREQUENCY
from pints.timescale import Boot, Instant, after
from pints.worker.messages import Result

log = logging.getLogger("pints")
BELIEF = "belief"
"""File of the runtime folder with what this boot has verified (rule R9)."""


@dataclass(slots=True)
class Machine:
    """What the daemon runs on."""

    clock: Clock
    build_epoch: Instant
    entropy: Callable[[int], bytes] = os.urandom
    inline_worker: bool = False
    """Names and TLS in this process: for simulators, which know no other."""
    durable: bool | None = None
    """Whether the state folder outlasts the boots of `clock`; None: as its file system tells."""


def this_machine(no_clock: bool = False) -> Machine:
    """The real one; with `no_clock`, its clock is only copied and never touched."""
    epoch = Instant(restore.build_epoch())
    if no_clock:
        return Machine(SoftwareClock(Instant(time.time_ns())), epoch)
    clock = SystemClock()
    clock.set_rate(clock.rate())  # asks for what is there already: fails now, if ever
    return Machine(clock, epoch)


def run(config: Config, machine: Machine) -> None:
    """Run until SIGTERM or SIGINT.  PintsError when it cannot even start."""
    daemon = Daemon(config, machine)
    try:
        daemon.run()
    finally:
        daemon.close()


@dataclass(slots=True)
class _Asked:
    """The socket of a source's last request."""

    socket: RequestSocket
    sent: Stamp


class Daemon:
    """The core and its hands."""

    def __init__(self, config: Config, machine: Machine) -> None:
        self.config = config
        self.clock = machine.clock
        # What can fail comes first: a start that is refused must not have spent anything.
        self._held = hold(config.state.directory)
        _make_runtime(config.state.runtime)
        self.store = Store(config.state.directory, durable=machine.durable)
        self.runtime = Store(config.state.runtime)
        self.loop = Loop(self.clock)
        self.control = self._make_control()
        self.server = self._make_server()
        now = self.clock.read()
        self.core = Core(config, self._remember(machine.build_epoch), now, machine.entropy)
        worker = InlineWorker if machine.inline_worker else Worker
        self.worker = worker(self.loop, self._on_result)
        self.notifier = Notifier()
        self.waiting: list[tuple[str, Reply]] = []
        self.reporter = Reporter(self)
        self._stamps = hold_stamps() if config.sources else None
        self._asked: dict[str, _Asked] = {}
        self._timer: Timer | None = None
        self._complaints: set[str] = set()

    # --- life ----------------------------------------------------------------------------

    def run(self) -> None:
        """From the first request to the last save."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.on_signal(number, self.loop.stop)
        log.info("%s", self.reporter.opening())
        self._do(self.core.begin(self.clock.read()))
        self.notifier.ready(self.reporter.headline())
        self._watch()
        release()
        self.loop.run()
        self.notifier.stopping()
        self._do(self.core.save(self.clock.read(), final=True))

    def close(self) -> None:
        """Let go of everything; processes and sockets end here."""
        for source in list(self._asked):
            self._close(source)
        if self.server is not None:
            self.server.stop()
        if self.control is not None:
            self.control.close()
        if self._stamps is not None:
            self._stamps.close()
        self.worker.close()
        self.loop.close()
        os.close(self._held)

    def _remember(self, build_epoch: Instant) -> Remembered:
        """What earlier runs left.  Whatever is torn or foreign is set aside, said, survived."""
        ratcheted, seen = self._read(restore.TIME_FILE, _decode_time) or (0, 0)
        floors = Floors(build_epoch, Instant(ratcheted), Instant(seen))
        boot_id, board = self.clock.boot_id(), board_id()
        # Without a drift of ours, the one another daemon left in the kernel is a good guess.
        left = min(max(self.clock.rate(), -MAX_FREQUENCY), MAX_FREQUENCY)
        frequency, skew = self._read("drift.json", _decode_drift) or (left, FREQUENCY_PRIOR)
        durable = self.store.durable()
        if not durable:
            log.warning(
                "%s forgets with the power: no cookie is saved or sent from it",
                self.store.directory,
            )
        sessions, batches = self._spend_batch(board) if durable else ([], 0)
        return Remembered(
            floors, boot_id, board, frequency, skew, sessions, batches,
            self._recorded_belief(boot_id), durable,
        )  # fmt: skip

    def _spend_batch(self, board: str) -> tuple[list[SavedSession], int]:
        """Take one batch of cookies from the disk: gone for good before any is sent."""
        names = batch_names()
        for n, name in enumerate(names):
            sessions = self._read(name, partial(decode_batch, board=board))
            if sessions is None:
                continue
            if not self.store.unlink(name):
                log.warning("%s cannot be unlinked for good: its cookies are not sent", name)
                return [], 0
            if sessions:
                return sessions, len(names) - n - 1
            log.warning("%s was saved by another machine: destroyed unsent", name)
        return [], 0

    def _recorded_belief(self, boot_id: str) -> tuple[Belief, str] | None:
        try:
            data = self.runtime.read(BELIEF)
            return decode_belief(data.decode("ascii", "replace"), boot_id) if data else None
        except (StateError, DeviceError) as e:
            log.warning("R9: %s: ignored", e)
            return None

    def _read(self, name: str, decode: Callable[[bytes], Any]) -> Any:
        """A decoded file of the state folder; None where there is none to be had."""
        try:
            data = self.store.read(name)
            return None if data is None else decode(data)
        except StateError as e:
            self.store.set_aside(name, str(e))
        except DeviceError as e:
            log.warning("%s", e)
        return None

    # --- what the core decides -----------------------------------------------------------

    def _do(self, actions: Iterable[Action]) -> None:
        """Carry out actions, and what follows from them, in order."""
        queue = list(actions)
        while queue:
            queue[:0] = self._do_one(queue.pop(0))
        due = self.core.due()
        if self._timer is None or self._timer.callback is None or self._timer.when != due:
            if self._timer is not None:
                self.loop.cancel(self._timer)
            self._timer = self.loop.call_at(due, self._on_timer)
        if self.server is not None:
            state = self.reporter.server_state(self.clock.read())
            if state is not None:
                trust = self.core.bootstrap.state
                self.server.update(state, trust not in (State.UNSET, State.DISPUTED))

    def _do_one(self, action: Action) -> list[Action]:
        match action:
            case Send(source, address, packet):
                self._send(source, address, packet)
            case Start(task):
                self.worker.submit(task)
            case SetClock(instant, boot):
                self._set_clock(instant, boot)
            case Steer(rate):
                self._try("clock", lambda: self.clock.set_rate(rate))
            case ReportClock(synchronized, max_error, est_error):
                self._try("clock", lambda: self.clock.report(synchronized, max_error, est_error))
            case RecordBelief(text):
                done = self._try(
                    "runtime", lambda: self.runtime.write(BELIEF, text.encode("ascii"))
                )
                return self.core.belief_recorded(done, self.clock.read())
            case SaveTime(ratcheted, seen):
                data = restore.encode(ratcheted, seen)
                self._try("state", lambda: self.store.write(restore.TIME_FILE, data))
            case Save(name, data):
                self._try("state", lambda: self.store.write(name, data))
            case Announce(_, _, text):
                self.notifier.status(text)
                self._wake_waiting()
            case Log(level, text, _):
                log.log(level, "%s", text)
        return []

    def _set_clock(self, instant: Instant, boot: Boot) -> None:
        def step() -> None:
            now = self.clock.read()
            self.clock.step(instant + (now.boot - boot) - now.real)

        self._try("clock", step)

    def _try(self, part: str, call: Callable[[], None]) -> bool:
        """Do what the machine may refuse; complain once until it works again."""
        try:
            call()
        except DeviceError as e:
            if part not in self._complaints:
                self._complaints.add(part)
                log.error("%s%s", e, f" ({e.hint})" if e.hint else "")
            return False
        if part in self._complaints:
            self._complaints.discard(part)
            log.info("%s works again", part)
        return True

    # --- the network ---------------------------------------------------------------------

    def _send(self, source: str, address: Address, packet: bytes) -> None:
        self._close(source)
        sock = RequestSocket(self.clock, address)
        sent = sock.send(packet)
        if isinstance(sent, NetError):
            log.debug("%s: %s: %s", source, address, sent)
            sock.close()
            return
        self._asked[source] = _Asked(sock, sent)
        self.loop.register(
            sock.fileno(), select.POLLIN | select.POLLPRI, partial(self._on_socket, source)
        )

    def _close(self, source: str) -> None:
        asked = self._asked.pop(source, None)
        if asked is not None:
            self.loop.unregister(asked.socket.fileno())
            asked.socket.close()

    def _on_socket(self, source: str, events: int) -> None:
        asked = self._asked[source]
        if events & (select.POLLERR | select.POLLPRI):
            stamp = asked.socket.on_error_queue()
            if isinstance(stamp, Stamp):
                asked.sent = stamp
            elif stamp is not None:
                log.debug("%s: %s", source, stamp)
                self._close(source)
                return
        if not events & select.POLLIN:
            return
        got = asked.socket.on_readable()
        if got is None or isinstance(got, NetError):
            return
        data, received = got
        error = asked.sent.error + received.error
        self._do(
            self.core.handle_packet(
                source, data, asked.sent.reading, received.reading, error, self.clock.read()
            )
        )

    def _on_result(self, result: Result) -> None:
        self._do(self.core.handle_result(result, self.clock.read()))

    def _on_timer(self) -> None:
        self._timer = None
        self._do(self.core.handle_timer(self.clock.read()))

    # --- the people ----------------------------------------------------------------------

    def _on_request(self, request: dict[str, Any], reply: Reply) -> None:
        """A command that came over the control socket."""
        match request.get("command"):
            case "wait":
                level = str(request.get("for", "verified"))
                if level not in self.reporter.LEVELS:
                    raise PintsError(f"cannot wait for '{level}'", "restored, verified, anchored")
                self.waiting = [entry for entry in self.waiting if entry[1].pending]
                self.waiting.append((level, reply))
                self._wake_waiting()
            case "save":
                before = self.store.writes
                self._do(self.core.save(self.clock.read(), final=True))
                reply({"files": self.store.writes - before, "failed": "state" in self._complaints})
            case command:
                reply(self.reporter.answer(str(command)))

    def _wake_waiting(self) -> None:
        still = []
        for level, reply in self.waiting:
            if self.reporter.reached(level):
                reply(self.reporter.answer("status"))
            else:
                still.append((level, reply))
        self.waiting = still

    def _watch(self) -> None:
        """Tell the service manager that the loop turns."""
        interval = self.notifier.watchdog_interval
        if interval:
            self.notifier.watchdog()
            self.loop.call_at(after(self.clock.boot(), interval / 2), self._watch)

    def _make_server(self) -> Any:
        if not self.config.server.listen:
            return None
        # Imported only where it is configured: not needed costs nothing.
        from pints.server.ntp_server import NtpServer

        server = NtpServer(self.loop, self.clock, self.config.server, self.store, log)
        server.start()
        return server

    def _make_control(self) -> ControlServer | None:
        path = self.config.control_path
        if not path:
            return None
        return ControlServer(self.loop, path, self._on_request, _group(self.config.control.group))


def _decode_time(data: bytes) -> tuple[int, int]:
    saved = restore.decode(data)
    if saved is None:
        raise StateError("torn or foreign")
    return saved


def _decode_drift(data: bytes) -> tuple[float, float]:
    try:
        drift = json.loads(data)
        frequency, skew = float(drift["frequency"]), float(drift["skew"])
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        raise StateError("torn or foreign") from None
    if not (abs(frequency) < 1e-3 and 0 < skew < 1e-3):
        raise StateError("out of range")
    # A crystal that slept meanwhile woke at another temperature.
    return frequency, max(skew, 1e-6)


def _make_runtime(path: str) -> None:
    """Unlike the state folder it may be entered by others: the control socket is in it."""
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as e:
        raise DeviceError(
            f"cannot make {path}: {e.strerror}",
            "run as root or as the service, or set directory and runtime in [state]",
        ) from None


def _group(name: str) -> int | None:
    if not name:
        return None
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise PintsError(
            f"[control] group: no group '{name}'", f"addgroup --system {name}"
        ) from None
