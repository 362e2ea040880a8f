"""Kernels with devices, as processes of this machine: each boots, runs its tests and ends.

Their clocks are their own: what is set there never reaches this machine's.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.kernel.far_end import FarEnd
from tests.kernel.inside import MARK

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".peers"
PATIENCE = 300
"""Seconds for a boot and its tests, on a machine that has other things to do."""

HANDED_ON = "CI", "PINTS_REAL_DATA", "PINTS_SEED"
INIT = """#!/bin/sh -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
test -c /dev/null || mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
cd {root}
{environment}
exec {python} -m tests.kernel.inside {modules} -- -p no:cacheprovider {words}
"""


class MissingError(Exception):
    """A machine cannot be had here."""


def init(
    place: Path, python: str, modules: Sequence[str], tests: Sequence[str],
    serial: str, words: Sequence[str], root: Path = ROOT,
) -> None:  # fmt: skip
    """Write the script that a kernel starts with."""
    handed_on = {n: v for n in HANDED_ON if (v := os.environ.get(n))}
    variables = {"PINTS_KERNEL": "1", "PINTS_KERNEL_SERIAL": serial, **handed_on}
    place.write_text(
        INIT.format(
            modules=shlex.join(modules),
            root=root, python=python,
            environment="\n".join(f"export {n}={shlex.quote(v)}" for n, v in variables.items()),
            words=shlex.join([*(f"tests/kernel/test_{test}.py" for test in tests), *words]),
        )
    )  # fmt: skip
    place.chmod(0o755)


def boot(command: Sequence[str]) -> int:
    """Show what a kernel says until it has switched off; the status of its tests."""
    status = 1
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
        env={**os.environ, "TMPDIR": "/dev/shm"},  # a kernel's memory is a file
    ) as process:  # fmt: skip
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE, os.killpg, [process.pid, signal.SIGKILL])
        watchdog.start()
        for line in process.stdout:
            print(line.rstrip(), flush=True)
            if line.startswith(MARK):
                status = int(line.removeprefix(MARK))
        watchdog.cancel()
    return status


def uml(words: Sequence[str]) -> int:
    """User Mode Linux on this machine's own files, read-only."""
    kernel = PEERS / "bin/linux.uml"
    if not kernel.exists():
        raise MissingError(f"{kernel} is missing (it is for x86 only): make peers")
    drivers = next((PEERS / "modules").iterdir()) / "kernel/drivers"
    addresses = ",".join(hex(a) for a in (0x32, 0x51, 0x52, 0x68, 0x6F))
    modules = [
        f"{drivers}/i2c/i2c-core.ko", f"{drivers}/i2c/i2c-dev.ko",
        f"{drivers}/i2c/i2c-stub.ko chip_addr={addresses}",
        f"{drivers}/pps/pps_core.ko", f"{drivers}/pps/clients/pps-ktimer.ko",
    ]  # fmt: skip
    tests = "i2c_stub", "pps", "gps", "daemon"
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        init(place / "init", sys.executable, modules, tests, "/dev/ttyS1", words)
        with FarEnd(place / "receiver") as receiver:
            return boot([
                str(kernel), "rootfstype=hostfs", "rootflags=/", "ro", "mem=512M", "quiet",
                "con=null", "con0=null,fd:1", "con1=null",
                f"ssl1=tty:{receiver.path.resolve()}", f"init={place}/init",
            ])  # fmt: skip


MACHINES: Mapping[str, Callable[[Sequence[str]], int]] = {"uml": uml}
