"""When a chip's seconds begin is found in a few readings, none of which waits."""

import math

from hypothesis import given
from hypothesis import strategies as st

from pints.drivers import RtcReading
from pints.evidence.rtc_seconds import FINE, READINGS, Ticks
from pints.timescale import NS, Boot, Instant, Raw, Reading, nanoseconds, seconds

START = Instant(1_790_000_000 * NS)


def read(
    now: int, ahead: int, took: float = 0.0, flags: tuple[str, ...] = (), late: float = 0.0
) -> RtcReading:
    """A chip that is `ahead` of the crystal, whose transfer takes `took` and is latched `late`
    seconds into it."""
    counter = now + ahead + nanoseconds(late)
    middle = Instant(counter // NS * NS + NS // 2)
    return RtcReading(middle, 0.5 + took, flags, Reading(Instant(0), Boot(now), Raw(now)))


@given(
    st.integers(0, 10 * NS), st.integers(START, START + NS), st.floats(0, 0.002), st.floats(0, 1),
    st.floats(0, 0.003),
)  # fmt: skip
def test_it_is_found_within_seconds(
    now: int, ahead: int, took: float, part: float, delay: float
) -> None:
    began = now
    ticks = Ticks(read(now, ahead, took, late=part * took))
    while not ticks.found:
        due = ticks.next(Raw(now))
        assert now < due < now + 1.1 * NS
        now = due + nanoseconds(delay)
        ticks.hear(read(now, ahead, took, late=part * took))
    said = ticks.reading()
    assert said.at.raw == now
    assert abs(seconds(said.time - (now + ahead))) <= said.error + 1e-9
    assert said.error <= FINE
    assert seconds(now - began) < 12


def test_it_takes_no_more_readings_than_it_must() -> None:
    now, count = 0, 1
    ticks = Ticks(read(now, START + NS // 3))
    while not ticks.found:
        now = ticks.next(Raw(now))
        ticks.hear(read(now, START + NS // 3))
        count += 1
    assert count == 1 + math.ceil(math.log2(0.5 / FINE))


def test_a_slow_machine_gets_what_there_is() -> None:
    now, count = 0, 1
    ticks = Ticks(read(now, START, took=0.3, late=0.1))
    while not ticks.found:
        now = ticks.next(Raw(now))
        ticks.hear(read(now, START, took=0.3, late=0.1))
        count += 1
    said = ticks.reading()
    assert count == READINGS
    assert abs(seconds(said.time - (now + START))) <= said.error <= 0.8


def test_a_chip_that_is_set_meanwhile_is_searched_anew() -> None:
    now = 0
    ticks = Ticks(read(now, START))
    for _ in range(3):
        now = ticks.next(Raw(now))
        ticks.hear(read(now, START))
    while not ticks.found:
        now = ticks.next(Raw(now))
        ticks.hear(read(now, START + 7 * NS + 300_000_000))
    said = ticks.reading()
    assert abs(seconds(said.time - (now + START + 7 * NS + 300_000_000))) <= said.error <= FINE


def test_nothing_is_searched_in_a_chip_that_is_not_to_be_relied_on() -> None:
    ticks = Ticks(read(0, START, flags=("OSF",)))
    assert ticks.found
    ticks = Ticks(read(0, START))
    assert not ticks.found
    ticks.hear(read(NS, START, flags=("OSF",)))
    assert ticks.found
    assert ticks.reading().flags == ("OSF",)
