import os
import select
import signal
import socket
from collections.abc import Iterator

import pytest

from pints.shell import loop as loop_module
from pints.shell.loop import Alarm, Loop
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Boot, Instant


class Timebase:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class Poll:
    """Stands in for select.poll(): notes the time-out and lets that much time pass."""

    def __init__(self, timebase: Timebase) -> None:
        self.timebase = timebase
        self.timeouts: list[int] = []

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        self.timeouts.append(timeout)
        self.timebase.now += timeout * 1_000_000
        return []


@pytest.fixture
def timebase() -> Timebase:
    return Timebase()


@pytest.fixture
def loop(timebase: Timebase) -> Iterator[Loop]:
    loop = Loop(SoftwareClock(Instant(0), timebase=timebase))
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def timed(loop: Loop, timebase: Timebase) -> Poll:
    poll = Poll(timebase)
    loop._poll = poll  # type: ignore[assignment]
    return poll


def test_timers_run_in_order_and_never_early(loop: Loop, timebase: Timebase) -> None:
    poll = timed(loop, timebase)
    ran: list[tuple[str, int]] = []
    for name, when in (("c", 2_500_001), ("a", 1), ("b", 2_500_000), ("d", 2_500_001)):
        loop.call_at(Boot(when), lambda name=name: ran.append((name, timebase.now)))  # type: ignore[misc]
    for _ in range(3):
        loop.run_once()
    assert ran == [("a", 1_000_000), ("b", 3_000_000), ("c", 3_000_000), ("d", 3_000_000)]
    # Rounded up to the millisecond, so that no round is spent spinning; then nothing is left.
    assert poll.timeouts == [1, 2, loop_module.MAX_WAIT_MS]


def test_cancelled_timers(loop: Loop, timebase: Timebase) -> None:
    poll = timed(loop, timebase)
    ran: list[str] = []
    first = loop.call_at(Boot(1_000_000), lambda: loop.cancel(second))
    second = loop.call_at(Boot(1_000_000), lambda: ran.append("second"))
    third = loop.call_at(Boot(500), lambda: ran.append("third"))
    loop.cancel(third)
    loop.run_once()
    loop.cancel(first)
    loop.cancel(second)
    assert (ran, poll.timeouts, loop._timers) == ([], [1], [])


def test_a_timer_set_by_a_timer_waits_for_the_next_round(loop: Loop, timebase: Timebase) -> None:
    poll = timed(loop, timebase)
    ran: list[int] = []

    def again() -> None:
        ran.append(len(poll.timeouts))
        loop.call_at(Boot(timebase.now), again)

    loop.call_at(Boot(0), again)
    loop.run_once()
    loop.run_once()
    assert ran == [1, 2]
    assert poll.timeouts == [0, 0]


def test_an_alarm_keeps_only_the_last_call(loop: Loop, timebase: Timebase) -> None:
    poll = timed(loop, timebase)
    alarm = Alarm(loop)
    ran: list[str] = []
    alarm.set(1.0, lambda: ran.append("first"))
    alarm.set_at(Boot(2 * NS), lambda: ran.append("second"))
    assert (alarm.due, len(loop._timers)) == (2 * NS, 1)
    loop.run_once()
    assert (ran, poll.timeouts, alarm.due) == (["second"], [2000], None)
    alarm.set(0.5, lambda: ran.append("third"))
    assert len(loop._timers) == 1
    alarm.stop()
    alarm.stop()
    assert (alarm.due, loop._timers) == (None, [])


def test_an_alarm_that_goes_off_may_be_set_again(loop: Loop, timebase: Timebase) -> None:
    timed(loop, timebase)
    alarm = Alarm(loop)
    seen: list[Boot | None] = []

    def again() -> None:
        seen.append(alarm.due)
        alarm.set(1.0, again)

    alarm.set(1.0, again)
    loop.run_once()
    assert (seen, alarm.due) == ([None], 2 * NS)
    loop.run_once()
    assert (seen, alarm.due) == ([None, None], 3 * NS)


def test_descriptors(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    seen: list[int] = []
    loop.register(left.fileno(), select.POLLIN, seen.append)
    right.send(b"x")
    loop.run_once()
    assert seen == [select.POLLIN]
    loop.modify(left.fileno(), select.POLLOUT)
    loop.run_once()
    assert seen[1:] == [select.POLLOUT]
    with pytest.raises(ValueError, match="registered already"):
        loop.register(left.fileno(), select.POLLIN, seen.append)
    loop.unregister(left.fileno())
    loop.call_at(Boot(0), lambda: None)
    loop.run_once()
    assert len(seen) == 2


def test_a_number_used_again_gets_no_stale_events(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Whichever of two ready callbacks runs first replaces the other's registration."""
    left, right = pair
    seen: list[str] = []

    def replace(other: socket.socket) -> None:
        seen.append("first")
        loop.unregister(other.fileno())
        loop.register(other.fileno(), select.POLLIN, lambda events: seen.append("stale"))

    loop.register(left.fileno(), select.POLLOUT, lambda events: replace(right))
    loop.register(right.fileno(), select.POLLOUT, lambda events: replace(left))
    loop.run_once()
    assert seen == ["first"]


def test_a_closed_descriptor_does_not_spin(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    left, right = socket.socketpair()
    loop.register(left.fileno(), select.POLLIN, lambda events: pytest.fail("called"))
    left.close()
    loop.run_once()
    right.close()
    assert "was closed while registered" in caplog.text
    assert loop._registrations == {}


def test_signal_ends_poll(loop: Loop) -> None:
    """Nothing is registered and no timer is set: poll() would last MAX_WAIT_MS."""
    seen: list[int] = []
    loop.on_signal(signal.SIGALRM, lambda: seen.append(signal.SIGALRM))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        loop.run_once()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert seen


def test_signal_before_poll(loop: Loop, timebase: Timebase) -> None:
    poll = timed(loop, timebase)
    seen: list[int] = []
    loop.on_signal(signal.SIGUSR1, lambda: seen.append(1))
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_once()
    assert (seen, poll.timeouts) == ([1], [])
    loop.run_once()
    assert (seen, poll.timeouts) == ([1], [loop_module.MAX_WAIT_MS])


def test_many_signals_within_one_poll(
    loop: Loop, timebase: Timebase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler raises for the first only; a second would escape from where it is caught."""
    seen: list[str] = []

    class Storm(Poll):
        def poll(self, timeout: int) -> list[tuple[int, int]]:
            try:
                os.kill(os.getpid(), signal.SIGUSR1)
            finally:
                os.kill(os.getpid(), signal.SIGHUP)
            raise AssertionError("the first signal did not end poll()")

    loop._poll = Storm(timebase)  # type: ignore[assignment]
    loop.on_signal(signal.SIGUSR1, lambda: seen.append("usr1"))
    loop.on_signal(signal.SIGHUP, lambda: seen.append("hup"))
    loop.run_once()
    assert seen == ["usr1", "hup"]
    assert not loop._polling


def test_run_and_stop(loop: Loop, timebase: Timebase) -> None:
    timed(loop, timebase)
    loop.call_at(Boot(5_000_000), loop.stop)
    loop.run()
    assert timebase.now == 5_000_000


def test_close_gives_the_signals_back(loop: Loop) -> None:
    before = signal.getsignal(signal.SIGUSR2)
    loop.on_signal(signal.SIGUSR2, lambda: None)
    loop.on_signal(signal.SIGUSR2, lambda: None)
    loop.close()
    assert signal.getsignal(signal.SIGUSR2) == before
