"""The driver `gps`: speeds, plugs, and who else is on the port."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serial import Serial

from pints.config.tables import Config, RefclockConfig
from pints.drivers import Detailed, Details, Fix, ReferenceClock, Report, open_refclock
from pints.errors import DeviceError
from pints.events import RefclockEvent, RefclockLost, RefclockReported
from pints.shell.attempts import Attempts
from pints.shell.loop import Loop
from pints.shell.refclock_devices import REOPEN, Devices
from pints.timescale import NS, Instant, nanoseconds
from pints_drivers import gps
from pints_drivers.fake_receiver import SPEEDS, nmea_burst
from pints_drivers.gnss.epochs import JITTER, LAG
from pints_drivers.gnss.said import MS
from pints_drivers.gps import ENOUGH, FAITH, MOST, PATIENCE, PAUSE
from tests.drivers.serial_line import TIME, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def details(driver: ReferenceClock) -> Details:
    assert isinstance(driver, Detailed)
    return driver.details()


def fixes(desk: Desk) -> list[Fix]:
    return [report for report in desk.reports if isinstance(report, Fix)]


def test_each_second_is_a_fix_within_its_error(desk: Desk) -> None:
    desk.open()
    desk.play(desk.seconds_of(10))
    assert len(fixes(desk)) == 10
    for fix in fixes(desk):
        assert abs(fix.time - desk.true_time(fix)) <= nanoseconds(fix.error)


@pytest.mark.parametrize("lag", [0.0, 0.3, 0.69])
def test_it_is_stamped_with_the_first_byte_at_any_speed(tmp_path: Path, lag: float) -> None:
    for baud in (4800, 115200):
        desk = Desk(tmp_path, baud)
        try:
            desk.open(baud=baud)
            desk.play(desk.seconds_of(3, lag))
            for n, fix in enumerate(fixes(desk)):
                assert fix.at.raw == pytest.approx(n * NS + nanoseconds(lag), abs=NS // 1000)
                assert abs(fix.time - desk.true_time(fix)) <= nanoseconds(fix.error)
            assert len(fixes(desk)) == 3
        finally:
            desk.close()


@pytest.mark.parametrize(("baud", "most"), [(4800, 10), (9600, 7), (115200, 4)])
def test_a_burst_wakes_with_its_first_byte_only(tmp_path: Path, baud: int, most: int) -> None:
    desk = Desk(tmp_path, baud)
    try:
        desk.open(baud=baud)
        desk.play(desk.seconds_of(10))
        assert len(fixes(desk)) == 10
        assert desk.looks <= 10 * most
    finally:
        desk.close()


@pytest.mark.parametrize("rate", [3, 5, 10, 13])
@pytest.mark.parametrize("lag", [0.0, LAG])
def test_bursts_that_begin_while_it_is_left_alone_are_within_their_error(
    tmp_path: Path, rate: int, lag: float
) -> None:
    desk = Desk(tmp_path, 115200)
    try:
        desk.open(baud=115200)
        times = [n * NS // rate // MS * MS for n in range(20 * rate)]
        desk.play((time / NS + lag, nmea_burst(Instant(TIME + time))) for time in times)
        told = fixes(desk)
        assert len(told) > 10 * rate
        for fix in told:
            assert abs(fix.time - desk.true_time(fix)) <= nanoseconds(fix.error)
            assert fix.error <= (LAG + PAUSE) / 2 + 1e-3
    finally:
        desk.close()


def test_what_had_to_wait_longer_is_less_sure(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that was held up for seconds, and then finds more than one read brings."""
    driver = desk.open()
    desk.passed += nanoseconds(41.0)
    missed = b"".join(nmea_burst(Instant(TIME + second * NS)) for second in range(1, 41))
    reads = [missed[:MOST], missed[MOST : 2 * MOST]]
    monkeypatch.setattr(os, "read", lambda fd, most: reads.pop(0))
    while reads:
        desk.reports += driver.reports()
        desk.passed += nanoseconds(PAUSE)
    assert len(fixes(desk)) > 20
    for fix in fixes(desk):
        assert abs(fix.time - desk.true_time(fix)) <= nanoseconds(fix.error)


def test_it_is_named_as_configured(desk: Desk) -> None:
    assert desk.open().name == f"gps {desk.line.path}"


@pytest.mark.parametrize(
    ("offset", "error"), [(0.0, LAG / 2), (5e-9 * 30, LAG / 2), (0.12, JITTER), (-0.05, JITTER)]
)
def test_an_offset_that_may_be_a_lag_is_taken_for_its_measure(
    desk: Desk, offset: float, error: float
) -> None:
    desk.open(offset=offset)
    desk.play(desk.seconds_of(1))
    (fix,) = fixes(desk)
    assert fix.error == error


# --- the speed -------------------------------------------------------------------------------


@pytest.mark.parametrize("baud", SPEEDS.values())
def test_the_speed_is_found(tmp_path: Path, baud: int) -> None:
    desk = Desk(tmp_path, baud)
    try:
        driver = desk.open()
        desk.play(desk.seconds_of(25))
        assert len(fixes(desk)) >= 3
        assert details(driver).speed == baud
        assert desk.passed < 26 * NS
    finally:
        desk.close()


def test_a_speed_that_is_configured_is_kept(desk: Desk) -> None:
    desk.open(baud=4800)
    with pytest.raises(DeviceError, match=r"no NMEA .* at 4800 baud") as e:
        desk.play(desk.seconds_of(5))
    assert "leave baud out" in e.value.hint
    assert desk.passed >= nanoseconds(PATIENCE)


def test_a_receiver_that_changes_its_speed_is_followed(desk: Desk) -> None:
    driver = desk.open()
    desk.play(desk.seconds_of(3))
    desk.line.baud = 38400
    desk.play(desk.seconds_of(int(FAITH) + 10))
    assert details(driver).speed == 38400


def test_what_no_speed_makes_sense_of_is_said(desk: Desk) -> None:
    """As of a receiver that speaks SiRF's binary protocol."""
    desk.open()
    with pytest.raises(DeviceError, match="no UBX message at any speed") as e:
        desk.play((n / 4, b"\xa0\xa2\x00\x12" + bytes(range(80))) for n in range(90))
    assert "NMEA" in e.value.hint


def test_noise_on_a_silent_line_changes_nothing(desk: Desk) -> None:
    driver = desk.open()
    desk.play((n * 5.0, b"\xff") for n in range(ENOUGH - 1))
    assert details(driver).speed == gps.SPEEDS[0]


def test_a_receiver_that_stammers_keeps_its_speed(desk: Desk) -> None:
    driver = desk.open()
    desk.play(desk.seconds_of(3))
    desk.play((n, b"$GPRMC,0003" * 20) for n in range(int(FAITH) - 1))
    desk.play(desk.seconds_of(3))
    assert details(driver).speed == 9600


# --- the plug --------------------------------------------------------------------------------


def test_unplugged_it_is_no_longer_there(desk: Desk) -> None:
    driver = desk.open()
    desk.line.unplug()
    with pytest.raises(DeviceError, match="no longer there"):
        driver.reports()
    driver.close()
    with pytest.raises(DeviceError, match="No such file") as e:
        desk.open()
    assert "plugged in" in e.value.hint
    desk.line.plug()
    desk.open()
    desk.play(desk.seconds_of(3))
    assert len(fixes(desk)) == 3


def test_unplugged_and_back_without_a_restart(desk: Desk) -> None:
    """By the daemon's own loop, in virtual time."""
    reports: list[Report] = []
    lost: list[str] = []
    failures: list[str] = []

    class Counted(Attempts):
        def attempt(self, part: str, call: Callable[[], None]) -> bool:
            done = super().attempt(part, call)
            failures.extend(reason for reason, _ in self.failing.values())
            return done

    loop = Loop(desk.clock)
    config = Config(refclocks=(RefclockConfig("gps", str(desk.line.path)),))

    def on_event(event: RefclockEvent) -> None:
        match event:
            case RefclockReported(_, report):
                reports.append(report)
            case RefclockLost(name):
                lost.append(name)

    devices = Devices(loop, desk.clock, config, Counted(), on_event)
    devices.begin()
    try:
        desk.line.send(nmea_burst(TIME))
        loop.run_once()
        assert len(reports) == 1
        desk.line.unplug()
        desk.passed += nanoseconds(PAUSE)
        while not lost:
            loop.run_once()
        assert lost == [f"gps {desk.line.path}"]
        desk.passed += nanoseconds(REOPEN)
        loop.run_once()
        assert len(failures) == 2, "not back yet"
        desk.line.plug()
        desk.passed += nanoseconds(REOPEN)
        loop.run_once()
        desk.line.send(nmea_burst(TIME))
        loop.run_once()
        assert len(reports) == 2
    finally:
        devices.close()
        loop.close()


# --- who else is on the port -----------------------------------------------------------------


def test_another_program_on_it_is_noticed(desk: Desk) -> None:
    with (
        Serial(str(desk.line.path), exclusive=True),
        pytest.raises(DeviceError, match="has it") as e,
    ):
        desk.open()
    assert "fuser" in e.value.hint


def test_gpsd_on_it_is_named(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpsd.service").mkdir()
    monkeypatch.setattr(gps, "UNITS", str(tmp_path))
    with Serial(str(desk.line.path), exclusive=True), pytest.raises(DeviceError, match="gpsd has"):
        desk.open()


def test_others_cannot_open_it_meanwhile(desk: Desk) -> None:
    desk.open()
    port = os.path.realpath(desk.line.path)
    code = f"import os\nif os.getuid() == 0: os.setuid(65534)\nos.open('{port}', os.O_RDWR)"
    os.chmod(desk.line.path, 0o666)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert "Device or resource busy" in done.stderr


def test_the_kernels_console_is_named(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "active").write_text(f"tty1 {os.path.basename(os.path.realpath(desk.line.path))}\n")
    monkeypatch.setattr(gps, "CONSOLES", str(tmp_path / "active"))
    with pytest.raises(DeviceError, match="console is on it") as e:
        desk.open()
    assert "raspi-config" in e.value.hint


def test_a_login_prompt_is_named(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = os.path.basename(os.path.realpath(desk.line.path))
    (tmp_path / gps.LOGIN.format(port=port)).mkdir(parents=True)
    monkeypatch.setattr(gps, "UNITS", str(tmp_path))
    with pytest.raises(DeviceError, match="login prompt is on it") as e:
        desk.open()
    assert f"serial-getty@{port}" in e.value.hint


def test_what_is_no_serial_port(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, complaint in ((tmp_path / "file", "not a serial port"), (tmp_path, "directory")):
        with pytest.raises(DeviceError, match=complaint):
            open_refclock(RefclockConfig("gps", str(path)), desk.clock)


# --- whatever comes --------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.binary(max_size=400), max_size=60))
def test_noise_is_no_fix_and_breaks_nothing(desk: Desk, pieces: list[bytes]) -> None:
    driver = desk.open()
    with suppress(DeviceError):  # no speed makes sense of it
        for piece in pieces:
            desk.passed += NS // 4
            desk.hear(piece)
    driver.close()
    assert desk.reports == []


def test_details(desk: Desk) -> None:
    driver = desk.open()
    desk.play([(0.0, b"noise\r\n"), *desk.seconds_of(2)])
    sentences = {"GGA": 2, "RMC": 2, "ZDA": 2}
    assert details(driver) == Details(True, 8, 9600, sentences, noise=5)
