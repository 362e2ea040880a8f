"""The fake receiver: its line is a line, its logs keep their pace."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.timescale import NS, Instant
from pints_drivers.fake_receiver import (
    SPEEDS,
    Line,
    log_bursts,
    nmea_burst,
    paced,
    sampled,
    ubx_burst,
)

TIME = Instant(1_790_000_000 * NS)


@given(st.binary(max_size=200), st.sampled_from(list(SPEEDS.values())))
def test_at_the_same_speed_all_is_heard(data: bytes, baud: int) -> None:
    assert sampled(data, baud, baud) == data


@pytest.mark.parametrize("speed", [baud for baud in SPEEDS.values() if baud != 9600])
def test_at_another_speed_nothing_is_understood(speed: int) -> None:
    data = nmea_burst(TIME)
    heard = sampled(data, 9600, speed)
    assert heard
    assert b"RMC" not in heard
    assert len(heard) <= len(data) * max(1, speed // 9600) + 1


def test_a_byte_takes_ten_bits() -> None:
    pieces = list(paced([(1.0, b"x" * 20), (1.005, b"y")], baud=10_000, chunk=8))
    assert [len(data) for _, data in pieces] == [8, 8, 4, 1]
    assert [due for due, _ in pieces] == pytest.approx([1.008, 1.016, 1.020, 1.021])


def test_a_log_keeps_its_pace() -> None:
    at = (0, 1, 2, 10, 300, 5)  # a gap of minutes, then the receiver jumped
    bursts = [nmea_burst(Instant(TIME + n * NS)) + ubx_burst(Instant(TIME + n * NS)) for n in at]
    header = b"# Name: fake\n"
    played = list(log_bursts(header + b"".join(bursts)))
    assert [due for due, _ in played] == [0, 1, 2, 10, 11, 12]
    assert [data for _, data in played] == [header + bursts[0], *bursts[1:]]


def test_a_log_without_any_time_is_played_at_once() -> None:
    assert list(log_bursts(b"noise")) == [(0.0, b"noise")]


def test_what_nobody_reads_is_lost(tmp_path: Path) -> None:
    line = Line(tmp_path / "port")
    try:
        for _ in range(100):
            line.send(bytes(1000))
    finally:
        line.unplug()
    assert not line.path.is_symlink()


def test_as_a_program_it_plays_until_it_is_interrupted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(nmea_burst(Instant(TIME + n * NS)) for n in range(1000)))
    command = [sys.executable, "-m", "pints_drivers.fake_receiver", "--port", "port", str(log)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        port = os.open(program.stdout.readline().rstrip(), os.O_RDONLY | os.O_NOCTTY)
        try:
            assert os.read(port, 6) == b"$GPGGA"
        finally:
            os.close(port)
            program.send_signal(signal.SIGINT)
    assert program.returncode == 0
    assert not (tmp_path / "port").is_symlink()
