"""The control socket: one JSON object a line in, one JSON object a line out.

What this guarantees:
- It never blocks the loop, whatever a client does or fails to do: at most MAX_CLIENTS at once,
  MAX_REQUEST bytes a request, and PATIENCE seconds to send one or to take the answer.
- Every request gets one answer, or the connection ends.  The answer may come later (`pints
  wait` does); a client that has gone by then is none of the handler's business.
- Only owner and group can reach the socket, from the instant it exists.
- A socket on which another pints answers is left alone.

Answers with an `error` (and perhaps a `hint`) are refusals.
"""

import errno
import json
import logging
import os
import select
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pints.errors import DeviceError, PintsError
from pints.shell.loop import Alarm, Loop

log = logging.getLogger(__name__)

MAX_CLIENTS = 8
MAX_REQUEST = 64 * 1024
PATIENCE = 5.0
ACCEPT_PAUSE = 1.0  # seconds without new clients when the process is out of descriptors

UCRED = struct.Struct("=iII")
"""struct ucred: process, user, group."""

MAX_WAITING = 4
"""Clients whose answer may be long in coming: they hold connections that others need."""


class Reply:
    """Answers one request: call it once.  A second call, or a client that is gone, is nothing."""

    __slots__ = ("_client",)

    def __init__(self, client: "_Client") -> None:
        self._client: _Client | None = client

    @property
    def pending(self) -> bool:
        """Whether somebody still waits for it."""
        return self._client is not None and self._client.connected

    @property
    def privileged(self) -> bool:
        """Whether root asks, or who runs the daemon: more than the socket's group may."""
        return self._client is not None and self._client.user in (0, os.geteuid())

    def __call__(self, response: dict[str, Any]) -> None:
        client, self._client = self._client, None
        if client is not None and client.connected:
            client.answer(response)


Handler = Callable[[dict[str, Any], Reply], None]


class ControlServer:
    """Serves `path`.  DeviceError when the socket cannot be had.

    `handle(request, reply)` calls `reply` once, then or later; a PintsError that it raises
    becomes the answer.  The socket gets mode 0660, and `group` if one is given.
    """

    def __init__(self, loop: Loop, path: str, handle: Handler, group: int | None = None) -> None:
        self._loop = loop
        self._path = path
        self._handle = handle
        self._clients: set[_Client] = set()
        self._pause = Alarm(loop)
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o755, exist_ok=True)
            _remove_stale(path)
            self._socket = _listen(path, group)
        except DeviceError:  # which is an OSError too
            raise
        except OSError as error:
            raise DeviceError(
                f"cannot listen on {path}: {error.strerror or error}",
                "set control.socket to a path that this user may create",
            ) from error
        self._identity = _identity(path)
        loop.register(self._socket.fileno(), select.POLLIN, self._accept)

    def close(self) -> None:
        """Drop all clients and remove the socket, if it is still ours."""
        if self._socket.fileno() < 0:
            return
        for client in list(self._clients):
            client.close()
        self._pause.stop()
        self._loop.unregister(self._socket.fileno())
        self._socket.close()
        with suppress(OSError):
            if _identity(self._path) == self._identity:
                os.unlink(self._path)

    def _accept(self, events: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # The client stays in the queue, so the socket stays ready: do not spin.
                self._loop.modify(self._socket.fileno(), 0)
                self._pause.set(ACCEPT_PAUSE, self._resume)
            return
        connection.setblocking(False)
        if len(self._clients) >= MAX_CLIENTS:
            with connection, suppress(OSError):
                connection.send(_line(_error(f"busy: {MAX_CLIENTS} clients are connected")))
            return
        client = _Client(self._loop, connection, self._handle, self._crowded, self._clients.discard)
        self._clients.add(client)

    def _crowded(self) -> bool:
        """Whether too many wait for answers already."""
        return sum(client.waiting for client in self._clients) > MAX_WAITING

    def _resume(self) -> None:
        self._loop.modify(self._socket.fileno(), select.POLLIN)


class _Client:
    """One connection, in one of three states.

    receiving   POLLIN, deadline       until a line is complete, however it trickles in
    busy        nothing, no deadline   until the handler replies
    sending     POLLOUT, deadline      until the answer is taken, then receiving (or the end)

    While busy and sending nothing is read, so what a client sends meanwhile waits in its own
    buffers.  poll() reports POLLHUP in every state; a client that has only shut down its
    sending half still gets its answer.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        handle: Handler,
        crowded: Callable[[], bool],
        closed: Callable[["_Client"], None],
    ) -> None:
        self._loop = loop
        self._socket = connection
        self._handle = handle
        self._crowded = crowded
        self._reply: Reply | None = None
        self._closed = closed
        self._inbox = b""
        self._outbox = b""
        self._ended = False  # no further request will come
        self._deadline = Alarm(loop)
        loop.register(connection.fileno(), select.POLLIN, self._ready)
        self._wait(select.POLLIN)

    @property
    def user(self) -> int:
        """Who has connected (unix(7), SO_PEERCRED); -1 for nobody any more."""
        if not self.connected:
            return -1
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
        return int(UCRED.unpack(credentials)[1])

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._socket.fileno() >= 0

    @property
    def waiting(self) -> bool:
        """Whether its answer is still to come."""
        return self._reply is not None and self._reply.pending

    def close(self) -> None:
        """Drop the connection.  May be called twice."""
        if not self.connected:
            return
        self._patience(None)
        self._loop.unregister(self._socket.fileno())
        self._socket.close()
        self._closed(self)

    def _wait(self, events: int) -> None:
        self._loop.modify(self._socket.fileno(), events)
        self._patience(PATIENCE if events else None)

    def _patience(self, seconds: float | None) -> None:
        self._deadline.stop()
        if seconds is not None:
            self._deadline.set(seconds, self.close)

    def _ready(self, events: int) -> None:
        try:
            if events & select.POLLIN:
                self._receive()
            elif events & select.POLLOUT:
                self._send()
            else:  # POLLHUP, POLLERR: nobody is left to read an answer
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _receive(self) -> None:
        data = self._socket.recv(MAX_REQUEST)
        self._ended = not data
        self._inbox += data
        self._next()

    def _next(self) -> None:
        """Take the next request out of what has been received."""
        line, newline, rest = self._inbox.partition(b"\n")
        if len(line) > MAX_REQUEST:
            self._refuse(f"a request has at most {MAX_REQUEST} bytes")
        elif newline:
            self._inbox = rest
            self._request(line)
        elif self._ended:
            self.close()

    def _request(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return self._refuse("a request is one line of JSON")
        if not isinstance(request, dict):
            return self._refuse("a request is a JSON object")
        self._wait(0)
        reply = self._reply = Reply(self)
        try:
            self._handle(request, reply)
        except PintsError as error:
            reply(_error(str(error), error.hint))
        except Exception:  # a bug in a status command must not cost the clock its daemon
            log.exception("control request failed: %r", request)
            reply(_error("internal error: see the daemon's log"))
        if reply.pending and self._crowded():
            reply(_error(f"busy: {MAX_WAITING} clients are waiting already"))

    def _refuse(self, why: str) -> None:
        """The client's framing cannot be trusted any further: answer and end."""
        self._ended = True
        self._inbox = b""
        self.answer(_error(why))

    def answer(self, response: dict[str, Any]) -> None:
        """Send an answer and turn to the next request.  For `Reply` alone."""
        try:
            self._outbox = _line(response)
        except (TypeError, ValueError):
            log.exception("not an answer: %r", response)
            self._outbox = _line(_error("internal error: see the daemon's log"))
        # Sent from the loop: a reply may come from anywhere, even from within `_next`.
        self._wait(select.POLLOUT)

    def _send(self) -> None:
        sent = self._socket.send(self._outbox)
        self._outbox = self._outbox[sent:]
        if not self._outbox:
            self._wait(select.POLLIN)
            self._next()


def _line(response: dict[str, Any]) -> bytes:
    return json.dumps(response, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _error(message: str, hint: str = "") -> dict[str, Any]:
    return {"error": message, "hint": hint} if hint else {"error": message}


def _listen(path: str, group: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        # bind() makes the file with the umask's mode, so it is never more open than this.
        umask = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(umask)
        if group is not None:
            _give(path, group)
        listener.listen(MAX_CLIENTS)
    except BaseException:
        listener.close()
        raise
    return listener


def _give(path: str, group: int) -> None:
    try:
        os.chown(path, -1, group)
    except OSError as error:
        os.unlink(path)
        raise DeviceError(
            f"cannot give {path} to group {group}: {error.strerror}",
            "set control.group to a group that the daemon's user is in",
        ) from error


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody answers on any more."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise DeviceError(f"{path} exists and is not a socket", "set control.socket, or move it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # Only "connection refused" means that nobody listens: a full queue is somebody's.
        answer = probe.connect_ex(path)
    if answer == errno.ECONNREFUSED:
        os.unlink(path)
    elif answer in (errno.EACCES, errno.EPERM):
        raise DeviceError(f"{path} belongs to another user", "set control.socket")
    elif answer != errno.ENOENT:
        raise DeviceError(f"another pints runs: it answers on {path}", "systemctl status pints")


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
