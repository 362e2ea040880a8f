"""The fake receivers: what they are told is what they tell."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.drivers import RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.evidence.gps import Fixes
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, NS, Instant, iso, nanoseconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence
from pints_drivers.fake_gps import FakeGps, MemoryGps
from pints_drivers.gnss.ubx import ROLLOVER

START = Instant(1_790_000_000 * NS)


class Sky:
    """A FIFO, and the driver that listens to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.gps = self.open()

    def open(self) -> FakeGps:
        config = RefclockConfig("fake-gps", str(self.path))
        gps = open_refclock(config, SoftwareClock(Instant(0)))
        assert isinstance(gps, FakeGps)
        return gps

    def say(self, text: str) -> None:
        self.path.write_text(text)

    def heard(self) -> list[tuple[str, float]]:
        return [(iso(fix.time), fix.error) for fix in self.gps.reports()]


@pytest.fixture
def sky(tmp_path: Path) -> Iterator[Sky]:
    sky = Sky(tmp_path / "sky")
    yield sky
    sky.gps.close()


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_lines_are_fixes(sky: Sky) -> None:
    assert sky.gps.name == f"fake-gps {sky.path}"
    assert not readable(sky.gps.fileno())
    assert sky.heard() == []
    sky.say("2026-11-23T12:00:00Z 0.05\n2026-11-23T12:00:01.250000000 2\n2026-11-23T12:0")
    assert readable(sky.gps.fileno())
    assert sky.heard() == [("2026-11-23T12:00:00Z", 0.05), ("2026-11-23T12:00:01Z", 2.0)]
    sky.say("0:02Z 0.1\n")
    assert sky.heard() == [("2026-11-23T12:00:02Z", 0.1)]


def test_nanoseconds_as_date_prints_them(sky: Sky) -> None:
    sky.say("2026-11-23T12:00:00.123456789Z 0.05\n")
    (fix,) = sky.gps.reports()
    assert fix.time % NS == 123_456_000


@pytest.mark.parametrize("line", ["$GPRMC,,V", "2026-11-23T12:00:00Z", "soon 0.1", "\udcff 1"])
def test_what_is_no_fix(sky: Sky, line: str) -> None:
    sky.path.write_bytes(line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(DeviceError, match="not a time and an error"):
        sky.gps.reports()
    sky.say("2026-11-23T12:00:00Z 0.05\n")
    assert len(sky.heard()) == 1


def test_unplugged_and_back(sky: Sky) -> None:
    sky.say("unplug\n")
    with pytest.raises(DeviceError, match="unplugged"):
        sky.gps.reports()
    sky.path.unlink()
    with pytest.raises(DeviceError, match="unplugged"):
        sky.gps.reports()
    with pytest.raises(DeviceError, match="No such file"):
        sky.open()
    os.mkfifo(sky.path)
    sky.gps.close()
    sky.gps = sky.open()
    sky.say("2026-11-23T12:00:00Z 0.05\n")
    assert len(sky.heard()) == 1


def test_only_a_fifo_will_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="not a FIFO") as e:
        open_refclock(RefclockConfig("fake-gps", str(tmp_path / "file")), SoftwareClock(START))
    assert "mkfifo" in e.value.hint


def test_noise_without_an_end_is_forgotten(sky: Sky) -> None:
    sky.say("x" * 300)
    assert sky.heard() == []
    sky.say("2026-11-23T12:00:00Z 0.05\n")
    assert len(sky.heard()) == 1


# --- in memory -------------------------------------------------------------------------------


def test_in_memory_it_tells_the_truth_when_it_ticks() -> None:
    now = START
    gps = MemoryGps(lambda: now, SoftwareClock(Instant(0), timebase=lambda: now))
    try:
        assert not readable(gps.fileno())
        assert list(gps.reports()) == []
        gps.tick()
        assert readable(gps.fileno())
        (fix,) = gps.reports()
        assert (fix.time, fix.error) == (START, 0.05)
        assert not readable(gps.fileno())
        gps.plugged = False
        with pytest.raises(DeviceError, match="unplugged"):
            gps.reports()
    finally:
        gps.close()


def test_rolled_over_it_is_unfolded() -> None:
    now: int = START
    gps = MemoryGps(lambda: now, SoftwareClock(Instant(0), timebase=lambda: now))
    heard = Fixes(gps.name, True, Floors(Instant(START - nanoseconds(DAY))))
    last = None
    try:
        for rollovers in (0, 1, 1, 2):
            now += NS
            gps.rollovers = rollovers
            gps.tick()
            (fix,) = gps.reports()
            assert fix.time == now - rollovers * ROLLOVER
            last = heard.hear(fix, Instant(now))
    finally:
        gps.close()
    assert isinstance(last, Evidence)
    assert last.middle == now
