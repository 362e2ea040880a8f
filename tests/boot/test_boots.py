"""Whole boots: the first one ever, the next, and the one after a power cut."""

import random
import time
from pathlib import Path

from pints.restore import decode
from tests.boot import first, guest
from tests.boot.lab import Lab


def test_first_boot_ever(lived: Path) -> None:
    """In `lived`, for all others begin where it ends."""


def test_reboot_takes_one_round_trip(lab: Lab, lived: Path, figures: dict[str, str]) -> None:
    with lab.pi(lab.card("again", lived)) as pi:
        pi.boot()
        guest.wait(pi)
        (verified,) = guest.said(pi, guest.VERIFIED)  # whose stamp is true, then
        cable = lab.cables[0]
        asked = [cable.requests(s.ntp_port, pi.began, verified.real) for s in lab.servers]
        assert max(asked) == 1, asked
        assert sum(asked) >= 2, asked
        assert cable.connections(pi.began) == 0
        figures["second boot"] = first.costs(pi)


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
