"""A Debian of any release as a tree of files, and that tree booted by its own systemd.

What is installed there is real, and so is what starts it: systemd is process 1 of namespaces of
its own.  It has no network, cannot write the kernel's settings and lacks CAP_SYS_TIME, so that
nothing in it ever moves this machine's clock.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import PEERS, absent

TREES = PEERS.parent / "trees"
"""Where they are kept, packed, between runs; `make clean` removes it."""
INCLUDE = ("python3", "python3-venv", "systemd", "systemd-timesyncd", "udev", "dbus")
HOUSEKEEPING = re.compile(
    r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|run/systemd(/.*)?"
)
"""What changing users and enabling units leaves behind, whoever does it."""

BOOT = """
mount --make-rprivate /
cd "$1"
mount --bind . .
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
exec env -i container=pints PATH=/usr/sbin:/usr/bin \
    setpriv --bounding-set=-sys_time,-sys_boot,-sys_module,-mknod chroot . \
    /lib/systemd/systemd --show-status=no systemd.unit=multi-user.target
"""
"""As /bin/sh, $1 the tree: what a container's manager prepares, then systemd."""

Completed = subprocess.CompletedProcess[str]


def make_tree(suite: str, folder: Path, *more: str) -> Path:
    """A new tree of that release with these packages more, in `folder`."""
    for tool in ("mmdebstrap", "unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            absent(f"{tool} is missing: apt-get install mmdebstrap util-linux")
    if os.geteuid() != 0:
        absent("making a Debian tree needs root")
    packed = TREES / f"{'-'.join((suite, *sorted(more)))}.tar"
    if not packed.exists():
        TREES.mkdir(parents=True, exist_ok=True)
        half = packed.with_suffix(f".{os.getpid()}.half")
        packages = ",".join((*INCLUDE, *more))
        command = ["mmdebstrap", "--format=tar", "--variant=minbase", f"--include={packages}"]
        subprocess.run([*command, suite, str(half), mirror()], check=True, capture_output=True)
        half.rename(packed)
    tree = folder / suite
    tree.mkdir()
    subprocess.run(["tar", "-xf", str(packed), "-C", str(tree)], check=True)
    return tree


def mirror() -> str:
    """Where this machine's apt gets Debian from."""
    lines = subprocess.run(
        ["apt-get", "update", "--print-uris", "-o", "Debug::NoLocking=1"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = re.search(r"^'(.*)/dists/[a-z]+/InRelease' deb\.debian\.org", lines, re.M) or re.search(
        r"^'(.*)/dists/[a-z]+/InRelease' ", lines, re.M
    )
    if found is None:
        absent("apt on this machine knows no mirror of Debian")
        raise AssertionError  # absent() never returns
    return found[1]


def within(tree: Path, *argv: str, check: bool = True) -> Completed:
    """Run a program in the tree, with its /proc."""
    script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, str(tree), *argv]
    return _run(command, check)


def listing(tree: Path) -> dict[str, tuple[object, ...]]:
    """Every path with its kind, mode, owner and content."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            content = ""
            if path.is_symlink():
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            inner = str(path.relative_to(tree))
            if not HOUSEKEEPING.fullmatch(inner):
                found[inner] = (oct(status.st_mode), status.st_uid, status.st_gid, content)
    return found


class Machine:
    """A tree whose systemd runs."""

    def __init__(self, tree: Path, pid: int) -> None:
        self.tree = tree
        self._pid = pid
        """Of its process 1, as this machine counts."""

    def run(self, *argv: str, check: bool = True) -> Completed:
        """Run a program there."""
        return _run(["nsenter", "-t", str(self._pid), "-a", "-r", "-w", *argv], check)

    def active(self, unit: str) -> bool:
        return self.run("systemctl", "is-active", "-q", unit, check=False).returncode == 0

    def enabled(self, unit: str) -> bool:
        return self.run("systemctl", "is-enabled", "-q", unit, check=False).returncode == 0

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout


@contextmanager
def booted(tree: Path) -> Iterator[Machine]:
    """Boot the tree, to multi-user.target; switched off at the end, without a shutdown."""
    spaces = ["--mount", "--pid", "--cgroup", "--uts", "--net", "--ipc"]
    command = ["unshare", *spaces, "--fork", "--kill-child", "sh", "-ec", BOOT, "boot", str(tree)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as outer:
        try:
            machine = Machine(tree, _child(outer))
            deadline = time.monotonic() + 120
            # Not is-system-running: that waits for the time, which does not come here.
            while not machine.active("multi-user.target"):
                assert outer.poll() is None, "its systemd ended"
                assert time.monotonic() < deadline, "it does not come up"
                time.sleep(0.5)
            yield machine
        finally:
            outer.kill()  # and with it, by --kill-child, process 1 and all the others


def _child(outer: "subprocess.Popen[bytes]") -> int:
    """The process that unshare forked, once it is systemd."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
            return int(children[0])
        assert outer.poll() is None, "no systemd came of it"
        time.sleep(0.1)
    raise AssertionError("no systemd came of it")


def _run(command: list[str], check: bool) -> Completed:
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    keep["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=keep
    )
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done
