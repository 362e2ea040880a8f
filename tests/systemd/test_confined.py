"""Everything still works under the units' restrictions: their system call filters, their memory,
their address families and (where root runs the tests) their capabilities, really applied.

No clock is set: what would be allowed is asked with arguments that the kernel refuses after it
has looked at the caller's rights.
"""

import ctypes
import grp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pints import restore
from pints.control.client import ask
from tests.conftest import absent
from tests.pints_server import PintsServer
from tests.server.ke_client import exchange
from tests.server.ke_process import Site
from tests.systemd.units import ROOT
from tests.worker.test_process import status

PINTS = (sys.executable, "-m", "pints")
CAP_SYS_TIME = 1 << 25
PATIENCE = 60


@pytest.fixture(autouse=True)
def _tools() -> None:
    if shutil.which("systemd-analyze") is None:
        absent("systemd-analyze is missing: apt-get install systemd")
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        absent("libseccomp is missing: apt-get install libseccomp2")


def under(unit: str, *command: str) -> list[str]:
    """The command that runs another one as that unit would."""
    return [sys.executable, "-m", "tests.systemd.confined", f"{unit}.service", *command]


def run(unit: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        under(unit, *command),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@contextmanager
def started(log: Path, unit: str, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as file:
        process = subprocess.Popen(under(unit, *command), cwd=ROOT, stderr=file, stdout=file)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


# Sets nothing: the calls are invalid, which the kernel says only to who might make valid ones.
PROBE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
from pints.shell.system_clock import ADJ_NANO, ADJ_SETOFFSET, Timex64
timex = Timex64(modes=ADJ_SETOFFSET | ADJ_NANO, tv_usec=-1)
libc.clock_adjtime(0, ctypes.byref(timex))
print(os.strerror(ctypes.get_errno()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand on a capability")
def test_the_daemon_may_set_and_steer_the_clock() -> None:
    done = run("pints", sys.executable, "-c", PROBE)
    assert done.stdout == "Invalid argument\n", done.stderr


@pytest.mark.parametrize("unit", ["pints-ke", "pints-wait", "pints-restore"])
def test_nobody_else_may(unit: str) -> None:
    """Early boot may only set it, by the one call that it makes."""
    done = run(unit, sys.executable, "-c", PROBE)
    assert done.stdout == "Operation not permitted\n", done.stderr


def test_early_boot_runs(tmp_path: Path) -> None:
    file = str(ROOT / "pints" / "restore.py")
    (tmp_path / restore.TIME_FILE).write_bytes(restore.encode(10**18, 10**18))
    done = run(
        "pints-restore", sys.executable, "-I", "-S", file, "--dry-run", "--state", str(tmp_path)
    )
    assert done.returncode == 0
    assert "kept" in done.stderr or "would be" in done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@contextmanager
def key_exchange(site: Site, unit: str) -> Iterator[int]:
    """The NTS-KE server under a unit's restrictions; its port."""
    ready, theirs = os.pipe()
    command = under(unit, *PINTS, *site.arguments(ready_fd=theirs))
    process = subprocess.Popen(command, cwd=ROOT, pass_fds=(theirs,), stderr=subprocess.PIPE)
    os.close(theirs)
    try:
        with open(ready, encoding="ascii") as file:
            yield int(file.readline())
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_key_exchange_server_selects_its_protocol(site: Site) -> None:
    with key_exchange(site, "pints-ke") as port:
        assert exchange(port, site.anchors).response.cookies


def test_which_it_could_not_where_memory_is_never_executable(site: Site) -> None:
    """Why it is a unit of its own.  When this fails, it need not be one any more."""
    done = run("pints", *PINTS, *site.arguments())
    assert done.returncode == 2
    assert "MemoryDenyWriteExecute" in done.stderr


def test_the_daemon_verifies_and_its_worker_has_no_rights(
    server: PintsServer, tmp_path: Path
) -> None:
    """A whole start: control socket, netlink, worker, names, TLS, NTS, state; and the wait."""
    file = tmp_path / "pints.toml"
    group = grp.getgrgid(os.getegid()).gr_name
    file.write_text(
        server.source() + f'[bootstrap]\nmin_witnesses = 1\n[control]\ngroup = "{group}"\n'
        f'[state]\ndirectory = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\n'
    )
    log = tmp_path / "log"
    command = (*PINTS, "run", "--no-clock", "--no-ke-server", "-v", "-c", str(file))
    with started(log, "pints", *command) as daemon:
        waited = run("pints-wait", *PINTS, "wait", "-c", str(file), "--timeout", str(PATIENCE / 2))
        assert waited.returncode == 0, waited.stderr + log.read_text()
        assert waited.stdout.startswith("verified")
        rights = int(status(daemon.pid)["CapEff"], 16)
        assert rights == (0 if os.geteuid() else CAP_SYS_TIME)
        for child in children(daemon.pid):  # it stays for some seconds
            assert int(status(child)["CapEff"], 16) == int(status(child)["CapPrm"], 16) == 0
        saved = ask(f"{tmp_path}/run/control.sock", {"command": "save"}, timeout=PATIENCE)
        assert not saved["failed"]
    text = log.read_text()
    assert "is not seen" not in text, "links that come up are"
    assert "Traceback" not in text
    assert "not permitted" not in text


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in tasks for child in file.read_text().split()]


def test_a_driver_opens_its_device(server: PintsServer, tmp_path: Path) -> None:
    """System calls and memory allow it; which device, control groups decide."""
    sky = tmp_path / "sky"
    os.mkfifo(sky)
    file = tmp_path / "pints.toml"
    file.write_text(
        f'{server.source()}[[refclock]]\ndriver = "fake-gps"\ndevice = "{sky}"\n'
        f'[state]\ndirectory = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\n'
    )
    log = tmp_path / "log"
    command = (*PINTS, "run", "--no-clock", "--no-ke-server", "-c", str(file))
    with started(log, "pints", *command) as daemon:
        waited = run("pints-wait", *PINTS, "wait", "-c", str(file), "--for", "restored")
        assert waited.returncode == 0, waited.stderr + log.read_text()
        links = [os.readlink(fd) for fd in Path(f"/proc/{daemon.pid}/fd").iterdir()]
        assert str(sky) in links
