"""The demo's time, and the processes that live in it."""

import errno
import mmap
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from pints.timescale import NS, Instant, nanoseconds

_NUMBERS = struct.Struct("=qqq")


class SharedTime:
    """A count of nanoseconds that several processes share, and that can be made to jump.

    It lives in a file of three numbers: when it began (CLOCK_MONOTONIC), true time at that
    instant, and the sum of the jumps since.
    """

    def __init__(self, path: str) -> None:
        """Join the time that the file keeps, or begin it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size == 0:
                date = time.time_ns() // NS * NS
                os.write(descriptor, _NUMBERS.pack(time.monotonic_ns(), date, 0))
            self._memory = mmap.mmap(descriptor, _NUMBERS.size)
        finally:
            os.close(descriptor)
        self._began, self._date, _ = _NUMBERS.unpack_from(self._memory)

    def count(self) -> int:
        """Nanoseconds since the world began."""
        _, _, skipped = _NUMBERS.unpack_from(self._memory)
        return time.monotonic_ns() - int(self._began) + int(skipped)

    def now(self) -> Instant:
        """True time in this world."""
        return Instant(self._date + self.count())

    def skip(self, seconds: float) -> None:
        """Let so much time pass at once, for everybody."""
        skipped = _NUMBERS.unpack_from(self._memory)[2] + nanoseconds(seconds)
        _NUMBERS.pack_into(self._memory, 0, self._began, self._date, skipped)


class Child:
    """A forked process whose log is read line by line."""

    def __init__(self, main: Callable[[], None]) -> None:
        self.log, end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.setpgid(0, 0)  # Ctrl-C is the parent's to handle
                os.close(self.log)
                os.dup2(end, 2)
                os.close(end)
                main()
                status = 0
            finally:
                os._exit(status)
        os.close(end)
        os.set_blocking(self.log, False)
        self._rest = b""

    def lines(self) -> list[str]:
        """What it has logged since the last call, in whole lines."""
        with suppress(BlockingIOError):
            while piece := os.read(self.log, 65536):
                self._rest += piece
        *whole, self._rest = self._rest.split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, by its own process id.  May be called twice."""
        if self.pid <= 0:
            return
        os.kill(self.pid, number)
        os.waitpid(self.pid, 0)
        os.close(self.log)
        self.pid = 0


def free_port(kind: int = socket.SOCK_DGRAM, host: str = "127.0.0.1") -> int:
    """A port that nobody has at this moment, and that the kernel gives nobody by itself: it
    takes those from 32768 on (ip_local_port_range)."""
    while True:
        port = random.SystemRandom().randrange(10240, 32768)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError as e:
                if e.errno != errno.EADDRINUSE:  # no other port would do
                    raise
            else:
                return port
