"""What a Debian tree does: `Still`, where packages are installed, and `Running`, booted.

Neither has a network: apt finds every package in its cache.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.package.tree import Completed, Tree, call

RECORDER = """\
#!/bin/sh
# What only concerns links in /etc is done by the real one; the rest takes a service manager.
case " $* " in
*" is-enabled "* | *" enable "* | *" disable "* | *" preset "* | *" mask "* | *" unmask "*)
    exec env SYSTEMD_OFFLINE=1 systemctl.real "$@" ;;
*" is-active "* | *" show "* | *" is-system-running "*) exit 1 ;;
esac
words=
for word; do case $word in -*) ;; *) words="$words $word" ;; esac; done
echo "${words# }" >>/tmp/told
"""
IGNORED = ("/proc", "/dev", "/out", "/tmp", "/var/cache", "/var/log", "/var/lib/apt")
"""Where files come and go that are no package's, or apt's own."""
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


class Still:
    """A tree that runs nothing.  `systemctl` writes down what it is told to start and to stop;
    enabling a unit makes links, which it does as ever.  The built packages lie in /out."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        systemctl = tree / "usr/bin/systemctl"
        real = systemctl.with_name("systemctl.real")
        if not real.exists():
            systemctl.rename(real)
            systemctl.write_text(RECORDER)
            systemctl.chmod(0o755)
        # A folder that systemd makes when it boots: the packages look for it.
        (tree / "run/systemd/system").mkdir(parents=True, exist_ok=True)

    def run(self, script: str) -> str:
        """What a shell script prints there.  One that fails is the test's failure."""
        return self.tree.run("sh", "-euc", script).stdout

    def apt(self, *words: str) -> str:
        """apt-get, with no network to fall back on."""
        fixed = "-qy --no-install-recommends -o Acquire::http::Proxy=http://127.0.0.1:9"
        return self.run(f"apt-get {fixed} {' '.join(words)}")

    def told(self) -> list[str]:
        """What the service manager has been told since this was last asked."""
        said = self.run("touch /tmp/told; cat /tmp/told; rm /tmp/told").splitlines()
        return [words for words in said if words not in ("", "daemon-reload")]

    def dpkg_log(self) -> list[tuple[str, str]]:
        """What dpkg has done so far: action or new status, and the package's name."""
        steps = []
        for line in self.run("cat /var/log/dpkg.log").splitlines():
            words = line.split()[2:]
            if words[0] in ("remove", "unpack", "install", "configure"):
                steps.append((words[0], words[1].partition(":")[0]))
            elif words[0] == "status" and words[1] in ("installed", "config-files"):
                steps.append((words[1], words[2].partition(":")[0]))
        return steps

    def files(self) -> set[str]:
        """Everything in the tree that could be left behind."""
        prune = " -o ".join(f"-path {path}" for path in IGNORED)
        return set(self.run(f"find / \\( {prune} \\) -prune -o -print").splitlines())

    def accounts(self) -> set[str]:
        """Users and groups."""
        return set(self.run("cat /etc/passwd /etc/group").splitlines())

    def enabled(self) -> set[str]:
        """Units that the next boot starts, by the links in /etc.  (Those of a package that was
        removed, but not purged, lead nowhere.)"""
        links = self.run("find /etc/systemd/system -path '*.[wr]*/*' -xtype f -printf '%f\\n'")
        return set(links.splitlines())

    def installed(self, package: str) -> bool:
        status = self.run(f"dpkg-query -W -f '${{db:Status-Status}}' {package} 2>&1 || true")
        return status == "installed"


class Running:
    """A tree whose own systemd is process 1 of namespaces of its own.  It has no network, cannot
    write the kernel's settings and lacks CAP_SYS_TIME, so that nothing in it ever moves this
    machine's clock."""

    def __init__(self, tree: Tree | Path, pid: int) -> None:
        self.tree = tree
        self._pid = pid
        """Of its process 1, as this machine counts."""

    def run(self, *argv: str, check: bool = True) -> Completed:
        """Run a program there."""
        return call("nsenter", "-t", self._pid, "-a", "-r", "-w", *argv, check=check)

    def active(self, unit: str) -> bool:
        return self.run("systemctl", "is-active", "-q", unit, check=False).returncode == 0

    def enabled(self, unit: str) -> bool:
        return self.run("systemctl", "is-enabled", "-q", unit, check=False).returncode == 0

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout


@contextmanager
def booted(tree: Tree | Path) -> Iterator[Running]:
    """Boot the tree, to multi-user.target; switched off at the end, without a shutdown."""
    spaces = ["--mount", "--pid", "--cgroup", "--uts", "--net", "--ipc"]
    command = ["unshare", *spaces, "--fork", "--kill-child", "sh", "-ec", BOOT, "boot", str(tree)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as outer:
        try:
            machine = Running(tree, _child(outer))
            deadline = time.monotonic() + 120
            # Not is-system-running: that waits for the time, which does not come here.
            while not machine.active("multi-user.target"):
                assert outer.poll() is None, "its systemd ended"
                assert time.monotonic() < deadline, "it does not come up"
                time.sleep(0.1)
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
