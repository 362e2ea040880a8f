"""The driver that docs/drivers.md shows works as it stands there."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from pints.config.load import merge
from pints.config.tables import Config
from pints.drivers import Fix, open_refclock
from pints.errors import DeviceError
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant

PAGE = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return str(found)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dollar.py").write_text(block("python"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "dollar", raising=False)


def test_the_example_is_a_driver() -> None:
    receiver, line = os.openpty()
    section = tomllib.loads(block("toml").replace("/dev/ttyUSB0", os.ttyname(line)))
    (config,) = merge(Config(), section, "pints.toml").refclocks
    clock = SoftwareClock(Instant(0), timebase=lambda: 5 * NS)
    driver = open_refclock(config, clock)
    try:
        assert driver.name == f"dollar:Dollar {os.ttyname(line)}"
        assert list(driver.reports()) == []
        os.write(receiver, b"garbage\n$1793800000\n$17938")
        (fix,) = driver.reports()
        assert isinstance(fix, Fix)
        assert (fix.time, fix.at) == (1_793_800_000 * NS, clock.read())
        os.write(receiver, b"00001\n")
        (fix,) = driver.reports()
        assert isinstance(fix, Fix)
        assert fix.time // NS == 1_793_800_001
        os.close(receiver)
        os.close(line)
        with pytest.raises(DeviceError, match="no longer there"):
            driver.reports()
    finally:
        driver.close()


def test_the_example_names_a_device_that_is_not_there() -> None:
    (config,) = merge(Config(), tomllib.loads(block("toml")), "pints.toml").refclocks
    with pytest.raises(DeviceError, match="dollar:Dollar /dev/ttyUSB0: No such"):
        open_refclock(config, SoftwareClock(Instant(0)))


def test_the_example_fits_a_screen() -> None:
    assert len(block("python").splitlines()) <= 46
