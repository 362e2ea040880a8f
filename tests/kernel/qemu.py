"""Boards that QEMU emulates, with an arm64 Debian 13 in memory: no disk, no network.

Nothing is installed: board and emulator are trees of `scripts/boards.sh`, and the emulator is
started by its own tree's loader.
"""

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from tests.kernel import initramfs
from tests.kernel.far_end import FarEnd
from tests.kernel.machine import PEERS, ROOT, MissingError, boot, init

EMULATOR, BOARD = PEERS / "qemu", PEERS / "board"
BAUD = 115200
"""QEMU opens a port so; what the board sets goes no further, and is right whatever it is."""
SOURCES = "pints", "drivers", "tests"
LEFT_OUT = (
    "boot/", "dev/", "var/", "usr/share/", "usr/lib/modules/", "usr/lib/linux-image",
    "usr/lib/systemd/", "usr/lib/valgrind/",
)  # fmt: skip


class Board(NamedTuple):
    """What one has that others have not."""

    machine: tuple[str, ...]
    """Words for QEMU."""
    serial: tuple[str, ...]
    """Its ports: `console`, `receiver`, `null`."""
    console: str
    """As the kernel names that port."""
    modules: tuple[str, ...]
    """Below the kernel's drivers."""
    tests: tuple[str, ...]
    tree: Callable[["Board", Path], Path]
    """Makes its device tree in a folder."""
    seconds: Callable[[Path], AbstractContextManager[None]] | None = None
    """Makes its pulses, by QEMU's monitor."""

    def words(self) -> list[str]:
        """For QEMU, of its hardware."""
        ports = (f"chardev:{port}" if port != "null" else port for port in self.serial)
        return [*self.machine, *(word for port in ports for word in ("-serial", port))]


def run(board: Board, words: Sequence[str]) -> int:
    """Boot it; the status of its tests."""
    if not (PEERS / "boards.stamp").exists():
        raise MissingError("no board in .peers/: make boards")
    (release,) = (BOARD / "usr/lib/modules").iterdir()
    modules = [release / f"kernel/drivers/{module}.ko.xz" for module in board.modules]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        place = Path(name)
        script = init(
            Path("/src"), "python3", [f"/{m.name}" for m in modules], board.tests, words,
            PYTHONPATH="/src:/src/drivers", PINTS_KERNEL_SERIAL="/dev/ttyAMA1",
            PINTS_KERNEL_SECONDS="1" if board.seconds else "",
        )  # fmt: skip
        _pack(place, script, modules)
        seconds = board.seconds(place / "monitor") if board.seconds else nullcontext()
        with FarEnd(place / "receiver", BAUD) as receiver, seconds:
            return boot([
                *_program("qemu-system-aarch64"), *board.words(), "-display", "none", "-no-reboot",
                "-chardev", "stdio,id=console,signal=off",
                "-chardev", f"serial,id=receiver,path={receiver.path.resolve()}",
                "-monitor", f"unix:{place}/monitor,server=on,wait=off",
                "-kernel", *map(str, (BOARD / "boot").glob("vmlinuz-*")),
                "-initrd", f"{place}/root", "-dtb", str(board.tree(board, place)),
                "-append", f"console={board.console} rdinit=/init loglevel=2 panic=-1",
            ])  # fmt: skip


def _program(name: str) -> list[str]:
    """One of the emulator's tree, started by that tree's own loader."""
    (loader,) = EMULATOR.glob("usr/lib/*/ld-linux*.so.*")
    return [str(loader), "--library-path", str(loader.parent), str(EMULATOR / "usr/bin" / name)]


def _call(name: str, *words: object) -> str:
    """What one of the emulator's tree prints."""
    command = [*_program(name), *map(str, words)]
    environment = {"PYTHONHOME": str(EMULATOR / "usr")}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stdout}")
    return done.stdout


def _pack(place: Path, script: str, modules: Sequence[Path]) -> None:
    """The board's root: its Debian, the project, modules, and the script that starts it all."""
    source = place / "src"
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    _call("python3.13", "-m", "compileall", "-qq", source, "--invalidation-mode=unchecked-hash")
    with (place / "root").open("wb") as archive:
        initramfs.add_tree(archive, BOARD, left_out=LEFT_OUT)
        initramfs.add(archive, "src", 0o40755)
        initramfs.add_tree(archive, source, "src/")
        for module in modules:
            initramfs.add(archive, module.name, 0o100644, module.read_bytes())
        initramfs.add(archive, "init", 0o100755, script.encode())
        initramfs.end(archive)


@contextmanager
def _pressed(monitor: Path) -> Iterator[None]:
    """Press the power button as each second of this machine's clock begins."""
    ended = threading.Event()

    def press() -> None:
        while not ended.wait(1.0 - time.time() % 1.0):
            # There is no monitor yet, or none any more.
            with suppress(OSError), socket.socket(socket.AF_UNIX) as words:
                words.connect(str(monitor))
                words.sendall(b"system_powerdown\n")

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _virt_tree(board: Board, place: Path) -> Path:
    """The power button's line is one of pulses instead."""
    tree, pps = place / "virt.dtb", "/pps"
    ports = [word for port in board.serial for word in ("-chardev", f"null,id={port}")]
    _call("qemu-system-aarch64", *board.words(), *ports, "-machine", f"dumpdtb={tree}")
    line = _call("fdtget", "-t", "u", tree, "/gpio-keys/poweroff", "gpios").split()
    _call("fdtput", "-r", tree, "/gpio-keys")
    _call("fdtput", "-c", tree, pps)
    _call("fdtput", "-t", "s", tree, pps, "compatible", "pps-gpio")
    _call("fdtput", "-t", "u", tree, pps, "gpios", *line)
    return tree


def _raspi3b_tree(board: Board, place: Path) -> Path:
    """As Debian ships it."""
    (tree,) = BOARD.glob("usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb")
    return tree


def _held_rtc_tree(board: Board, place: Path) -> Path:
    """With an overlay that gives the chip to the kernel."""
    overlay, tree = place / "held-rtc.dtbo", place / "raspi3b.dtb"
    _call("dtc", "-@", "-O", "dtb", "-o", overlay, Path(__file__).parent / "held-rtc.dtso")
    _call("fdtoverlay", "-i", _raspi3b_tree(board, place), "-o", tree, overlay)
    return tree


VIRT = Board(
    machine=("-M", "virt,gic-version=2", "-cpu", "cortex-a53", "-m", "1024", "-nic", "none"),
    serial=("console", "receiver"),
    console="ttyAMA0",
    modules=("pps/clients/pps-gpio",),
    tests=("pps", "gps", "dev_rtc", "daemon", "gpio_pps"),
    tree=_virt_tree,
    seconds=_pressed,
)
RASPI3B = Board(
    machine=("-M", "raspi3b", "-device", "ds1338,bus=i2c-bus.1,address=0x68"),
    serial=("null", "console"),
    console="ttyS1",
    modules=("i2c/busses/i2c-bcm2835", "i2c/i2c-dev"),
    tests=("i2c_rtc", "daemon_rtc"),
    tree=_raspi3b_tree,
)
RASPI3B_HELD = RASPI3B._replace(tests=("held_rtc", "dev_rtc", "daemon_rtc"), tree=_held_rtc_tree)
