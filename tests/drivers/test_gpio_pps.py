"""Edges of a GPIO line.  No machine of the tests has such lines: gpiod is played."""

import os
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pints.drivers import Pulse, RefclockConfig, ReferenceClock, open_refclock
from pints.errors import DeviceError
from pints.timescale import NS
from tests.drivers.host import START, HostClock


class Chip:
    """What stands in for gpiod and a chip of it."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0)
        self.edges: list[tuple[str, int]] = []
        self.asked: tuple[Any, ...] = ()
        self.fails: Exception | None = None
        self.released = False

    def request_lines(self, path: str, consumer: str, config: dict[int, Any]) -> "Chip":
        if self.fails:
            raise self.fails
        self.asked = (path, consumer, config)
        return self

    def wait_edge_events(self, timeout: float) -> bool:
        assert timeout == 0, "it would wait"
        if self.fails:
            raise self.fails
        return bool(self.edges)

    def read_edge_events(self) -> list[SimpleNamespace]:
        edges, self.edges = self.edges, []
        return [SimpleNamespace(event_type=kind, timestamp_ns=stamp) for kind, stamp in edges]

    def release(self) -> None:
        self.released = True


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chip]:
    chip = Chip()
    gpiod, line = ModuleType("gpiod"), ModuleType("gpiod.line")
    vars(gpiod).update(request_lines=chip.request_lines, LineSettings=SimpleNamespace, line=line)
    types = SimpleNamespace(RISING_EDGE="rising", FALLING_EDGE="falling")
    vars(gpiod).update(EdgeEvent=SimpleNamespace(Type=types))
    vars(line).update(
        Edge=SimpleNamespace(BOTH="both"),
        Clock=SimpleNamespace(REALTIME="realtime"),
    )
    monkeypatch.setitem(sys.modules, "gpiod", gpiod)
    monkeypatch.setitem(sys.modules, "gpiod.line", line)
    monkeypatch.delitem(sys.modules, "pints_drivers.gpio_pps", raising=False)
    yield chip
    sys.modules.pop("pints_drivers.gpio_pps", None)
    os.close(chip.fd)


def opened(edge: str = "assert", pin: int = 18) -> ReferenceClock:
    config = RefclockConfig("gpio-pps", "/dev/gpiochip0", edge=edge, pin=pin)
    return open_refclock(config, HostClock(2.0))


def test_a_line_is_asked_for_with_real_time(chip: Chip) -> None:
    driver = opened()
    assert driver.name == "gpio-pps /dev/gpiochip0 18"
    assert driver.fileno() == chip.fd
    settings = SimpleNamespace(edge_detection="both", event_clock="realtime")
    assert chip.asked == ("/dev/gpiochip0", "pints", {18: settings})
    driver.close()
    assert chip.released


@pytest.mark.parametrize(("edge", "mine"), [("assert", "rising"), ("clear", "falling")])
def test_each_edge_of_its_kind_is_a_pulse(chip: Chip, edge: str, mine: str) -> None:
    driver = opened(edge)
    assert list(driver.reports()) == []
    other = "falling" if mine == "rising" else "rising"
    times = [(mine, 5), (other, NS // 10), (mine, NS), (mine, -3600 * NS)]
    chip.edges = [(kind, START * NS + time) for kind, time in times]
    first, second = driver.reports()
    assert isinstance(first, Pulse)
    assert isinstance(second, Pulse)
    assert [p.at.real - START * NS for p in (first, second)] == [5, NS]
    assert first.after is None, "the other edge was never seen"
    assert second.after == pytest.approx(0.9)
    chip.fails = OSError(19, "No such device")
    with pytest.raises(DeviceError, match="No such device"):
        driver.reports()


@pytest.mark.parametrize("error", [OSError(16, "Device or resource busy"), ValueError("no line")])
def test_a_line_that_is_not_to_be_had(chip: Chip, error: Exception) -> None:
    chip.fails = error
    with pytest.raises(DeviceError, match=r"gpio-pps /dev/gpiochip0 18: (Device|no line)"):
        opened()


def test_no_pin(chip: Chip) -> None:
    with pytest.raises(DeviceError, match="no pin"):
        opened(pin=-1)
