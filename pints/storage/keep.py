"""Writes what the core wants kept, to the state folder and the runtime folder.

Guarantees: a disk that refuses is complained of once, until it works again, and stops nobody.
Saved time that could not be read is not written over before it could.
"""

import logging
import os

from pints import restore
from pints.shell.attempts import Attempts
from pints.storage.load import read_time
from pints.storage.store import Store
from pints.timescale import Instant
from pints.values.belief import Belief
from pints.values.files import BELIEF_FILE

log = logging.getLogger("pints")


class Keeper:
    """Writes what the core wants kept."""

    def __init__(
        self, store: Store, runtime: Store, boot_id: str, attempts: Attempts, timesync: str = ""
    ) -> None:
        """`timesync`: the file whose modification time is systemd's saved clock, if there is
        to be one."""
        self._store = store
        self._runtime = runtime
        self._boot_id = boot_id
        self._attempts = attempts
        self._timesync = timesync
        self._timesync_failed = False

    def save_time(self, ratcheted: Instant, seen: Instant, sure: bool) -> bool:
        """The line of early boot.  An anchored time keeps systemd's saved clock fresh, too, for
        who boots without pints; any other may be wrong, and that clock never goes back."""
        done = self._attempts.attempt("state", lambda: self._write_time(ratcheted, seen))
        if done and sure and self._timesync:
            self._freshen(self._timesync, seen)
        return done

    def save(self, name: str, data: bytes) -> bool:
        """A file of the state folder; whether it is there for good."""
        return self._attempts.attempt("state", lambda: self._store.write(name, data))

    def record(self, belief: Belief, basis: str) -> bool:
        """The belief, for a daemon that is started again within this boot (R9)."""
        return self.save_for_boot(BELIEF_FILE, belief.encode(self._boot_id, basis).encode("ascii"))

    def save_for_boot(self, name: str, data: bytes) -> bool:
        """A file of the runtime folder."""
        return self._attempts.attempt("runtime", lambda: self._runtime.write(name, data))

    def _write_time(self, ratcheted: Instant, seen: Instant) -> None:
        name, least = restore.TIME_FILE, 0
        if name in self._store.unread:
            # What an ailing card hid at the start is there nevertheless: never lowered (R7).
            least, _ = read_time(self._store, strict=True) or (0, 0)
        data = restore.encode(max(ratcheted, least), seen, self._boot_id)
        self._store.write(name, data)

    def _freshen(self, path: str, seen: Instant) -> None:
        """Never back: a floor that lies in the future is not ours to lower."""
        try:
            if os.stat(path).st_mtime_ns < seen:
                os.utime(path, ns=(seen, seen))
        except FileNotFoundError:
            pass  # systemd-timesyncd is not installed, or never ran
        except OSError as e:
            if not self._timesync_failed:
                log.debug("%s is not kept fresh: %s", path, e.strerror)
            self._timesync_failed = True
