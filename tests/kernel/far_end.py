"""What is at the far end of a kernel's serial line: a receiver that plays what it is asked for, so
that nothing is played before somebody listens.

Asked with `clock SECONDS` it says what time it will be then, with `log NAME` it plays a real
receiver's log.
"""

import os
import select
import termios
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pints_drivers.fake_receiver import Burst, Line, clock_bursts, log_bursts, paced


class FarEnd(Line):
    """A line whose receiver runs in a thread, for the kernel on this machine to be wired to."""

    def __enter__(self) -> Self:
        self._wake, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ended)
        self._thread.join()
        os.close(self._wake)
        self.unplug()

    def _run(self) -> None:
        playing: Iterator[Burst] = iter(())
        asked, began = b"", 0.0
        while True:
            due, data = next(playing, (None, b""))
            left = None if due is None else max(0.0, began + due - time.monotonic())
            ready = select.select([self._far, self._wake], [], [], left)[0]
            if self._wake in ready:
                return
            if ready:
                asked += os.read(self._far, 256)
                if asked.endswith(b"\n"):
                    termios.tcflush(self._near, termios.TCIFLUSH)  # what nobody has read
                    playing, began = paced(bursts(asked.decode()), self.baud), time.monotonic()
                    asked = b""
            else:
                self.send(data)


def bursts(asked: str) -> Iterable[Burst]:
    """What a request is answered with."""
    what, name = asked.split()
    if what == "clock":
        return clock_bursts(int(name))
    return log_bursts((Path(os.environ["PINTS_REAL_DATA"]) / "gps" / name).read_bytes())


def ask(port: str, what: str) -> None:
    """From inside of the kernel, where the driver has the port already: let this be played."""
    line = os.open(port, os.O_WRONLY | os.O_NOCTTY)
    try:
        os.write(line, f"{what}\n".encode())
        termios.tcdrain(line)
    finally:
        os.close(line)
