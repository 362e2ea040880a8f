"""A Pi that runs for minutes, so that its clock can show what it is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.boot import card
from tests.boot.lab import ROOT, SETTINGS, Lab
from tests.boot.pi import Pi

TICK = 10002
"""The kernel's clock begins 200 ppm fast."""

_SERVER = """
[server]
listen = ["0.0.0.0"]
certificate = "/etc/pints/server.crt"
key = "/etc/pints/server.key"
"""


@contextmanager
def steady_pi(lab: Lab) -> Iterator[Pi]:
    """Switched on, with the drop-ins to serve and to have a real-time clock."""
    made = lab.card("steady")
    card.put(made, SETTINGS, lab.settings(lab.servers, minpoll=3) + _SERVER)
    for name in ("serve.conf", "rtc.conf"):
        drop_in = (ROOT / "systemd/pints.service.d" / name).read_text()
        card.put(made, f"/etc/systemd/system/pints.service.d/{name}", drop_in)
    with lab.pi(made, 1) as pi:
        pi.switch_on(f"pi.tick={TICK}")
        yield pi
