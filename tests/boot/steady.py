"""A Pi that runs for minutes beside the others: its clock, its server, its devices."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.boot import card
from tests.boot.lab import SETTINGS, Lab
from tests.boot.pi import Pi

TICK = 10002
"""The kernel's clock is begun 200 ppm fast."""

_SERVER = """
[server]
listen = ["0.0.0.0"]
certificate = "/etc/pints/server.crt"
key = "/etc/pints/server.key"
"""

@dataclass
class Steady:
    pi: Pi
    verified: float
    """When, time.monotonic()."""


@contextmanager
def steady_pi(lab: Lab) -> Iterator[Steady]:
    """With all drop-ins that there are, and sources that are asked every eight seconds."""
    made = lab.card("steady")
    card.put(made, SETTINGS, lab.settings(lab.servers, minpoll=3) + _SERVER)
    with lab.pi(made, 1) as pi:
        pi.boot(f"pi.tick={TICK}")
        pi.sh(
            "mkdir -p /etc/systemd/system/pints.service.d\n"
            "ln -s /usr/share/pints/pints.service.d/serve.conf /etc/systemd/system/pints.service.d/\n"
            "systemctl daemon-reload; systemctl restart pints; pints wait --timeout 120"
        )
        yield Steady(pi, time.monotonic())
        pi.off()
