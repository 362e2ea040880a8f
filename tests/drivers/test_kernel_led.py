"""The kernel's lamps: two files are written, in the order in which the kernel wants them."""

import errno
import os
from pathlib import Path

import pytest

from pints.drivers import OutputConfig, StatusOutput, open_output
from pints.errors import DeviceError
from pints_drivers import kernel_led
from pints_drivers.patterns import PATTERNS

WRITE = os.write


class Lamp:
    """A lamp whose trigger is `timer`, as far as files go; what was written to it, in order."""

    def __init__(self, leds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = leds / "ACT"
        self.folder.mkdir()
        self.written: list[tuple[str, int]] = []
        for name in ("delay_on", "delay_off"):
            (self.folder / name).write_text("500\n")
        monkeypatch.setattr(kernel_led, "LEDS", str(leds))
        monkeypatch.setattr(os, "write", self._write)

    def _write(self, file: int, data: bytes) -> int:
        self.written.append((Path(os.readlink(f"/proc/self/fd/{file}")).name, int(data)))
        return WRITE(file, data)

    def delays(self) -> tuple[int, int]:
        """What it shows, milliseconds."""
        on, off = ((self.folder / name).read_text() for name in ("delay_on", "delay_off"))
        return int(on), int(off)

    def after_each_write(self) -> list[tuple[int, int]]:
        """What the kernel was shown on the way there."""
        now = dict.fromkeys(("delay_on", "delay_off"), 500)
        shown = []
        for name, value in self.written:
            now[name] = value
            shown.append((now["delay_on"], now["delay_off"]))
        return shown


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lamp:
    return Lamp(tmp_path, monkeypatch)


def opened(device: str = "ACT") -> StatusOutput:
    return open_output(OutputConfig("kernel-led", device))


def test_it_shows_the_pattern_and_wakes_nobody(lamp: Lamp) -> None:
    driver = opened()
    assert driver.name == "kernel-led ACT"
    for state, basis, delays in (
        ("restored", "", (100, 900)),
        ("verified", "windows", (900, 100)),
        ("verified", "anchored", (1000, 0)),
        ("holdover", "anchored", (1500, 1500)),
    ):
        assert driver.show(state, basis) is None
        assert lamp.delays() == delays
    driver.close()
    assert lamp.delays()[0] == 0


def test_the_kernel_is_never_shown_a_lamp_that_is_neither(lamp: Lamp) -> None:
    """It takes 0 and 0 for half a second each (led_blink_setup() of drivers/leds/led-core.c), and
    one of these would stay."""
    driver = opened()
    for first in PATTERNS:
        for name in (first, "verified (anchored)"):
            state, _, basis = name.partition(" ")
            driver.show(state, basis.strip("()"))
            driver.close()
            driver.show(state, basis.strip("()"))
    assert (0, 0) not in lamp.after_each_write()


@pytest.mark.parametrize("device", ["PWR", ""])
def test_a_lamp_that_is_not_there(lamp: Lamp, device: str) -> None:
    with pytest.raises(DeviceError, match="no such lamp") as e:
        opened(device)
    assert "/sys/class/leds" not in str(e.value)
    assert "device" in e.value.hint


def test_a_lamp_with_another_trigger(lamp: Lamp) -> None:
    driver = opened()
    (lamp.folder / "delay_on").unlink()
    with pytest.raises(DeviceError, match="trigger is not 'timer'") as e:
        driver.show("disputed", "")
    assert "act_led_trigger=timer" in e.value.hint
    driver.close()


def test_a_lamp_of_somebody_else(lamp: Lamp, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    driver = opened()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DeviceError, match="delay_on: Permission denied") as e:
        driver.show("verified", "anchored")
    assert "led.conf" in e.value.hint
