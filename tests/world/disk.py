"""A disk whose power can be cut between any two system calls.

It obeys the rules of a real file system, and no kinder ones:
- What was written is in the page cache.  Without fsync a power cut loses it or tears it.
- A name made, renamed or removed is durable after fsync of its folder.  Until then a power cut
  leaves the old state or the new one, each change by itself, as the seed has it; but a rename
  is whole: never is a file gone under both names.
- fsync of a file says nothing of its name, fsync of a folder nothing of what its files hold.

It can also be full, read-only or failing, and forget all with the power, as an overlay does.
"""

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Union

PAGE = 4096
"""Octets that one write() takes: a long file is torn at more places than its ends."""

CREATING = frozenset({"create", "mkdir", "write"})
ALL = CREATING | {"chmod", "rename", "unlink", "fsync"}
READING = frozenset({"read"})
REFUSED = {errno.ENOSPC: CREATING, errno.EROFS: ALL - {"fsync"}, errno.EIO: ALL | READING}
"""What a disk in such a state does not do."""


class PowerCut(BaseException):
    """The machine is off.  Nothing may catch it but who plays the power."""


@dataclass(eq=False, slots=True)
class File:
    cache: bytes = b""
    platter: bytes = b""


@dataclass(eq=False, slots=True)
class Folder:
    names: dict[str, "Node"] = field(default_factory=dict)
    platter: dict[str, "Node"] = field(default_factory=dict)
    pending: list[dict[str, Union["Node", None]]] = field(default_factory=list)
    """Changes since the last fsync: to which node each name was turned, None for removed."""

    def turn(self, changes: dict[str, Union["Node", None]]) -> None:
        """Change names, in the cache."""
        _turn(self.names, changes)
        self.pending.append(changes)


Node = File | Folder


class Disk(MutableMapping[str, bytes]):
    """One folder, `directory`, with what is below it: `pints.storage.store.Files`.

    As a mapping it is what the platter holds of the folder, by names as the store has them; a
    value set there is durable at once.
    """

    def __init__(self, directory: str, rng: random.Random, *, forgetful: bool = False) -> None:
        self.directory = directory
        self.forgetful = forgetful
        """All that was changed since `lay` is gone when the power is."""
        self.calls = 0
        """System calls that change something, so far."""
        self.cut_at = -1
        """Half-steps: the power fails before call n for 2n, right after it for 2n + 1."""
        self.on_moment: Callable[[int], None] = lambda moment: None
        """Called at each half-step, before the power may fail."""
        self.trace: list[str] = []
        """Names of these calls."""
        self._rng = rng
        self._root = Folder()
        self._below: dict[str, bytes] = {}
        self._open: dict[int, tuple[Node, int]] = {}
        self._next = 1000
        self._off = False
        self._error = 0
        self._fails_from = 0
        self._refused: frozenset[str] = frozenset()

    # --- what happens to it --------------------------------------------------------------

    def fail(self, error: int, at: int = 0, refused: frozenset[str] = frozenset()) -> None:
        """From the `at`-th call on: ENOSPC, EROFS or EIO; 0 mends it.  `refused` are the calls
        that fail, if not the usual ones."""
        self._error, self._fails_from = error, at
        self._refused = refused or REFUSED.get(error, ALL)

    @property
    def failing(self) -> bool:
        return self._error != 0 and self.calls >= self._fails_from

    def luck(self, seed: int) -> None:
        """From now on choose by this seed."""
        self._rng.seed(seed)

    def power_off(self) -> None:
        """The power is cut now, and back: what was not durable is lost, or not."""
        self._open.clear()
        self._off = False
        if self.forgetful:
            self.lay(self._below)
        else:
            self._settle(self._root, self._rng.choice(("lost", "names", "all", "any")))

    def lay(self, content: Mapping[str, bytes]) -> None:
        """Hold this, durably, and nothing else; what an overlay comes back to."""
        self._root = Folder()
        self._below = dict(content)
        for name, data in content.items():
            self._put(name, data)

    @property
    def durable(self) -> bool:
        """What a mount table would tell of it."""
        return not self.forgetful and not (self._error == errno.EROFS and self.failing)

    def _settle(self, folder: Folder, fate: str) -> None:
        """`fate`: of names and contents nothing gets to the platter, or names alone, or all,
        or of each what the seed has."""
        for changes in folder.pending:
            if {"lost": False, "any": self._rng.random() < 0.5}.get(fate, True):
                _turn(folder.platter, changes)
        folder.pending.clear()
        folder.names = dict(folder.platter)
        for node in folder.names.values():
            if isinstance(node, Folder):
                self._settle(node, fate)
            elif node.cache != node.platter:
                node.cache = node.platter = self._torn(node, fate)

    def _torn(self, file: File, fate: str) -> bytes:
        length = self._rng.randrange(len(file.cache) + 1)
        outcomes = {
            "lost": file.platter,
            "names": file.platter,
            "all": file.cache,
            "short": file.cache[:length],
            "hole": bytes(len(file.cache)),
            "tail": bytes(length) + file.cache[length:],
        }
        return outcomes[fate if fate in outcomes else self._rng.choice(sorted(outcomes))]

    # --- as a mapping --------------------------------------------------------------------

    def __getitem__(self, name: str) -> bytes:
        folder: Node | None = self._root
        *parts, leaf = name.split("/")
        for part in parts:
            folder = folder.platter.get(part) if isinstance(folder, Folder) else None
        node = folder.platter.get(leaf) if isinstance(folder, Folder) else None
        if not isinstance(node, File):
            raise KeyError(name)
        return node.platter

    def __setitem__(self, name: str, data: bytes) -> None:
        self._put(name, data)

    def __delitem__(self, name: str) -> None:
        self[name]
        *parts, leaf = name.split("/")
        folder = self._folder_for(parts)
        del folder.platter[leaf]
        folder.names.pop(leaf, None)

    def __iter__(self) -> Iterator[str]:
        return _walk(self._root, lambda folder: folder.platter)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def visible(self) -> set[str]:
        """The names as a process sees them: those in the cache."""
        return set(_walk(self._root, lambda folder: folder.names))

    def _put(self, name: str, data: bytes) -> None:
        *parts, leaf = name.split("/")
        folder = self._folder_for(parts)
        folder.names[leaf] = folder.platter[leaf] = File(data, data)

    def _folder_for(self, parts: list[str]) -> Folder:
        folder = self._root
        for part in parts:
            below = folder.platter.get(part)
            if not isinstance(below, Folder):
                below = Folder()
            folder.names[part] = folder.platter[part] = below
            folder = below
        return folder

    # --- as `os` -------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        self._alive()
        folder, leaf = self._find(path, dir_fd)
        node: Node | None = folder.names.get(leaf) if leaf else folder
        if flags & os.O_CREAT:
            if node is not None and flags & os.O_EXCL:
                raise _error(errno.EEXIST)
            if node is None:
                node = File()
                with self._change("create"):
                    folder.turn({leaf: node})
        if node is None:
            raise _error(errno.ENOENT)
        if flags & os.O_DIRECTORY and not isinstance(node, Folder):
            raise _error(errno.ENOTDIR)
        self._next += 1
        self._open[self._next] = (node, 0)
        return self._next

    def close(self, fd: int) -> None:
        self._alive()
        del self._open[fd]

    def read(self, fd: int, length: int, /) -> bytes:
        self._alive()
        if self.failing and "read" in self._refused:
            raise _error(self._error)
        node, at = self._open[fd]
        assert isinstance(node, File)
        self._open[fd] = (node, at + length)
        return node.cache[at : at + length]

    def write(self, fd: int, data: memoryview, /) -> int:
        file = self._file(fd)
        with self._change("write"):
            file.cache += bytes(data[:PAGE])
        return min(len(data), PAGE)

    def fsync(self, fd: int) -> None:
        node, _ = self._open[fd]
        with self._change("fsync"):
            if isinstance(node, File):
                node.platter = node.cache
            else:
                for changes in node.pending:
                    _turn(node.platter, changes)
                node.pending.clear()

    def fchmod(self, fd: int, mode: int) -> None:
        with self._change("chmod"):
            self._file(fd)

    def fstat(self, fd: int) -> os.stat_result:
        self._alive()
        return _status(self._open[fd][0])

    def stat(self, path: str) -> os.stat_result:
        self._alive()
        folder, leaf = self._find(path, None)
        assert not leaf
        return _status(folder)

    def listdir(self, path: int) -> list[str]:
        self._alive()
        folder = self._open[path][0]
        assert isinstance(folder, Folder)
        return list(folder.names)

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        folder, leaf = self._find(path, dir_fd)
        if leaf in folder.names:
            raise _error(errno.EEXIST)
        with self._change("mkdir"):
            folder.turn({leaf: Folder()})

    def makedirs(self, name: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        raise AssertionError(f"{name}: the folder is there from the beginning")

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        folder, leaf = self._find(path, dir_fd)
        if leaf not in folder.names:
            raise _error(errno.ENOENT)
        with self._change("unlink"):
            folder.turn({leaf: None})

    def rename(
        self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        folder, old = self._find(src, src_dir_fd)
        there, new = self._find(dst, dst_dir_fd)
        assert there is folder, "not within one folder: never whole"
        node = folder.names.get(old)
        if node is None:
            raise _error(errno.ENOENT)
        with self._change("rename"):
            folder.turn({old: None, new: node})

    def _alive(self) -> None:
        if self._off:
            raise PowerCut

    @contextmanager
    def _change(self, name: str) -> Iterator[None]:
        """A call that changes something, with the moments before and after it."""
        self._alive()
        call = self.calls
        self._perhaps_cut(2 * call)
        failing = self.failing and name in self._refused
        self.calls += 1
        self.trace.append(name)
        if failing:
            raise _error(self._error)
        yield
        self._perhaps_cut(2 * call + 1)

    def _perhaps_cut(self, moment: int) -> None:
        self.on_moment(moment)
        if moment == self.cut_at:
            self._off, self.cut_at = True, -1
            raise PowerCut

    def _find(self, path: str, dir_fd: int | None) -> tuple[Folder, str]:
        """The folder a path leads into, and the last part of the path; "" for the top."""
        if dir_fd is None:
            assert path == self.directory, f"{path} is not on this disk"
            return self._root, ""
        folder = self._open[dir_fd][0]
        assert isinstance(folder, Folder)
        assert "/" not in path
        return folder, path

    def _file(self, fd: int) -> File:
        node, _ = self._open[fd]
        assert isinstance(node, File)
        return node


def _walk(folder: Folder, side: Callable[[Folder], dict[str, Node]]) -> Iterator[str]:
    for name, node in side(folder).items():
        if isinstance(node, Folder):
            yield from (f"{name}/{below}" for below in _walk(node, side))
        else:
            yield name


def _turn(names: dict[str, Node], changes: Mapping[str, Node | None]) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _status(node: Node) -> os.stat_result:
    kind = stat.S_IFDIR | 0o700 if isinstance(node, Folder) else stat.S_IFREG | 0o600
    return os.stat_result((kind, 0, 0, 1, os.geteuid(), 0, 0, 0, 0, 0))
