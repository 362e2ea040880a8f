"""The table of drivers: what is named is loaded, nothing else is, and errors say what to do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pints import drivers
from pints.drivers import (
    OUTPUTS,
    REFCLOCKS,
    RTCS,
    Driver,
    MachineClock,
    RefclockConfig,
    RtcConfig,
    open_refclock,
    open_rtc,
)
from pints.errors import ConfigError, DeviceError
from pints.shell.clock import Clock
from pints.shell.software_clock import SoftwareClock
from pints.timescale import Instant
from tests.daemon.test_modules import NEVER

CLOCK = SoftwareClock(Instant(0))


def test_every_clock_is_a_machines_clock() -> None:
    def given(clock: Clock) -> MachineClock:
        return clock  # mypy checks it

    assert given(CLOCK) is CLOCK


@pytest.mark.parametrize("driver", [*RTCS.values(), *REFCLOCKS.values(), *OUTPUTS.values()])
def test_every_driver_of_the_table_is_there(driver: Driver) -> None:
    """With its file; its libraries may be absent here."""
    module, _, name = driver.place.partition(":")
    file = Path(__file__).parent.parent / "drivers" / f"{module.replace('.', '/')}.py"
    assert re.search(rf"^(class|def) {name}\b", file.read_text(), re.M)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("fake_rtc", "did you mean 'fake-rtc'?"), ("sundial", "known here: dev, fake-rtc, ds1307")],
)
def test_an_unknown_driver_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=rf"^\[rtc\] driver: unknown driver '{name}'$") as e:
        open_rtc(RtcConfig(driver=name), CLOCK)
    assert hint in e.value.hint


def test_an_rtc_is_no_receiver() -> None:
    with pytest.raises(ConfigError, match=r"^\[\[refclock\]\] driver: unknown"):
        open_refclock(RefclockConfig(driver="fake-rtc"), CLOCK)


def test_a_library_that_is_missing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "needs_a_library.py").write_text("import smbus2000\n")
    monkeypatch.syspath_prepend(tmp_path)
    table = {"chip": Driver("needs_a_library:Chip", "rtc")}
    monkeypatch.setattr(drivers, "RTCS", table)
    with pytest.raises(DeviceError, match="'chip' does not load: No module named 'smbus2000'") as e:
        open_rtc(RtcConfig(driver="chip"), CLOCK)
    assert "pints-time[rtc]" in e.value.hint


@pytest.mark.parametrize("name", ["pints_drivers.fake_rtc:Nothing", "pints_drivers.fake_rtc:", ":"])
def test_a_class_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match="no class"):
        open_rtc(RtcConfig(driver=name), CLOCK)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="does not load") as e:
        open_refclock(RefclockConfig(driver="no_such_module:Receiver"), CLOCK)
    assert "no_such_module is installed" in e.value.hint


LIBRARIES = {"gpiod", "gpiozero", "pynmea2", "serial", "smbus2"}


def modules_after(code: str) -> set[str]:
    """What an interpreter has imported that ran this."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split())


def test_nothing_is_imported_that_nobody_named() -> None:
    modules = modules_after("import pints.daemon, pints.drivers")
    assert "pints.drivers" in modules
    assert not [name for name in modules if name.startswith("pints_drivers")]
    assert not modules & LIBRARIES


def test_a_driver_brings_its_own_libraries_and_no_other() -> None:
    modules = modules_after("""
import os
from pints.drivers import RefclockConfig, open_refclock
from pints.shell.software_clock import SoftwareClock
_, port = os.openpty()
open_refclock(RefclockConfig("gps", os.ttyname(port)), SoftwareClock(0)).close()
""")
    assert modules & LIBRARIES == {"serial"}
    assert not modules & NEVER


def test_the_kernels_clock_needs_no_library() -> None:
    modules = modules_after("import pints_drivers.dev_rtc, pints_drivers.i2c_rtc")
    assert not modules & (NEVER | LIBRARIES | {"datetime"})
