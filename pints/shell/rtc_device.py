"""The real-time clock on the board: read, read again until it is known when its seconds begin,
set when one begins.

Guarantees: nothing waits for it, neither for the beginning of a second nor for a chip that does
not answer; that one is opened anew until it does.
"""

from collections.abc import Callable
from functools import partial

from pints import drivers
from pints.config.tables import RtcConfig
from pints.drivers import RealTimeClock
from pints.errors import DeviceError
from pints.events import RtcEvent, RtcRead, RtcRefined, RtcWritten
from pints.evidence.rtc_seconds import Ticks
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.shell.loop import Alarm, Loop
from pints.timescale import NS, Instant, nanoseconds, seconds

REOPEN = 60.0
"""Seconds until a chip that failed is looked for again."""
Kind = type[RtcRefined] | type[RtcWritten]
"""Of the event that tells when the chip's seconds begin."""


class BoardRtc:
    """The chip that [rtc] names."""

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        config: RtcConfig,
        attempts: Attempts,
        on_event: Callable[[RtcEvent], None],
    ) -> None:
        """`on_event` is given what was read when nobody asked just then."""
        self._clock = clock
        self._config = config
        self._attempts = attempts
        self._on_event = on_event
        self._driver: RealTimeClock | None = None
        self._alarm = Alarm(loop)
        """What is to be done next; there is one thing at a time."""

    def read(self) -> RtcRead | None:
        """Return what it reads; None where it does not answer.  `RtcRefined` follows."""
        read = self._look_or_wait()
        if read is not None:
            self._refine(Ticks(read.reading), RtcRefined)
        return read

    def look(self) -> RtcRead | None:
        """The same, and nothing follows."""
        read: list[RtcRead] = []

        def call() -> None:
            if self._driver is None:
                self._driver = self._open()
            read.append(RtcRead(self._driver.name, self._driver.read()))

        if not self._attempts.attempt("rtc", call):
            self.close()
        return read[0] if read else None

    def set(self, true: Callable[[], Instant | None]) -> None:
        """Set it to what `true` gives, when true time is where the chip wants it."""
        time = true()
        if self._driver is not None and time is not None:
            left = -(time + nanoseconds(self._driver.first_tick)) % NS
            self._alarm.set(seconds(left), partial(self._write, true))

    def trim(self, change: float) -> float:
        """Make it run faster by the fraction `change`, as nearly as it can; by how much it does.
        DeviceError where it cannot."""
        trim = getattr(self._driver, "trim", None)
        if trim is None:
            raise DeviceError("this real-time clock cannot be trimmed", "pints rtc")
        return float(trim(change))

    def close(self) -> None:
        """Let go of it."""
        self._alarm.stop()
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _open(self) -> RealTimeClock:
        return drivers.open_rtc(self._config, self._clock)

    def _look_or_wait(self) -> RtcRead | None:
        """Look at it; where it does not answer, again later."""
        read = self.look()
        if read is None:
            self._alarm.set(REOPEN, self._look_for_it)
        return read

    def _look_for_it(self) -> None:
        read = self.read()
        if read is not None:
            self._on_event(read)

    def _refine(self, ticks: Ticks, kind: Kind) -> None:
        now = self._clock.read().raw
        self._alarm.set(seconds(ticks.next(now) - now), partial(self._read_again, ticks, kind))

    def _read_again(self, ticks: Ticks, kind: Kind) -> None:
        read = self._look_or_wait()
        if read is None:
            return
        ticks.hear(read.reading)
        if ticks.found:
            self._on_event(kind(ticks.reading()))
        else:
            self._refine(ticks, kind)

    def _write(self, true: Callable[[], Instant | None]) -> None:
        time = true()
        if self._driver is None or time is None:
            return
        if not self._attempts.attempt("rtc", partial(self._driver.write, time)):
            self.close()
            self._alarm.set(REOPEN, self._look_for_it)
            return
        read = self._look_or_wait()
        if read is not None:
            self._refine(Ticks(read.reading), RtcWritten)
            self._on_event(RtcWritten(read.reading))
