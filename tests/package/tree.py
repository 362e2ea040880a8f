"""Debian trees to change at will: each is an overlay, and its changes live in memory.

The run of tests has a mount namespace of its own.  So nothing is mounted where this machine or
`rm` could see it, and everything is gone with the run.
"""

import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PEERS

ROOT = Path(__file__).parents[2]
STORE = PEERS.parent / "trees"
"""Where this run's trees are mounted; the processes of one run share it."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
HOUSEKEEPING = re.compile(
    r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|run/systemd(/.*)?"
)
"""What changing users and enabling units leaves behind, whoever does it."""
CLONE_NEWNS = 0x00020000  # linux/sched.h

Completed = subprocess.CompletedProcess[str]
Entry = tuple[object, ...] | None
Listing = dict[str, Entry]


def own_mounts() -> None:
    """Give this process, and those that it starts, mounts of their own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    call("mount", "--make-rprivate", "/")
    STORE.mkdir(parents=True, exist_ok=True)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", STORE)


def call(*command: object, check: bool = True, **environment: str) -> Completed:
    """Run a command with a known environment.  One that fails is the test's failure."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, env=ENVIRONMENT | environment, timeout=600, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` of this run; the first process that asks makes it, the others wait."""
    assert STORE.is_mount(), "tests/package/conftest.py mounts it"
    folder, half = STORE / name, STORE / f"{name}.half"
    with (STORE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            make(half)
            half.rename(folder)
    return folder


@dataclass(frozen=True)
class Tree:
    """An overlay: what it was laid over does not change."""

    path: Path
    """The tree itself."""
    layers: tuple[Path, ...]
    """What it consists of: its own changes, what others changed before, a Debian last."""

    def __truediv__(self, inner: str) -> Path:
        return self.path / inner

    def __str__(self) -> str:
        return str(self.path)

    def run(self, *argv: object, check: bool = True) -> Completed:
        """Run a program in the tree, with its /proc."""
        script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        return call("unshare", "--mount", "sh", "-c", script, self.path, *argv, check=check)

    def listing(self) -> Listing:
        """Every path that differs from Debian's: kind, mode, owner and content, None if gone."""
        debian = self.layers[-1]
        paths: set[str] = set()
        for layer in self.layers[:-1]:
            for path in layer.rglob("*"):
                inner = str(path.relative_to(layer))
                paths.add(inner)
                if _is_folder(debian / inner) and _hides(path):
                    below = (debian / inner).rglob("*")
                    paths.update(str(each.relative_to(debian)) for each in below)
        now = {p: _entry(self / p) for p in paths if not HOUSEKEEPING.fullmatch(p)}
        return {path: entry for path, entry in now.items() if entry != _entry(debian / path)}


def contents(folder: Path) -> Listing:
    """Every path in a folder."""
    return {str(path.relative_to(folder)): _entry(path) for path in folder.rglob("*")}


def changes(before: Listing, after: Listing) -> set[str]:
    """Paths that are new, gone or different, of two listings of the same."""
    # A path that is in one listing alone is Debian's in the other.
    absent: Entry = ("Debian's",)
    paths = before.keys() | after.keys()
    return {path for path in paths if before.get(path, absent) != after.get(path, absent)}


def _hides(path: Path) -> bool:
    """Whether what lies below a layer's path is hidden by it (the kernel's overlayfs.rst)."""
    if not _is_folder(path):
        return True
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _entry(path: Path) -> Entry:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    content = ""
    if path.is_symlink():
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return oct(status.st_mode), status.st_uid, status.st_gid, content


@contextmanager
def overlay(*below: Path) -> Iterator[Tree]:
    """A tree laid over these, the uppermost first, the Debian last; gone in the end."""
    assert STORE.is_mount(), "tests/package/conftest.py mounts it"
    folder = Path(tempfile.mkdtemp(dir=STORE))
    try:
        with _mounted(folder, *below) as tree:
            yield tree
    finally:
        shutil.rmtree(folder)


def prepared(name: str, prepare: Callable[[Tree], object], *below: Path) -> tuple[Path, ...]:
    """The layers of a tree after `prepare`, which is done once in a run: to lay trees over."""

    def make(folder: Path) -> None:
        with _mounted(folder, *below) as tree:
            prepare(tree)

    return once(name, make) / "changes", *below


@contextmanager
def _mounted(folder: Path, *below: Path) -> Iterator[Tree]:
    upper, work, root = (folder / name for name in ("changes", "work", "root"))
    for each in (upper, work, root):
        each.mkdir()
    layers = f"lowerdir={':'.join(map(str, below))},upperdir={upper},workdir={work}"
    # Renamed folders are copied, so that a layer holds all that was changed.
    call("mount", "-t", "overlay", "-o", f"{layers},redirect_dir=off,metacopy=off", "overlay", root)
    try:
        yield Tree(root, (upper, *below))
    finally:
        call("umount", "--recursive", root)
