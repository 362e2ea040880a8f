"""The daemon with all its devices on a real kernel, whose clock it sets."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pints.timescale import DAY
from tests.kernel.far_end import ask

AHEAD = 30 * DAY
PATIENCE = 60.0
SETTINGS = """
[[refclock]]
driver = "gps"
device = "{port}"
[[refclock]]
driver = "pps"
device = "/dev/pps0"
[state]
directory = "{folder}/state"
runtime = "{folder}/run"
"""


class Daemon:
    """The real one, as root."""

    def __init__(self, folder: Path, port: str) -> None:
        self.log = folder / "log"
        self.config = folder / "pints.toml"
        self.config.write_text(SETTINGS.format(folder=folder, port=port))

    def pints(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pints", *words, "--config", str(self.config)]

    def tell(self, command: str) -> Any:
        """Its document."""
        done = subprocess.run(
            self.pints(command, "--json"), capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout)


@pytest.fixture
def daemon(tmp_path: Path, port: str) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, port)
    with daemon.log.open("wb") as log, subprocess.Popen(daemon.pints("run"), stderr=log) as process:
        yield daemon
        process.terminate()
    print(daemon.log.read_text())


def set_by() -> float:
    """When this kernel began, by its clock: what that is set by, this is."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_receiver_sets_the_clock_of_the_kernel(daemon: Daemon, port: str) -> None:
    before = set_by()
    ask(port, f"clock {AHEAD:.0f}")
    deadline = time.monotonic() + PATIENCE
    while set_by() - before < 1.0 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert set_by() - before == pytest.approx(AHEAD, abs=0.5)
    assert daemon.tell("status")["state"] == "restored"  # nobody has confirmed it
    gps, _ = daemon.tell("refclocks")["refclocks"]
    assert gps["mark"] == "*"
    assert gps["details"]["speed"] == 9600
