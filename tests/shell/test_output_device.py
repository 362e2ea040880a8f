"""Lamps and pins in the daemon: shown, called again when they asked for it, retried when they
failed."""

from dataclasses import dataclass, field

import pytest

from pints.config.tables import OutputConfig
from pints.errors import ConfigError, DeviceError
from pints.shell.attempts import Attempts
from pints.shell.loop import Loop
from pints.shell.output_device import REOPEN, Output
from pints.shell.software_clock import SoftwareClock
from pints.timescale import Instant, nanoseconds


@dataclass
class Lamp:
    """What a driver is asked, and what it answers."""

    config: OutputConfig
    shown: list[tuple[str, str]] = field(default_factory=list)
    wait: float | None = None
    broken: bool = False
    closed: int = 0

    def show(self, state: str, basis: str) -> float | None:
        if self.broken:
            raise DeviceError("lamp: burnt out")
        self.shown.append((state, basis))
        return self.wait

    def close(self) -> None:
        self.closed += 1


class Board:
    """A daemon's loop, whose time is moved by hand, and one lamp."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.loop = Loop(SoftwareClock(Instant(0), timebase=lambda: self.now))
        self.lamps: list[Lamp] = []
        self.missing = False
        monkeypatch.setattr("pints.drivers.open_output", self._open)
        self.attempts = Attempts()
        self.output = Output(self.loop, OutputConfig("lamp"), self.attempts)

    def _open(self, config: OutputConfig) -> Lamp:
        if self.missing:
            raise DeviceError("lamp: not there", "screw it in")
        self.lamps.append(Lamp(config))
        return self.lamps[-1]

    @property
    def lamp(self) -> Lamp:
        return self.lamps[-1]

    def show(self, state: str, basis: str) -> None:
        """And let the loop turn."""
        self.output.show(state, basis)
        self.sleep(0.0)

    def sleep(self, span: float) -> None:
        """Do what is due then."""
        self.now += nanoseconds(span)
        self.loop._run_timers()

    def asleep(self) -> bool:
        return not self.loop._timers


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(monkeypatch)


def test_one_that_does_not_change_wakes_nobody(board: Board) -> None:
    board.show("unset", "")
    board.show("verified", "anchored")
    assert board.lamp.shown == [("unset", ""), ("verified", "anchored")]
    assert len(board.lamps) == 1
    assert board.asleep()


def test_who_announces_does_not_wait_for_it(board: Board) -> None:
    """And of several states at once, it is the last that counts."""
    board.output.show("unset", "")
    board.output.show("restored", "")
    assert board.lamps == []
    board.sleep(0.0)
    assert board.lamp.shown == [("restored", "")]


def test_one_that_blinks_is_called_when_it_asked_for_it(board: Board) -> None:
    board.show("unset", "")
    board.lamp.wait = 0.5
    board.show("restored", "")
    board.sleep(0.4)
    assert board.lamp.shown[1:] == [("restored", "")]
    board.sleep(0.1)
    board.sleep(0.5)
    assert board.lamp.shown[1:] == [("restored", "")] * 3
    board.lamp.wait = None
    board.show("verified", "anchored")
    assert board.asleep()


def test_one_that_fails_is_named_once_and_tried_again(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pints")
    board.missing = True
    board.show("restored", "")
    board.show("provisional", "")
    board.sleep(REOPEN)
    board.missing = False
    board.sleep(REOPEN)
    assert board.lamp.shown == [("provisional", "")]
    assert caplog.messages == ["lamp: not there (screw it in)", "lamp works again"]
    assert board.asleep()


def test_one_that_breaks_is_closed_and_opened_again(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    board.show("restored", "")
    first = board.lamp
    first.broken = True
    board.show("verified", "windows")
    assert first.closed == 1
    board.sleep(REOPEN)
    assert board.lamp is not first
    assert board.lamp.shown == [("verified", "windows")]
    assert caplog.messages == ["lamp: burnt out"]


def test_closed_it_shows_nothing_any_more(board: Board) -> None:
    board.output.close()
    board.show("restored", "")
    board.lamp.wait = 1.0
    board.show("provisional", "")
    board.output.close()
    assert board.lamp.closed == 1
    assert board.asleep()


def test_an_unknown_driver_is_a_mistake_in_the_configuration() -> None:
    loop = Loop(SoftwareClock(Instant(0)))
    Output(loop, OutputConfig("kernel_led"), Attempts()).show("unset", "")
    with pytest.raises(ConfigError, match=r"\[\[output\]\] driver: unknown") as e:
        loop._run_timers()
    assert "kernel-led" in e.value.hint
