"""The daemon on a real kernel, whose clock it sets."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

PATIENCE = 60.0
"""Seconds for the slowest board to do anything."""
SETTINGS = """
[[source]]
server = "127.0.0.1"
nts = false
[state]
directory = "{folder}/state"
runtime = "{folder}/run"
"""


class Daemon:
    """The real one, as root: a context manager."""

    def __init__(self, folder: Path, settings: str) -> None:
        """`settings` are its devices."""
        self.log = folder / "log"
        self.config = folder / "pints.toml"
        self.config.write_text(settings + SETTINGS.format(folder=folder))

    def __enter__(self) -> Self:
        self.began = began()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self._pints("run"), stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def wait_for_step(self) -> float:
        """Until it sets the clock; by how much, seconds."""
        deadline = time.monotonic() + PATIENCE
        while abs(moved := began() - self.began) < 1.0:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)
        return moved

    def tell(self, command: str) -> Any:
        """Its document."""
        done = subprocess.run(
            self._pints(command, "--json"), capture_output=True, text=True, check=False
        )
        assert done.stdout, f"{done.stderr}\n{self.log.read_text()}"
        return json.loads(done.stdout)

    def _pints(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pints", *words, "--config", str(self.config)]


def began() -> float:
    """When this kernel began, by its clock: what that is set by, this is."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
