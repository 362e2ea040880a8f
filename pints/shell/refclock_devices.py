"""The receivers on the board: opened when the configuration names them, opened again when they
were unplugged.

Guarantees: whatever a device or its driver does wrong is said once, until it works again, and
keeps nothing else waiting.
"""

import select
from collections.abc import Callable
from functools import partial

from pints import drivers
from pints.config.tables import Config, RefclockConfig
from pints.drivers import Detailed, Details, Patient, ReferenceClock, Report
from pints.errors import DeviceError
from pints.events import RefclockEvent, RefclockLost, RefclockReported
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.shell.loop import Alarm, Loop

REOPEN = 10.0
"""Seconds until a receiver that failed is looked for again."""
UNTOLD = 0.5
"""Seconds between two looks at a receiver that wakes nobody: one a second would miss some."""


class Devices:
    """The receivers of one daemon."""

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        config: Config,
        attempts: Attempts,
        on_event: Callable[[RefclockEvent], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._config = config
        self._attempts = attempts
        self._on_event = on_event
        self._receivers: dict[str, ReferenceClock] = {}
        self._alarms = {receiver.id: Alarm(loop) for receiver in config.refclocks}
        """When each is opened again, or looked at while it is left alone."""
        self._alone: set[str] = set()
        """Receivers that are left alone: they wake nobody meanwhile."""

    def begin(self) -> None:
        """Open the receivers."""
        for receiver in self._config.refclocks:
            self._open(receiver)

    def details(self, name: str) -> Details | None:
        """What a receiver tells of itself, if it does and is there."""
        receiver: object = self._receivers.get(name)
        return receiver.details() if isinstance(receiver, Detailed) else None

    def close(self) -> None:
        """Let go of all."""
        for name, alarm in self._alarms.items():
            alarm.stop()
            if name in self._receivers:
                self._close(name)

    def _open(self, config: RefclockConfig) -> None:
        def call() -> None:
            receiver = self._driver(config)
            self._receivers[config.id] = receiver
            if receiver.fileno() < 0:
                self._leave_alone(config, 0.0)
            else:
                self._listen(config)

        if not self._attempts.attempt(config.id, call):
            self._alarms[config.id].set(REOPEN, partial(self._open, config))

    def _driver(self, config: RefclockConfig) -> ReferenceClock:
        return drivers.open_refclock(config, self._clock)

    def _listen(self, config: RefclockConfig) -> None:
        """From now on it wakes us."""
        fd = self._receivers[config.id].fileno()
        self._loop.register(fd, select.POLLIN, partial(self._look_at, config))

    def _leave_alone(self, config: RefclockConfig, pause: float) -> None:
        self._alone.add(config.id)
        self._alarms[config.id].set(pause, partial(self._look_at, config, 0))

    def _look_at(self, config: RefclockConfig, events: int) -> None:
        receiver = self._receivers[config.id]
        reports: list[Report] = []

        def call() -> None:
            reports.extend(receiver.reports())
            if events & (select.POLLERR | select.POLLNVAL):
                raise DeviceError(f"{config.id}: unplugged")

        good = self._attempts.attempt(config.id, call)
        for report in reports:
            self._on_event(RefclockReported(config.id, report))
        if not good:
            self._close(config.id)
            self._on_event(RefclockLost(config.id))
            self._alarms[config.id].set(REOPEN, partial(self._open, config))
            return
        pause, alone = _pause(receiver), config.id in self._alone
        if pause and not alone:
            self._loop.unregister(receiver.fileno())
        if pause:
            self._leave_alone(config, pause)
        elif alone:
            self._alone.remove(config.id)
            self._listen(config)

    def _close(self, name: str) -> None:
        receiver = self._receivers.pop(name)
        if name in self._alone:
            self._alone.remove(name)
        else:
            self._loop.unregister(receiver.fileno())
        receiver.close()


def _pause(receiver: ReferenceClock) -> float:
    """For how long to leave it alone, seconds."""
    if receiver.fileno() < 0:
        return UNTOLD
    return receiver.pause() if isinstance(receiver, Patient) else 0.0
