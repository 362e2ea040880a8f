"""A GPS receiver on a serial port, USB included: NMEA sentences and UBX messages, as they come.

Nothing is ever sent to it.  The port's speed is found, unless the configuration names it, by what
can be understood at each, and anew when a receiver has changed its own.  What is made of the
bytes is in `gnss`.
"""

import errno
import fcntl
import os
import termios
from collections.abc import Iterable
from contextlib import suppress

from serial import Serial, SerialException

from pints.drivers import Details, MachineClock, RefclockConfig, Report
from pints.errors import DeviceError
from pints.timescale import Raw, seconds
from pints_drivers.gnss.epochs import Epochs
from pints_drivers.gnss.stream import Stream

SPEEDS = (9600, 115200, 4800, 38400, 57600, 19200, 230400)
"""Tried in this order: what modules come with first, then what SiRF and others have."""
PATIENCE = 2.5
"""Seconds of bytes that mean nothing, after which another speed is tried.  Two epochs begin in
that time."""
FAITH = 10.0
"""The same at a speed at which something was understood before: receivers stammer at times."""
ENOUGH = 64
"""Bytes: fewer are noise on a line that is silent, and tell nothing of its speed."""
MOST = 4096
"""Bytes of one read: what the kernel keeps of a line."""
PROMPT = 256
"""Bytes.  A UART and USB hand over some tens at a time; who reads more came late to it."""
KEPT = 16
"""Bytes that a UART may have and not have handed over."""
FULL = MOST // 2
"""Bytes of a read behind which others may be waiting."""
PAUSE = 0.1
"""Seconds after a read until the next, while a burst lasts: only its first byte needs a prompt
stamp, and a UART wakes for every eight."""
BITS = 10
"""Of a byte on the wire: start, eight, stop."""
CABLE = 1e-3
"""An `offset` up to this, seconds, is of a cable: no receiver's sentences lag so little."""
CONSOLES = "/sys/class/tty/console/active"
UNITS = "/sys/fs/cgroup/system.slice"
"""Services that run.  Other users' processes are hidden from the daemon, these are not."""
LOGIN = r"system-serial\x2dgetty.slice/serial-getty@{port}.service"
HINTS = {
    errno.ENOENT: "is it plugged in?",
    errno.EACCES: "pints must be in the port's group (dialout): docs/drivers.md",
    errno.EPERM: "allow it: link gps.conf into pints.service.d (docs/drivers.md)",
}


class Gps:
    """The driver `gps`."""

    def __init__(self, config: RefclockConfig, clock: MachineClock) -> None:
        self.name = config.id
        self._clock = clock
        self._speeds = (config.baud,) if config.baud else SPEEDS
        self._speed = 0
        """Index of the one that is tried, or has been found."""
        self._has_speed = not os.path.realpath(config.device).startswith("/dev/ttyACM")
        """USB's own serial class takes any and has none."""
        self._tried = 0
        """Speeds in a row at which nothing was understood."""
        self._patience = PATIENCE
        self._deaf: Raw | None = None
        """Since when nothing was understood of what came."""
        self._unheard = 0
        """Bytes that came since then."""
        self._bursting = False
        """Whether something came when it was looked at last."""
        self._byte_time = 0.0
        """What one takes on the wire, seconds; 0 where a speed means nothing."""
        self._epochs = Epochs(measured=abs(config.offset) > CABLE)
        self._port = self._open(config.device)
        self._stream = self._listen()
        self._emptied = clock.read().raw
        """When nothing was waiting."""

    def fileno(self) -> int:
        """The port's."""
        return int(self._port.fileno())

    def reports(self) -> Iterable[Report]:
        """What follows from the bytes that came."""
        at = self._clock.read()
        data = self._read()
        late = 0.0
        if self._bursting or len(data) > PROMPT:
            late = seconds(at.raw - self._emptied) + KEPT * self._byte_time
        self._bursting = bool(data)
        if len(data) < FULL:
            self._emptied = at.raw
        if not data:
            return []
        heard = list(self._stream.feed(data, at, late))
        self._judge_speed(bool(heard), len(data), at.raw)
        return [said for one in heard if (said := self._epochs.hear(one)) is not None]

    def pause(self) -> float:
        """Until nothing came: the next byte then begins a burst."""
        return PAUSE if self._bursting else 0.0

    def details(self) -> Details:
        """The receiver as it is now."""
        return Details(
            fix=self._epochs.fixed(self._clock.read().raw),
            satellites=self._epochs.satellites,
            speed=self._speeds[self._speed] if self._has_speed else None,
            sentences=self._epochs.counts,
            noise=self._stream.noise,
        )

    def close(self) -> None:
        """Let go of the port, which stays shut for others as long as anybody has it open."""
        with suppress(OSError):
            fcntl.ioctl(self._port, termios.TIOCNXCL)
        self._port.close()

    def _open(self, device: str) -> Serial:
        if tenant := _tenant(os.path.basename(os.path.realpath(device))):
            raise DeviceError(f"{self.name}: {tenant[0]} is on it", tenant[1])
        try:
            port = Serial(device, self._speeds[0], timeout=0, exclusive=True)
            # That lock is for those who ask for one; this keeps all others out, too.
            fcntl.ioctl(port, termios.TIOCEXCL)
            os.set_blocking(port.fileno(), False)
        except (SerialException, OSError, ValueError) as e:
            raise self._refused(getattr(e, "errno", None), device) from None
        return port

    def _read(self) -> bytes:
        """What came; empty: nothing."""
        try:
            data = os.read(self._port.fileno(), MOST)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            raise DeviceError(f"{self.name}: no longer there", HINTS[errno.ENOENT])
        return data

    def _refused(self, code: int | None, device: str) -> DeviceError:
        if code in (errno.EBUSY, errno.EWOULDBLOCK):
            who = "gpsd" if os.path.exists(f"{UNITS}/gpsd.service") else "another program"
            stop = "systemctl disable --now gpsd.socket gpsd" if who == "gpsd" else "stop it"
            return DeviceError(f"{self.name}: {who} has it", f"{stop}; fuser -v {device} names it")
        if code is None:
            return DeviceError(f"{self.name}: not a serial port, or none of that speed")
        return DeviceError(f"{self.name}: {os.strerror(code)}", HINTS.get(code, ""))

    def _listen(self) -> Stream:
        """At the speed that is to be tried."""
        speed = self._speeds[self._speed]
        try:
            self._port.baudrate = speed
            _nothing_is_no_end(self._port.fileno())
        except (SerialException, OSError, ValueError, termios.error):
            raise DeviceError(f"{self.name}: cannot be set to {speed} baud") from None
        self._byte_time = BITS / speed if self._has_speed else 0.0
        return Stream(self._byte_time)

    def _judge_speed(self, understood: bool, count: int, raw: Raw) -> None:
        """Try the next one when bytes come and mean nothing."""
        if understood:
            self._deaf, self._unheard, self._tried, self._patience = None, 0, 0, FAITH
            return
        self._deaf = raw if self._deaf is None else self._deaf
        self._unheard += count
        if self._unheard < ENOUGH or seconds(raw - self._deaf) < self._patience:
            return
        self._deaf, self._unheard, self._patience = None, 0, PATIENCE
        self._tried += 1
        if self._tried == len(self._speeds):
            raise self._unintelligible()
        self._speed = (self._speed + 1) % len(self._speeds)
        self._stream = self._listen()

    def _unintelligible(self) -> DeviceError:
        what = f"{self.name}: no NMEA sentence with a checksum and no UBX message"
        if len(self._speeds) == 1:
            return DeviceError(f"{what} at {self._speeds[0]} baud", "leave baud out: it is found")
        return DeviceError(f"{what} at any speed", "switch its output to NMEA (docs/drivers.md)")


def _nothing_is_no_end(port: int) -> None:
    """Have a read that finds no byte say so.  pyserial's setting makes it look like an end."""
    attributes = termios.tcgetattr(port)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(port, termios.TCSANOW, attributes)


def _tenant(port: str) -> tuple[str, str] | None:
    """Who else of this system reads the port and must go; and how."""
    try:
        with open(CONSOLES, encoding="ascii") as file:
            consoles = file.read().split()
    except OSError:
        consoles = []
    if port in consoles:
        return "the kernel's console", "raspi-config: Interface, Serial Port: no login shell"
    if os.path.exists(f"{UNITS}/{LOGIN.format(port=port)}"):
        return "a login prompt", f"systemctl disable --now serial-getty@{port}"
    return None
