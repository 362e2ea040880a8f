"""A serial line's bytes, cut into sentences and messages, with when each began to arrive.

What this guarantees: whatever comes, no more than the longest message is kept of it, nothing
complete is missed but what noise lies in, and where the reads happened to cut makes no
difference to what is found.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from pints.timescale import Boot, Instant, Raw, Reading, nanoseconds
from pints_drivers.gnss import nmea, ubx
from pints_drivers.gnss.said import Said

BEGIN = re.compile(rb"\$|\xb5(?:b|\Z)")
END = re.compile(rb"[\r\n$\xb5]")
BETWEEN = b"\r\n"


class Heard(NamedTuple):
    """A sentence or message, and when its first byte came: at `began`, or up to `late` seconds
    before."""

    said: Said
    began: Reading
    late: float


class _Read(NamedTuple):
    """One read of the port."""

    end: int
    """Bytes of the stream up to and with its last one."""
    at: Reading
    late: float


class Stream:
    """One line.  `byte_time` is what a byte takes on the wire, seconds; 0 where a speed means
    nothing."""

    def __init__(self, byte_time: float) -> None:
        self.noise = 0
        """Bytes that belong to no sentence and no message."""
        self._byte_time = byte_time
        self._buffer = bytearray()
        self._reads: deque[_Read] = deque()
        self._end = 0
        """Bytes of the stream so far."""

    def feed(self, data: bytes, at: Reading, late: float = 0.0) -> Iterator[Heard]:
        """Everything that is complete with these bytes, which were all there at `at`, the first of
        them perhaps since `late` seconds before."""
        self._end += len(data)
        self._reads.append(_Read(self._end, at, late))
        self._buffer += data
        while (found := self._next()) is not None:
            yield found
        self._forget_reads()

    def _next(self) -> Heard | None:
        """The first one in the buffer, taken out of it with all before it."""
        buffer = self._buffer
        while True:
            begin = BEGIN.search(buffer)
            if begin is None or begin.start():
                self._skip(begin.start() if begin else len(buffer))
            if not buffer:
                return None
            size = _sentence_size(buffer) if buffer.startswith(b"$") else _message_size(buffer)
            if size is None:
                return None
            whole = bytes(buffer[:size])
            said = (nmea if whole.startswith(b"$") else ubx).decode(whole) if whole else None
            if said is None:
                self._skip(1)  # what only looked like one may have one within
                continue
            heard = Heard(said, *self._began())
            del buffer[:size]
            return heard

    def _skip(self, count: int) -> None:
        """Over noise; what ends lines is none."""
        self.noise += len(self._buffer[:count].strip(BETWEEN))
        del self._buffer[:count]

    def _began(self) -> tuple[Reading, float]:
        """When the buffer's first byte came: those after it in the same read came later."""
        self._forget_reads()
        read = self._reads[0]
        wire = (read.end - self._end + len(self._buffer)) * self._byte_time
        return _before(read.at, wire), max(read.late - wire, 0.0)

    def _forget_reads(self) -> None:
        """Those of which nothing is in the buffer."""
        place = self._end - len(self._buffer)
        while self._reads and self._reads[0].end <= place:
            self._reads.popleft()


def _sentence_size(buffer: bytearray) -> int | None:
    """Of what begins with `$`, without its line's end; 0 for what is no sentence, None while
    more must come."""
    end = END.search(buffer, 1)
    if end is None:
        return None if len(buffer) <= nmea.LONGEST else 0
    return end.start() if end[0] in BETWEEN and end.start() <= nmea.LONGEST else 0


def _message_size(buffer: bytearray) -> int | None:
    """The same of what begins with a message's first character."""
    if len(buffer) < ubx.HEADER.size:
        return None
    size = ubx.HEADER.unpack_from(buffer)[2] + ubx.AROUND
    if size > ubx.LONGEST + ubx.AROUND:
        return 0
    return None if len(buffer) < size else int(size)


def _before(at: Reading, span: float) -> Reading:
    """The machine's clocks so many seconds before: too few for their rates to matter."""
    ns = nanoseconds(span)
    return Reading(Instant(at.real - ns), Boot(at.boot - ns), Raw(at.raw - ns))
