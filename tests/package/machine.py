"""A small Debian 13 to install things on, gone without a trace when it is closed.

It is a tree that runs nothing (scripts/debian-tree.sh device).  apt finds every package in its
cache, so none needs the network.  `systemctl` writes down what it is told to start and to stop;
enabling a unit makes links, which it does as ever.
"""

import os
import subprocess
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
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
IGNORED = (
    "/proc",
    "/sys",
    "/dev",
    "/src",
    "/out",
    "/tmp",
    "/var/cache",
    "/var/log",
    "/var/lib/apt",
)
"""Where files come and go that are no package's, or apt's own."""


class Machine:
    """As a context manager: up inside, gone after."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages

    def __enter__(self) -> "Machine":
        self._process = subprocess.Popen(
            [ROOT / "scripts" / "debian-tree.sh", "device", "sh", "-c", "echo up; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OUT": str(self._packages)},
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"up\n"
        # A folder that systemd makes when it boots: the packages look for it.
        self.run(
            "mkdir -p /run/systemd/system\n"
            "mv /usr/bin/systemctl /usr/bin/systemctl.real\n"
            f"cat >/usr/bin/systemctl <<'EOF'\n{RECORDER}EOF\n"
            "chmod 755 /usr/bin/systemctl"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)

    def run(self, script: str) -> str:
        """What a shell script prints there.  One that fails is the test's failure."""
        done = subprocess.run(
            ["nsenter", f"--target={self._process.pid}", "--mount", "--root", "--wd",
             "sh", "-euc", script],
            env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

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
