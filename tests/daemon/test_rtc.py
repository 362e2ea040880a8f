"""A whole daemon and its chip, in virtual time: read, found out, set and trimmed by its actions."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pints.actions import ReadRtc, SetRtc
from pints.config.load import merge
from pints.config.tables import Config
from pints.daemon import Daemon, Machine
from pints.drivers import RtcReading
from pints.errors import PintsError
from pints.events import Event, RtcTrimmed, RtcWritten
from pints.evidence.rtc_seconds import FINE
from pints.hands import SimulatorHands
from pints.shell.clock import Clock
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant, Reading, nanoseconds, seconds
from pints_drivers import i2c_bus
from pints_drivers.fake_i2c import FakeBus, FakeChip
from tests.virtual_loop import VirtualLoop

START = Instant(1_793_802_599 * NS + 300_000_000)


class VirtualHands(SimulatorHands):
    """Their loop waits by letting time pass."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def loop(self, clock: Clock) -> VirtualLoop:
        return VirtualLoop(clock, self._advance)


class Machinery:
    """A daemon without sources, on a board with a DS3231 that pints has never set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.now: int = START
        self.chip = FakeChip("ds3231", lambda: self.now)
        self.bus = FakeBus(self.chip)
        monkeypatch.setitem(sys.modules, "smbus2", SimpleNamespace(SMBus=lambda number: self.bus))
        monkeypatch.setattr(i2c_bus, "DEVICES", str(folder / "none"))
        options = {
            "rtc": {"driver": "ds3231"},
            "state": {"directory": f"{folder}/state", "runtime": f"{folder}/run"},
        }
        config = merge(Config(), options, "pints.toml")
        clock = SoftwareClock(START, timebase=lambda: self.now)
        hands = VirtualHands(self.advance)
        machine = Machine(clock, Instant(START - NS), hands=hands, board="a board")
        self.daemon = Daemon(config, machine)
        monkeypatch.setattr(self.daemon.core, "time_for_rtc", lambda now: Instant(self.now))

    def advance(self, span: int) -> None:
        self.now += span

    def run(self, span: float) -> None:
        end = self.now + nanoseconds(span)
        while self.now < end:
            self.daemon.loop.run_once()

    @property
    def reading(self) -> RtcReading:
        independent = self.daemon.core.independent
        assert independent
        assert independent.rtc.reading
        return independent.rtc.reading


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machinery]:
    board = Machinery(monkeypatch, tmp_path)
    yield board
    board.daemon.close()
    assert not board.bus.open


def test_it_is_set_read_and_found_out(board: Machinery) -> None:
    board.daemon._do([ReadRtc()])
    assert board.reading.flags == ("OSF",)
    written: list[RtcReading] = []

    handle = board.daemon.core.handle

    def keep(event: Event, now: Reading) -> list[Any]:
        if not isinstance(event, RtcWritten):
            return handle(event, now)
        written.append(event.reading)
        return []

    board.daemon.core.handle = keep  # type: ignore[method-assign]
    board.daemon._do([SetRtc()])
    assert written == []
    board.run(20)
    assert [back.flags for back in written] == [(), ()]
    assert written[1].error <= FINE < written[0].error
    board.daemon._do([ReadRtc()])
    assert board.reading.error == 0.5
    board.run(20)
    assert board.reading.error <= FINE
    assert abs(seconds(board.reading.time - START - board.reading.at.raw)) <= 2 * FINE


def test_a_chip_that_comes_late_is_heard(board: Machinery) -> None:
    chips = dict(board.bus.chips)
    board.bus.chips.clear()
    board.daemon._do([ReadRtc()])
    board.bus.chips.update(chips)
    board.run(120)
    assert board.reading.flags == ("OSF",)


def ask(board: Machinery, command: str, privileged: bool = True) -> dict[str, Any]:
    """What the daemon answers at once."""
    answers: list[dict[str, Any]] = []

    class Reply(SimpleNamespace):
        def __call__(self, answer: dict[str, Any]) -> None:
            answers.append(answer)

    reply: Any = Reply(privileged=privileged)
    board.daemon._on_request({"command": command}, reply)
    (answer,) = answers
    return answer


def test_it_is_set_for_root_alone(board: Machinery, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PintsError, match="only root may set"):
        ask(board, "rtc-set", privileged=False)
    assert ask(board, "rtc-set") == {"chip": "ds3231 i2c-1 0x68"}
    board.run(2)
    assert board.daemon.reporter.answer("rtc")["flags"] == []
    monkeypatch.setattr(board.daemon.core, "time_for_rtc", lambda now: None)
    with pytest.raises(PintsError, match="not anchored yet"):
        ask(board, "rtc-set")


def test_it_is_trimmed_by_root_alone(board: Machinery, monkeypatch: pytest.MonkeyPatch) -> None:
    core = board.daemon.core
    assert core.independent
    with pytest.raises(PintsError, match="only root may trim"):
        ask(board, "rtc-trim", privileged=False)
    with pytest.raises(PintsError, match="not anchored yet"):
        ask(board, "rtc-trim")
    changes: list[float] = []
    monkeypatch.setattr(core.independent.rtc, "drift_to_trim", lambda: 1.23e-6)

    handle = core.handle

    def trimmed(event: Event, now: Reading) -> list[Any]:
        if not isinstance(event, RtcTrimmed):
            return handle(event, now)
        changes.append(event.change)
        return [SetRtc()]

    monkeypatch.setattr(core, "handle", trimmed)
    done = ask(board, "rtc-trim")
    assert done == {"chip": "ds3231 i2c-1 0x68", "change_ppm": pytest.approx(-1.2)}
    board.run(2)
    assert changes == [pytest.approx(-1.2e-6)]
    assert board.chip.registers[0x10] == 12
    assert board.daemon.reporter.answer("rtc")["flags"] == []
