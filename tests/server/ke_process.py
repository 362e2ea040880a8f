"""A real NTS-KE server in a process of its own, as the daemon starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pints.demo.authority import Authority
from pints.server.cookies import RING, KeyRing
from pints.storage.store import Store
from pints.timescale import Instant

PROGRAM = (sys.executable, "-m", "pints")


@dataclass
class Site:
    """The files of a server: certificate, key, ring; and the CA that its clients trust."""

    folder: Path
    ca: Authority = field(default_factory=Authority)

    def __post_init__(self) -> None:
        self.anchors = self.ca.write(self.folder)
        self.renew()
        self.ring = KeyRing.fresh(Instant(0), os.urandom)
        self.save_ring(self.ring)

    def renew(self) -> None:
        """Another certificate, under another key."""
        leaf = self.ca.issue(["127.0.0.1", "localhost"])
        self.certificate, self.key = leaf.write(self.folder)

    def save_ring(self, ring: KeyRing) -> None:
        Store(str(self.keys)).write(RING, ring.encode())

    @property
    def keys(self) -> Path:
        return self.folder / "server-keys"

    def arguments(self, **changed: object) -> list[str]:
        options: dict[str, object] = {
            "listen": "127.0.0.1",
            "port": 0,
            "certificate": self.certificate,
            "key": self.key,
            "keys": self.keys,
            **changed,
        }
        words = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
        return ["ke-server", *(word for pair in words for word in pair)]


@dataclass
class Running:
    """The process, its port, and our end of the pipe that keeps it alive."""

    process: "subprocess.Popen[str]"
    port: int
    parent: BinaryIO

    def end(self) -> str:
        """SIGTERM, and what it had to say."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=10)
        assert self.process.returncode == 0, said
        return said


@contextmanager
def running(site: Site, **changed: object) -> Iterator[Running]:
    """The server, listening.  Ended at the end if it was not before."""
    ready, child_ready = os.pipe()
    child_parent, parent = os.pipe()
    descriptors = (child_ready, child_parent)
    arguments = site.arguments(ready_fd=child_ready, parent_fd=child_parent, **changed)
    process = subprocess.Popen(
        [*PROGRAM, *arguments], pass_fds=descriptors, stderr=subprocess.PIPE, text=True
    )
    for fd in descriptors:
        os.close(fd)
    pipe = open(parent, "wb")  # noqa: SIM115 - a test may close it early
    try:
        with open(ready, encoding="ascii") as file:
            line = file.readline()
        assert line.endswith("\n"), process.communicate(timeout=10)[1]
        yield Running(process, int(line), pipe)
    finally:
        pipe.close()
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=10)


def refusal(site: Site, **changed: object) -> str:
    """What the server says when it does not start."""
    done = subprocess.run(
        [*PROGRAM, *site.arguments(**changed)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr
