"""Real chronyd NTS servers on loopback, as an ordinary user, never touching a clock.

Some are honest, some a thief's: with the key of a certificate that has expired they tell the
time when it was good (libfaketime).
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pints.demo.authority import Authority
from pints.demo.world import SharedTime, free_port
from pints.timescale import DAY, NS, Instant, nanoseconds
from tests.relay import Relay


@dataclass
class Chronyd:
    """One server: its own CA, its own loopback address."""

    program: Path
    folder: Path
    host: str
    authority: Authority
    ca: Path
    ntp_port: int
    ke_port: int
    process: subprocess.Popen[bytes] | None = None
    prefix: tuple[str, ...] = ()

    def start(self) -> None:
        """Start and wait until it answers an NTP request."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.program, "-U", "-x", "-d", "-f", self.folder / "chrony.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            probe.connect((self.host, self.ntp_port))
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text())
                try:
                    probe.send(b"\x23" + bytes(47))
                    probe.recv(1024)
                    return
                except (TimeoutError, ConnectionRefusedError):
                    continue
        raise RuntimeError("chronyd does not answer: " + (self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    @property
    def source(self) -> str:
        """The [[source]] of a client's configuration."""
        return self.polled(0, 1)

    def polled(self, minpoll: int, maxpoll: int) -> str:
        """The same, at these intervals."""
        return (
            f'[[source]]\nserver = "{self.host}"\nke_port = {self.ke_port}\nca = "{self.ca}"\n'
            f"minpoll = {minpoll}\nmaxpoll = {maxpoll}\n"
        )

    def through(self, relay: Relay, minpoll: int = 0) -> str:
        """The same by a relay; the route's name is the server's address."""
        port = relay.udp(self.host, (self.host, self.ntp_port))
        ke_port = relay.tcp(self.host, (self.host, self.ke_port))
        return (
            f'[[source]]\nserver = "{self.host}"\nke_port = {ke_port}\nca = "{self.ca}"\n'
            f"port = {port}\nminpoll = {minpoll}\nmaxpoll = {minpoll + 1}\n"
        )


def chronyd(
    program: Path,
    folder: Path,
    host: str,
    now: Instant,
    *,
    days: tuple[float, float] = (-1.0, 90.0),
    prefix: tuple[str, ...] = (),
) -> Chronyd:
    """A server at `host`, with a certificate good from `days[0]` to `days[1]` after `now`."""
    folder.mkdir(parents=True)
    authority = Authority(f"CA of {host}")
    server = Chronyd(
        program, folder, host, authority, authority.write(folder),
        free_port(host=host), free_port(socket.SOCK_STREAM, host), prefix=prefix,
    )  # fmt: skip
    _configure(server, now, days)
    return server


def fleet(
    find: Callable[[str], Path],
    folder: Path,
    numbers: Iterable[int],
    now: Instant,
    *,
    days: tuple[float, float] = (-1.0, 90.0),
    prefix: tuple[str, ...] = (),
) -> list[Chronyd]:
    """Servers at 127.0.0.`number`: 4.3 (AES-SIV only) and 4.6.1 in turn."""
    programs = find("chronyd"), find("chronyd-4.6")
    return [
        chronyd(
            programs[n % 2], folder / f"chronyd{n}", f"127.0.0.{n}", now, days=days, prefix=prefix
        )
        for n in numbers
    ]


def successor(
    of: Chronyd,
    folder: Path,
    now: Instant,
    *,
    days: tuple[float, float] = (-1.0, 90.0),
    prefix: tuple[str, ...] = (),
) -> Chronyd:
    """Somebody at the address and ports of a server that is stopped, with another certificate
    of its CA: its operator, or who stole a key."""
    folder.mkdir(parents=True)
    server = replace(of, folder=folder, process=None, prefix=prefix)
    _configure(server, now, days)
    return server


def thief(faketime: Path, ago: float) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Days and prefix of a server that tells the time `ago` days back, by a certificate that
    was good then and is not now."""
    return (-ago - 60, -ago / 2), (str(faketime), f"-{ago}d")


def _configure(server: Chronyd, now: Instant, days: tuple[float, float]) -> None:
    folder, host = server.folder, server.host
    start, end = (Instant(now + nanoseconds(d * DAY)) for d in days)
    chain, key = server.authority.issue([host], start, end).write(folder)
    (folder / "chrony.conf").write_text(
        f"bindaddress {host}\nport {server.ntp_port}\nntsport {server.ke_port}\n"
        f"ntsserverkey {key}\nntsservercert {chain}\nntsdumpdir {folder}\n"
        f"local stratum 1\nallow\ncmdport 0\nbindcmdaddress /\npidfile {folder}/pid\n"
        "ntsprocesses 0\n"
    )


class ChronydTime(SharedTime):
    """A time that devices share with the chronyds that are started with its `prefix`."""

    def __init__(self, folder: Path, faketime: Path) -> None:
        self.path = f"{folder}/world"
        super().__init__(self.path)
        self._offset = folder / "offset"
        self._skipped = 0.0
        self._move()
        # Of two settings libfaketime prefers the one that cannot change.
        self.prefix = (
            str(faketime), "+0", "env", "-u", "FAKETIME",
            f"FAKETIME_TIMESTAMP_FILE={self._offset}", "FAKETIME_NO_CACHE=1",
        )  # fmt: skip

    def skip(self, seconds: float) -> None:
        super().skip(seconds)
        self._skipped += seconds
        self._move()

    def true(self) -> Instant:
        """What its chronyds say."""
        return Instant(time.time_ns() + nanoseconds(self._skipped))

    def _move(self) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(f"+{self._skipped:.0f}\n")
        new.rename(self._offset)


@contextmanager
def running(servers: Sequence[Chronyd]) -> Iterator[Sequence[Chronyd]]:
    """Start them all; stop them at the end."""
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


def host_now() -> Instant:
    """This machine's clock."""
    return Instant(time.time_ns() // NS * NS)
