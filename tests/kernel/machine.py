"""A kernel that is a process of this machine: it boots, runs tests inside and ends.

Its clock is its own: what is set there never reaches this machine's.
"""

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.kernel.inside import MARK

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".peers"
PATIENCE = 600
"""Seconds for a boot and its tests, on a machine that has other things to do."""
HANDED_ON = "CI", "PINTS_REAL_DATA", "PINTS_SEED"
INIT = """#!/bin/sh -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
test -c /dev/null || mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
{environment}
cd {root}
exec {python} -m tests.kernel.inside {modules} -- -p no:cacheprovider {words}
"""


class MissingError(Exception):
    """A machine cannot be had here."""


def init(
    root: Path, python: str, modules: Sequence[str], tests: Sequence[str], words: Sequence[str],
    **environment: str,
) -> str:  # fmt: skip
    """The script that a kernel starts with: modules are paths with parameters, tests are files
    of this folder, and the words are for pytest."""
    handed_on = {n: v for n in HANDED_ON if (v := os.environ.get(n))}
    variables = {"PINTS_KERNEL": "1", **handed_on, **environment}
    files = [f"tests/kernel/test_{test}.py" for test in tests]
    return INIT.format(
        environment="\n".join(f"export {n}={shlex.quote(v)}" for n, v in variables.items()),
        root=root, python=python, modules=shlex.join(modules), words=shlex.join([*files, *words]),
    )  # fmt: skip


def boot(command: Sequence[str]) -> int:
    """Show what a kernel says until its tests are done; their status."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
        env={**os.environ, "TMPDIR": "/dev/shm"},  # a kernel's memory is a file
    )  # fmt: skip
    pull_the_plug = partial(os.killpg, process.pid, signal.SIGKILL)
    watchdog = threading.Timer(PATIENCE, pull_the_plug)
    watchdog.start()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(MARK):
                return int(line.removeprefix(MARK))
            print(line.rstrip(), flush=True)
    finally:
        watchdog.cancel()
        with suppress(ProcessLookupError):
            pull_the_plug()
        process.wait()
        process.stdout.close()
    print("it ended, or was ended, before its tests did")
    return 1
