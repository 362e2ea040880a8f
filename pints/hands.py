"""What a daemon's parts are made of: all that it reaches its machine with.

`Hands` is the real thing.  A simulator and the tests replace what they play, each by overriding a
method; the daemon above and every part that is not replaced are what ships.
"""

import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pints.config.tables import Config, StateConfig
from pints.control.server import ControlServer, Handler
from pints.errors import DeviceError, PintsError
from pints.events import Event
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.shell.link import LinkWatch
from pints.shell.loop import Loop
from pints.shell.notify import Notifier
from pints.shell.udp import RequestSocket, hold_stamps
from pints.shell.worker import InlineWorker, OnResult, Worker
from pints.storage.board import board_id
from pints.storage.store import Store, hold, make_runtime
from pints.values.address import Address
from pints.values.worker_tasks import Task

if TYPE_CHECKING:
    from pints.shell.output_device import Output
    from pints.shell.refclock_devices import Devices
    from pints.shell.rtc_device import BoardRtc

log = logging.getLogger("pints")
OnEvent = Callable[[Event], None]


class AnyWorker(Protocol):
    """Carries out tasks; each result comes by the loop."""

    def submit(self, task: Task) -> None:
        """Have a task carried out.  Its id must not be in use."""

    def close(self) -> None:
        """Unfinished tasks get no result any more."""


class Hands:
    """A real machine's."""

    # --- folders -------------------------------------------------------------------------

    def take_folders(self, state: StateConfig) -> Callable[[], None]:
        """Make both folders, and the state folder this process's own; return what lets go of it.
        DeviceError where another pints has it."""
        held = hold(state.directory)
        make_runtime(state.runtime)
        return partial(os.close, held)

    def store(self, directory: str, durable: bool | None = None) -> Store:
        """Return a folder's files; `durable` as `Store` has it."""
        return Store(directory, durable=durable)

    # --- this process --------------------------------------------------------------------

    def loop(self, clock: Clock) -> Loop:
        """Return the loop."""
        return Loop(clock)

    def worker(self, loop: Loop, on_result: OnResult) -> AnyWorker:
        """Return what looks names up and exchanges keys."""
        return Worker(loop, on_result)

    def notifier(self) -> Notifier:
        """Return what tells the service manager."""
        return Notifier()

    def control(self, loop: Loop, config: Config, handle: Handler) -> ControlServer | None:
        """Return the control socket; None without one."""
        path = config.control_path
        return ControlServer(loop, path, handle, _group(config.control.group)) if path else None

    # --- the network ---------------------------------------------------------------------

    def request_socket(self, clock: Clock, address: Address) -> RequestSocket:
        """Return a socket for one request."""
        return RequestSocket(clock, address)

    def hold_stamps(self) -> socket.socket | None:
        """Return what keeps the kernel stamping packets while it is open."""
        return hold_stamps()

    def link(self) -> LinkWatch | None:
        """Return what sees the network come up; None where the kernel does not tell."""
        try:
            return LinkWatch()
        except DeviceError as e:
            log.info("%s: the network coming up is not seen", e)
            return None

    # --- what only some machines have: imported only where it is configured ---------------

    def ntp_server(
        self, loop: Loop, clock: Clock, config: Config, store: Store, ke_server: bool
    ) -> Any:
        """Return the NTP server, which serves from now on; None without one."""
        if not config.server.listen:
            return None
        from pints.server.ntp_server import NtpServer

        server = NtpServer(loop, clock, config.server, store, log, ke_server=ke_server)
        server.start()
        return server

    def rtc(
        self, loop: Loop, clock: Clock, config: Config, attempts: Attempts, on_event: OnEvent
    ) -> "BoardRtc | None":
        """Return the real-time clock; None without one."""
        if not config.rtc.driver:
            return None
        from pints.shell.rtc_device import BoardRtc

        return BoardRtc(loop, clock, config.rtc, attempts, on_event)

    def refclocks(
        self, loop: Loop, clock: Clock, config: Config, attempts: Attempts, on_event: OnEvent
    ) -> "Devices | None":
        """Return the refclocks, none of them open yet; None without any."""
        if not config.refclocks:
            return None
        from pints.shell.refclock_devices import Devices

        return Devices(loop, clock, config, attempts, on_event)

    def outputs(self, loop: Loop, config: Config, attempts: Attempts) -> "list[Output]":
        """Return the LEDs and pins."""
        if not config.outputs:
            return []
        from pints.shell.output_device import Output

        return [Output(loop, output, attempts) for output in config.outputs]

    # --- the board -----------------------------------------------------------------------

    def board_id(self) -> str:
        """Return which machine this is."""
        return board_id()


class SimulatorHands(Hands):
    """For a simulator that knows one process and UDP (clknetsim): names and TLS in this process,
    no control socket, no news of links."""

    def worker(self, loop: Loop, on_result: OnResult) -> AnyWorker:
        """Return one that does its tasks while the loop waits."""
        return InlineWorker(loop, on_result)

    def control(self, loop: Loop, config: Config, handle: Handler) -> None:
        """No control socket."""

    def link(self) -> None:
        """No news of links."""


REAL = Hands()


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
