"""What the fake refclocks share: one hears lines through a FIFO, one is ticked in memory.

Removing the FIFO, or a line `unplug`, pulls its plug; it is back when it is opened again.
"""

import os
from stat import S_ISFIFO

from pints.drivers import MachineClock, RefclockConfig
from pints.errors import DeviceError

LONGEST = 256
"""A line longer than this many bytes is none."""


class FifoRefclock:
    """A driver that reads lines from the FIFO that `device` names.  DeviceError when that is none
    or unplugged."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        self._path = config.device
        self._line = b""
        try:
            # Open for writing as well, a FIFO does not end with each of its writers.
            self._file = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as e:
            raise self._error(e.strerror or "cannot be opened") from None
        if not S_ISFIFO(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise self._error("not a FIFO")

    def fileno(self) -> int:
        """The FIFO's: readable when lines came."""
        return self._file

    def close(self) -> None:
        """Close the FIFO; it stays where it is."""
        os.close(self._file)

    def _lines(self) -> list[bytes]:
        """Every line that came; the last one may be incomplete and is kept for later."""
        if os.fstat(self._file).st_nlink == 0:
            raise self._error("unplugged")
        try:
            heard = os.read(self._file, 4096)
        except BlockingIOError:
            return []
        *lines, rest = (self._line + heard).split(b"\n")
        self._line = rest if len(rest) <= LONGEST else b""
        if b"unplug" in lines:
            raise self._error("unplugged")
        return lines

    def _error(self, what: str) -> DeviceError:
        return DeviceError(f"{self.name}: {what}", f"mkfifo {self._path or 'PATH'}")


class MemoryRefclock:
    """A refclock in memory, for tests: whoever simulates the world ticks it."""

    def __init__(self, clock: MachineClock, error: float, name: str) -> None:
        self.name = name
        self.error = error
        """Half-width of what it reports, seconds."""
        self.plugged = True
        self._clock = clock
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Readable after a tick."""
        return self._event

    def close(self) -> None:
        """Close what `fileno` gave."""
        os.close(self._event)

    def _tick(self) -> None:
        os.eventfd_write(self._event, 1)

    def _ticked(self) -> bool:
        """Whether there was a tick since it was asked last; DeviceError if it is unplugged."""
        if not self.plugged:
            raise DeviceError(f"{self.name}: unplugged", "plug it in")
        try:
            return os.eventfd_read(self._event) > 0
        except BlockingIOError:
            return False
