"""Roots and state folders that keep nothing, or take nothing: the time is verified all the same,
and that nothing can be kept is said once."""

from pathlib import Path

from tests.boot import card, guest
from tests.boot.lab import Lab


def test_read_only_root(lab: Lab, lived: Path) -> None:
    made = lab.card("read-only", lived)
    card.put(made, "/etc/fstab", card.FSTAB.replace("noatime", "noatime,ro"))
    with lab.pi(made) as pi:
        pi.boot("ro")
        guest.wait(pi)
        assert guest.status(pi)["state"] == "verified"
        assert pi.sh("systemctl is-active time-sync.target") == "active"
        assert len(guest.said(pi, "Read-only file system")) == 1


def test_overlay_root(lab: Lab, lived: Path) -> None:
    with lab.pi(lab.card("overlay", lived)) as pi:
        pi.boot("pi.overlay")
        guest.wait(pi)
        assert pi.sh("findmnt -no FSTYPE /") == "overlay"
        assert guest.status(pi)["state"] == "verified"
        # What is saved there would be forgotten: no cookie may be sent that could be sent again.
        assert lab.cables[0].connections(pi.began) > 0


def test_full_state_folder(lab: Lab, lived: Path) -> None:
    made = lab.card("full", lived)
    card.put(made, "/etc/fstab", card.FSTAB + "/dev/ubdb /var/lib/pints ext4 noatime 0 2\n")
    small = card.image(lab.folder / "small", 4 << 20)
    with lab.pi(made, other=small) as pi:
        pi.boot()
        guest.wait(pi)
        pi.sh("systemctl stop pints; cat /dev/zero >/var/lib/pints/film || true; sync")
        pi.sh("systemctl reboot --no-block")
