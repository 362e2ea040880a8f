"""The fake chip keeps a real chip's rules; in memory and in a file alike."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.bootstrap.rules import Refusal
from pints.drivers import RtcConfig, open_rtc
from pints.errors import DeviceError
from pints.evidence.rtc import rtc_evidence, written
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, HOUR, NS, Instant, iso, nanoseconds, seconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength
from pints_drivers.fake_rtc import (
    Chip,
    FakeRtc,
    MemoryRtc,
    ahead,
    decode_chip,
    encode_chip,
    flat,
    good,
    local,
    reset,
)

START = Instant(1_790_000_000 * NS)


class World:
    """True time, moved by hand."""

    def __init__(self) -> None:
        self.now: int = START
        self.clock = SoftwareClock(Instant(0), timebase=lambda: self.now)

    def rtc(self, chip: Chip | None = None) -> MemoryRtc:
        return MemoryRtc(lambda: self.now, self.clock, chip)

    def sleep(self, span: float) -> None:
        self.now += nanoseconds(span)


def test_it_counts_whole_seconds_at_its_own_rate() -> None:
    world = World()
    rtc = world.rtc(good(world.now, drift=50e-6))
    world.sleep(10 * DAY + 0.25)
    reading = rtc.read()
    assert (reading.error, reading.flags) == (0.5, ())
    assert reading.time % NS == NS // 2
    assert seconds(reading.time - world.now) == pytest.approx(43.2, abs=0.5)
    assert reading.at == world.clock.read()


def test_a_new_battery_is_2000_and_its_flag_says_so_until_it_is_set() -> None:
    world = World()
    rtc = world.rtc()
    for _ in range(2):
        assert rtc.read().flags == ("OSF",)
    assert iso(rtc.read().time) == "2000-01-01T00:00:00Z"
    world.sleep(DAY)
    assert iso(rtc.read().time) == "2000-01-02T00:00:00Z"
    rtc.write(Instant(world.now))
    assert rtc.read().flags == ()
    assert abs(seconds(rtc.read().time - world.now)) <= 1
    assert rtc.writes == 1


@given(st.integers(0, 10 * NS))
def test_setting_starts_the_nearest_second(part: int) -> None:
    world = World()
    world.now += part
    rtc = world.rtc()
    rtc.write(Instant(world.now))
    off = seconds(rtc.chip.at(world.now) - world.now)
    assert abs(off) <= 0.5
    assert rtc.chip.at(world.now) % NS == pytest.approx(0, abs=1000)


def test_its_year_has_two_digits() -> None:
    world = World()
    rtc = world.rtc()
    rtc.write(Instant(4_102_444_790 * NS))
    assert iso(rtc.read().time) == "2099-12-31T23:59:50Z"
    world.sleep(20)
    assert iso(rtc.read().time) == "2000-01-01T00:00:10Z"
    for beyond in (946_684_799, 4_102_444_800):
        with pytest.raises(DeviceError, match="cannot hold"):
            rtc.write(Instant(beyond * NS))


def test_unplugged_and_back() -> None:
    rtc = World().rtc()
    rtc.plugged = False
    with pytest.raises(DeviceError, match="fake-rtc"):
        rtc.read()
    rtc.plugged = True
    rtc.read()


@pytest.mark.parametrize("chip", [flat, reset, ahead, local, good])
def test_only_a_chip_that_pints_set_is_independent(chip: object) -> None:
    assert callable(chip)
    world = World()
    floors = Floors(Instant(START - nanoseconds(DAY)))
    rtc = world.rtc(chip(world.now))
    heard = rtc_evidence(rtc.name, rtc.read(), None, floors)
    if chip in (flat, reset):
        assert isinstance(heard, Refusal)
    else:
        assert isinstance(heard, Evidence)
        assert heard.strength is Strength.LOCAL
    rtc.write(Instant(world.now))
    calibration = written(rtc.name, rtc.read(), None, Instant(world.now), 0.01)
    world.sleep(30 * DAY)
    heard = rtc_evidence(rtc.name, rtc.read(), calibration, floors)
    assert isinstance(heard, Evidence)
    assert heard.strength is Strength.INDEPENDENT
    assert heard.admits(Instant(world.now), Instant(world.now))


def test_zone_of_the_local_chip() -> None:
    world = World()
    off = world.rtc(local(world.now, hours=-5)).read().time - world.now
    assert seconds(off) == pytest.approx(-5 * HOUR, abs=0.5)


# --- in a file -------------------------------------------------------------------------------


def opened(path: Path) -> FakeRtc:
    rtc = open_rtc(RtcConfig("fake-rtc", str(path)), SoftwareClock(Instant(0)))
    assert isinstance(rtc, FakeRtc)
    return rtc


def test_the_file_outlives_the_driver(tmp_path: Path) -> None:
    path = tmp_path / "chip"
    path.write_text("# new battery\nagainst boot\nflags OSF\n")
    rtc = opened(path)
    assert rtc.name == f"fake-rtc {path}"
    assert rtc.read().flags == ("OSF",)
    rtc.write(START)
    rtc.close()
    again = opened(path).read()
    assert again.flags == ()
    assert 0 <= seconds(again.time - START) < 60
    assert decode_chip(path.read_text()).against == "boot"


@pytest.mark.parametrize("against", ["real", "boot"])
def test_a_chip_against_either_clock(tmp_path: Path, against: str) -> None:
    path = tmp_path / "chip"
    path.write_text(f"against {against}\n")
    rtc = opened(path)
    rtc.write(START)
    assert 0 <= seconds(rtc.read().time - START) < 60


def test_an_empty_file_is_a_good_chip(tmp_path: Path) -> None:
    path = tmp_path / "chip"
    path.touch()
    import time

    assert abs(seconds(opened(path).read().time - time.time_ns())) < 60


def test_no_file_no_chip(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file") as e:
        opened(tmp_path / "chip")
    assert "device" in e.value.hint
    path = tmp_path / "chip"
    path.touch()
    rtc = opened(path)
    path.unlink()
    with pytest.raises(DeviceError, match="No such file"):
        rtc.read()


@pytest.mark.parametrize("line", ["offset soon", "colour red", "against the wall", "since 1.5"])
def test_what_is_no_chip(tmp_path: Path, line: str) -> None:
    path = tmp_path / "chip"
    path.write_text(line)
    with pytest.raises(DeviceError, match="not a fake chip"):
        opened(path)


@given(
    st.builds(
        Chip,
        st.floats(-1e10, 1e10),
        st.floats(-1e-3, 1e-3),
        st.lists(st.sampled_from(["OSF", "VL", "CH"])).map(tuple),
        st.integers(0, 1 << 62),
        st.sampled_from(["real", "boot"]),
    )
)
def test_the_file_says_all_of_it(chip: Chip) -> None:
    assert decode_chip(encode_chip(chip)) == chip
