"""The daemon, from top to bottom: read what was saved, build the parts, run the loop, carry
out what the core decides.

This is the composition root: the only place that may be given another clock, another build
epoch, another source of randomness or other hands (`Machine`), which is how the demo, the
simulators and the tests run the very same daemon on a clock of their own.
"""

import logging
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pints import __version__, restore
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
from pints.config.tables import Config
from pints.control.server import Reply
from pints.core.core import Core
from pints.errors import DeviceError, NotAnchoredError, PintsError
from pints.events import (
    BeliefRecorded,
    Event,
    NetworkChanged,
    PacketReceived,
    RtcTrimmed,
    SaveRequested,
    SendFailed,
    TaskDone,
    TimeEntered,
    TimerExpired,
)
from pints.hands import REAL, Hands
from pints.lean import dataclass
from pints.report.reporter import Reporter
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.shell.link import LinkWatch
from pints.shell.loop import Alarm
from pints.shell.memory import release
from pints.shell.system_clock import SystemClock
from pints.shell.udp import NetError, RequestSocket, Stamp
from pints.storage.keep import Keeper
from pints.storage.load import load_snapshot
from pints.timescale import NS, Boot, Instant, after
from pints.values.address import Address
from pints.values.worker_tasks import Result

log = logging.getLogger("pints")
TRACE_INTERVAL = 16.0
"""Seconds between the lines of a trace."""


@dataclass(slots=True)
class Machine:
    """What the daemon runs on."""

    clock: Clock
    build_epoch: Instant
    entropy: Callable[[int], bytes] = os.urandom
    hands: Hands = REAL
    """What the daemon reaches it with."""
    ke_server: bool = True
    """Whether the NTS-KE server is a child of ours; False: a service of its own."""
    durable: bool | None = None
    """Whether the state folder outlasts the boots of `clock`; None: as its file system tells."""
    board: str = ""
    """Which machine this is; empty: as its serial numbers tell."""
    trace: str = ""
    """File that gets a line of `Daemon._trace` every TRACE_INTERVAL seconds; none if empty."""
    timesync: str = ""
    """Where systemd keeps its saved clock, to be kept fresh; none but on a machine's own clock."""


def this_machine(no_clock: bool = False) -> Machine:
    """The real one; with `no_clock`, its clock is only copied and never touched."""
    try:
        epoch = Instant(restore.build_epoch())
    except (OSError, ValueError) as e:
        raise DeviceError(f"no build epoch: {e}", "install pints again") from None
    if no_clock:
        from pints.shell.software_clock import SoftwareClock

        return Machine(SoftwareClock(Instant(time.time_ns())), epoch)
    clock = SystemClock()
    clock.set_rate(clock.rate())  # asks for what is there already: fails now, if ever
    return Machine(clock, epoch, timesync=restore.TIMESYNC_CLOCK)


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
        self._hands = hands = machine.hands
        # What can fail comes first: a start that is refused must not have spent anything.
        self._let_go = hands.take_folders(config.state)
        self.store = hands.store(config.state.directory, machine.durable)
        self.runtime = hands.store(config.state.runtime)
        self.loop = loop = hands.loop(self.clock)
        self.control = hands.control(loop, config, self._on_request)
        self.server = hands.ntp_server(loop, self.clock, config, self.store, machine.ke_server)
        self.attempts = Attempts()
        """What the machine refuses."""
        self._keeper = Keeper(
            self.store, self.runtime, self.clock.boot_id(), self.attempts, machine.timesync
        )
        now = self.clock.read()
        snapshot = load_snapshot(
            self.store, self.runtime, self.clock, machine.build_epoch,
            machine.board or hands.board_id(), has_rtc=bool(config.rtc.driver),
        )  # fmt: skip
        self.core = Core(config, snapshot, now, machine.entropy)
        self.worker = hands.worker(loop, self._on_result)
        self.notifier = hands.notifier()
        self.waiting: list[tuple[str, Reply]] = []
        self.rtc = hands.rtc(loop, self.clock, config, self.attempts, self._on_event)
        self.devices = hands.refclocks(loop, self.clock, config, self.attempts, self._on_event)
        counters = self.server.counters if self.server is not None else None
        self.reporter = Reporter(
            self.core, self.clock, self.store, self.attempts,
            counters=counters, rtc=self.rtc, devices=self.devices,
        )  # fmt: skip
        self._outputs = hands.outputs(loop, config, self.attempts)
        self._link = self._watch_link()
        self._stamps = hands.hold_stamps() if config.sources else None
        self._asked: dict[str, _Asked] = {}
        self._alarm = Alarm(loop)
        """Rings when the core is due."""
        self._traced = machine.trace

    # --- life ----------------------------------------------------------------------------

    def run(self) -> None:
        """Run from the first request to the last save, which a signal asks for."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.loop.on_signal(number, self.loop.stop)
        self.start()
        release()
        self.loop.run()
        self.stop()

    def start(self) -> None:
        """Ask for the time; what follows comes by the loop."""
        log.info("%s", self._opening())
        self._do(self.core.begin(self.clock.read()))
        if self.devices is not None:
            self.devices.begin()
        self.notifier.ready(self.reporter.headline())
        self._watch()
        self._trace()

    def stop(self) -> None:
        """Save what a clean stop saves.  `close` is still to be called."""
        self.notifier.stopping()
        self._on_event(SaveRequested(final=True))

    def _opening(self) -> str:
        """The first line of the log: what this daemon is about to do."""
        count = len(self.core.associations)
        sources = f"{count} source{'s' if count != 1 else ''}"
        copy = "" if isinstance(self.clock, SystemClock) else ", on a copy of the clock"
        return f"pints {__version__}: {sources}, state in {self.store.directory}{copy}"

    def close(self) -> None:
        """Let go of everything; processes and sockets end here."""
        for source in list(self._asked):
            self._close(source)
        if self.server is not None:
            self.server.stop()
        if self.control is not None:
            self.control.close()
        if self.rtc is not None:
            self.rtc.close()
        if self.devices is not None:
            self.devices.close()
        for output in self._outputs:
            output.close()
        if self._link is not None:
            self.loop.unregister(self._link.fileno())
            self._link.close()
        if self._stamps is not None:
            self._stamps.close()
        self.worker.close()
        self.loop.close()
        self._let_go()

    # --- what the core decides -----------------------------------------------------------

    def _handle(self, event: Event) -> list[Action]:
        return self.core.handle(event, self.clock.read())

    def _on_event(self, event: Event) -> None:
        """Let the core hear of an event, and carry out what follows."""
        self._do(self._handle(event))

    def _do(self, actions: Iterable[Action]) -> None:
        """Carry out actions and what follows from them, in the order of their decisions: one
        that was made before a belief was recorded never undoes one made after it (R7)."""
        queue = deque(actions)
        while queue:
            queue += self._do_one(queue.popleft())
        due = self.core.due()
        if self._alarm.due != due:
            self._alarm.set_at(due, self._on_timer)
        if self.server is not None:
            self._update_server()

    def _update_server(self) -> None:
        # Imported only where it serves.
        from pints.server.served import may_serve_own_clock, server_state

        state = server_state(self.core, self.clock.read())
        if state is not None:
            self.server.update(state, may_serve_own_clock(self.core))

    def _do_one(self, action: Action) -> list[Action]:
        match action:
            case Send(source, address, packet):
                self._send(source, address, packet)
            case Start(task):
                self.worker.submit(task)
            case SetClock(instant, boot):
                self._set_clock(instant, boot)
            case Steer(rate):
                self.attempts.attempt("clock", lambda: self.clock.set_rate(rate))
            case ReportClock(synchronized, max_error, est_error):
                self.attempts.attempt(
                    "clock", lambda: self.clock.report(synchronized, max_error, est_error)
                )
            case RecordBelief(belief, basis):
                return self._handle(BeliefRecorded(self._keeper.record(belief, basis)))
            case SaveTime(ratcheted, seen, sure):
                self._keeper.save_time(ratcheted, seen, sure)
            case SaveForBoot(name, data):
                self._keeper.save_for_boot(name, data)
            case Save(name, data):
                self._keeper.save(name, data)
            case ReadRtc() if self.rtc is not None:
                read = self.rtc.read()
                return [] if read is None else self._handle(read)
            case SetRtc() if self.rtc is not None:
                self.rtc.set(lambda: self.core.time_for_rtc(self.clock.read()))
            case Announce(state, basis, text):
                self.notifier.status(text)
                self._wake_waiting()
                for output in self._outputs:
                    output.show(state, basis)
            case Log(level, text, _):
                log.log(level, "%s", text)
        return []

    def _set_clock(self, instant: Instant, boot: Boot) -> None:
        def step() -> None:
            now = self.clock.read()
            self.clock.step(instant + (now.boot - boot) - now.real)

        self.attempts.attempt("clock", step)

    # --- the network ---------------------------------------------------------------------

    def _send(self, source: str, address: Address, packet: bytes) -> None:
        self._close(source)
        sock = self._hands.request_socket(self.clock, address)
        sent = sock.send(packet)
        if isinstance(sent, NetError):
            log.debug("%s: %s: %s", source, address, sent)
            sock.close()
            self._handle(SendFailed(source))
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
        own = asked.socket.reference_id if self.server is not None else b""
        self._on_event(
            PacketReceived(source, data, asked.sent.reading, received.reading, error, own)
        )

    def _on_result(self, result: Result) -> None:
        self._on_event(TaskDone(result))

    def _on_timer(self) -> None:
        self._on_event(TimerExpired())

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
                self._on_event(SaveRequested(final=True))
                reply(
                    {
                        "files": self.store.writes - before,
                        "failed": "state" in self.attempts.failing,
                    }
                )
            case "settime":
                if not reply.privileged:
                    raise PintsError("only root may set the time", "sudo pints settime ...")
                self._on_event(TimeEntered(_instant(request.get("time"))))
                reply(self.reporter.answer("status"))
            case "rtc-set" | "rtc-trim" as command:
                what = command.removeprefix("rtc-")
                if not reply.privileged:
                    raise PintsError(
                        f"only root may {what} the real-time clock", f"sudo pints rtc {what}"
                    )
                reply(self._set_rtc() if what == "set" else self._trim_rtc())
            case command:
                reply(self.reporter.answer(str(command)))

    def _set_rtc(self) -> dict[str, Any]:
        told = self.reporter.answer("rtc")  # PintsError where there is none
        if self.core.time_for_rtc(self.clock.read()) is None:
            raise NotAnchoredError
        self._do([SetRtc()])
        return {"chip": told["chip"]}

    def _trim_rtc(self) -> dict[str, Any]:
        told = self.reporter.answer("rtc")  # PintsError where there is none
        assert self.rtc is not None and self.core.independent is not None
        change = self.rtc.trim(-self.core.independent.rtc.drift_to_trim())
        self._on_event(RtcTrimmed(change))
        return {"chip": told["chip"], "change_ppm": change * 1e6}

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

    def _trace(self) -> None:
        """A line for whoever measures the clock: Unix time, what the clock is believed to be
        off, its hard bound and its 99.9 % interval, all in seconds."""
        if not self._traced:
            return
        now, steering = self.clock.read(), self.core.steering
        off, bound, interval = steering.offset(now), steering.bound(now), steering.interval(now)
        if off is not None:
            with open(self._traced, "a", encoding="ascii") as file:
                file.write(f"{now.real / NS:.6f} {off:.9f} {bound:.9f} {interval:.9f}\n")
        self.loop.call_at(after(self.clock.boot(), TRACE_INTERVAL), self._trace)

    def _watch_link(self) -> LinkWatch | None:
        """The network coming up is seen at once, where the kernel tells."""
        link = self._hands.link()
        if link is None:
            return None

        def on_readable(_: int) -> None:
            if link.on_readable():
                self._on_event(NetworkChanged())

        self.loop.register(link.fileno(), select.POLLIN, on_readable)
        return link


def _instant(value: Any) -> Instant:
    if type(value) is not int:
        raise PintsError("no time to set", "pints settime 2026-11-23T12:00:00Z")
    return Instant(value)
