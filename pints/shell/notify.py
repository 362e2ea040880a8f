"""What the service manager is told, and how often it wants to hear from us.

The protocol of sd_notify(3): lines of `NAME=value` in one datagram to $NOTIFY_SOCKET.
Guarantees: without that variable nothing happens at all; nothing here raises or blocks for
more than SEND_TIMEOUT.
"""

import os
import socket
from collections.abc import Mapping

SEND_TIMEOUT = 1.0
"""Seconds.  Not zero: were READY=1 lost because the manager is busy, it would kill us later."""


class Notifier:
    """Speaks to the manager that the environment names."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog(environ)
        """Seconds within which `watchdog` must be called again (half of it is usual); None
        where the manager keeps no watch."""

    def ready(self, status: str = "") -> bool:
        """Start-up is over."""
        return self._send("READY=1", *([_status(status)] if status else []))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text))

    def watchdog(self) -> bool:
        """We are alive."""
        return self._send("WATCHDOG=1")

    def stopping(self) -> bool:
        """We are on our way out."""
        return self._send("STOPPING=1")

    def _send(self, *lines: str) -> bool:
        """Whether the manager has got it."""
        if self._address is None:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.settimeout(SEND_TIMEOUT)
                manager.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError:
            return False
        return True


def _address(path: str) -> bytes | None:
    """A path, or with "@" in front a name in Linux's abstract namespace."""
    if path.startswith("@"):
        return b"\0" + os.fsencode(path[1:])
    return os.fsencode(path) if path.startswith("/") else None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """sd_watchdog_enabled(3): meant for us unless another process is named."""
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
        process = int(environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 and process == os.getpid() else None


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.splitlines())
