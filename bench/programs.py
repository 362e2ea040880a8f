"""Running programs and looking at what they use."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOOR = (
    "import select, socket, struct, json, ctypes, dataclasses, tomllib, argparse, logging\n"
    "from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV\n"
    "AESSIV(bytes(32)).encrypt(b'text', [b'associated'])\n"
    "AESGCMSIV(bytes(16)).encrypt(bytes(12), b'text', b'associated')\n"
)
"""What no daemon of this kind can do without: the reference of memory and of start."""


class MissingError(Exception):
    """Something that the measurement needs is not on this machine."""


def peer(name: str) -> Path:
    """A real program that `make peers` has fetched."""
    program = ROOT / ".peers" / "bin" / name
    if not program.exists():
        raise MissingError(f".peers/bin/{name} is missing; fetch it: make peers")
    return program


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


@contextmanager
def folder(volatile: bool = False) -> Iterator[Path]:
    """A temporary folder on a disk, like /var/lib, or in memory, like /run."""
    where = "/dev/shm" if volatile and os.path.isdir("/dev/shm") else "/var/tmp"
    with tempfile.TemporaryDirectory(prefix="pints-bench-", dir=where) as name:
        yield Path(name)


def interpreter() -> str:
    """The interpreter without its virtual environment, as a unit file names it."""
    return os.path.realpath(sys.executable)


def seconds_to_exit(command: Sequence[str], stdin: int = subprocess.DEVNULL) -> float:
    """Real time from exec to exit."""
    began = time.monotonic()
    subprocess.run(command, stdin=stdin, cwd=ROOT, check=True)
    return time.monotonic() - began


def cpu_to_exit(command: list[str]) -> float:
    """CPU time of a process, user and system, seconds.  What it says goes nowhere."""
    silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=silence)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{command} ended with status {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


def cpu(pid: int) -> float:
    """CPU time that a running process has used so far, seconds."""
    # clock_getcpuclockid(3), which Python lacks: the complement of the id, and CPUCLOCK_SCHED.
    return time.clock_gettime(~pid << 3 | 2)


def memory(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a running process, MiB (proc(5): kB are KiB)."""
    return status(pid, field) / 1024


def status(pid: int, field: str) -> int:
    """A number that the kernel tells of a running process (proc_pid_status(5))."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has no {field}: it has ended")


@contextmanager
def running(command: Sequence[object], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that logs to a file and is ended with SIGTERM."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, cwd=ROOT,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def until(log: Path, text: str, patience: float = 30.0) -> None:
    """Wait for a program to have said something."""
    deadline = time.monotonic() + patience
    while text not in (said := read(str(log))):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {text!r} in:\n{said}")
        time.sleep(0.1)
