"""What shows on a Pi that runs, and its clock after minutes under pints.

The last file, for it has been running beside all others since the first.
"""

import os
import statistics
import time

from tests.boot import guest
from tests.boot.lab import Lab
from tests.boot.pi import Pi

MINUTES = float(os.environ.get("PINTS_BOOT") or 4)
"""How long the clock is looked at, once the time was verified."""
SETTLED = 120.0
"""Seconds after which it has to be right."""


def test_serves_under_its_sandbox(lab: Lab, steady: Pi) -> None:
    steady.ready()
    guest.wait(steady)
    # A key exchange by the KE server, which has to select ALPN; an answer by the daemon, on a
    # port below 1024.
    answer = lab.query(lab.cables[1].guest)
    assert answer["authenticated"], answer
    assert steady.sh("systemctl is-active pints-ke.service") == "active"


def test_a_device_opens_by_its_drop_in_only(steady: Pi) -> None:
    steady.ready()
    steady.sh("modprobe -a i2c-dev pps-ktimer; modprobe i2c-stub chip_addr=0x68; udevadm settle")
    # In the daemon's mounts and control group; as root, whom only the latter keeps out, and as
    # its user, who has the group as well.
    inside = (
        "echo $$ >/sys/fs/cgroup/system.slice/pints.service/cgroup.procs\n"
        "enter='nsenter --mount --target '$(systemctl show -P MainPID pints)\n$enter "
    )
    assert "not permitted" in steady.sh(f"{inside} sh -c 'exec 3</dev/ubda' 2>&1 || true")
    assert "not permitted" in steady.sh(f"{inside} sh -c 'exec 3</dev/pps0' 2>&1 || true")
    as_user = "setpriv --reuid pints --regid pints --init-groups"
    steady.sh(f"{inside} {as_user} sh -c 'exec 3<>/dev/i2c-0'")


_CPU = """
import os, subprocess, sys
def cpu(*command):
    silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=silence)
    _, status, used = os.wait4(pid, 0)
    assert status == 0, command
    return used.ru_utime + used.ru_stime
words = "systemctl", "show", "-P", "ExecStart", "pints-restore"
shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
exact = shown.partition("argv[]=")[2].partition(" ;")[0].split()
for _ in range(15):
    print(cpu(*exact, "--dry-run"), cpu(exact[0], "-I", "-S", "-c", "pass"))
"""


def test_restore_costs_little(steady: Pi, figures: dict[str, str]) -> None:
    """The unit's exact command beside an interpreter that does nothing, CPU time."""
    steady.ready()
    guest.wait(steady)
    lines = steady.sh(f"python3 - <<'E'\n{_CPU}\nE").splitlines()
    pairs = [tuple(map(float, line.split())) for line in lines]
    ratio = statistics.median(restore / nothing for restore, nothing in pairs)
    figures["pints restore / python3 -I -S -c pass, CPU time"] = f"{ratio:.2f}"
    assert ratio <= 1.5, pairs


def test_the_clock_is_disciplined(lab: Lab, steady: Pi, figures: dict[str, str]) -> None:
    """Begun 200 ppm fast; this machine's clock is what the servers serve."""
    steady.ready()
    guest.wait(steady)
    verified = guest.said(steady, guest.VERIFIED)[0].real
    offsets: list[tuple[float, float]] = []
    end = max(verified + 60 * MINUTES, time.time() + 60)
    while time.time() < end:
        answer = lab.query(lab.cables[1].guest)
        offsets.append((time.time() - verified, answer["offset"]))
    late = [(at, offset) for at, offset in offsets if at > SETTLED]
    worst = max(abs(offset) for _, offset in late)
    rate = float(steady.sh("/usr/local/sbin/tick"))
    tracking = guest.status(steady, "tracking")
    figures["clock, begun 200 ppm fast"] = (
        f"after {SETTLED:.0f} s within {worst * 1e6:.0f} us of this machine's for "
        f"{late[-1][0] - late[0][0]:.0f} s ({len(late)} queries); rate {rate:+.2f} ppm, "
        f"frequency error by the offsets {_slope(late) * 1e6:+.2f} ppm"
    )
    assert worst < 0.002, offsets
    # That kernel's crystal is this machine's clock: its rate is the whole error of frequency.  The
    # slope is seen through the queries' noise, on a machine that boots others meanwhile.
    assert abs(rate) < 2, tracking
    assert abs(_slope(late)) < 10e-6, offsets
    assert guest.status(steady)["steps"] == 1


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the line of least squares."""
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    return sum((p[0] - x) * (p[1] - y) for p in points) / sum((p[0] - x) ** 2 for p in points)
