"""Time from another program by shared memory: ntpd's protocol, which gpsd and others speak.

A segment (System V, key 0x4e545030 plus its number) holds one sample: when what clock said what.
The writer sets `valid`, the reader clears it.  In mode 1 the writer raises `count` before and after
it writes, so that a reader sees whether it was interrupted; in mode 0 it does not.
(ntp.org, "Shared Memory Driver".)

Nothing wakes a reader.  The C library is reached as `CDLL(None)`, the process's own symbols: the
standard library has no such memory, and a simulator may stand in front of it.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from pints.drivers import LEAP_UNKNOWN, Fix, MachineClock, RefclockConfig
from pints.errors import DeviceError
from pints.timescale import NS, Instant

KEY = 0x4E545030
"""Of segment 0: `NTP0`."""

LAYOUTS = (
    struct.Struct("=iiqi4xqiiiiiII32x4x"),
    struct.Struct("=iiiiiiiiiiII32x"),
)
"""struct shmTime, where time_t has 64 bits and where it has 32: mode, count; seconds and us of the
reference, of the machine's clock; leap, precision, nsamples, valid; ns of both.  The larger one is
found in all 64-bit programs, and in those of 32-bit ARM since time_t has grown."""
VALID = (48, 36)
"""Where `valid` is in either."""

PRECISIONS = (-30, 1)
"""What is believed of `precision`, log2 s."""


class Shm:
    """The driver `shm`: `device` is the segment's number."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        if not (config.device.isascii() and config.device.isdigit() and len(config.device) <= 3):
            raise DeviceError(f"{self.name}: no segment", "device: its number, e.g. '0'")
        self._library = library = ctypes.CDLL(None, use_errno=True)
        library.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
        library.shmat.restype = ctypes.c_void_p
        library.shmdt.argtypes = [ctypes.c_void_p]
        library.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
        segment, self._layout = self._find(KEY + int(config.device))
        address = library.shmat(segment, None, 0)
        if address is None or address == ctypes.c_void_p(-1).value:
            raise self._refused()
        self._address: int = address

    def fileno(self) -> int:
        """Nothing wakes."""
        return -1

    def reports(self) -> Iterable[Fix]:
        """The sample, if it is a new one and whole."""
        layout = LAYOUTS[self._layout]
        valid = ctypes.c_int.from_address(self._address + VALID[self._layout])
        if not valid.value:
            return []
        data = ctypes.string_at(self._address, layout.size)
        count = ctypes.c_int.from_address(self._address + 4).value
        mode, counted, *said, leap, precision, _, _, said_ns, seen_ns = layout.unpack(data)
        valid.value = 0
        if mode not in (0, 1) or (mode == 1 and count != counted):
            return []
        time = _instant(said[0], said[1], said_ns)
        at = self._clock.stamp(_instant(said[2], said[3], seen_ns))
        if at is None:
            return []
        least, most = PRECISIONS
        error = 2.0 ** (min(max(precision, least), most) - 1)
        # gpsd says 0 as well of what it does not know.
        return [Fix(Instant(time), error, at, leap if leap in (1, 2) else LEAP_UNKNOWN)]

    def close(self) -> None:
        """Let go of the segment."""
        self._library.shmdt(self._address)

    def _find(self, key: int) -> tuple[int, int]:
        """The segment, and which layout it has room for.  Not made here: its writer does that."""
        for n, layout in enumerate(LAYOUTS):
            segment = int(self._library.shmget(key, layout.size, 0))
            if segment >= 0:
                return segment, n
            if ctypes.get_errno() != errno.EINVAL:
                break
        raise self._refused()

    def _refused(self) -> DeviceError:
        number = ctypes.get_errno()
        hints = {
            errno.ENOENT: "start what writes it (gpsd)",
            errno.EACCES: "segments 0 and 1 are root's; let gpsd write 2 and 3 (not as root)",
            errno.EINVAL: "it is too small for ntpd's protocol: somebody else's",
        }
        return DeviceError(f"{self.name}: {os.strerror(number)}", hints.get(number, ""))


def _instant(seconds: int, microseconds: int, nanoseconds: int) -> int:
    """ns since 1970.  Old writers leave the nanoseconds alone: those that do not continue the
    microseconds are none."""
    finer = nanoseconds // 1000 == microseconds
    return seconds * NS + (nanoseconds if finer else microseconds * 1000)
