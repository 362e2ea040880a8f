"""The real-time clock on the board: read, read again until it is known when its seconds begin,
set when one begins.

Guarantees: nothing waits for it, neither for the beginning of a second nor for a chip that does
not answer; that one is opened anew until it does.
"""

from collections.abc import Callable
from functools import partial

from pints import drivers
from pints.config.tables import RtcConfig
from pints.drivers import RealTimeClock, RtcReading
from pints.errors import DeviceError
from pints.evidence.rtc_seconds import Ticks
from pints.lean import dataclass
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.shell.loop import Alarm, Loop
from pints.timescale import NS, Instant, nanoseconds, seconds

REOPEN = 60.0
"""Seconds until a chip that failed is looked for again."""
Named = tuple[str, RtcReading]


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is told what was read when nobody asked just then, under the chip's name."""

    read: Callable[[str, RtcReading], None]
    """A chip that failed answers again."""
    refined: Callable[[RtcReading], None]
    """What `read` gave, and when its seconds begin."""
    written: Callable[[RtcReading], None]
    """It was set; once to the second, and once more as above."""


class BoardRtc:
    """The chip that [rtc] names."""

    def __init__(
        self, loop: Loop, clock: Clock, config: RtcConfig, attempts: Attempts, heard: Heard
    ) -> None:
        self._clock = clock
        self._config = config
        self._attempts = attempts
        self._heard = heard
        self._driver: RealTimeClock | None = None
        self._alarm = Alarm(loop)
        """What is to be done next; there is one thing at a time."""

    def read(self) -> Named | None:
        """What it says, under its name; None where it says nothing.  What it says more exactly
        follows."""
        read = self._look_or_wait()
        if read is not None:
            self._refine(Ticks(read[1]), self._heard.refined)
        return read

    def look(self) -> Named | None:
        """The same, and nothing follows."""
        read: list[Named] = []

        def call() -> None:
            if self._driver is None:
                self._driver = drivers.open_rtc(self._config, self._clock)
            read.append((self._driver.name, self._driver.read()))

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

    def _look_or_wait(self) -> Named | None:
        """Look at it; where it does not answer, again later."""
        read = self.look()
        if read is None:
            self._alarm.set(REOPEN, self._look_for_it)
        return read

    def _look_for_it(self) -> None:
        read = self.read()
        if read is not None:
            self._heard.read(*read)

    def _refine(self, ticks: Ticks, report: Callable[[RtcReading], None]) -> None:
        now = self._clock.read().raw
        self._alarm.set(seconds(ticks.next(now) - now), partial(self._read_again, ticks, report))

    def _read_again(self, ticks: Ticks, report: Callable[[RtcReading], None]) -> None:
        read = self._look_or_wait()
        if read is None:
            return
        ticks.hear(read[1])
        if ticks.found:
            report(ticks.reading())
        else:
            self._refine(ticks, report)

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
            self._refine(Ticks(read[1]), self._heard.written)
            self._heard.written(read[1])
