"""The daemon's side of the NTS-KE server: starts it, starts it again, ends it.

- There is one child at most, and it is only ever signalled by a pid that was not yet waited
  for, so never somebody else.
- Child and daemon hold the two ends of a socket pair.  Either's end, however it comes, is seen
  by the other at once: no SIGCHLD, no orphan, no polling.
- A child that dies is started again after a second, then ever more seldom; the log says so
  once, and once more when it serves again.  The child itself says why, on standard error.
"""

import logging
import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from pints.shell.loop import Alarm, Loop
from pints.timescale import Boot, seconds, span

FIRST_DELAY = 1.0
"""Seconds before a child that died is started again; doubled each time."""
LAST_DELAY = 300.0
GOOD_LIFE = 60.0
"""Seconds of serving after which a death counts as the first again."""
PATIENCE = 1.0
"""Seconds that a child has to end by itself."""


class Supervisor:
    """Keeps the child process `command` alive.

    The child is given two more arguments, `--ready-fd N --parent-fd N`: its end of the socket
    pair, to which it writes one line when it serves and whose end it takes as its own.
    """

    def __init__(self, loop: Loop, command: Sequence[str], log: logging.Logger) -> None:
        self._loop = loop
        self._command = tuple(command)
        self._log = log
        self._pid = 0
        self._channel: socket.socket | None = None
        self._restart = Alarm(loop)
        self._delay = FIRST_DELAY
        self._failing = False
        self._ready_at: Boot | None = None
        self.line = ""
        """What the child wrote when it became ready: its port.  Empty while it is not."""

    @property
    def pid(self) -> int:
        """Of the child; 0 while there is none."""
        return self._pid

    def start(self) -> None:
        """Start the child."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            # The daemon is one thread, so no other child can inherit it in between.
            theirs.set_inheritable(True)
            fd = str(theirs.fileno())
            try:
                self._pid = os.posix_spawn(
                    self._command[0],
                    [*self._command, "--ready-fd", fd, "--parent-fd", fd],
                    os.environ,
                    setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE),
                )
            except OSError as e:
                ours.close()
                self._failed(f"cannot be started: {e.strerror}")
                return
        self._channel = ours
        self._loop.register(ours.fileno(), select.POLLIN, self._on_readable)

    def reload(self) -> None:
        """Make the child read its certificate again."""
        if self._pid:
            os.kill(self._pid, signal.SIGHUP)

    def stop(self) -> None:
        """End the child, and wait until it is gone: a second at most, then it is killed."""
        self._restart.stop()
        if self._channel is None:
            return
        os.kill(self._pid, signal.SIGTERM)
        # For a child that is just starting, without a handler yet, and for one that misses
        # the signal.  Its own end says that it is gone, or as good as.
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
            self._channel.settimeout(PATIENCE)
            while self._channel.recv(512):
                pass
        self._reap()

    def _on_readable(self, events: int) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(512)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.line = data.decode("ascii", "replace").strip()
            self._ready_at = self._loop.now()
            if self._failing:
                self._log.warning("the NTS-KE server serves again")
                self._failing = False
            return
        lived = 0.0 if self._ready_at is None else seconds(self._loop.now() - self._ready_at)
        if lived >= GOOD_LIFE:
            self._delay = FIRST_DELAY
        self._failed(self._reap())

    def _failed(self, how: str) -> None:
        if not self._failing:
            self._log.warning(
                "the NTS-KE server %s; next try in %s, then ever more seldom",
                how, span(self._delay),
            )  # fmt: skip
            self._failing = True
        self._restart.set(self._delay, self.start)
        self._delay = min(2 * self._delay, LAST_DELAY)

    def _reap(self) -> str:
        """Whatever is left of the child goes now; how it ended."""
        assert self._channel is not None
        self._loop.unregister(self._channel.fileno())
        self._channel.close()
        self._channel = None
        self._ready_at = None
        self.line = ""
        pid, self._pid = self._pid, 0
        # It has closed its end, so it is exiting, and this does nothing; or it is lost to us.
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
