"""A FIFO that stands for a device: what the fake receivers hear, line by line.

Removing it, or a line `unplug`, pulls its plug; it is back when it is opened again.
"""

import os
from stat import S_ISFIFO

from pints.errors import DeviceError

LONGEST = 256
"""A line longer than this many bytes is none."""


class Fifo:
    """The FIFO at `path`, of the driver `name`.  DeviceError when it is none or unplugged."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._line = b""
        try:
            # Open for writing as well, a FIFO does not end with each of its writers.
            self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as e:
            raise self.error(e.strerror or "cannot be opened") from None
        if not S_ISFIFO(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise self.error("not a FIFO")

    def fileno(self) -> int:
        """Readable when there is something for `lines`."""
        return self._file

    def lines(self) -> list[bytes]:
        """Every line that came; the last one may be incomplete and is kept for later."""
        if os.fstat(self._file).st_nlink == 0:
            raise self.error("unplugged")
        try:
            heard = os.read(self._file, 4096)
        except BlockingIOError:
            return []
        *lines, rest = (self._line + heard).split(b"\n")
        self._line = rest if len(rest) <= LONGEST else b""
        if b"unplug" in lines:
            raise self.error("unplugged")
        return lines

    def close(self) -> None:
        """Close the FIFO; it stays where it is."""
        os.close(self._file)

    def error(self, what: str) -> DeviceError:
        """What is wrong with it, by its driver's name."""
        return DeviceError(f"{self._name}: {what}", f"mkfifo {self._path or 'PATH'}")
