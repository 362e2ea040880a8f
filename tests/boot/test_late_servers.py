"""A boot that finds nobody to ask ends nevertheless, and what needs the time does not start."""

from tests.boot import card, guest
from tests.boot.lab import SETTINGS, Lab

# Ninety seconds are too long for a test; that it is the unit that ends it, is not.
_IMPATIENT = """[Service]
ExecStart=
ExecStart=/usr/bin/pints wait --for verified --timeout 5
"""


def test_servers_that_come_later(lab: Lab) -> None:
    made = lab.card("late")
    card.put(made, SETTINGS, lab.settings(lab.late))
    card.put(made, "/etc/systemd/system/pints-wait.service.d/impatient.conf", _IMPATIENT)
    with lab.pi(made) as pi:
        pi.boot()
        pi.sh("systemctl is-system-running --wait || true")
        assert guest.status(pi)["state"] == "restored"
        assert pi.sh("timedatectl show -P NTPSynchronized") == "no"
        assert pi.sh("systemctl is-active time-set.target") == "active"
        for unit in ("time-sync.target", "needs-time.service"):
            assert guest.when(pi, unit) == 0.0, unit

        for server in lab.late:
            server.start()
        guest.wait(pi)
        pi.sh("until systemctl -q is-active time-sync.target; do sleep 0.5; done")
        assert guest.when(pi, "time-sync.target") >= guest.said(pi, guest.VERIFIED)[0].boot
        assert pi.sh("timedatectl show -P NTPSynchronized") == "yes"
