"""Roots and state folders that keep nothing: the time is verified all the same, and that nothing
can be kept is said once."""

from pathlib import Path

from tests.boot import card, guest
from tests.boot.lab import Lab
from tests.boot.pi import Pi


def verified(pi: Pi) -> None:
    guest.wait(pi)
    assert guest.status(pi)["state"] == "verified"
    assert pi.sh("systemctl is-active time-sync.target") == "active"
    assert pi.sh("systemctl list-units --failed --plain --no-legend 'pints*'") == ""


def test_read_only_root_from_the_factory(lab: Lab) -> None:
    """It has never run: its state folder is empty, and it has no machine-id."""
    made = lab.card("read-only")
    card.put(made, "/etc/fstab", card.FSTAB.replace("noatime", "noatime,ro"))
    with lab.pi(made) as pi:
        pi.boot("ro")
        verified(pi)
        assert len(guest.said(pi, "read-only")) == 1


def test_overlay_root(lab: Lab, lived: Path) -> None:
    with lab.pi(lab.card("overlay", lived)) as pi:
        pi.boot("pi.overlay")
        verified(pi)
        assert pi.sh("findmnt -no FSTYPE /") == "overlay"
        # It would be forgotten that a saved cookie was sent, so none is: keys are exchanged.
        assert lab.cables[0].connections(pi.began) >= 2


def test_full_state_folder(lab: Lab, lived: Path) -> None:
    made = lab.card("full", lived)
    card.put(made, "/etc/fstab", card.FSTAB + "/dev/ubdb /var/lib/pints ext4 noatime 0 2\n")
    small = card.image(lab.folder / "small", 8 << 20)
    card.put(small, "/film", "x" * (16 << 20))
    with lab.pi(made, other=small) as pi:
        pi.boot()
        assert " 100% " in pi.sh("df /var/lib/pints")
        verified(pi)
        assert len(guest.said(pi, "No space left")) == 1
