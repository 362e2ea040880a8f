"""The two programs, as a simulated machine runs them: configuration and command."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pints.demo.authority import Authority

CHRONY_SERVER = """\
local stratum 1
allow
cmdport 0
bindcmdaddress /
pidfile {place}/{name}.pid
"""
CHRONY_NTS_SERVER = """\
ntsserverkey {place}/{name}.key
ntsservercert {place}/{name}.crt
ntsprocesses 0
ntsdumpdir {place}
"""
CHRONY_CLIENT = """\
makestep 1.0 3
driftfile {place}/drift
pidfile {place}/client.pid
cmdport 0
bindcmdaddress /
logdir {place}
log tracking
"""
CHRONY_NTS_CLIENT = """\
ntstrustedcerts {place}/ca.pem
nosystemcert
ntsdumpdir {place}
"""
PINTS = """\
state.directory = "{place}/state"
state.runtime = "{place}/run"
"""
PINTS_ALONE = "bootstrap.min_witnesses = 1\n"
"""One server cannot agree with another."""
PINTS_PLAIN = "bootstrap.step_provisional = true\n"
"""Servers without NTS prove nothing; the clock is to follow them all the same."""


CHRONY_RECEIVER = "refclock SHM 0 poll 4 dpoll 0\n"
"""A look each second, a sample of them each 16 s: as its documentation has it for pulses."""
PINTS_RECEIVER = """\
refclock = [{ driver = "shm", device = "0" }]
server.local_stratum = 10
"""
"""With a stratum of its own it asks no default sources."""


@dataclass(frozen=True)
class Client:
    """pints or chrony as the client under test."""

    name: str

    def command(self, chronyd: Path, place: Path, servers: Sequence[int], nts: bool) -> list[str]:
        """Write its configuration into the run's folder; how it is started from there."""
        config = place / "client.conf"
        if self.name == "chrony":
            config.write_text(_chrony(place, servers, nts))
            return [str(chronyd), "-d", "-f", str(config)]
        config.write_text(_pints(place, servers, nts))
        return [
            sys.executable, "-m", "pints", "run", "--simulated",
            "--trace", f"{place}/trace", "-c", str(config),
        ]  # fmt: skip


CLIENTS = (Client("pints"), Client("chrony"))


def address(node: int) -> str:
    return f"192.168.123.{node}"


def name(node: int) -> str:
    """What clknetsim resolves to `address`."""
    return f"node{node}.net1.clk"


def serve(chronyd: Path, place: Path, node: int, nts: bool) -> list[str]:
    """Write a server's configuration; its command."""
    config = place / f"server{node}.conf"
    text = CHRONY_SERVER + (CHRONY_NTS_SERVER if nts else "")
    config.write_text(text.format(place=place, name=config.stem))
    return [str(chronyd), "-d", "-f", str(config)]


def certify(place: Path, servers: Sequence[int]) -> None:
    """One authority.  Each server has its own certificate: a shared key would be one witness."""
    authority = Authority()
    authority.write(place)
    for node in servers:
        authority.issue([name(node), address(node)]).write(place, f"server{node}")


def _chrony(place: Path, servers: Sequence[int], nts: bool) -> str:
    if not servers:
        return CHRONY_RECEIVER + CHRONY_CLIENT.format(place=place)
    each = [f"{name(n)} iburst nts" if nts else f"{address(n)} iburst" for n in servers]
    rest = CHRONY_CLIENT + (CHRONY_NTS_CLIENT if nts else "")
    return "".join(f"server {words}\n" for words in each) + rest.format(place=place)


def _pints(place: Path, servers: Sequence[int], nts: bool) -> str:
    if not servers:
        return PINTS.format(place=place) + PINTS_RECEIVER
    each = [
        f'server = "{address(n)}", ca = ["{place}/ca.pem"], operator = "{name(n)}"'
        if nts
        else f'server = "{address(n)}", nts = false'
        for n in servers
    ]
    sources = "".join(f"  {{ {words} }},\n" for words in each)
    rest = (PINTS_ALONE if len(servers) == 1 else "") + ("" if nts else PINTS_PLAIN)
    return f"source = [\n{sources}]\n{rest}" + PINTS.format(place=place)
