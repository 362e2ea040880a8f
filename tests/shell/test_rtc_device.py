"""The chip on the board: nobody waits for it, it is set when a second begins, it may be gone."""

import pytest

from pints import drivers
from pints.config.tables import RtcConfig
from pints.drivers import MachineClock, RealTimeClock, RtcReading
from pints.errors import DeviceError
from pints.events import RtcEvent, RtcRead, RtcRefined, RtcWritten
from pints.evidence.rtc_seconds import FINE
from pints.shell.attempts import Attempts
from pints.shell.rtc_device import REOPEN, BoardRtc
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant, nanoseconds, seconds
from pints_drivers.fake_i2c import FakeBus, FakeChip
from pints_drivers.i2c_rtc import I2cRtc
from pints_drivers.rtc_chips import CHIPS
from tests.virtual_loop import VirtualLoop

START = Instant(1_790_000_000 * NS + 123_456_789)


class Board:
    """A machine with a chip; its crystal is off, and its transfers take time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str = "ds3231") -> None:
        self.now: int = START
        self.clock = SoftwareClock(Instant(0), timebase=lambda: self.now, crystal=30e-6)
        self.loop = VirtualLoop(self.clock, self.advance)
        self.chip = FakeChip(name, self.tick)
        self.bus = FakeBus(self.chip)
        self.read: list[tuple[str, RtcReading]] = []
        self.refined: list[RtcReading] = []
        self.written: list[RtcReading] = []
        self.attempts = Attempts()
        self.opened = 0

        def opened(config: RtcConfig, clock: MachineClock) -> RealTimeClock:
            if not self.bus.chips:
                raise DeviceError("ds3231: no answer")
            self.opened += 1
            self.bus.open = True
            return I2cRtc(name, CHIPS[name], self.bus, self.chip.layout.address, clock)

        monkeypatch.setattr(drivers, "open_rtc", opened)
        self.rtc = BoardRtc(self.loop, self.clock, RtcConfig(name), self.attempts, self.on_event)

    def on_event(self, event: RtcEvent) -> None:
        match event:
            case RtcRead(chip, reading):
                self.read.append((chip, reading))
            case RtcRefined(reading):
                self.refined.append(reading)
            case RtcWritten(reading):
                self.written.append(reading)

    def tick(self) -> int:
        self.now += 1_000_000
        return self.now

    def advance(self, span: int) -> None:
        self.now += span

    def truth(self) -> Instant:
        return Instant(self.now)

    def run(self, span: float) -> None:
        end = self.now + nanoseconds(span)
        while self.now < end:
            self.loop.run_once()

    def off(self, reading: RtcReading) -> float:
        """Chip less truth at that reading."""
        since = (reading.at.raw - self.clock.read().raw) / (1 + 30e-6)
        return seconds(reading.time - self.now - round(since))


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    board = Board(monkeypatch)
    board.rtc.read()
    board.rtc.set(board.truth)
    board.run(30)
    board.written.clear()
    return board


def test_it_is_read_at_once_and_more_exactly_soon(board: Board) -> None:
    before = board.now
    read = board.rtc.read()
    assert board.now - before < 20_000_000
    assert read is not None
    assert abs(board.off(read.reading)) <= read.reading.error < 0.51
    board.run(15)
    (fine,) = board.refined
    assert abs(board.off(fine)) <= fine.error <= FINE + 1e-4
    assert board.read == []


@pytest.mark.parametrize("name", CHIPS)
def test_it_is_set_when_a_second_begins(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    board = Board(monkeypatch, name)
    board.rtc.read()
    board.rtc.set(board.truth)
    assert board.bus.written == [], "not now"
    board.run(1.2)
    (coarse,) = board.written
    assert coarse.flags == ()
    assert abs(board.off(coarse)) <= coarse.error
    board.run(15)
    fine = board.written[-1]
    assert len(board.written) == 2
    assert fine.error <= FINE
    assert abs(board.off(fine)) <= 0.025, "what setting was late by"
    assert board.refined == []


def test_it_is_not_set_without_true_time(board: Board) -> None:
    """Nor where there was one when that was decided, and is none when the second begins."""
    board.bus.written.clear()
    board.rtc.set(lambda: None)
    times = [START, None]
    board.rtc.set(lambda: times.pop(0))
    board.run(5)
    assert times == []
    assert board.bus.written == []
    assert board.written == []


def test_it_is_read_before_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(monkeypatch)
    board.rtc.set(board.truth)
    board.loop.run_once()
    assert board.bus.written == []


def test_a_chip_that_is_gone_is_looked_for_until_it_is_there(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    chips = dict(board.bus.chips)
    board.bus.chips.clear()
    for _ in range(2):
        assert board.rtc.read() is None
    assert not board.bus.open
    board.run(3 * REOPEN)
    assert len([m for m in caplog.messages if m.startswith("ds3231: no answer")]) == 1
    board.bus.chips.update(chips)
    board.run(REOPEN)
    ((name, reading),) = board.read
    assert name == "ds3231"
    assert abs(board.off(reading)) > 0
    board.run(15)
    assert len(board.refined) == 1


@pytest.mark.parametrize("after", [0, 1], ids=["before it is set", "while it is searched"])
def test_it_goes_while_it_is_set(board: Board, after: int) -> None:
    board.rtc.set(board.truth)
    while len(board.written) < after:
        board.loop.run_once()
    chips = dict(board.bus.chips)
    board.bus.chips.clear()
    board.run(5)
    assert "rtc" in board.attempts.failing
    assert len(board.written) == after
    board.bus.chips.update(chips)
    board.run(2 * REOPEN)
    assert len(board.read) == 1
    assert not board.attempts.failing


def test_it_is_let_go(board: Board) -> None:
    board.rtc.read()
    board.rtc.close()
    assert not board.bus.open
    board.run(5)
    assert board.refined == []


def test_it_is_trimmed(board: Board) -> None:
    assert board.rtc.trim(-1.23e-6) == pytest.approx(-1.2e-6)
    assert board.chip.registers[0x10] == 12


def test_what_cannot_be_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(monkeypatch)
    with pytest.raises(DeviceError, match="cannot be trimmed"):
        board.rtc.trim(1e-6)
