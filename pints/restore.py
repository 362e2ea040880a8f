"""Early boot: floor the clock from what the disk knows (`pints restore`).

Run by path with `python3 -I -S`, before anything that logs: it imports time, os and sys and
nothing else, because every further module is felt on a slow core.  The clock is moved only
forward to the soft floor (saved time, or the kernel's real-time clock where that is later),
or back to it from beyond the ceiling; nothing here is trusted further than that
(docs/trust.md).

The line of saved time is defined here, for this is its first reader; the daemon uses the same
two functions.
"""

import os
import sys
import time

NS = 1_000_000_000
STATE = "/var/lib/pints"
TIME_FILE = "time"
CEILING = 20 * 31_556_952 * NS
"""What lies so far beyond the build epoch is refused: 20 years of 365.2425 days, ns."""
TIMESYNC_CLOCK = "/var/lib/systemd/timesync/clock"
WITNESS_FILES = ("/usr/lib/clock-epoch", TIMESYNC_CLOCK)
"""Files whose modification time is a time that has passed, as systemd reads them."""
RTC = "/sys/class/rtc/rtc0/since_epoch"
"""Where the kernel shows the real-time clock that it has a driver for, in s."""
FORGOTTEN = (TIME_FILE, "rtc.json", "quorum.json", *(f"sessions/{n}.json" for n in range(3)))
"""What a false time may have left in the state folder."""
BELIEF = "/run/pints/belief"
"""What this boot has verified: as false as the rest, when the operator says so."""
MAX_SIZE = 4096
USAGE = "usage: pints restore [--state DIR] [--dry-run] [--forget]"


def encode(ratcheted: int, seen: int, boot: str = "") -> bytes:
    """The line of saved time: two instants in ns, 0 for none, in which boot (its id) they were
    saved, and a checksum.  Readers pass over fields that they do not know."""
    text = f"pints-time 1 ratcheted={ratcheted} seen={seen}" + (f" boot={boot}" if boot else "")
    return f"{text} sum={_checksum(text)}\n".encode("ascii")


def decode(data: bytes) -> "tuple[int, int] | None":
    """Ratcheted and seen time of a saved line; None if it is torn or foreign."""
    try:
        line = data.decode("ascii")
        text, _, end = line.rpartition(" sum=")
        if line[-1:] != "\n" or end != f"{_checksum(text)}\n":
            return None
        name, version, *fields = text.split(" ")
        values = dict(field.split("=", 1) for field in fields)
        ratcheted, seen = int(values["ratcheted"]), int(values["seen"])
    except (ValueError, KeyError):
        return None
    if (name, version) != ("pints-time", "1") or ratcheted < 0 or seen < 0:
        return None
    return ratcheted, seen


def build_epoch() -> int:
    """The constant of this build, ns: no true time lies before it."""
    with open(os.path.join(os.path.dirname(__file__), "BUILD_EPOCH"), "rb") as file:
        return int(file.read(32)) * NS


def modified(path: str) -> int:
    """A file's modification time, ns; 0 if there is no such file."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def soft_floor(epoch: int, ratcheted: int, seen: int) -> "tuple[int, str]":
    """The newest instant that anything on the disk vouches to have passed, and its origin.
    What is beyond the ceiling vouches for nothing."""
    known = [(epoch, "build epoch"), (ratcheted, "saved time"), (seen, "last seen time")]
    known += [(modified(path), path) for path in WITNESS_FILES]
    return max(entry for entry in known if entry[0] <= epoch + CEILING)


def clock_chip(low: int, high: int) -> int:
    """What the kernel's real-time clock shows, ns; 0 if there is none, or if it shows less than
    `low` or more than `high`: it vouches for nothing there."""
    try:
        descriptor = os.open(RTC, os.O_RDONLY | os.O_CLOEXEC)
        try:
            shown = int(os.read(descriptor, 32)) * NS
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return 0
    return shown if low <= shown <= high else 0


def saved_time(state: str) -> "tuple[int, int]":
    """Ratcheted and seen time of a state folder; zeros, and a word why, where there are none."""
    path = f"{state}/{TIME_FILE}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            saved = decode(os.read(descriptor, MAX_SIZE))
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        _say(f"no saved time in {state} yet")
    except OSError as e:
        _say(f"{path}: {e.strerror}: ignored")
    else:
        if saved is not None:
            return saved
        _say(f"{path} is torn or foreign: ignored")
    return 0, 0


def main(argv: "list[str]", now: int = 0, set_clock: "object" = None) -> int:
    """Restore.  `now` (ns) and `set_clock(ns)` stand in for the system's clock in tests."""
    state, dry, forget = STATE, False, False
    words = iter(argv)
    for word in words:
        if word == "--state":
            state = next(words, "")
            if not state:
                _say("--state needs a folder")
                return 2
        elif word == "--dry-run":
            dry = True
        elif word == "--forget":
            forget = True
        elif word in ("-h", "--help"):
            sys.stdout.write(USAGE + "\n")
            return 0
        else:
            _say(f"{USAGE}, not '{word}'")
            return 2
    if forget:
        return _forget(state, dry, [BELIEF] if state == STATE else [])
    try:
        epoch = build_epoch()
    except (OSError, ValueError) as e:
        _say(f"no build epoch, clock kept: {e}; install pints again")
        return 1
    ceiling = epoch + CEILING
    ratcheted, seen = saved_time(state)
    floor, origin = soft_floor(epoch, ratcheted, seen)
    chip = clock_chip(max(epoch, ratcheted if ratcheted <= ceiling else 0), ceiling)
    if chip > floor:
        floor, origin = chip, "rtc0"
    now = now or time.time_ns()
    if floor <= now <= ceiling:
        _say(f"clock {_date(now)} is not below {_date(floor)} ({origin}): kept")
        return 0
    move = f"clock set from {_date(now)} to {_date(floor)} ({origin})"
    if dry:
        _say(f"would be: {move}")
        return 0
    try:
        if callable(set_clock):
            set_clock(floor)
        else:
            time.clock_settime_ns(time.CLOCK_REALTIME, floor)
    except OSError as e:
        _say(f"clock not set: {e.strerror}; needs CAP_SYS_TIME (run as root)")
        return 1
    _say(move)
    return 0


def _forget(state: str, dry: bool, besides: "list[str]") -> int:
    """Move the saved time aside, and all that vouches for it: the way out when it was
    poisoned."""
    found = 0
    for path in [f"{state}/{name}" for name in FORGOTTEN] + besides:
        try:
            if dry:
                os.stat(path)
            else:
                os.replace(path, f"{path}.forgotten")
        except FileNotFoundError:
            continue
        except OSError as e:
            _say(f"{path}: {e.strerror}")
            return 1
        found += 1
        _say(f"would be: {path} forgotten" if dry else f"forgotten; kept as {path}.forgotten")
    if not found:
        _say(f"nothing saved in {state}")
    elif not dry:
        _say("a pints that runs would save it again: stop it first, forget, start it again")
    return 0


def _checksum(text: str) -> int:
    """Adler-32 (RFC 1950 section 8.2): guards against tearing, not against anybody."""
    a, b = 1, 0
    for octet in text.encode("ascii"):
        a = (a + octet) % 65521
        b = (b + a) % 65521
    return b << 16 | a


def _date(instant: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(instant // NS))


def _say(text: str) -> None:
    sys.stderr.write(f"pints restore: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
