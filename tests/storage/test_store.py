import errno
import io
import os
import random
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pints.errors import DeviceError, StateError
from pints.storage import store as store_module
from pints.storage.store import MAX_SIZE, Files, Store
from tests.world import disk as played

SYSCALLS = ("open", "fchmod", "write", "fsync", "close", "rename", "mkdir", "unlink")


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "state"))


class PowerCut(BaseException):
    pass


class Disk:
    """The system calls of `os`, of which from the `fatal`-th on none (or one) goes through."""

    def __init__(self, patch: pytest.MonkeyPatch, fatal: int, error: Exception | None) -> None:
        self.done: list[str] = []
        self.fatal = fatal
        self.error = error
        for name in SYSCALLS:
            patch.setattr(os, name, self.wrapped(name, getattr(os, name)))

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if len(self.done) == self.fatal and self.error is not None:
                self.done.append(name)
                if name == "close":
                    real(*arguments)
                raise self.error
            if self.error is None and len(self.done) >= self.fatal:
                if name == "close":  # so that the test leaks nothing
                    real(*arguments)
                raise PowerCut
            self.done.append(name)
            return real(*arguments, **options)

        return call


def temporaries(store: Store) -> list[str]:
    return [name for name in os.listdir(store.directory) if name.startswith(".")]


def test_round_trip(store: Store) -> None:
    assert store.read("time") is None
    assert store.read("sessions/a") is None
    store.write("time", b"one")
    store.write("time", b"two")
    store.write("sessions/a", b"")
    assert store.read("time") == b"two"
    assert store.read("sessions/a") == b""
    assert (store.writes, store.bytes_written) == (3, 6)
    assert temporaries(store) == []


def test_permissions_are_exact(store: Store) -> None:
    os.umask(0o777)
    store.write("time", b"", mode=0o644)
    os.umask(0)
    store.write("sessions/keys", b"")
    modes = {
        name: stat.S_IMODE(os.stat(f"{store.directory}/{name}").st_mode)
        for name in (".", "time", "sessions", "sessions/keys")
    }
    assert modes == {".": 0o700, "time": 0o644, "sessions": 0o700, "sessions/keys": 0o600}


def test_content_reaches_the_disk_before_its_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        disk = Disk(patch, fatal=10**6, error=None)
        store.write("time", b"x")
    assert disk.done == [
        *("open", "open", "fchmod", "write", "fsync", "close"),
        *("rename", "fsync", "close"),
    ]


@pytest.mark.parametrize("name", ["time", "sessions/a", "new/a"])
@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "Input/output error")])
def test_failure_at_every_system_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: OSError | None
) -> None:
    """A power cut (nothing works any more, not even tidying up) or one call that fails."""
    fatal = 0
    while True:
        store = Store(str(tmp_path / str(fatal)))
        if not name.startswith("new"):
            store.write(name, b"old")
        with monkeypatch.context() as patch:
            disk = Disk(patch, fatal, error)
            try:
                store.write(name, b"new")
            except (PowerCut, DeviceError):
                assert disk.fatal <= len(disk.done)
                finished = False
            else:
                finished = True
        after = Store(store.directory)
        assert after.read(name) in ((b"new",) if finished else (b"new", b"old", None))
        if not name.startswith("new"):
            assert after.read(name) is not None
        assert temporaries(after) == []
        if name != "time" and os.path.isdir(f"{store.directory}/{os.path.dirname(name)}"):
            sub = os.listdir(f"{store.directory}/{os.path.dirname(name)}")
            assert [leaf for leaf in sub if leaf.startswith(".")] == []
        if finished and len(disk.done) < fatal:
            break
        fatal += 1
    assert fatal >= 9


def test_short_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    store.write("time", b"0123456789")
    assert store.read("time") == b"0123456789"
    assert store.bytes_written == 10


def test_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("time", b"old")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DeviceError, match="time: No space left") as caught:
        store.write("time", b"new")
    assert caught.value.hint
    assert store.read("time") == b"old"
    assert temporaries(store) == []
    assert store.writes == 1


def test_symbolic_link_planted_at_the_temporary_name(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(os, "urandom", lambda size: bytes(size))
    os.symlink(victim, f"{store.directory}/.time.{'00' * 8}.tmp")
    with pytest.raises(DeviceError, match="File exists"):
        store.write("time", b"new")
    assert victim.read_bytes() == b"precious"


def test_symbolic_links_are_not_followed(store: Store, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    os.symlink(victim, f"{store.directory}/time")
    with pytest.raises(StateError, match="not a plain file"):
        store.read("time")
    store.write("time", b"ours")
    assert (store.read("time"), victim.read_bytes()) == (b"ours", b"precious")
    os.mkdir(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", f"{store.directory}/sessions")
    with pytest.raises(DeviceError, match="sessions/a"):
        store.write("sessions/a", b"keys")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_foreign_things_in_a_files_place(store: Store) -> None:
    os.mkfifo(f"{store.directory}/fifo")
    os.mkdir(f"{store.directory}/folder")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{store.directory}/socket")
    with open(f"{store.directory}/large", "wb") as file:
        file.truncate(MAX_SIZE + 1)
    for name in ("fifo", "folder", "socket", "large"):
        with pytest.raises(StateError, match=name):
            store.read(name)
        assert store.set_aside(name, "foreign")
        assert store.read(name) is None


def test_largest_file(store: Store) -> None:
    store.write("large", bytes(MAX_SIZE))
    assert store.read("large") == bytes(MAX_SIZE)


def test_set_aside(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for content in (b"first", b"second"):
        store.write("time", content)
        assert store.set_aside("time", "the checksum is wrong")
    assert store.read("time") is None
    assert store.read("time.bad") == b"second"
    assert "time: the checksum is wrong; set aside as" in caplog.text
    assert not store.set_aside("time", "gone")


def test_unlink_is_certain_only_when_durable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "durable", lambda: True)
    store.write("sessions/a", b"")
    assert store.unlink("sessions/a")
    assert store.read("sessions/a") is None
    assert store.unlink("sessions/a")
    assert store.unlink("never/was")
    store.write("sessions/a", b"")
    monkeypatch.setattr(store, "durable", lambda: False)
    assert not store.unlink("sessions/a")
    assert store.read("sessions/a") is None


@pytest.mark.parametrize("call", ["unlink", "fsync"])
def test_unlink_that_fails(store: Store, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(store, "durable", lambda: True)
    store.write("time", b"")

    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, call, fail)
    assert not store.unlink("time")


def test_leftovers_of_a_crash_are_cleared_by_the_owner_only(store: Store) -> None:
    store.write("sessions/a", b"kept")
    for leftover in (".time.0123456789abcdef.tmp", "sessions/.a.0123456789abcdef.tmp"):
        with open(f"{store.directory}/{leftover}", "wb"):
            pass
    Store(store.directory, owner=False)
    assert len(temporaries(store)) == 1
    Store(store.directory)
    assert temporaries(store) == []
    assert os.listdir(f"{store.directory}/sessions") == ["a"]


def test_reader_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file"):
        Store(str(tmp_path / "state"), owner=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_folder_that_others_can_write_to(tmp_path: Path, mode: int) -> None:
    os.chmod(tmp_path, mode)
    with pytest.raises(DeviceError, match="by others") as caught:
        Store(str(tmp_path))
    assert caught.value.hint.startswith("chmod")
    assert stat.S_IMODE(os.stat(tmp_path).st_mode) == mode


def test_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.stat(tmp_path).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        Store(str(tmp_path))  # root is trusted
        os.chown(tmp_path, 12345, -1)
    with pytest.raises(DeviceError, match="belongs to user"):
        Store(str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    Store(str(tmp_path))


def test_readable_folder_is_left_as_it_is(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    Store(str(tmp_path))
    assert stat.S_IMODE(os.stat(tmp_path).st_mode) == 0o755


def test_folder_behind_a_symbolic_link(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "private", 0o700)
    os.symlink(tmp_path / "private", tmp_path / "state")
    Store(str(tmp_path / "state")).write("time", b"x")
    assert (tmp_path / "private" / "time").read_bytes() == b"x"


def test_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(DeviceError):
        Store(str(tmp_path / "state"))


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc/passwd", "..", "../x", "a/../b", "a/b/c", "a/", "/a", ".a", "a\0b", "a\nb"],
)
def test_no_name_leads_out(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="state file's name"):
        store.read(name)
    with pytest.raises(ValueError, match="state file's name"):
        store.write(name, b"")
    with pytest.raises(ValueError, match="state file's name"):
        store.unlink(name)
    with pytest.raises(ValueError, match="state file's name"):
        store.set_aside(name, "")


def test_names_of_servers_are_names(store: Store) -> None:
    for name in ("sessions/time.example:4460", "sessions/2001:db8::1", "sessions/" + "x" * 200):
        store.write(name, b"x")
        assert store.read(name) == b"x"
    with pytest.raises(ValueError, match="too long"):
        store.write("x" * 201, b"")


@pytest.mark.parametrize(
    ("line", "durable"),
    [
        ("36 27 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw", True),
        ("36 27 0:45 /@ / rw master:1 propagate_from:2 - btrfs /dev/sda1 rw,subvol=/@", True),
        ("36 27 0:45 / / rw - tmpfs tmpfs rw,size=100k", False),
        ("36 27 0:45 / / rw - overlay overlay rw,lowerdir=/lower,upperdir=/up/tmpfs", False),
        ("36 27 252:0 / / rw - ext4 /dev/zram0 rw", False),
        ("37 27 179:2 / / rw - ext4 /dev/mmcblk0p2 rw", False),  # another mount's line
        ("36 27 179:2 / / rw", False),  # not a line of that table
    ],
)
def test_durable(store: Store, monkeypatch: pytest.MonkeyPatch, line: str, durable: bool) -> None:
    def opened(path: str, **options: Any) -> io.StringIO:
        return io.StringIO(
            f"{line}\n" if path.endswith("mountinfo") else "pos:\t0\nflags:\t0\nmnt_id:\t36\n"
        )

    monkeypatch.setattr(store_module, "open", opened, raising=False)
    assert store.durable() is durable


def test_not_durable_when_read_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "fstatvfs", lambda fd: ReadOnly)
    assert not store.durable()


def test_real_mount_table() -> None:
    """/dev/shm is tmpfs wherever it is mounted at all."""
    if not os.path.ismount("/dev/shm"):
        pytest.skip("/dev/shm is not mounted")
    folder = f"/dev/shm/pints-test-{os.getpid()}"
    store = Store(folder)
    try:
        assert not store.durable()
    finally:
        os.rmdir(folder)


# --- over a disk whose power is cut -----------------------------------------------------------

STATE = "/state"


def test_what_was_promised_outlives_a_power_cut_at_every_moment(rng: random.Random) -> None:
    """What `write` and `unlink` returned from is so for ever after; what they were in when the
    power failed is done or not done."""
    steps = [("time", b"1"), ("sessions/a", b"x" * 9000), ("time", b"2"), ("sessions/a", None),
             ("sessions/b", b"3"), ("sessions/a", b"4"), ("sessions/b", None)]  # fmt: skip
    moment, over = -1, False
    while not over:
        moment += 1
        for _ in range(20):
            disk = played.Disk(STATE, rng)
            disk.cut_at = moment
            promised: dict[str, bytes | None] = {}
            doing: tuple[str, bytes | None] = ("", None)
            try:
                store = Store(STATE, durable=True, files=disk)
                for doing in steps:
                    name, data = doing
                    if data is None:
                        assert store.unlink(name)
                    else:
                        store.write(name, data)
                    promised[name] = data
                over = True
            except played.PowerCut:
                pass
            disk.power_off()
            after = Store(STATE, files=disk)
            for name in ("time", "sessions/a", "sessions/b"):
                allowed = [promised.get(name)] + [doing[1]] * (doing[0] == name)
                assert after.read(name) in allowed, f"{name} at {moment}: {disk.trace}"
            assert not [n for n in disk.visible() if ".tmp" in n]
    assert moment > 70


def test_the_played_disk_answers_as_the_real_one(tmp_path: Path, rng: random.Random) -> None:
    disk = played.Disk(STATE, rng)
    assert answers(disk, STATE) == answers(os, str(tmp_path))


def answers(files: Files, directory: str) -> list[object]:
    """What a file system says to what a store may ask of it."""
    folder = os.O_RDONLY | os.O_DIRECTORY
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    said: list[object] = [stat.S_ISDIR(files.stat(directory).st_mode)]
    top = files.open(directory, folder)

    def ask(call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            said.append(call(*arguments, **options))
        except OSError as error:
            said.append(error.errno)

    for leaf, flags in (("a", os.O_RDONLY), ("a", folder), ("a", new), ("a", new), ("a", folder)):
        try:
            fd = files.open(leaf, flags, 0o600, dir_fd=top)
        except OSError as error:
            said.append(error.errno)
            continue
        ask(files.fchmod, fd, 0o600)
        ask(files.write, fd, memoryview(b"content"))
        ask(files.fsync, fd)
        said.append(stat.S_ISREG(files.fstat(fd).st_mode))
        files.close(fd)
    ask(files.mkdir, "sub", dir_fd=top)
    ask(files.mkdir, "sub", dir_fd=top)
    ask(files.mkdir, "a", dir_fd=top)
    ask(files.rename, "none", "b", src_dir_fd=top, dst_dir_fd=top)
    ask(files.rename, "a", "b", src_dir_fd=top, dst_dir_fd=top)
    ask(files.unlink, "a", dir_fd=top)
    said.append(sorted(files.listdir(top)))
    fd = files.open("b", os.O_RDONLY, dir_fd=top)
    for length in (3, 100, 100):
        ask(files.read, fd, length)
    files.close(fd)
    ask(files.unlink, "b", dir_fd=top)
    ask(files.fsync, top)
    said.append(files.listdir(top))
    files.close(top)
    return said
