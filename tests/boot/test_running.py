"""What shows on a Pi that runs, and its clock after minutes under pints.

`make boot` gives this file a process of its own: the other boots go on beside it.
"""

import os
import statistics
import time
from typing import NamedTuple

from tests.boot import guest
from tests.boot.lab import Lab
from tests.boot.pi import Pi

MINUTES = float(os.environ.get("PINTS_BOOT") or 4)
"""How long the clock is looked at."""
SETTLED = 60.0
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
    answers: list[Answer] = []
    end = max(time.time(), verified + SETTLED) + 60 * MINUTES
    while time.time() < end:
        answer = lab.query(lab.cables[1].guest)
        answers.append(Answer(time.time() - verified, answer["offset"], answer["delay"]))
    late = [answer for answer in answers if answer.at > SETTLED]
    worst = max(abs(answer.offset) for answer in late)
    rate = float(steady.sh("/usr/local/sbin/tick"))
    tracking = guest.status(steady, "tracking")
    slope, slope_error = _slope(_quickest(late))
    figures["clock, begun 200 ppm fast"] = (
        f"after {SETTLED:.0f} s within {worst * 1e6:.0f} us of this machine's for "
        f"{late[-1].at - late[0].at:.0f} s ({len(late)} queries); rate {rate:+.2f} ppm, "
        f"frequency error by the offsets {slope * 1e6:+.2f} ppm +- {slope_error * 1e6:.2f}"
    )
    assert worst < 0.002, answers
    # That kernel's crystal is this machine's clock: its rate is the whole error of frequency.  The
    # slope shows the same through what each query may be wrong by.
    assert abs(rate) < 2, tracking
    assert abs(slope) < 2e-6 + slope_error, answers
    log = [line.text for line in guest.said(steady, "")]
    assert guest.status(steady)["steps"] == 1, log


def test_what_its_owner_sees(steady: Pi) -> None:
    """`systemctl status` in one line, and `timedatectl` as the switch it promises to be."""
    steady.ready()
    guest.wait(steady)
    assert steady.sh("systemctl show -P StatusText pints").startswith(guest.VERIFIED)
    shown = "systemctl is-active pints.service systemd-timesyncd.service || true"
    steady.sh("timedatectl set-ntp false")
    assert steady.sh(shown) == "inactive\ninactive"
    steady.sh("timedatectl set-ntp true")
    guest.wait(steady)
    assert steady.sh(shown) == "active\ninactive"


def test_a_daemon_that_hangs_is_replaced(steady: Pi) -> None:
    """By the watchdog, after its three minutes; here told to be quicker."""
    steady.ready()
    steady.sh(
        "mkdir -p /run/systemd/system/pints.service.d\n"
        "printf '[Service]\\nWatchdogSec=5s\\n' >/run/systemd/system/pints.service.d/quick.conf\n"
        "systemctl daemon-reload; systemctl restart pints"
    )
    guest.wait(steady)
    hung = steady.sh("systemctl show -P MainPID pints")
    steady.sh(f"kill -STOP {hung}")
    steady.sh("until [ $(systemctl show -P NRestarts pints) -ge 1 ]; do sleep 0.5; done")
    guest.wait(steady)
    assert steady.sh("systemctl show -P MainPID pints") not in ("0", hung)
    assert steady.sh("journalctl -b -u pints --grep 'Watchdog timeout' -o cat") != ""


class Answer(NamedTuple):
    """Of a query."""

    at: float
    offset: float
    delay: float
    """The truth is within half of it: what a queue adds to the offset it adds here as well."""


def _quickest(answers: list[Answer], span: float = 10.0) -> list[Answer]:
    """Of each span of seconds, the one that says the most."""
    best: dict[int, Answer] = {}
    for answer in answers:
        n = int(answer.at // span)
        if n not in best or answer.delay < best[n].delay:
            best[n] = answer
    return list(best.values())


def _slope(points: list[Answer]) -> tuple[float, float]:
    """Of the line of least squares, and how far off it may be if every point is as far off as
    can be, in the worst sense."""
    x = sum(p.at for p in points) / len(points)
    square = sum((p.at - x) ** 2 for p in points)
    slope = sum((p.at - x) * p.offset for p in points) / square
    return slope, sum(abs(p.at - x) * p.delay / 2 for p in points) / square
