"""Real chronyd NTS servers on loopback, as an ordinary user, never touching a clock."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pints.demo.authority import Authority
from pints.demo.world import free_port
from pints.timescale import DAY, NS, Instant, nanoseconds


@dataclass
class Chronyd:
    """One server: its own CA, its own loopback address."""

    program: Path
    folder: Path
    host: str
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
        return (
            f'[[source]]\nserver = "{self.host}"\nke_port = {self.ke_port}\nca = "{self.ca}"\n'
            f"minpoll = 0\nmaxpoll = 1\n"
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
    start, end = (Instant(now + nanoseconds(d * DAY)) for d in days)
    chain, key = authority.issue([host], not_before=start, not_after=end).write(folder)
    ca = authority.write(folder)
    ntp_port = free_port(host=host)
    ke_port = free_port(socket.SOCK_STREAM, host)
    (folder / "chrony.conf").write_text(
        f"bindaddress {host}\nport {ntp_port}\nntsport {ke_port}\nntsserverkey {key}\n"
        f"ntsservercert {chain}\nntsdumpdir {folder}\nlocal stratum 1\nallow\ncmdport 0\n"
        f"bindcmdaddress /\npidfile {folder}/pid\nntsprocesses 0\n"
    )
    return Chronyd(program, folder, host, ca, ntp_port, ke_port, prefix=prefix)


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
