"""Pulses that the kernel stamps: /dev/pps0 and its like (RFC 2783, linux/pps.h).

The kernel notes the time in the interrupt's first half, so a stamp is late by the interrupt's
latency alone: a few microseconds on a Pi, more when others hold interrupts off.

poll(2) is of no use on such a device: it says "readable" whether or not there was a pulse (until
Linux 6.16, and stable kernels of August 2025).  So the last pulse is fetched from time to time; its
sequence number tells a new one.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterable

from pints.drivers import MachineClock, Pulse, RefclockConfig, after_edge
from pints.errors import DeviceError
from pints.timescale import NS

ERROR = 10e-6
"""Bound of an interrupt's latency on a Pi, but for rare ones, which the filter drops; seconds."""

CAPTURE = {"assert": 0x01, "clear": 0x02}
"""PPS_CAPTUREASSERT and PPS_CAPTURECLEAR of `mode`."""

PARAMETERS = struct.Struct("=iiqiIqiI")
"""struct pps_kparams: API version, mode; what is to be added to either edge (pps_ktime: seconds,
ns, flags).  Its members lie alike in every ABI."""

FETCHED = struct.Struct("=IIqiIqiIi20x")
"""struct pps_fdata, as large as it can be: sequence numbers of assert and clear, their times, the
mode; then the time to wait.  Where a 64-bit integer is aligned to 8 octets (64-bit machines, ARM)
the wait is at 48; at 44 where it is not (i386), and for 32-bit programs below a 64-bit kernel
(pps_fdata_compat), as on a Pi with a 32-bit system.  A wait of nothing is zero in either place, so
one struct serves all."""


def _request(direction: int, number: int) -> int:
    """_IOC of asm-generic/ioctl.h; linux/pps.h has the size of a *pointer* in each."""
    return direction << 30 | struct.calcsize("P") << 16 | ord("p") << 8 | number


GETPARAMS = _request(2, 0xA1)
SETPARAMS = _request(1, 0xA2)
GETCAP = _request(2, 0xA3)
FETCH = _request(3, 0xA4)


class Pps:
    """The driver `pps`."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        self._edge = config.edge
        try:
            self._file = os.open(config.device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as e:
            raise DeviceError(
                f"{self.name}: {e.strerror}",
                "device: path such as /dev/pps0; is there an overlay for it (pps-gpio)?",
            ) from None
        try:
            self._capture()
            self._sequence = self._fetch()[0]
        except DeviceError:
            self.close()
            raise

    def fileno(self) -> int:
        """Nothing wakes: see above."""
        return -1

    def reports(self) -> Iterable[Pulse]:
        """The latest pulse, if it is a new one."""
        sequence, stamp, other = self._fetch()
        if sequence == self._sequence:
            return []
        self._sequence = sequence
        at = self._clock.stamp(stamp)
        return [] if at is None else [Pulse(at, ERROR, after_edge(stamp, other))]

    def close(self) -> None:
        """Close the device."""
        os.close(self._file)

    def _capture(self) -> None:
        """See that the kernel notes the edge that begins the second, and the other if it can."""
        wanted = CAPTURE[self._edge]
        parameters = bytearray(PARAMETERS.size)
        self._ioctl(GETPARAMS, parameters)
        version, mode, *offsets = PARAMETERS.unpack(parameters)
        (able,) = struct.unpack("=i", self._ioctl(GETCAP, bytearray(4)))
        both = mode | able & sum(CAPTURE.values())
        if not both & wanted:
            raise DeviceError(
                f"{self.name}: does not see edge '{self._edge}'",
                "set edge to the other, or give the overlay capture_clear",
            )
        try:
            if both != mode:
                self._ioctl(SETPARAMS, bytearray(PARAMETERS.pack(version, both, *offsets)))
        except DeviceError:
            # The other edge is worth no failure: setting takes CAP_SYS_TIME.
            if not mode & wanted:
                raise

    def _fetch(self) -> tuple[int, int, int]:
        """The last edge's number, CLOCK_REALTIME then, and at the last other edge, ns."""
        data = self._ioctl(FETCH, bytearray(FETCHED.size))
        asserted, cleared, *times, _ = FETCHED.unpack(data)
        rise, fall = (s * NS + ns for s, ns in (times[:2], times[3:5]))
        return (asserted, rise, fall) if self._edge == "assert" else (cleared, fall, rise)

    def _ioctl(self, request: int, data: bytearray) -> bytearray:
        try:
            fcntl.ioctl(self._file, request, data)
        except OSError as e:
            hints = {errno.ENOTTY: "not a source of pulses", errno.EPERM: "needs CAP_SYS_TIME"}
            hint = hints.get(e.errno or 0, "is it unplugged?")
            raise DeviceError(f"{self.name}: {e.strerror}", hint) from None
        return data
