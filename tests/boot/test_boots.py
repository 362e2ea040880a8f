"""Whole boots: the first one ever, the next, and the one after a power cut."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pints.restore import build_epoch, decode
from tests.boot import guest
from tests.boot.lab import Lab
from tests.boot.pi import Pi
from tests.boot.steady import Steady

BEFORE_RESTORE = ("init.scope", "systemd-journald.service", "modprobe@")
"""Who may stamp a line of the journal before the clock is floored: the service manager, the
journal itself and what loads modules.  The kernel's lines have no unit."""


@pytest.fixture(scope="session")
def lived(lab: Lab, steady: Steady, figures: dict[str, str]) -> Iterator[Path]:
    """A card after its first boot, which was a good one: the tests of it are in here."""
    card = lab.card("first")
    with lab.pi(card) as pi:
        pi.boot()
        guest.wait(pi)
        a_good_first_boot(pi)
        figures["first boot"] = costs(pi)
        figures["first boot, written to the card"] = f"{guest.octets_written(pi) / 1024:.0f} KiB"
        pi.off()
    yield card


def costs(pi: Pi) -> str:
    verified = guest.said(pi, guest.VERIFIED)[0]
    (started,) = guest.said(pi, "sources, state in")
    return (
        f"kernel to verified {verified.boot:.1f} s (of them pints.service "
        f"{verified.boot - guest.when(pi, 'pints-restore.service'):.1f} s), "
        f"from its first word {verified.boot - started.boot:.1f} s"
    )


def a_good_first_boot(pi: Pi) -> None:
    epoch = guest.seconds(build_epoch())
    (floored,) = guest.said(pi, "clock set from")
    assert "(build epoch)" in floored.text

    # The journal: nobody but the earliest ones writes a line before the floor.
    early = [line for line in guest.journal(pi) if line.real < epoch]
    strangers = {line.unit for line in early if line.unit and not line.unit.startswith(BEFORE_RESTORE)}
    assert strangers <= {"pints-restore.service"}, strangers
    order = "pints-restore.service", "systemd-journal-flush.service", "sysinit.target"
    times = [guest.when(pi, unit) for unit in order]
    assert times == sorted(times) and all(times), dict(zip(order, times, strict=True))
    assert guest.when(pi, "time-set.target") >= times[0]

    # The time: from servers whose certificates lie in the future of the floor.
    status = guest.status(pi)
    assert (status["state"], status["basis"]) == ("verified", "anchored"), status
    assert pi.sh("timedatectl show -P NTPSynchronized") == "yes"
    asked = time.time()
    assert abs(float(pi.sh("date +%s.%N")) - asked) < 1.0

    # Who waits for it, gets it, and not before.
    assert pi.sh("systemctl is-active time-sync.target needs-time.service") == "active\nactive"
    assert int(pi.sh("cat /run/needs-time")) >= pi.began - 1
    verified = guest.said(pi, guest.VERIFIED)[0]
    assert guest.when(pi, "time-sync.target") >= verified.boot

    # What is kept for the next boot; and nothing of pints has failed.
    assert guest.seconds(guest.saved_time(pi)) >= pi.began
    assert pi.sh("ls /var/lib/pints/sessions") != ""
    assert pi.sh("systemctl --failed --plain --no-legend 'pints*'") == ""
    assert pi.sh("systemctl show -P NRestarts pints.service") == "0"


def test_first_boot_ever(lived: Path) -> None:
    """In `lived`, for all others begin where it ends."""


def test_reboot_takes_one_round_trip(lab: Lab, lived: Path, figures: dict[str, str]) -> None:
    with lab.pi(lab.card("again", lived)) as pi:
        pi.boot()
        guest.wait(pi)
        (verified,) = guest.said(pi, guest.VERIFIED)  # whose stamp is true, then
        cable = lab.cables[0]
        asked = [cable.requests(s.ntp_port, pi.began, verified.real) for s in lab.servers]
        assert max(asked) == 1 and sum(asked) >= 2, asked
        assert cable.connections(pi.began) == 0
        (floored,) = guest.said(pi, "clock set from")
        assert "(saved time)" in floored.text or "(last seen time)" in floored.text
        figures["second boot"] = costs(pi)
        figures["second boot, written to the card"] = f"{guest.octets_written(pi) / 1024:.0f} KiB"


def test_power_cut(lab: Lab, lived: Path, rng: random.Random) -> None:
    with lab.pi(lab.card("cut", lived)) as pi:
        pi.boot()
        guest.wait(pi)
        saved = guest.saved_time(pi)
        pi.sh("systemd-run -q sh -c 'while pints save; do :; done'")
        moment = rng.uniform(0.0, 5.0)
        print(f"cut {moment:.3f} s later")
        time.sleep(moment)
        pi.cut()
        pi.boot()
        guest.wait(pi)
        line = pi.sh("cat /var/lib/pints/time") + "\n"
        assert decode(line.encode()) is not None
        assert guest.saved_time(pi) >= saved
        (floored,) = guest.said(pi, "clock set from")
        assert floored.real >= guest.seconds(saved)
        assert guest.status(pi)["state"] == "verified"
