"""A whole daemon and its lamp: what is announced is what is shown."""

from pathlib import Path

import pytest

from pints.actions import Action, Announce
from pints.config.load import merge
from pints.config.tables import Config
from pints.daemon import Daemon, Machine
from pints.hands import SimulatorHands
from pints.shell.software_clock import SoftwareClock
from pints.timescale import NS, Instant
from pints_drivers import kernel_led

START = Instant(1_793_802_599 * NS)


class Pi:
    """A daemon without sources, and a lamp of the kernel's."""

    def __init__(self, folder: Path) -> None:
        self.lamp = folder / "leds" / "ACT"
        self.lamp.mkdir(parents=True)
        for name in ("delay_on", "delay_off"):
            (self.lamp / name).write_text("500\n")
        options = {
            "output": [{"driver": "kernel-led", "device": "ACT"}],
            "state": {"directory": f"{folder}/state", "runtime": f"{folder}/run"},
        }
        machine = Machine(SoftwareClock(START), START, hands=SimulatorHands(), board="a board")
        self.daemon = Daemon(merge(Config(), options, "pints.toml"), machine)

    def do(self, actions: list[Action]) -> None:
        """And let the loop turn, which has nothing else to do."""
        self.daemon._do(actions)
        self.daemon.loop._run_timers()

    def shown(self) -> tuple[int, int]:
        """Milliseconds lit and dark."""
        lit, dark = ((self.lamp / name).read_text() for name in ("delay_on", "delay_off"))
        return int(lit), int(dark)


@pytest.fixture
def pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pi:
    monkeypatch.setattr(kernel_led, "LEDS", str(tmp_path / "leds"))
    return Pi(tmp_path)


def test_the_lamp_follows_trust_from_the_start_to_the_end(pi: Pi) -> None:
    assert pi.shown() == (500, 500)
    pi.do(pi.daemon.core.begin(pi.daemon.clock.read()))
    assert pi.shown() == (100, 900)
    pi.do([Announce("verified", "anchored", "verified (anchored): a quorum agrees")])
    assert pi.shown() == (1000, 0)
    pi.do([Announce("disputed", "anchored", "disputed")])
    assert pi.shown() == (100, 100)
    pi.daemon.close()
    assert pi.shown()[0] == 0
