"""A device in the world: the daemon as it ships, on hands that are played (`shell`)."""

import errno
import logging
import random
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from unittest.mock import patch

from pints import restore
from pints.actions import Action, Announce, Log, Send, SetClock
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
from pints.events import RtcRefined, RtcTrimmed, RtcWritten
from pints.storage.store import Store
from pints.timescale import DAY, Instant, Reading, nanoseconds, seconds
from pints_drivers.fake_rtc import Chip, MemoryRtc
from tests.world.disk import Disk
from tests.world.rules import Rules
from tests.world.shell import Killed, PlayedDaemon
from tests.world.world import PulsePerSecond, Receiver, Server, SleepyClock, World

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
        self.daemon: PlayedDaemon
        """The running one, or the one that ran last."""
        self.running = False
        self.asked: Server
        """Gets the next request: several may share an address."""
        self.log: list[tuple[int, str]] = []
        self.states: list[str] = []
        self.set_to: list[Instant] = []
        """What the clock was stepped to."""
        self.sent: list[bytes] = []
        self.writes = 0
        self.saved = 0
        """The highest ratcheted time whose saving was completed."""
        self.rules = Rules(self)
        self.wakes = 0
        """Of the world's time: when its sleep is over."""
        self._crystal = crystal

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
        self.kill()
        self.run.power_off()
        self._disk.power_off()
        self.wakes = 0
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
        self.kill()
        self.rules.start()
        self.daemon = PlayedDaemon(self)
        self.running = True
        with suppress(Killed):
            self.daemon.start()

    def kill(self) -> None:
        """kill -9, or the power is cut: nothing more is written."""
        if self.running:
            self.running = False
            self.daemon.loop.die()

    def stop(self) -> None:
        """A clean stop."""
        with suppress(Killed):
            self.daemon.stop()
            self.daemon.close()
            assert not self.daemon.loop.registered, "closed, and still waiting for something"
        self.kill()

    def suspend(self, span: float) -> None:
        """Sleep for `span` seconds from now: nothing runs, packets are lost, and the network
        comes back a second after it wakes."""
        self.clock.sleep(nanoseconds(span))
        self.wakes = self.world.elapsed + nanoseconds(span)
        self.daemon.loop.later(span + 1.0, self.link_came_up)

    def settime(self, time: Instant) -> None:
        """The operator: `pints settime`.  Raises what the command would say."""
        self.rules.heard("operator", time, 1.0)
        self.daemon.ask("settime", time=int(time))

    def find_seconds(self, *, written: bool = False) -> None:
        """It is found when the seconds of its real-time clock begin, after reading or setting."""
        time = self.rtc.chip.at(self.world.true_time())
        reading = replace(self.rtc.read(), time=time, error=0.005)
        self.daemon.tell(RtcWritten(reading) if written else RtcRefined(reading))

    def trim_rtc(self, change: float) -> None:
        """The operator had its real-time clock made faster by the fraction `change`, as its
        datasheet has it; this one is made faster by four fifths of that."""
        now = self.world.true_time()
        chip = self.rtc.chip
        offset = seconds(chip.at(now) - now)
        self.rtc.chip = Chip(offset, chip.drift + 0.8 * change, chip.flags, now)
        self.daemon.tell(RtcTrimmed(change))

    def set_the_date(self, by: float) -> None:
        """Somebody: `date -s`, `by` seconds from what the clock says."""
        self.rules.meddled = True
        self.clock.step(nanoseconds(by))

    def link_came_up(self) -> None:
        """A network interface has its carrier and an address."""
        if self.running and not self.asleep:
            self.daemon.hands.link_came_up()

    # --- what tests look at and tamper with ----------------------------------------------

    @property
    def core(self) -> Core:
        return self.daemon.core

    @property
    def store(self) -> Store:
        return self.daemon.store

    @property
    def asleep(self) -> bool:
        return self.world.elapsed < self.wakes

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

    # --- what the played machine tells it ------------------------------------------------

    def before(self, action: Action) -> None:
        """The daemon is about to do this."""
        if isinstance(action, Send):
            self.asked = self.world.find(action.source)
        self.rules.before(action)

    def after(self, action: Action) -> None:
        """The daemon has done it."""
        match action:
            case SetClock(instant, _):
                assert "clock" not in self.daemon.attempts.failing, "a step that no clock takes"
                self.set_to.append(instant)
            case Announce(state, basis, _):
                self.states.append(f"{state} {basis}".strip())
            case Log(level, text, _):
                self.log.append((level, text))
        self.rules.after(action)

    def hears(self, server: Server) -> None:
        """An answer of this server is there to be read."""
        if server.name in self.world.anchors or not self._has_witnesses:
            self.rules.heard(f"hearsay {server.name}", server.time(), 1.0)

    def wrote(self, name: str, data: bytes) -> None:
        """The state folder durably has this file."""
        if name == restore.TIME_FILE:
            saved = restore.decode(data)
            assert saved is not None, "no saved time was written"
            self.saved = max(self.saved, saved[0])
        self.write(name, data)

    def write(self, name: str, data: bytes) -> None:
        """The disk has taken it."""
        self.writes += 1

    @property
    def _has_witnesses(self) -> bool:
        return any(s.nts and s.id not in self.config.network for s in self.config.sources)

    def _saved_time(self) -> tuple[int, int]:
        data = self.disk.get(restore.TIME_FILE)
        saved = restore.decode(data) if data else None
        return saved or (0, 0)


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
