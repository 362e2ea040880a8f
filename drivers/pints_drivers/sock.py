"""Time from another program by datagrams: chrony's SOCK protocol, which gpsd and others speak.

Each datagram is one sample (chrony, refclock_sock.c): the machine's clock, and by how much true
time is ahead of it, or, of a pulse, by how much the clock is past the second that it begins.
"""

import math
import os
import socket
import stat
import struct
from collections.abc import Iterable

from pints.drivers import LEAP_UNKNOWN, Fix, MachineClock, Pulse, RefclockConfig
from pints.errors import DeviceError
from pints.timescale import NS, Instant, nanoseconds

MAGIC = 0x534F434B
"""`SOCK`."""

LAYOUTS = {form.size: form for form in (struct.Struct("=qqdiiii"), struct.Struct("=iidiiii"))}
"""struct sock_sample, where time_t has 64 bits and where it has 32: timeval of the machine's clock,
offset in seconds; pulse, leap, padding, magic.  A datagram's size tells which it is."""

ERROR = 10e-6
"""Bound of what the writer's stamp and offset are off, seconds, which the protocol does not say."""
FARTHEST = 2.0**31
"""No clock is further off, seconds."""


class Sock:
    """The driver `sock`: `device` is the path of the socket, made here for others to write to."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._path = config.device
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mask = os.umask(0o117)
        try:
            self._remove()
            self._socket.bind(self._path)
        except OSError as e:
            self._socket.close()
            raise DeviceError(
                f"{self.name}: {e.strerror or e}",
                "device: path of a socket to be made, in a folder that pints may write",
            ) from None
        finally:
            os.umask(mask)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when there is a sample."""
        return self._socket.fileno()

    def reports(self) -> Iterable[Fix | Pulse]:
        """The next sample; what is none is dropped."""
        try:
            data = self._socket.recv(64)
        except BlockingIOError:
            return []
        except OSError as e:
            raise DeviceError(f"{self.name}: {e.strerror}") from None
        layout = LAYOUTS.get(len(data))
        if layout is None:
            return []
        seconds, microseconds, offset, pulse, leap, _, magic = layout.unpack(data)
        sane = math.isfinite(offset) and abs(offset) < FARTHEST and 0 <= leap <= 2
        if magic != MAGIC or not sane or not 0 <= microseconds < 1_000_000:
            return []
        stamp = seconds * NS + microseconds * 1000
        past = 0
        if pulse:
            past = (stamp - nanoseconds(offset) + NS // 2) % NS - NS // 2
        at = self._clock.stamp(stamp - past)
        if at is None:
            return []
        if pulse:
            return [Pulse(at, ERROR)]
        # gpsd says 0 as well of what it does not know.
        return [Fix(Instant(stamp + nanoseconds(offset)), ERROR, at, leap or LEAP_UNKNOWN)]

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        try:
            self._remove()
        except OSError as e:
            raise DeviceError(f"{self.name}: {e.strerror}") from None

    def _remove(self) -> None:
        """What an earlier daemon left there; nothing but a socket."""
        try:
            if stat.S_ISSOCK(os.lstat(self._path).st_mode):
                os.unlink(self._path)
        except FileNotFoundError:
            pass
