"""Every log of a real receiver, played through a pseudo-terminal at its speed.

The truth about the date is the log's `# Date:` header: some of the sentences lie.
"""

import os
import random
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from pints.drivers import Fix
from pints.errors import DeviceError
from pints.evidence.gps import ROLLOVER, Fixes
from pints.timescale import DAY, NS, Instant, iso, nanoseconds, seconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence
from pints_drivers.fake_receiver import Burst, log_bursts
from tests.drivers.serial_line import Desk

FOLDER = Path(os.environ.get("PINTS_REAL_DATA") or "/nonexistent") / "gps"
LOGS = sorted(FOLDER.glob("*.log"))
BAUD = {"tn200": 4800, "ublox-8": 38400, "ublox-zed-f9t-ubx_nmea_l5": 115200}
BUILT = nanoseconds(100 * DAY)
"""So long before the log was made, a pints of that time was."""
DATE = re.compile(rb"^# Date: *(\d+)-(\d+)-(\d+)", re.M)
WIDTH = nanoseconds(2 * DAY)
"""The header's day is some time zone's, and one is the 32nd of July."""

TOLD = {
    "april6_2019": "",  # a single second, after a rollover
    "bu303-nofix": "",  # SiRF's binary
    "gp-320fw-2019-04-07-coldboot": "",  # a simulator's sky: one second of it in a row
    "hp58534a": "",  # no checksums
    "isync": "2016-02-03T13:15:30Z",
    "mt3339": "2015-04-13T20:27:09Z",
    "navisys-gr701w": "2024-03-28T15:15:24Z",
    "quectel-L70": "2022-03-09T15:01:34Z",
    "tn200": "",  # no fix
    "ublox-8": "2017-01-10T00:10:52Z",
    "ublox-8-time": "2017-12-01T17:24:04Z",
    "ublox-zed-f9t-ubx_nmea_l5": "2025-07-31T19:33:42Z",
}
"""The last time that pints believes of each log known here."""


def date_of(log: Path) -> Instant:
    found = DATE.search(log.read_bytes())
    assert found is not None
    year, month, day = map(int, found.groups())
    first = datetime(year, month, 1, tzinfo=UTC)
    return Instant(int(first.timestamp()) * NS + nanoseconds((day - 1) * DAY))


@pytest.fixture(scope="module", params=LOGS, ids=lambda log: log.stem)
def log(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def played(log: Path, bursts: Iterable[Burst], folder: Path) -> list[Fix]:
    """What the driver tells of a log that is played to a machine."""
    desk = Desk(folder, BAUD.get(log.stem, 9600))
    desk.open()
    with suppress(DeviceError):  # of some, no sentence has a checksum
        desk.play(bursts)
    desk.close()
    return [report for report in desk.reports if isinstance(report, Fix)]


@pytest.fixture(scope="module")
def fixes(log: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Fix]:
    """Of the log as it is."""
    return played(log, log_bursts(log.read_bytes()), tmp_path_factory.mktemp("desk"))


def believed(fixes: list[Fix], floors: Floors) -> list[Instant]:
    """The times of what becomes evidence."""
    heard = Fixes("gps", False, floors)
    evidence = (heard.hear(fix, floors.soft) for fix in fixes)
    return [said.middle for said in evidence if isinstance(said, Evidence)]


def test_the_logs_are_there(real_data: Path) -> None:
    assert real_data == FOLDER.parent
    assert {log.stem for log in LOGS} >= set(TOLD)


def test_none_is_believed_wrongly(log: Path, fixes: list[Fix]) -> None:
    truth = date_of(log)
    times = believed(fixes, Floors(Instant(truth - BUILT)))
    for time in times:
        assert abs(time - truth) < WIDTH, f"{iso(time)}, not {iso(truth)}"
    if log.stem in TOLD:
        assert (iso(times[-1]) if times else "") == TOLD[log.stem]


def test_a_rollover_that_the_receiver_missed_is_unfolded(log: Path, fixes: list[Fix]) -> None:
    """The log as it would come from the same receiver 1024 weeks later, or 2048."""
    truth = date_of(log)
    for rollovers in (1, 2):
        later = truth + rollovers * ROLLOVER
        for time in believed(fixes, Floors(Instant(later - BUILT))):
            assert abs(time - later) < WIDTH


def test_on_a_bad_line_none_is_believed_wrongly(
    log: Path, tmp_path: Path, rng: random.Random
) -> None:
    """Where each byte may be another one, missing, or doubled."""
    truth = date_of(log)
    bursts = [(due, damaged(data, rng)) for due, data in log_bursts(log.read_bytes())]
    for time in believed(played(log, bursts, tmp_path), Floors(Instant(truth - BUILT))):
        assert abs(time - truth) < WIDTH, f"{iso(time)}, not {iso(truth)}"


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One byte of a hundred."""
    bad = bytearray()
    for byte in data:
        fate = rng.random()
        bad += bytes(
            [rng.randrange(256)] if fate < 0.004
            else [] if fate < 0.007
            else [byte, byte] if fate < 0.01
            else [byte]
        )  # fmt: skip
    return bytes(bad)


def test_its_seconds_pass_as_they_did(log: Path, fixes: list[Fix]) -> None:
    """As fast by the machine's crystal as by the receiver, while its fixes count."""
    steady = Fixes("gps", False, Floors(Instant(date_of(log) - BUILT)))
    for before, fix in pairwise(fixes):
        steady.hear(fix, date_of(log))
        if steady.steady:
            passed = seconds(fix.at.raw - before.at.raw)
            assert passed == pytest.approx(seconds(fix.time - before.time), abs=0.3)
