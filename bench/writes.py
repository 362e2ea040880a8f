"""Writes to the card in a month of normal running, and what a day of them costs on ext4.

The month is simulated: real core, real store, played disk and network, five servers that answer.
A day of it is then replayed by the real store on a real ext4 file system, in a kernel of its own
(User Mode Linux), which counts what reaches the device.  No clock but the simulated is set.
"""

import ctypes
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from bench.programs import ROOT, MissingError, folder, peer
from bench.series import Series, judge, show
from pints import restore
from pints.storage.store import Store
from pints.timescale import DAY, HOUR
from tests.world.device import Device
from tests.world.world import World

GOAL = "<= 24 replacements and <= 64 KiB passed to write() on any day"
DAYS = 30
SEED = 1
CARD = 256 << 20
"""Octets of the file system: enough for ext4 to use blocks of 4 KiB, as on a card."""
POWER_OFF = 0x4321FEDC  # linux/reboot.h LINUX_REBOOT_CMD_POWER_OFF
MARK = "pints-bench:"

Day = list[list[tuple[str, int]]]
"""Names and sizes of what is written, in the groups that are written at once."""


class Counted(Device):
    """Notes what is written, and when."""

    day: Day
    last = -1

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        if self.world.elapsed != self.last:
            self.last = self.world.elapsed
            self.day.append([])
        self.day[-1].append((name, len(data)))


def measure(runs: int) -> None:
    month = _month(runs or DAYS)
    counts = Series.of(sum(map(len, day)) for day in month)
    passed = Series.of(_octets(day) / 1024 for day in month)
    show("a day", [("replacements", counts), ("KiB passed to write()", passed)])
    judge("replacements / 24 on the worst day", max(counts.values) / 24, 1)
    judge("KiB / 64 on the worst day", max(passed.values) / 64, 1)
    worst = max(month, key=_octets)
    try:
        written, number = _on_ext4(worst)
    except MissingError as e:
        print(f"  on ext4: not measured: {e}")
        return
    passed_on = _octets(worst) / 1024
    print(
        f"  the worst day on ext4: {number} replacements, {passed_on:.1f} KiB passed to write(), "
        f"{written:.0f} KiB reach the device: {written / number:.0f} each"
    )


def _octets(day: Day) -> int:
    return sum(size for group in day for _, size in group)


def _month(days: int) -> list[Day]:
    """What is written on each day that follows the first hours."""
    logging.getLogger("pints").setLevel(logging.CRITICAL)
    world = World(SEED)
    world.five(queue=0.001)
    device = Counted(world, crystal=20e-6)
    device.day = []
    with patch.object(restore, "WITNESS_FILES", ()):  # this machine's own: none in the world
        device.boot()
    if not device.reaches("verified", "anchored", within=4 * HOUR):
        raise RuntimeError("the simulated device does not get the time")
    month = []
    for _ in range(days):
        device.day = []
        before = device.store.writes, device.store.bytes_written
        world.run(DAY)
        after = device.store.writes, device.store.bytes_written
        counted = sum(map(len, device.day)), _octets(device.day)
        if counted != (after[0] - before[0], after[1] - before[1]):
            raise RuntimeError("the store counts otherwise")
        month.append(device.day)
    return month


def _on_ext4(day: Day) -> tuple[float, int]:
    """KiB that reach the device, and how many replacements that were."""
    kernel = peer("linux.uml")
    make = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if make is None:
        raise MissingError("mkfs.ext4 is missing; install it: sudo apt-get install e2fsprogs")
    with folder() as place:
        card, init = place / "card", place / "init"
        with card.open("wb") as file:
            file.truncate(CARD)
        # Nothing is left to be written later, in the background.
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run([make, "-q", "-b", "4096", "-E", lazy, str(card)], check=True)
        (place / "day.json").write_text(json.dumps(day))
        init.write_text(_INIT.format(root=ROOT, python=sys.executable, place=place))
        init.chmod(0o755)
        command = [
            str(kernel), "rootfstype=hostfs", "rootflags=/", "ro", "mem=256M", "quiet",
            "con=null", "con0=null,fd:1", "con1=null", f"ubda={card}", f"init={init}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=120, check=False,
                env={**os.environ, "TMPDIR": str(place)},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as e:
            raise MissingError(f"User Mode Linux does not run here: {e}") from None
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            written, number = json.loads(line.removeprefix(MARK))
            return float(written), int(number)
    raise MissingError(f"User Mode Linux did not get there: {done.stdout[-300:]!r}")


_INIT = """#!/bin/sh -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
test -b /dev/ubda || mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mkdir /run/card
mount -t ext4 -o noatime /dev/ubda /run/card
cd {root}
{python} -B -m bench.writes {place}/day.json /run/card/state
{python} -B -m bench.writes
"""


def _replay(day: Day, directory: str) -> None:
    """Inside the other kernel: do a day's work, and tell what it cost."""
    store = Store(directory)
    names = {name: size for group in day for name, size in group}
    for name, size in names.items():  # what every day finds there already
        store.write(name, os.urandom(size))
    os.sync()
    before, writes = _reached(), store.writes
    for group in day:
        for name, size in group:
            store.write(name, os.urandom(size))
        os.sync()  # hours go by until the next
    print(f"\n{MARK}{json.dumps([_reached() - before, store.writes - writes])}", flush=True)


def _reached() -> float:
    """KiB written to the device since the start; its unit is 512 octets."""
    return int(Path("/sys/block/ubda/stat").read_text().split()[6]) / 2


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _replay(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
    elif os.getpid() != 1 and Path("/sys/block/ubda").exists():
        os.sync()
        ctypes.CDLL(None).reboot(POWER_OFF)
