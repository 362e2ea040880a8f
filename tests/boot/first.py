"""The first boot ever: what has to be true of it, and what it costs.

It is looked at where the card of all other tests is made, for they begin where it ends.
"""

import time

from pints.restore import build_epoch
from tests.boot import guest
from tests.boot.pi import Pi

BEFORE_RESTORE = "init.scope", "systemd-journald.service", "modprobe@", "systemd-udevd.service"
"""Units that may stamp a line of the journal before the clock is floored: the service manager, the
journal itself, what loads modules, and the device manager, which starts at the same time as
pints-restore and is not ordered after it.  The kernel's lines have no unit."""


def costs(pi: Pi) -> str:
    """Seconds to verified, and what reached the card until now."""
    verified = guest.said(pi, guest.VERIFIED)[0].boot
    started = guest.said(pi, "sources, state in")[0].boot
    return (
        f"verified {verified:.1f} s after the kernel began, {verified - started:.1f} s after "
        f"pints' first word; {guest.octets_written(pi) / 1024:.0f} KiB written to the card"
    )


def check_journal(pi: Pi) -> None:
    """Nobody but the earliest ones writes a line before the floor."""
    epoch = guest.seconds(build_epoch())
    (floored,) = guest.said(pi, "clock set from")
    assert "(build epoch)" in floored.text
    early = {line.unit for line in guest.journal(pi) if line.unit and line.real < epoch}
    strangers = {unit for unit in early if not unit.startswith(BEFORE_RESTORE)}
    assert strangers <= {"pints-restore.service"}, strangers
    order = "pints-restore.service", "systemd-journal-flush.service", "sysinit.target"
    times = [guest.when(pi, unit) for unit in order]
    assert 0 < times[0] <= times[1] <= times[2], dict(zip(order, times, strict=True))
    assert guest.when(pi, "time-set.target") >= times[0]


def check_time(pi: Pi) -> None:
    """From servers whose certificates lie in the future of the floor."""
    status = guest.status(pi)
    assert (status["state"], status["basis"]) == ("verified", "anchored"), status
    assert pi.sh("timedatectl show -P NTPSynchronized") == "yes"
    before = time.time()
    shown = float(pi.sh("date +%s.%N"))
    assert before - 0.1 < shown < time.time() + 0.1
    # Who waits for it gets it, and not before.
    assert pi.sh("systemctl is-active time-sync.target needs-time.service") == "active\nactive"
    assert int(pi.sh("cat /run/needs-time")) >= int(pi.began)
    assert guest.when(pi, "time-sync.target") >= guest.said(pi, guest.VERIFIED)[0].boot


def check_state(pi: Pi) -> None:
    """What the next boot needs is kept; nothing of pints has failed."""
    assert guest.seconds(guest.saved_time(pi)) >= pi.began
    assert pi.sh("ls /var/lib/pints/sessions") != ""
    assert pi.sh("systemctl list-units --failed --plain --no-legend 'pints*'") == ""
    assert pi.sh("systemctl show -P NRestarts pints.service") == "0"
