"""The daemon's one loop: poll(2), timers on the boot clock, signals between two callbacks.

What this guarantees:
- Callbacks run one at a time, never inside a signal handler, and in each round in this order:
  signals, descriptors that are ready, timers that are due (the earliest first).
- No timer runs early, and waiting for one never spins.
- A timer set by a callback runs in the next round at the soonest: timers starve nobody.
- An exception of a callback is a bug and ends the loop.
"""

import heapq
import logging
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from pints.shell.clock import BootTime
from pints.timescale import Boot, after

log = logging.getLogger(__name__)

MAX_WAIT_MS = 150_000
"""The longest sleep.  See `Loop._wait` for what it bounds."""


class Timer:
    """A call that was asked for; give it to `Loop.cancel`."""

    __slots__ = ("_order", "callback", "when")

    def __init__(self, when: Boot, order: int, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback  # None: done or cancelled
        self._order = order

    def __lt__(self, other: "Timer") -> bool:
        return (self.when, self._order) < (other.when, other._order)


class _Registration:
    """One call of `register`.  Compared by identity: descriptors' numbers are used again."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[int], None]) -> None:
        self.callback = callback


class _Interrupted(Exception):
    """Raised by our signal handler, to end poll()."""


class Loop:
    """Waits and calls back.  One per process: it takes over the signals it is given."""

    def __init__(self, clock: BootTime) -> None:
        self._clock = clock
        self._poll = select.poll()
        self._registrations: dict[int, _Registration] = {}
        self._timers: list[Timer] = []
        self._order = 0
        self._on_signal: dict[int, Callable[[], None]] = {}
        self._before: dict[int, Any] = {}
        self._signals: list[int] = []
        self._polling = False
        self._stopped = False

    def register(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(revents)` whenever `fd` is ready.

        poll() reports POLLERR and POLLHUP unasked: a callback that leaves them standing will
        be called for ever.
        """
        if fd in self._registrations:
            raise ValueError(f"descriptor {fd} is registered already")
        self._poll.register(fd, events)
        self._registrations[fd] = _Registration(callback)

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events on a registered descriptor."""
        self._poll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Before `fd` is closed.  Its callback is not called again, even if it is ready now."""
        del self._registrations[fd]
        self._poll.unregister(fd)

    def now(self) -> Boot:
        """The boot clock."""
        return self._clock.boot()

    def call_at(self, when: Boot, callback: Callable[[], None]) -> Timer:
        """Call once, when the boot clock has reached `when` (in the next round if it has)."""
        self._order += 1
        timer = Timer(when, self._order, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Forget a call.  Does nothing if it was made or cancelled."""
        if timer.callback is None:
            return
        timer.callback = None
        # There are tens of timers, not thousands.  One that is due in this round is out of the
        # heap already.
        with suppress(ValueError):
            self._timers.remove(timer)
            heapq.heapify(self._timers)

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        """Call, from the loop, after the process has been sent this signal."""
        self._on_signal[number] = callback
        before = signal.signal(number, self._handle_signal)
        self._before.setdefault(number, before)

    def run(self) -> None:
        """Round after round until `stop`."""
        self._stopped = False
        while not self._stopped:
            self.run_once()

    def stop(self) -> None:
        """`run` returns after this round."""
        self._stopped = True

    def run_once(self) -> None:
        """Wait until something is due, then do what is."""
        ready = self._wait()
        signals, self._signals = self._signals, []
        for number in signals:
            self._on_signal[number]()
        for fd, events, registration in ready:
            # An earlier callback may have unregistered it, and even reused its number.
            if self._registrations.get(fd) is not registration:
                continue
            if events & select.POLLNVAL:
                log.error("descriptor %d was closed while registered", fd)
                self.unregister(fd)
                continue
            registration.callback(events)
        self._run_timers()

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _run_timers(self) -> None:
        now = self.now()
        due = []
        while self._timers and self._timers[0].when <= now:
            due.append(heapq.heappop(self._timers))
        for timer in due:
            callback, timer.callback = timer.callback, None
            if callback is not None:  # cancelled by one that ran just before
                callback()

    def _timeout(self) -> int:
        """Milliseconds to the next timer, rounded up: a short sleep would only spin."""
        if not self._timers:
            return MAX_WAIT_MS
        left = self._timers[0].when - self.now()
        return max(0, min(MAX_WAIT_MS, -(-left // 1_000_000)))

    def _wait(self) -> list[tuple[int, int, _Registration]]:
        """poll(), ended at once by a signal that we handle.

        Python restarts an interrupted poll() unless the signal's handler raises (PEP 475), so
        ours raises, but only while `_polling`; at any other time it leaves the signal in
        `_signals`, which is looked at after `_polling` is set.  The handler clears `_polling`
        before it raises and the last statement of the try does so otherwise; hence it raises
        once at most and never outside this try.  Descriptors found ready by a poll() that is
        ended this way are found again by the next.

        One gap is left: a signal that lands after the interpreter's last look and before the
        kernel's, some instructions wide, is seen when poll() returns.  MAX_WAIT_MS bounds
        that.  A wake-up pipe would close it, at the price of two descriptors; a simulator
        that knows only sockets could not run us then.
        """
        ready: list[tuple[int, int]] = []
        timeout = self._timeout()
        try:
            self._polling = True
            if not self._signals:
                ready = self._poll.poll(timeout)
            self._polling = False
        except _Interrupted:
            pass
        return [(fd, events, self._registrations[fd]) for fd, events in ready]

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        if self._polling:
            self._polling = False
            raise _Interrupted


class Alarm:
    """One call at a time: each that is set replaces the one before."""

    __slots__ = ("_loop", "_timer")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._timer: Timer | None = None

    @property
    def due(self) -> Boot | None:
        """When the call is made; None while none is set, and from the call on."""
        timer = self._timer
        return None if timer is None or timer.callback is None else timer.when

    def set(self, wait: float, callback: Callable[[], None]) -> None:
        """Call once, in `wait` seconds (0: in the next round)."""
        self.set_at(after(self._loop.now(), wait), callback)

    def set_at(self, when: Boot, callback: Callable[[], None]) -> None:
        """Call once, when the boot clock has reached `when`."""
        self.stop()
        self._timer = self._loop.call_at(when, callback)

    def stop(self) -> None:
        """Forget the call, if one is set."""
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None
