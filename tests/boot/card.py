"""The Pi's card: a Debian 13 with the package of this tree installed, as an ext4 image.

The tree is what `scripts/debian-tree.sh device` makes, systemd-timesyncd included; the package
is `make deb`'s, put over it by apt, offline.  What is added is four units that make a board of a
process (network, shell, a word on the console, something that needs the time) and an init that
begins in 1970.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.boot.pi import PORT, READY

SIZE = 800 << 20

# The kernel has the date from this machine; one without a real-time clock counts from 0.
# `pi.tick=10002` makes the clock 200 ppm fast.  `pi.overlay` is what images with a read-only root
# do before their init: all that is written goes to memory.
_WITHOUT_RTC = """#!/bin/sh
mount -t proc proc /proc
read -r up _ </proc/uptime
date -s "@$((${up%.*} + 1))" >/dev/null
for word in $(cat /proc/cmdline); do
    case $word in
    pi.tick=*) /usr/local/sbin/tick "${word#*=}" ;;
    pi.overlay)
        modprobe overlay
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/upper /mnt/work /mnt/root
        mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
        mount --move /proc /mnt/root/proc
        cd /mnt/root
        pivot_root . mnt
        exec chroot . /usr/lib/systemd/systemd ;;
    esac
done
exec /usr/lib/systemd/systemd
"""

# Sets the tick, if told; prints how many ppm too fast the kernel has been told to run.
_TICK = """#!/usr/bin/python3 -IS
import ctypes, sys
timex = (ctypes.c_long * 32)()  # linux/timex.h: the 64-bit struct timex
if sys.argv[1:]:
    timex[0], timex[11] = 0x4000, int(sys.argv[1])  # ADJ_TICK, tick
if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
    sys.exit(f"adjtimex: {ctypes.get_errno()}")
print((timex[11] - 10000) * 100 + timex[2] / 65536)
"""

_LAN = """#!/bin/sh -e
read -r words </proc/cmdline
number=${words##*pi.lan=}
number=${number%% *}
ip link set lo up
ip link set vec0 up
ip address add "10.77.$number.2/24" dev vec0
ip route add default via "10.77.$number.1"
"""

_LAN_SERVICE = """[Unit]
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lan
[Install]
WantedBy=multi-user.target
"""

_SHELL_SOCKET = f"""[Socket]
ListenStream=0.0.0.0:{PORT}
Accept=yes
[Install]
WantedBy=sockets.target
"""

_SHELL = """[Unit]
CollectMode=inactive-or-failed
[Service]
ExecStart=/bin/sh
Environment=LC_ALL=C.UTF-8
StandardInput=socket
StandardOutput=socket
StandardError=socket
"""

_READY = f"""[Unit]
Requires=shell.socket lan.service
After=shell.socket lan.service
[Service]
Type=oneshot
ExecStart=/bin/echo "{READY}"
StandardOutput=tty
TTYPath=/dev/console
[Install]
WantedBy=multi-user.target
"""

_NEEDS_TIME = """[Unit]
Description=Something that needs the right time
Requires=time-sync.target
After=time-sync.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'date +%%s >/run/needs-time'
[Install]
WantedBy=multi-user.target
"""

# This kernel has hundreds of terminals that no board has.
_TRIGGER = """[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-nomatch=tty
"""

UNITS = {
    "systemd-udev-trigger.service.d/board.conf": _TRIGGER,
    "lan.service": _LAN_SERVICE,
    "shell.socket": _SHELL_SOCKET,
    "shell@.service": _SHELL,
    "ready.service": _READY,
    "needs-time.service": _NEEDS_TIME,
}
PROGRAMS = {"without-rtc": _WITHOUT_RTC, "tick": _TICK, "lan": _LAN}


def furnish(root: Path, package: Path, modules: Path) -> None:
    """Make a board's root of a Debian tree: `package` the .deb, `modules` the kernel's."""
    shutil.copy(package, root / "var/tmp/pints.deb")
    # What upsets a tree that does not run, as every image builder has it.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    inside(root, "apt-get -qy --no-install-recommends install /var/tmp/pints.deb")
    policy.unlink()
    (root / "var/tmp/pints.deb").unlink()
    shutil.rmtree(root / "var/cache/apt/archives")
    shutil.rmtree(root / "var/lib/apt/lists")
    shutil.copytree(modules, root / "usr/lib/modules" / modules.name)
    inside(root, f"depmod {modules.name}")
    for name, text in UNITS.items():
        path = root / "etc/systemd/system" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name, text in PROGRAMS.items():
        (root / "usr/local/sbin" / name).write_text(text)
        (root / "usr/local/sbin" / name).chmod(0o755)
    (root / "etc/hostname").write_text("pi\n")
    (root / "etc/fstab").write_text(FSTAB)
    (root / "etc/machine-id").write_text("")  # made on the first boot
    inside(root, "systemctl enable lan.service shell.socket ready.service needs-time.service")
    for folder in ("etc", "var"):  # or the first boot spends half a minute on man pages and such
        (root / folder / ".updated").touch()


FSTAB = "/dev/ubda / ext4 noatime 0 1\n"


def inside(root: Path, script: str) -> str:
    """What a shell script prints with the tree as its root, and /proc, as image builders do."""
    enter = 'mount --rbind /proc "$0/proc"; exec chroot "$0" /bin/sh -ec "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-ec", enter, str(root), script],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
    return done.stdout


def image(path: Path, size: int, tree: Path | None = None) -> Path:
    """An ext4 image, with the tree in it, of blocks as a card has them."""
    with path.open("wb") as file:
        file.truncate(size)
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    what = ["-d", str(tree)] if tree else []
    _e2fsprogs("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-E", lazy, *what, str(path))
    return path


def copy(card: Path, path: Path) -> Path:
    """Another card with the same on it."""
    subprocess.run(["cp", "--sparse=always", str(card), str(path)], check=True)
    return path


def put(card: Path, name: str, text: str) -> None:
    """Write a file onto a card that is in no board."""
    source = card.with_suffix(".put")
    source.write_text(text)
    commands = [f"mkdir {parent}" for parent in reversed(Path(name).parents[:-1])]
    commands += [f"rm {name}", f"write {source} {name}"]
    _e2fsprogs("debugfs", "-w", "-f", "-", str(card), words="\n".join(commands) + "\n")
    source.unlink()


def _e2fsprogs(*command: str, words: str = "") -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run(
        command, input=words, text=True, check=True, capture_output=True,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
