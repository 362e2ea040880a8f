"""The story: a Pi without a clock boots cold, runs an hour, loses power, boots again."""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pints import daemon, restore
from pints.client.batches import BATCHES
from pints.config.tables import Config, ServerConfig, SourceConfig, StateConfig
from pints.control.client import ask
from pints.demo.authority import Authority
from pints.demo.world import Child, SharedTime, free_port
from pints.errors import PintsError
from pints.lean import dataclass
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, HOUR, NS, Instant, iso, nanoseconds, seconds, span

BEHIND = 400 * DAY
"""How long the Pi lay in a drawer, seconds."""
OPERATORS = ("Alder", "Birch", "Cedar")
CRYSTAL = -12e-6
"""Its crystal's frequency error: an ordinary one."""
PATIENCE = 60.0
"""Real seconds that any chapter may take: a Pi Zero is slow, and one that is stuck stays so."""
WAKES = Instant(0)
"""What a Pi's clock reads at power-on."""


@dataclass(frozen=True, slots=True)
class _Operator:
    """Somebody who runs an NTS server, with a certificate authority of its own: a quorum under
    one root would be `single issuer`, which time alone never confirms."""

    name: str
    host: str
    source: SourceConfig
    server: ServerConfig
    folder: Path


class Story:
    """Tells it on `out`; real daemons do the rest."""

    def __init__(self, folder: Path, out: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = out
        self.world = SharedTime(f"{folder}/time")
        self.children: list[Child] = []
        self.operators = [self._operator(n, name) for n, name in enumerate(OPERATORS)]
        self.state = StateConfig(str(folder / "card"), str(folder / "run"))
        self._power_on = 0

    def tell(self) -> None:
        """From the first power-on to the second `verified`; PintsError if it ends otherwise."""
        self.say("pints demo: a Raspberry Pi that wakes in the past\n")
        self.say(f"  True time is {iso(self.world.now())}. Three operators serve NTS here, each")
        self.say("  under a certificate authority of its own; certificates began yesterday.")
        self.say(f"  The Pi was built, and last knew the time, {span(BEHIND)} ago.\n")
        for operator in self.operators:
            self._start(self._serve(operator))
        self._save_old_time()
        for operator in self.operators:
            self._listening(operator)

        self.say("First boot: cold")
        device = self._boot()
        cold = self._follow(device, "verified")
        self._explain(cold)
        self._until(lambda: self._ask("status")["answering"] == len(OPERATORS))

        self.say("\nAn hour later (the demo's clock skips it)")
        for _ in range(5):
            # A packet that is on its way just then takes an hour, and spoils it for its source.
            self.world.skip(HOUR + 60)
            self._until(self._all_heard)
            if self._ask("status")["basis"] == "anchored":
                break
        self._follow(device, "anchored")
        self._until(lambda: len(os.listdir(f"{self.state.directory}/sessions")) == BATCHES)

        self.say("\nPower cut, and a boot two days later: warm")
        device.end()
        self.world.skip(2 * DAY)
        shutil.rmtree(self.state.runtime)
        device = self._boot()
        warm = self._follow(device, "anchored")
        self._explain(warm)
        exchanges = sum(row["key_id"] for row in self._ask("authdata")["sources"])
        self.say(
            f"\nCold: verified in {cold['after']:.2f} s, by {len(OPERATORS)} key exchanges. "
            f"Warm: {warm['after']:.2f} s, by {exchanges} key exchanges and one round trip."
        )

    def close(self) -> None:
        """End every process."""
        for child in self.children:
            child.end()

    # --- the cast ------------------------------------------------------------------------

    def _operator(self, number: int, name: str) -> _Operator:
        host = f"127.0.0.{number + 1}"
        folder = self.folder / name
        folder.mkdir()
        now = self.world.now()
        authority = Authority(f"{name} root")
        day = nanoseconds(DAY)
        issued = authority.issue([host], Instant(now - day), Instant(now + 89 * day))
        chain, key = issued.write(folder)
        ntp_port = free_port(socket.SOCK_DGRAM, host)
        ke_port = free_port(socket.SOCK_STREAM, host)
        source = SourceConfig(
            host, ca=(str(authority.write(folder)),), ke_port=ke_port, operator=name
        )
        server = ServerConfig(
            (host,), ntp_port, ke_port=ke_port, certificate=str(chain), key=str(key),
            local_stratum=1,
        )  # fmt: skip
        return _Operator(name, host, source, server, folder)

    def _serve(self, operator: _Operator) -> Callable[[], None]:
        """A server's process: the daemon without sources, on a clock that is right."""
        state = StateConfig(str(operator.folder / "state"), str(operator.folder / "run"))

        def main() -> None:
            clock = SoftwareClock(self.world.now(), timebase=self.world.count)
            self._run(Config(server=operator.server, state=state), clock, self.world.now())

        return main

    def _device(self) -> None:
        """The Pi's process: `pints restore`, then the daemon."""
        clock = SoftwareClock(WAKES, timebase=self.world.count, crystal=CRYSTAL)
        epoch = self._epoch()
        floor, origin = restore.soft_floor(epoch, *restore.saved_time(self.state.directory))
        clock.step(floor - clock.read().real)
        print(f"restored {iso(Instant(floor))} ({origin})", file=sys.stderr, flush=True)
        self._run(Config(tuple(o.source for o in self.operators), state=self.state), clock, epoch)

    def _run(self, config: Config, clock: SoftwareClock, epoch: Instant) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
        # The demo's power cuts are played: its card may well be a folder in memory.
        daemon.run(config, daemon.Machine(clock, epoch, durable=True))

    def _epoch(self) -> Instant:
        return Instant(self._born)

    def _save_old_time(self) -> None:
        """What the card kept from when the Pi last knew the time."""
        self._born = self.world.now() - nanoseconds(BEHIND)
        os.makedirs(self.state.directory, mode=0o700)
        path = Path(self.state.directory) / restore.TIME_FILE
        path.write_bytes(restore.encode(self._born, self._born))

    def _start(self, main: Callable[[], None]) -> Child:
        child = Child(main)
        self.children.append(child)
        return child

    # --- the telling ---------------------------------------------------------------------

    def _boot(self) -> Child:
        self._power_on = self.world.count()
        self._line(f"power on; the clock says {iso(WAKES)}")
        return self._start(self._device)

    def _follow(self, device: Child, level: str) -> dict[str, Any]:
        """Show the device's log until its trust is at `level`; its status then."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status = self._try_status()
            for line in device.lines():
                self._line(line)
            reached = status is not None and status["state"] == "verified"
            if status is not None and reached and level in ("verified", status["basis"]):
                status["after"] = self._since_power_on()
                return status
            time.sleep(0.005)
        raise PintsError(f"the demo's Pi was not {level} within {PATIENCE:g} s")

    def _until(self, so: Callable[[], bool]) -> None:
        """Wait for what the story does not tell."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(PintsError, OSError):
                if so():
                    return
            if time.monotonic() > deadline:
                raise PintsError(f"the demo got stuck for {PATIENCE:g} s")
            time.sleep(0.01)

    def _all_heard(self) -> bool:
        """Whether every operator has answered within the last minute."""
        found = self._ask("bootstrap")["testimonies"]
        return len(found) == len(OPERATORS) and all(one["age"] < 60 for one in found)

    def _try_status(self) -> dict[str, Any] | None:
        try:
            return self._ask("status")
        except PintsError:
            return None

    def _ask(self, command: str) -> dict[str, Any]:
        path = Config(state=self.state).control_path
        return ask(path, {"command": command}, timeout=PATIENCE)

    def _listening(self, operator: _Operator) -> None:
        """Wait until its key server takes connections."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                if probe.connect_ex((operator.host, operator.source.ke_port)) == 0:
                    return
            time.sleep(0.02)
        raise PintsError(f"the demo's server {operator.name} did not start")

    def _explain(self, status: dict[str, Any]) -> None:
        off = (status["time_ns"] - self.world.now()) / NS
        bound = status["error_bound"]
        self._line(f"clock now {status['time']}, {'within ' + span(bound) if bound else span(off)}")

    def _line(self, text: str) -> None:
        for operator in self.operators:
            text = text.replace(operator.source.id, operator.name)
        self.say(f"  {self._since_power_on():8.2f} s  {text}")

    def _since_power_on(self) -> float:
        return seconds(self.world.count() - self._power_on)


def run(out: Callable[[str], None]) -> None:
    """Tell the story in a folder that is gone afterwards, however it ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    with tempfile.TemporaryDirectory(prefix="pints-demo-") as folder:
        story = Story(Path(folder), out)
        try:
            story.tell()
        finally:
            story.close()
