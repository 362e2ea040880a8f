"""Leap seconds: who announces one, who smears it, and who knows nothing of it."""

import pytest

from pints.drivers import LEAP_UNKNOWN
from pints.sync.leap import LEAP_DELETE, LEAP_INSERT, NEAR, Leap, LeapWatch
from pints.timescale import Instant, midnight, nanoseconds

END = midnight(2027, 1, 1)
EVE = Instant(END - nanoseconds(NEAR / 2))
WITNESSES = ("a", "b", "c")
TOLD = dict.fromkeys(WITNESSES, LEAP_INSERT)


@pytest.mark.parametrize(
    ("leap", "votes"),
    [(LEAP_INSERT, True), (LEAP_UNKNOWN, True), (0, False), (LEAP_DELETE, False)],
)
def test_who_tells_of_none_smears_and_who_does_not_know_keeps_its_vote(
    leap: int, votes: bool
) -> None:
    watch = LeapWatch()
    assert watch.hear(TOLD | {"gps": leap}, WITNESSES, 2, EVE)
    assert watch.pending == Leap(END, LEAP_INSERT)
    assert ("gps" not in watch.smearing) is votes
    watch.hear({}, WITNESSES, 2, Instant(END + nanoseconds(NEAR)))
    assert not watch.smearing


def test_who_does_not_know_announces_none() -> None:
    watch = LeapWatch()
    assert not watch.hear(dict.fromkeys(WITNESSES, LEAP_UNKNOWN), WITNESSES, 2, EVE)
    assert watch.pending is None
