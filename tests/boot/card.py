"""The Pi's card: Debian 13 with the pints of this tree, as an ext4 image.

The tree comes from scripts/guest.sh; what is added to it here is the package, the configuration
that a scenario wants, and the four files that make a board of a process: the network, the shell,
an init that begins in 1970, and a unit that waits for the time like any that needs it.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.boot.pi import PORT, READY

SIZE = 700 << 20

# The kernel has asked this machine for the date.  One without a real-time clock counts from 0.
# `pi.tick=10002` makes its crystal 200 ppm fast; `pi.overlay` is what an image with a read-only
# root does before its init: what is written goes to memory.
_NO_RTC = """#!/bin/sh
mount -t proc proc /proc
read -r up _ </proc/uptime
date -s "@$((${up%.*} + 1))" >/dev/null
for word in $(cat /proc/cmdline); do
    case $word in
    pi.tick=*) /usr/bin/python3 -I -S /usr/local/sbin/crystal "${word#*=}" ;;
    pi.overlay)
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

_CRYSTAL = """import ctypes, sys
timex = (ctypes.c_long * 32)()  # linux/timex.h: 64-bit struct timex
timex[0], timex[11] = 0x4000, int(sys.argv[1])  # ADJ_TICK, tick
sys.exit(ctypes.CDLL(None).adjtimex(timex) < 0)
"""

_LAN = """[Unit]
Description=The only cable
DefaultDependencies=no
After=systemd-journald.socket
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec 'n=$$(sed "s/.*pi.lan=\\\\([0-9]*\\\\).*/\\\\1/" /proc/cmdline); ip link set lo up; \
ip link set vec0 up; ip address add 10.77.$$n.2/24 dev vec0; ip route add default via 10.77.$$n.1'
[Install]
WantedBy=multi-user.target
"""

_SHELL_SOCKET = f"""[Socket]
ListenStream=0.0.0.0:{PORT}
Accept=yes
[Install]
WantedBy=sockets.target
"""

_SHELL = """[Service]
ExecStart=/bin/sh
StandardInput=socket
StandardOutput=socket
StandardError=socket
"""

_READY = f"""[Unit]
After=shell.socket lan.service
Requires=shell.socket lan.service
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
Wants=time-sync.target
After=time-sync.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'date +%%s >/run/needs-time'
[Install]
WantedBy=multi-user.target
"""

UNITS = {
    "lan.service": _LAN,
    "shell.socket": _SHELL_SOCKET,
    "shell@.service": _SHELL,
    "ready.service": _READY,
    "needs-time.service": _NEEDS_TIME,
}


def furnish(root: Path) -> None:
    """Make a board's root of a Debian tree."""
    for name, text in UNITS.items():
        (root / "etc/systemd/system" / name).write_text(text)
    for name, text in {"without-rtc": _NO_RTC, "crystal": _CRYSTAL}.items():
        path = root / "usr/local/sbin" / name
        path.write_text(text)
        path.chmod(0o755)
    (root / "etc/hostname").write_text("pi\n")
    (root / "etc/fstab").write_text("/dev/ubda / ext4 noatime 0 1\n")
    (root / "etc/machine-id").write_text("")
    inside(root, "systemctl enable lan.service shell.socket ready.service needs-time.service")
    # Not what a card finds on its first boot: the libraries' cache of another tree's build.
    for folder in ("etc", "var"):
        (root / folder / ".updated").touch()


def inside(root: Path, script: str) -> str:
    """Run a shell script with the tree as its root."""
    done = subprocess.run(
        ["chroot", str(root), "/bin/sh", "-ec", script],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
    return done.stdout


def image(root: Path, path: Path, size: int = SIZE) -> Path:
    """An ext4 image with the tree in it, of blocks as a card has them."""
    with path.open("wb") as file:
        file.truncate(size)
    make = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if make is None:
        raise FileNotFoundError("mke2fs is missing; install it: sudo apt-get install e2fsprogs")
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    subprocess.run(
        [make, "-q", "-t", "ext4", "-b", "4096", "-E", lazy, "-d", str(root), str(path)],
        check=True,
    )
    return path


def copy(card: Path, path: Path) -> Path:
    """Another card with the same on it."""
    subprocess.run(["cp", "--sparse=always", str(card), str(path)], check=True)
    return path


def put(card: Path, name: str, text: str) -> None:
    """Write a file onto a card that is in no board."""
    source = card.with_suffix(".put")
    source.write_text(text)
    commands = f"rm {name}\nwrite {source} {name}\n"
    subprocess.run(
        ["debugfs", "-w", "-f", "-", str(card)], input=commands, text=True, check=True,
        capture_output=True, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )  # fmt: skip
    source.unlink()
