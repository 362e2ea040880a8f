"""Running clknetsim: one client, its servers, some hours in a second or two."""

import os
import shutil
import signal
import subprocess
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.clknetsim.clients import Client, certify, serve
from bench.programs import ROOT, MissingError, folder

HERE = Path(__file__).parent
START = 1_893_456_000
"""Unix time at which every simulation begins: 2030, when any build is in the past."""
PATIENCE = 900.0
"""Real seconds that a run may take."""


class FailedError(Exception):
    """A run that ended early, and what was said last."""


@dataclass(frozen=True)
class Tools:
    """What is needed, found outside the tree."""

    folder: Path
    """With `clknetsim` and `clknetsim.so`."""
    chronyd: Path
    shim: Path
    """Compiled from pyshim.c."""


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    scenario: str
    """Stem of a `*.conf` beside this file."""
    servers: int
    nts: bool
    seed: int
    seconds: int

    @property
    def nodes(self) -> Sequence[int]:
        """Numbers of the servers' nodes; the client is node 1."""
        return range(2, 2 + self.servers)


@dataclass(frozen=True)
class Run:
    """What came of it."""

    case: Case
    errors: "array[float]"
    """The client's clock less true time, at every second from the start, seconds."""
    interval: float
    """Mean time between packets that the client sent, seconds."""
    trace: str
    """pints' own: a line of Unix time, offset, bound and interval every 16 s."""
    tracking: str
    """chrony's own log of its updates."""


def tools(place: Path) -> Tools:
    """Find the programs by CLKNETSIM_PATH and CHRONYD; compile the shim into a folder."""
    where, chronyd = os.environ.get("CLKNETSIM_PATH"), os.environ.get("CHRONYD")
    if not where or not chronyd:
        raise MissingError("set CLKNETSIM_PATH and CHRONYD to what bench/README.md says")
    found = Tools(Path(where).resolve(), Path(chronyd).resolve(), place / "pyshim.so")
    for path in (found.folder / "clknetsim", found.folder / "clknetsim.so", found.chronyd):
        if not path.exists():
            raise MissingError(f"{path} is missing; bench/README.md says how to build it")
    compiler = shutil.which("cc")
    if compiler is None:
        raise MissingError("no C compiler: cc")
    flags = ["-O2", "-Wall", "-shared", "-fPIC", "-o", str(found.shim)]
    subprocess.run([compiler, *flags, str(HERE / "pyshim.c"), "-ldl"], check=True)
    return found


def simulate(found: Tools, client: Client, case: Case) -> Run:
    """Live through a case, as fast as the machine can."""
    with folder(volatile=True) as place:
        if case.nts:
            certify(place, case.nodes)
        children = [_simulator(found, case, place)]
        try:
            for node in case.nodes:
                command = serve(found.chronyd, place, node, case.nts)
                children.append(_node(found, case, place, node, command, []))
            command = client.command(found.chronyd, place, case.nodes, case.nts)
            shims = [found.shim] if client.name == "pints" else []
            children.append(_node(found, case, place, 1, command, shims))
            _wait(children, place)
        finally:
            _end(children)
        return _read(case, place)


def _simulator(found: Tools, case: Case, place: Path) -> "subprocess.Popen[bytes]":
    command: list[str | Path] = [
        found.folder / "clknetsim", "-l", str(case.seconds), "-s", place / "socket",
        "-o", place / "errors", HERE / f"{case.scenario}.conf", str(1 + case.servers),
    ]  # fmt: skip
    with (place / "report").open("wb") as report, (place / "log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=report, stderr=log, env=_environment(case)
        )


def _node(
    found: Tools, case: Case, place: Path, node: int, command: Sequence[str], shims: Sequence[Path]
) -> "subprocess.Popen[bytes]":
    environment = _environment(case) | {
        "CLKNETSIM_SOCKET": str(place / "socket"),
        "CLKNETSIM_NODE": str(node),
        "LD_PRELOAD": " ".join(map(str, [*shims, found.folder / "clknetsim.so"])),
    }
    with (place / f"log{node}").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=environment
        )


def _environment(case: Case) -> dict[str, str]:
    ours = {"CLKNETSIM_RANDOM_SEED": str(case.seed), "CLKNETSIM_START_DATE": str(START)}
    services = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LD_PRELOAD")
    return {name: os.environ[name] for name in os.environ if name not in services} | ours


def _wait(children: Sequence["subprocess.Popen[bytes]"], place: Path) -> None:
    """For the end of the simulation; the client must have lived to see it."""
    simulator, client = children[0], children[-1]
    try:
        failed = simulator.wait(PATIENCE) != 0
    except subprocess.TimeoutExpired:
        failed = True
    if failed or client.poll() not in (None, 0, -signal.SIGTERM):
        said = [(place / name).read_text(errors="replace")[-300:] for name in ("log", "log1")]
        raise FailedError(" | ".join(" ".join(text.split()) for text in said))


def _end(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(3)
            continue
        child.kill()
        child.wait()


def _read(case: Case, place: Path) -> Run:
    def text(name: str) -> str:
        path = place / name
        return path.read_text(encoding="ascii") if path.exists() else ""

    errors = array("d", (float(line.split("\t", 1)[0]) for line in text("errors").splitlines()))
    sent = [
        float(line.partition(":")[2])
        for line in text("report").splitlines()
        if line.startswith("Mean outgoing packet interval:")
    ]
    if not sent or not errors:
        raise FailedError("clknetsim wrote no report")
    return Run(case, errors, sent[0], text("trace"), text("tracking.log"))
