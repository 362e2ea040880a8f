"""A device under test: the real daemon on a software clock, as a process of its own.

    python -m tests.device --config FILE --behind 34560000 --epoch-behind 34560000

It is the daemon's second composition root: it injects a clock and a build epoch (if asked to,
also another board's id and a disk that is full), and nothing else.  `Device` runs it and asks
it questions.
"""

import argparse
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pints import daemon, restore
from pints.cli.run import start_log
from pints.config.load import load
from pints.control.client import NoDaemonError, ask
from pints.demo.world import SharedTime
from pints.shell.software_clock import SoftwareClock
from pints.timescale import HOUR, NS, Instant

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
"""Seconds for a daemon to start, on a machine that has much else to do."""


class Device:
    """A running daemon.  A context manager: ended at its exit."""

    def __init__(self, folder: Path, settings: str, *options: str, world: str = "") -> None:
        """`settings` are the configuration but for the folders; `world` is the file of a
        `SharedTime` that it shares with others."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.log = folder / "device.log"
        self.config = folder / "pints.toml"
        self.config.write_text(
            f'{settings}\n[state]\ndirectory = "{folder}/state"\nruntime = "{folder}/run"\n'
        )
        self.socket = f"{folder}/run/control.sock"
        self.world = SharedTime(world or f"{folder}/time")
        self.options = ("--world", world or f"{folder}/time", *options)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Device":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: object
    ) -> None:
        self.stop()

    def start(self, *options: str) -> None:
        """`options` are for this start alone."""
        command = [sys.executable, "-m", "tests.device", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options, *options], stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(10)
        self.process = None
        return status

    def ask(self, command: str, **words: Any) -> dict[str, Any]:
        """A status command's document; waits for the daemon to have started."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return ask(self.socket, {"command": command, **words}, timeout=30)
            except NoDaemonError:
                if self.process is None or self.process.poll() is not None:
                    raise RuntimeError(self.text()) from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def wait_for(self, level: str) -> dict[str, Any]:
        """The status once the trust state is at least this."""
        return self.ask("wait", **{"for": level})

    def until(
        self, command: str, so: Callable[[dict[str, Any]], bool], within: float = 30.0
    ) -> dict[str, Any]:
        """The first document of a command of which something is so."""
        deadline = time.monotonic() + within
        while not so(document := self.ask(command)):
            if time.monotonic() > deadline:
                raise TimeoutError(as_json(document) + "\n" + self.text())
            time.sleep(0.02)
        return document

    def remember(self, saved: Instant) -> None:
        """Let the card keep a saved time of an earlier life."""
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        (state / restore.TIME_FILE).write_bytes(restore.encode(saved, saved))

    def anchor(self, sources: int) -> None:
        """Let hours pass until the time is anchored and all sources have answered since.

        A packet that is on its way when an hour is skipped takes an hour, so its source is
        rightly left out, and the quorum's hour begins anew: then it takes another one.
        """
        for _ in range(10):
            self.until("status", lambda s: bool(s["answering"] == sources))
            self.world.skip(HOUR + 60)
            self.until(
                "bootstrap",
                lambda b: (
                    len(b["members"]) == sources and all(t["age"] < 30 for t in b["testimonies"])
                ),
            )
            if self.ask("status")["basis"] == "anchored":
                return
        raise TimeoutError(self.text())

    def text(self) -> str:
        """Its log."""
        return self.log.read_text()


def as_json(document: dict[str, Any]) -> str:
    """For messages of failed assertions."""
    return json.dumps(document, indent=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--world", required=True, help="file of the time that it shares")
    parser.add_argument("--behind", type=float, default=0.0, help="s the clock starts late")
    parser.add_argument("--epoch-behind", type=float, default=0.0, help="age of the build, s")
    parser.add_argument("--crystal", type=float, default=0.0, help="frequency error")
    parser.add_argument("--boot-id", help="of a boot that began with the world")
    parser.add_argument("--board", help="another board's id than this machine's")
    parser.add_argument("--disk-full", action="store_true", help="for the state folder")
    parser.add_argument("--no-ke-server", action="store_true", help="no child for NTS-KE")
    args = parser.parse_args()
    start_log(verbose=True)
    world = SharedTime(args.world)
    now = world.now()
    clock = SoftwareClock(
        Instant(now - round(args.behind * NS)),
        timebase=world.count, crystal=args.crystal, boot_id=args.boot_id,
        boot_at=world.count() if args.boot_id else 0,
    )  # fmt: skip
    epoch = Instant(now - round(args.epoch_behind * NS))
    machine = daemon.Machine(clock, epoch, durable=True)  # wherever pytest has its folders
    machine.ke_server = not args.no_ke_server
    machine.board = args.board or ""
    settings = load(args.config)
    with ExitStack() as stack:
        if args.disk_full:
            stack.enter_context(patch("os.write", _write_on_full_disk(settings.state.directory)))
        daemon.run(settings, machine)


def _write_on_full_disk(folder: str) -> Callable[[int, bytes], int]:
    """What os.write() does where a disk is full: names are still made and removed there, but
    no file in the folder takes a byte."""
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{folder}/"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    return full


if __name__ == "__main__":
    main()
