"""The fake pulses: what they are told is what they tell."""

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.drivers import RefclockConfig, open_refclock
from pints.errors import DeviceError
from pints.timescale import NS
from pints_drivers.fake_pps import FakePps, MemoryPulses
from tests.drivers.host import START, HostClock

CLOCK = HostClock()


@pytest.fixture
def pulses(tmp_path: Path) -> Iterator[FakePps]:
    os.mkfifo(tmp_path / "pulses")
    driver = open_refclock(RefclockConfig("fake-pps", str(tmp_path / "pulses")), CLOCK)
    assert isinstance(driver, FakePps)
    yield driver
    driver.close()


def say(pulses: FakePps, text: str) -> None:
    Path(pulses.name.partition(" ")[2]).write_text(text)


def test_lines_are_pulses(pulses: FakePps) -> None:
    assert list(pulses.reports()) == []
    say(pulses, f"{START - 1}.5\n\n{START - 1}.00000")
    assert [p.at.real - START * NS for p in pulses.reports()] == [-NS // 2, 0]
    say(pulses, "1\n")
    assert [p.at.real - START * NS for p in pulses.reports()] == [-NS + 1000]


@pytest.mark.parametrize("line", ["soon", "-1", "1.x", "1" * 13, "1e3"])
def test_what_is_no_pulse(pulses: FakePps, line: str) -> None:
    say(pulses, f"{line}\n")
    with pytest.raises(DeviceError, match="not a time"):
        pulses.reports()


def test_unplugged(pulses: FakePps) -> None:
    say(pulses, "unplug\n")
    with pytest.raises(DeviceError, match="unplugged"):
        pulses.reports()


def test_only_a_fifo_will_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="not a FIFO"):
        open_refclock(RefclockConfig("fake-pps", str(tmp_path / "file")), CLOCK)
    with pytest.raises(DeviceError, match="No such file"):
        open_refclock(RefclockConfig("fake-pps", str(tmp_path / "none")), CLOCK)


def test_in_memory() -> None:
    pulses = MemoryPulses(CLOCK)
    try:
        assert not select.select([pulses.fileno()], [], [], 0)[0]
        pulses.tick()
        pulses.tick()
        assert select.select([pulses.fileno()], [], [], 0)[0]
        assert [p.at for p in pulses.reports()] == [CLOCK.read(), CLOCK.read()]
        assert not select.select([pulses.fileno()], [], [], 0)[0]
        pulses.plugged = False
        with pytest.raises(DeviceError, match="unplugged"):
            pulses.reports()
    finally:
        pulses.close()
