"""A fake receiver on a pseudo-terminal: no hardware, no sky.  For tests and demonstrations.

    python3 -m pints_drivers.fake_receiver --baud 9600 [LOG]

prints the path of its port, then plays a log of a real receiver, or says what the machine's clock
says, until it is interrupted.

The rules it keeps:
- a byte takes ten bits; who listens at another speed samples the same line and gets what comes of
  it;
- a burst begins `lag` after its second, or when the one before has left;
- unplugged, its port is gone; plugged in again, it is another one under the same name;
- its week number may have begun anew without its noticing.
"""

import argparse
import fcntl
import os
import struct
import sys
import termios
import time
import tty
from collections.abc import Iterable, Iterator
from pathlib import Path

from pints.timescale import DAY, NS, Boot, Instant, Raw, Reading, civil, seconds
from pints_drivers.gnss import nmea, ubx
from pints_drivers.gnss.said import MS
from pints_drivers.gnss.stream import Stream

SPEEDS = {
    getattr(termios, f"B{speed}"): speed
    for speed in (4800, 9600, 19200, 38400, 57600, 115200, 230400)
}
CHUNK = 8
"""Bytes that a UART hands over at a time."""
LAG = 0.1
PLACE = "4807.0380,N,01131.0000,E"
GPS_AHEAD = 18

Burst = tuple[float, bytes]
"""When it is due, in seconds from the first, and what is sent."""


class Line:
    """The far end of a serial line, whose near end is at `path`."""

    def __init__(self, path: Path, baud: int = 9600) -> None:
        self.path = path
        self.baud = baud
        self.plug()

    def plug(self) -> None:
        """Plug it in: there is a port at `path`."""
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        # Who does not set a speed (`cat`) gets the right one.
        settings = termios.tcgetattr(self._near)
        settings[4] = settings[5] = getattr(termios, f"B{self.baud}")
        termios.tcsetattr(self._near, termios.TCSANOW, settings)
        os.set_blocking(self._far, False)
        self.path.symlink_to(os.ttyname(self._near))

    def unplug(self) -> None:
        """Pull its plug: whoever has the port open learns of it."""
        self.path.unlink()
        os.close(self._near)
        os.close(self._far)

    def send(self, data: bytes) -> int:
        """As it arrives at whatever speed the port has; how many bytes that are.  What nobody
        reads is lost."""
        speed = SPEEDS.get(termios.tcgetattr(self._far)[5], self.baud)
        data = data if speed == self.baud else sampled(data, self.baud, speed)
        try:
            return os.write(self._far, data)
        except BlockingIOError:
            return 0

    def waiting(self) -> int:
        """Bytes that can be read."""
        return int.from_bytes(fcntl.ioctl(self._near, termios.FIONREAD, bytes(4)), sys.byteorder)


def sampled(data: bytes, baud: int, speed: int) -> bytes:
    """What a UART at `speed` makes of bytes sent at `baud`."""
    bits = [bit for byte in data for bit in (0, *(byte >> n & 1 for n in range(8)), 1)]
    step = baud / speed  # of a listener's bit, in bits sent

    def level(place: float) -> int:
        return bits[int(place)] if place < len(bits) else 1

    heard = bytearray()
    place = 0.0
    while place < len(bits):
        if level(place):
            place = int(place) + 1.0  # idle, until a start bit
            continue
        heard.append(sum(level(place + (n + 1.5) * step) << n for n in range(8)))
        place += 9.5 * step
    return bytes(heard)


def paced(bursts: Iterable[Burst], baud: int, chunk: int = CHUNK) -> Iterator[Burst]:
    """The same in what a UART hands over at a time, each when its last byte has come."""
    free = 0.0
    for due, data in bursts:
        free = max(free, due)
        for begin in range(0, len(data), chunk):
            piece = data[begin : begin + chunk]
            free += len(piece) * 10 / baud
            yield free, piece


def log_bursts(log: bytes) -> Iterator[Burst]:
    """A log's epochs: they come as far apart as its own times are, or a second where those jump."""
    # A byte takes a nanosecond: when it came is where it is.
    end = Reading(Instant(len(log)), Boot(len(log)), Raw(len(log)))
    due, before, begin = 0.0, None, 0
    for heard in Stream(1 / NS).feed(log, end):
        now = heard.said.of_day
        if now is None or now == before:
            continue
        if before is not None:
            yield due, log[begin : heard.began.raw]
            begin = heard.began.raw
            gap = seconds((now - before) * MS)
            due += gap if 0 < gap < 60 else 1.0
        before = now
    yield due, log[begin:]


def nmea_burst(time: Instant, fix: bool = True, rollovers: int = 0) -> bytes:
    """What NMEA receivers say of a second: GGA, RMC and ZDA."""
    time = Instant(time - rollovers * ubx.ROLLOVER)
    year, month, day = civil(time)
    clock = f"{_hms(time)}.{time % NS // MS:03d}"
    rmc = f"{'A' if fix else 'V'},{PLACE},0.0,0.0,{day:02d}{month:02d}{year % 100:02d},,,"
    return b"".join(
        map(nmea.encode, (
            f"GPGGA,{clock},{PLACE},{int(fix)},08,0.9,545.4,M,46.9,M,,",
            f"GPRMC,{clock},{rmc}{'A' if fix else 'N'}",
            f"GPZDA,{clock},{day:02d},{month:02d},{year},00,00",
        ))
    )  # fmt: skip


def ubx_burst(
    time: Instant, fix: bool = True, accuracy: int = 20, leap: tuple[int, int] | None = None,
    qerr: int | None = None,
) -> bytes:  # fmt: skip
    """What u-blox receivers say of a second: NAV-PVT, of so many ns of accuracy; NAV-TIMELS with a
    leap second of this sign in so many seconds; TIM-TP with qErr in ps of the next pulse."""
    year, month, day = civil(time)
    clock = time // NS % int(DAY)
    gps = (time - ubx.GPS_EPOCH) // MS + GPS_AHEAD * 1000
    week, tow = divmod(gps, ubx.WEEK * 1000)
    pvt = struct.pack(
        "<IHBBBBBBIiBBBB68x", tow, year, month, day, clock // 3600, clock // 60 % 60, clock % 60,
        ubx.ALL_VALID if fix else 0, accuracy, time % NS, 3 if fix else 0, int(fix), 0, 8,
    )  # fmt: skip
    burst = ubx.encode(0x01, 0x07, pvt)
    if leap is not None:
        change, due = leap
        valid = ubx.VALID_CURR_LS | ubx.VALID_TIME_TO_LS_EVENT
        timels = struct.pack("<I4xBbBbiHH3xB", tow, 2, GPS_AHEAD, 2, change, due, week, 7, valid)
        burst += ubx.encode(0x01, 0x26, timels)
    if qerr is not None:
        week, tow = divmod(gps + 1000, ubx.WEEK * 1000)
        burst += ubx.encode(0x0D, 0x01, struct.pack("<I4xiHBB", tow, qerr, week, 0, ubx.GPS))
    return burst


def _hms(time: Instant) -> str:
    second = time // NS % int(DAY)
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def clock_bursts(ahead: int = 0) -> Iterator[Burst]:
    """The machine's own time, or so many seconds more, for ever, from the next second."""
    began = time.time()
    for second in range(int(began) + 1, 1 << 34):
        yield second + LAG - began, nmea_burst(Instant((second + ahead) * NS))


def _main() -> None:
    parser = argparse.ArgumentParser(description="A fake receiver on a pseudo-terminal.")
    parser.add_argument("log", nargs="?", type=Path, help="play it instead of the clock's time")
    parser.add_argument("--baud", type=int, default=9600, choices=SPEEDS.values())
    parser.add_argument("--port", type=Path, default=Path("fake-receiver"), help="path of its port")
    args = parser.parse_args()
    line = Line(args.port, args.baud)
    print(line.path.resolve(), flush=True)
    began = time.monotonic()
    try:
        bursts = log_bursts(args.log.read_bytes()) if args.log else clock_bursts()
        for due, data in paced(bursts, args.baud):
            time.sleep(max(0.0, began + due - time.monotonic()))
            line.send(data)
    except KeyboardInterrupt:
        pass
    finally:
        line.unplug()


if __name__ == "__main__":
    _main()
