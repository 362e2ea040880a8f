"""Small files in the state folder: each is old or new, never torn, whatever happens when.

What this guarantees:
- `write` returns when the new content survives a power cut.  If it raises, or the power fails
  within it, the file holds the old content or the new, whole.
- `unlink` says True only if the file cannot come back: not with a power cut, and not because
  the folder lies on a file system that forgets what was done to it.
- No name leads out of the folder and no symbolic link inside it is followed.

The folder itself may be a symbolic link (systemd's DynamicUser= makes it one).  A folder that
exists is taken as it is, but refused where somebody else could plant files in it.

Every system call goes through `Files`, which is `os` but where power cuts are played.
"""

import errno
import fcntl
import logging
import os
import stat
from contextlib import suppress
from typing import Protocol

from pints.errors import DeviceError, StateError

log = logging.getLogger(__name__)

MAX_SIZE = 1 << 20
MAX_NAME = 200  # NAME_MAX is 255; a temporary file's name is longer than its file's

FORGETFUL = frozenset({"tmpfs", "ramfs", "devtmpfs", "rootfs", "overlay", "aufs", "squashfs"})
"""File systems that a power cut takes back to what they were.  An overlay counts although its
upper layer might be a disk: on a Pi it is the read-only root with tmpfs on top."""

FORGETFUL_DEVICES = ("/dev/ram", "/dev/zram")  # log2ram and its like

HINTS = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EROFS: "the file system is mounted read-only: remount it, or set state.directory",
    errno.EACCES: "it must belong to the user that pints runs as, with mode 0700",
    errno.EPERM: "it must belong to the user that pints runs as, with mode 0700",
    errno.EIO: "the card may be failing: look at dmesg",
}

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not block us
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Files(Protocol):
    """What a store asks of the system, as `os` has it."""

    def open(
        self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int: ...
    def close(self, fd: int) -> None: ...
    def read(self, fd: int, length: int, /) -> bytes: ...
    def write(self, fd: int, data: memoryview, /) -> int: ...
    def fsync(self, fd: int) -> None: ...
    def fchmod(self, fd: int, mode: int) -> None: ...
    def fstat(self, fd: int) -> os.stat_result: ...
    def stat(self, path: str) -> os.stat_result: ...
    def listdir(self, path: int) -> list[str]: ...
    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None: ...
    def makedirs(self, name: str, mode: int = 0o777, exist_ok: bool = False) -> None: ...
    def unlink(self, path: str, *, dir_fd: int | None = None) -> None: ...
    def rename(
        self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None: ...


def hold(directory: str) -> int:
    """Make the folder this process's own for as long as the descriptor stays open.

    DeviceError where another pints has it: two would spend each other's cookies and steer one
    clock.  The kernel lets go by itself when the process ends, however it ends.
    """
    try:
        _make(directory)
        folder = os.open(directory, _DIRECTORY)
    except OSError as error:
        raise _failed(directory, "use", error) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(folder)
        raise DeviceError(
            f"another pints uses {directory}", "stop it first, or set state.directory"
        ) from None
    return folder


def make_runtime(directory: str) -> None:
    """Unlike the state folder it may be entered by others: the control socket is in it."""
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
    except OSError as e:
        raise DeviceError(
            f"cannot make {directory}: {e.strerror}",
            "run as root or as the service, or set directory and runtime in [state]",
        ) from None


class Store:
    """The files of one folder; a name is `file` or `sub/file`.

    The owner (the daemon) creates the folder if need be, mode 0700, and clears temporary files
    that a crash left; another process (`owner=False`) does neither, since a temporary file may
    be the daemon's, being written.

    DeviceError from every method when the disk or the folder is at fault; ValueError for a
    name that no caller may pass.
    """

    def __init__(
        self,
        directory: str,
        owner: bool = True,
        durable: bool | None = None,
        files: Files = os,
    ) -> None:
        """`durable` is for those who know better than the file system what a power cut does
        to it: simulators, whose power cuts are played."""
        self.directory = directory
        self._files = files
        self._durable = durable
        self._settled: set[str] = set()
        """Folders below that are known to outlive a power cut."""
        self.unread: set[str] = set()
        """Files that could not be read: what they hold is not known, and may matter."""
        self.writes = 0
        """Replacements made durable."""
        self.bytes_written = 0
        """All that was passed to write(), failed replacements included."""
        try:
            if owner:
                _make(directory, files)
            status = self._files.stat(directory)
        except OSError as error:
            raise _failed(directory, "use", error) from error
        self._check(status)
        if owner:
            self._clear()

    def read(self, name: str) -> bytes | None:
        """The file's content; None if there is none.

        StateError for what `write` never made: no plain file, or one over MAX_SIZE.
        """
        path = self._path(name)
        try:
            folder, leaf = self._open_folder(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.unread.add(name)
            raise _failed(path, "read", error) from error
        try:
            fd = self._files.open(leaf, _READ, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
                raise StateError(f"{path} is not a plain file") from error
            self.unread.add(name)
            raise _failed(path, "read", error) from error
        finally:
            self._files.close(folder)
        try:
            if not stat.S_ISREG(self._files.fstat(fd).st_mode):
                raise StateError(f"{path} is not a plain file")
            content = _read_all(fd, self._files)
        except OSError as error:
            self.unread.add(name)
            raise _failed(path, "read", error) from error
        finally:
            self._files.close(fd)
        self.unread.discard(name)
        if len(content) > MAX_SIZE:
            raise StateError(f"{path} is larger than {MAX_SIZE} bytes")
        return content

    def write(self, name: str, data: bytes, mode: int = 0o600) -> None:
        """Replace the file, durably, and give it exactly `mode`."""
        path = self._path(name)
        try:
            folder, leaf = self._open_folder(name, create=True)
            try:
                self._replace(folder, leaf, data, mode)
            finally:
                self._files.close(folder)
        except OSError as error:
            raise _failed(path, "write", error) from error
        self.writes += 1

    def unlink(self, name: str) -> bool:
        """Remove the file; True if it is certain that it is gone for good.

        Never raises for the disk's sake: the answer is then False.
        """
        path = self._path(name)
        try:
            # What is not there may have been removed before, but not yet durably.
            try:
                folder, leaf = self._open_folder(name)
            except FileNotFoundError:
                folder, leaf = self._files.open(self.directory, _DIRECTORY), ""
            try:
                if leaf:
                    with suppress(FileNotFoundError):
                        self._files.unlink(leaf, dir_fd=folder)
                self._files.fsync(folder)
            finally:
                self._files.close(folder)
        except OSError as error:
            log.warning("cannot remove %s: %s", path, error.strerror)
            return False
        return self.durable()

    def set_aside(self, name: str, why: str) -> bool:
        """Rename a torn or foreign file to `name.bad`, in place of an older one, and log why.

        False if it could not be moved: it will be met again, and must be survived again.
        """
        path = self._path(name)
        try:
            folder, leaf = self._open_folder(name)
            try:
                self._files.rename(leaf, leaf + ".bad", src_dir_fd=folder, dst_dir_fd=folder)
                self._files.fsync(folder)
            finally:
                self._files.close(folder)
        except OSError as error:
            log.warning("%s: %s; cannot set it aside: %s", path, why, error.strerror)
            return False
        log.warning("%s: %s; set aside as %s.bad", path, why, path)
        return True

    def durable(self) -> bool:
        """Whether what is written here outlives the power.  False if that cannot be told.

        Asked of the kernel's mount table by the mount's own number, which an open folder
        shows in /proc/self/fdinfo.  (A device number would miss btrfs; statfs() shows magic
        numbers where this shows names, options and, for a RAM disk, the device.)
        """
        if self._durable is not None:
            return self._durable
        try:
            folder = os.open(self.directory, _DIRECTORY)
            try:
                if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
                    return False
                with open(f"/proc/self/fdinfo/{folder}", encoding="ascii") as info:
                    mount = next(line.split()[1] for line in info if line.startswith("mnt_id:"))
            finally:
                os.close(folder)
            with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
                # proc_pid_mountinfo(5): after the dash, file system type and source.
                for line in mounts:
                    if line.split(" ", 1)[0] == mount:
                        kind, source, *_ = line.partition(" - ")[2].split(" ")
                        return kind not in FORGETFUL and not source.startswith(FORGETFUL_DEVICES)
        except (OSError, StopIteration, ValueError):
            pass
        return False

    def _path(self, name: str) -> str:
        parts = name.split("/")
        if len(parts) > 2:
            raise ValueError(f"not a state file's name: {name!r}")
        for part in parts:
            # Names with a dot in front are ours, for temporary files.
            if not part or part[0] == "." or not part.isprintable():
                raise ValueError(f"not a state file's name: {name!r}")
            if len(os.fsencode(part)) > MAX_NAME:
                raise ValueError(f"too long for a state file's name: {name!r}")
        return f"{self.directory}/{name}"

    def _open_folder(self, name: str, create: bool = False) -> tuple[int, str]:
        """The folder that holds `name`, opened, and the last part of `name`."""
        sub, _, leaf = name.rpartition("/")
        top = self._files.open(self.directory, _DIRECTORY)
        if not sub:
            return top, leaf
        try:
            if create and sub not in self._settled:
                with suppress(FileExistsError):  # who made it may have been killed right then
                    self._files.mkdir(sub, 0o700, dir_fd=top)
                self._files.fsync(top)
                self._settled.add(sub)
            return self._files.open(sub, _DIRECTORY | os.O_NOFOLLOW, dir_fd=top), leaf
        finally:
            self._files.close(top)

    def _replace(self, folder: int, leaf: str, data: bytes, mode: int) -> None:
        temporary = f".{leaf}.{os.urandom(8).hex()}.tmp"
        fd = self._files.open(temporary, _CREATE, mode, dir_fd=folder)
        try:
            try:
                self._files.fchmod(fd, mode)  # whatever the umask took away
                view = memoryview(data)
                while view:
                    written = self._files.write(fd, view)
                    self.bytes_written += written
                    view = view[written:]
                # Content first, then the name: else the name could survive a power cut alone.
                self._files.fsync(fd)
            finally:
                self._files.close(fd)
            self._files.rename(temporary, leaf, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                self._files.unlink(temporary, dir_fd=folder)
            raise
        self._files.fsync(folder)

    def _check(self, status: os.stat_result) -> None:
        user = os.geteuid()
        if not stat.S_ISDIR(status.st_mode):
            raise DeviceError(f"{self.directory} is not a directory", "set state.directory")
        if status.st_mode & 0o022:
            raise DeviceError(
                f"{self.directory} can be written to by others", f"chmod 700 {self.directory}"
            )
        # Root may look into the service's folder; nobody else's word counts for anyone.
        if user != 0 and status.st_uid not in (0, user):
            raise DeviceError(
                f"{self.directory} belongs to user {status.st_uid}, not to {user}",
                "run as the service's user, or set state.directory",
            )

    def _clear(self) -> None:
        """Remove temporary files, here and one folder below."""
        files = self._files
        try:
            top = files.open(self.directory, _DIRECTORY)
            try:
                for leaf in files.listdir(top):
                    with suppress(NotADirectoryError):
                        sub = files.open(leaf, _DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
                        try:
                            self._clear_folder(sub)
                        finally:
                            files.close(sub)
                self._clear_folder(top)
            finally:
                files.close(top)
        except OSError as error:  # read-only, perhaps: they do no harm
            log.info("cannot clear %s: %s", self.directory, error.strerror)

    def _clear_folder(self, folder: int) -> None:
        for leaf in self._files.listdir(folder):
            if leaf.startswith(".") and leaf.endswith(".tmp"):
                self._files.unlink(leaf, dir_fd=folder)


def _make(directory: str, files: Files = os) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISDIR(files.stat(directory).st_mode):
            return
    parent = os.path.dirname(os.path.abspath(directory))
    files.makedirs(parent, exist_ok=True)
    files.mkdir(directory, 0o700)
    fd = files.open(parent, _DIRECTORY)
    try:
        files.fsync(fd)
    finally:
        files.close(fd)


def _read_all(fd: int, files: Files) -> bytes:
    """Up to one byte more than MAX_SIZE."""
    parts = []
    left = MAX_SIZE + 1
    while left and (part := files.read(fd, min(left, 65536))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _failed(path: str, verb: str, error: OSError) -> DeviceError:
    hint = HINTS.get(error.errno or 0, "")
    return DeviceError(f"cannot {verb} {path}: {error.strerror}", hint)
