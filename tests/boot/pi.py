"""A Pi that is a process: a real kernel (User Mode Linux) with systemd, on a card that is a file.

    with Pi(kernel, card, cable) as pi:
        pi.boot()
        print(pi.sh("pints status"))
        pi.off()                            # or pi.cut(), as when the plug is pulled

The kernel has no real-time clock: each boot begins in 1970 (`_WITHOUT_RTC` in card.py).  Its
clock is its own; what it sets never reaches this machine's.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.boot.lan import Cable

READY = "pi: at your service"
PORT = 2222
PATIENCE = 180.0
"""Seconds for a boot, on a machine that has other things to do."""


class Pi:
    """One board.  A card outlives it, and what is on it."""

    def __init__(self, kernel: Path, card: Path, cable: Cable, other: Path | None = None) -> None:
        self.card = card
        self._kernel, self._cable, self._other = kernel, cable, other
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []
        self._news = threading.Condition()
        self.began = 0.0
        """When it was last switched on, time.time()."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    @property
    def console(self) -> str:
        return "".join(self._said)

    def boot(self, *words: str) -> None:
        """Switch on, with more words for the kernel, and wait until the shell can be had."""
        self.switch_on(*words)
        self.ready()

    def switch_on(self, *words: str) -> None:
        """And do something else meanwhile."""
        disks = [f"ubda={self.card}"] + ([f"ubdb={self._other}"] if self._other else [])
        command = [
            str(self._kernel), *disks, "root=/dev/ubda", "rootfstype=ext4", "mem=512M", "quiet",
            f"vec0:transport=tap,ifname={self._cable.device},depth=64",
            "con=null", "con0=null,fd:1", "con1=null", "systemd.show_status=no",
            "init=/usr/local/sbin/without-rtc", f"pi.lan={self._cable.number}", *words,
        ]  # fmt: skip
        if not any(word in ("ro", "rw") for word in words):
            command.append("rw")
        self._said.clear()
        self.began = time.time()
        # Its memory is a file; in a group of its own, since it is many processes.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, "TMPDIR": "/dev/shm"},
            start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=[self._process])
        self._reader.start()

    def ready(self) -> None:
        """Return when the shell can be had; AssertionError if it comes to nothing."""
        with self._news:
            there = self._news.wait_for(lambda: READY in self.console or self._ended(), PATIENCE)
        if not there or READY not in self.console:
            raise AssertionError(f"the kernel did not get there:\n{self.console[-5000:]}")

    def sh(self, script: str, patience: float = 120.0) -> str:
        """What a shell script prints, as root; AssertionError if it fails."""
        with socket.create_connection((self._cable.guest, PORT), timeout=patience) as shell:
            shell.sendall(f"trap 'echo; echo status $?' EXIT\n{script}\n".encode())
            shell.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: shell.recv(65536), b"")).decode(errors="replace")
        output, _, status = answer.rstrip().rpartition("status ")
        assert status == "0", f"{script!r} in the Pi:\n{answer}\n{self.console[-2000:]}"
        return output.strip()

    def off(self) -> None:
        """As one should: systemctl poweroff."""
        assert self._process is not None
        self.sh("systemctl --no-block poweroff")
        self._process.wait(PATIENCE)
        self.cut()

    def cut(self) -> None:
        """Pull the plug.  What the kernel has not yet given to the card is lost."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._reader.join(10)
        self._process = None

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._news:
                    self._said.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()
