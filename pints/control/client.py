"""The command line's end of the control socket: one question, one answer."""

import argparse
import json
import socket
import time
from typing import Any

from pints.config.load import load
from pints.errors import PintsError

MAX_ANSWER = 16 << 20
NOT_RUNNING = "is the daemon running? systemctl status pints"


class NoDaemonError(PintsError):
    """Nobody answers on the control socket: not running, not yet, or not any more."""


def socket_path(args: argparse.Namespace) -> str:
    """The control socket to ask.  The configuration is read only where it is needed, so a
    broken one does not keep anybody from asking the daemon that still runs."""
    path = args.socket or load(args.config).control_path
    if not path:
        raise PintsError("the daemon has no control socket", 'it is set to "none": control.socket')
    return str(path)


def ask(path: str, request: dict[str, Any], timeout: float | None = 5.0) -> dict[str, Any]:
    """What the daemon that listens on `path` answers to `request`.

    `timeout` is for everything together, in seconds; None waits as long as it takes.
    PintsError if there is no daemon, no answer, or a refusal (an answer with `error`).
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            daemon.settimeout(_left(deadline))
            daemon.connect(path)
            daemon.sendall(json.dumps(request).encode() + b"\n")
            line = _receive_line(daemon, deadline)
    except TimeoutError:
        raise NoDaemonError(
            f"no answer from the daemon within {timeout:.3g} s", NOT_RUNNING
        ) from None
    except PermissionError:
        raise PintsError(
            f"{path}: permission denied", "join the socket's group, or use sudo"
        ) from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoDaemonError(f"no daemon answers on {path}", NOT_RUNNING) from None
    except (ConnectionError, BlockingIOError) as error:  # it ends, or its queue is full
        raise NoDaemonError(f"{path}: {error.strerror}", NOT_RUNNING) from None
    except OSError as error:
        raise PintsError(f"{path}: {error.strerror or error}", NOT_RUNNING) from error
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise PintsError(f"what answers on {path} is not pints", "see control.socket")
    if "error" in answer:
        raise PintsError(str(answer["error"]), str(answer.get("hint", "")))
    return answer


def _receive_line(daemon: socket.socket, deadline: float | None) -> bytes:
    parts = []
    size = 0
    while size <= MAX_ANSWER:
        daemon.settimeout(_left(deadline))
        part = daemon.recv(65536)
        if not part:
            raise NoDaemonError("the daemon closed the connection", NOT_RUNNING)
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
    raise PintsError("the daemon's answer does not end", "see control.socket")


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
