"""The clocks on the board: opened when the configuration names them, opened again when they
were unplugged.

Guarantees: whatever a device or its driver does wrong is said once, until it works again, and
keeps nothing else waiting.
"""

import select
from collections.abc import Callable
from functools import partial

from pints import drivers
from pints.config import Config, RefclockConfig
from pints.drivers import Fix, RealTimeClock, ReferenceClock, RtcReading
from pints.errors import DeviceError
from pints.shell.attempt import Attempt
from pints.shell.clock import Clock
from pints.shell.loop import Loop
from pints.timescale import Instant, after

REOPEN = 10.0
"""Seconds until a receiver that failed is looked for again."""


class Devices:
    """The real-time clock and the receivers of one daemon."""

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        config: Config,
        attempt: Attempt,
        on_fix: Callable[[str, Fix], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._config = config
        self._attempt = attempt
        self._on_fix = on_fix
        self._on_lost = on_lost
        self._rtc: RealTimeClock | None = None
        self._receivers: dict[str, ReferenceClock] = {}

    def begin(self) -> None:
        """Open the receivers."""
        for receiver in self._config.refclocks:
            self._open(receiver)

    def read_rtc(self) -> tuple[str, RtcReading] | None:
        """What the real-time clock says, under its name; None where it says nothing."""
        read: list[tuple[str, RtcReading]] = []

        def call() -> None:
            if self._rtc is None:
                self._rtc = drivers.open_rtc(self._config.rtc, self._clock)
            read.append((self._rtc.name, self._rtc.read()))

        self._attempt("rtc", call)
        return read[0] if read else None

    def set_rtc(self, true: Callable[[], Instant | None]) -> RtcReading | None:
        """Set it to what `true` gives then, and read it back; None where that did not work."""
        read: list[RtcReading] = []

        def call() -> None:
            time = true()
            if self._rtc is not None and time is not None:
                self._rtc.write(time)
                read.append(self._rtc.read())

        self._attempt("rtc", call)
        return read[0] if read else None

    def close(self) -> None:
        """Let go of all."""
        for name in list(self._receivers):
            self._close(name)
        if self._rtc is not None:
            self._rtc.close()

    def _open(self, config: RefclockConfig) -> None:
        def call() -> None:
            receiver = drivers.open_refclock(config, self._clock)
            self._receivers[config.id] = receiver
            self._loop.register(
                receiver.fileno(), select.POLLIN, partial(self._on_readable, config)
            )

        if not self._attempt(config.id, call):
            self._loop.call_at(after(self._clock.boot(), REOPEN), partial(self._open, config))

    def _on_readable(self, config: RefclockConfig, events: int) -> None:
        receiver = self._receivers[config.id]
        fixes: list[Fix] = []

        def call() -> None:
            fixes.extend(receiver.fixes())
            if events & (select.POLLERR | select.POLLNVAL):
                raise DeviceError(f"{config.id}: unplugged")

        good = self._attempt(config.id, call)
        for fix in fixes:
            self._on_fix(config.id, fix)
        if not good:
            self._close(config.id)
            self._on_lost(config.id)
            self._loop.call_at(after(self._clock.boot(), REOPEN), partial(self._open, config))

    def _close(self, name: str) -> None:
        receiver = self._receivers.pop(name)
        self._loop.unregister(receiver.fileno())
        receiver.close()
