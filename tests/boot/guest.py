"""Questions to a Pi that runs, and its answers as values."""

import json
from dataclasses import dataclass
from typing import Any

from pints.timescale import NS
from tests.boot.pi import Pi

MICRO = 1_000_000


@dataclass(frozen=True)
class Line:
    """An entry of the journal."""

    real: float
    """Its stamp, seconds."""
    boot: float
    """Seconds since the kernel began."""
    unit: str
    transport: str
    text: str


def journal(pi: Pi) -> list[Line]:
    """All of this boot, in the order in which it was received."""
    fields = "MESSAGE,_SYSTEMD_UNIT,_TRANSPORT"
    lines = []
    for text in pi.sh(f"journalctl -b -o json --output-fields={fields}").splitlines():
        entry = json.loads(text)
        lines.append(
            Line(
                int(entry["__REALTIME_TIMESTAMP"]) / MICRO,
                int(entry["__MONOTONIC_TIMESTAMP"]) / MICRO,
                entry.get("_SYSTEMD_UNIT", ""),
                entry.get("_TRANSPORT", ""),
                str(entry.get("MESSAGE", "")),
            )
        )
    return lines


def said(pi: Pi, what: str) -> list[Line]:
    """The lines of pints' units with `what` in them."""
    return [line for line in journal(pi) if line.unit.startswith("pints") and what in line.text]


def status(pi: Pi, command: str = "status") -> dict[str, Any]:
    """`pints COMMAND --json`, whatever its exit status."""
    return dict(json.loads(pi.sh(f"pints {command} --json || true")))


def when(pi: Pi, unit: str) -> float:
    """When a unit became active, seconds since the kernel began; 0: never."""
    words = f"systemctl show -P ActiveEnterTimestampMonotonic {unit}"
    return int(pi.sh(words) or 0) / MICRO


def saved_time(pi: Pi) -> int:
    """Ratcheted, ns."""
    line = pi.sh("cat /var/lib/pints/time")
    return int(line.partition("ratcheted=")[2].split()[0])


def seconds(instant: int) -> float:
    return instant / NS


def octets_written(pi: Pi) -> int:
    """To the card, since the kernel began; the seventh figure counts 512 octets."""
    return int(pi.sh("sync; cat /sys/block/ubda/stat").split()[6]) * 512


VERIFIED = "verified (anchored): "


def wait(pi: Pi, patience: int = 120) -> None:
    """Until the time is verified and the boot is done."""
    pi.sh(f"pints wait --timeout {patience}", patience + 30)
    pi.sh("systemctl is-system-running --wait || true")
