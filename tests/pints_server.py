"""pints' own servers as test peers: the real daemon on a time that tests can make jump."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pints.demo.authority import Authority
from pints.demo.world import SharedTime, free_port
from pints.timescale import DAY, Instant, nanoseconds
from tests.device import Device


@dataclass
class PintsServer:
    """One server, its own CA, its own loopback address."""

    device: Device
    host: str
    ca: Path
    ntp_port: int
    ke_port: int

    def source(self, ntp_port: int | None = None, ke_port: int | None = None) -> str:
        """The [[source]] of a client's configuration; by other ports, through a relay."""
        return (
            f'[[source]]\nserver = "{self.host}"\nca = "{self.ca}"\nminpoll = 0\nmaxpoll = 1\n'
            f"ke_port = {ke_port or self.ke_port}\nport = {ntp_port or 0}\n"
        )


def pints_server(folder: Path, host: str, world: str) -> PintsServer:
    """A server that is not started yet; its certificate is good for 90 days."""
    folder.mkdir()
    now = SharedTime(world).now()
    authority = Authority(f"CA of {host}")
    span = (Instant(now + nanoseconds(days * DAY)) for days in (-1, 89))
    chain, key = authority.issue([host], *span).write(folder)
    ntp_port = free_port(socket.SOCK_DGRAM, host)
    ke_port = free_port(socket.SOCK_STREAM, host)
    settings = (
        f'[server]\nlisten = ["{host}"]\nport = {ntp_port}\nke_port = {ke_port}\n'
        f'certificate = "{chain}"\nkey = "{key}"\nlocal_stratum = 1\n'
    )
    device = Device(folder, settings, world=world)
    return PintsServer(device, host, authority.write(folder), ntp_port, ke_port)


@contextmanager
def three_pints(place: Path, world: str) -> Iterator[list[PintsServer]]:
    """Three of them, in a time that can be made to jump."""
    SharedTime(world)
    servers = [pints_server(place / f"server{n}", f"127.0.0.{n}", world) for n in (1, 2, 3)]
    try:
        for server in servers:
            server.device.start()
        for server in servers:
            listening(server)
        yield servers
    finally:
        for server in servers:
            server.device.stop()


def listening(server: PintsServer, attempts: int = 1000) -> None:
    """Wait until its key server takes connections: the last thing of it to come up."""
    server.device.ask("status")
    for _ in range(attempts):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.1)
            if probe.connect_ex((server.host, server.ke_port)) == 0:
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pause:
                pause.settimeout(0.01)
                try:
                    pause.recv(1)
                except TimeoutError:
                    continue
    raise RuntimeError(server.device.text())
