"""Name look-ups that cannot outlive their deadline.

`getaddrinfo` blocks for as long as it likes, so each look-up has a thread that is left behind
when time is up: a daemon thread, and the process ends with `os._exit`.  A thread tells that it
is done by closing its end of a socket pair, which no late finisher can do to somebody else's
descriptor.  Without threads (simulators) the look-up is done when the object is made.
"""

import os
import select
import socket
import threading

from pints.errors import PeerError, PintsError
from pints.values.address import Address
from pints.values.worker_tasks import Failed, Resolved, ResolveTask
from pints.worker.deadline import Deadline

_RESOLVED = "/run/systemd/resolve"


def is_numeric(host: str) -> bool:
    """Whether `host` is an address, with or without a zone, rather than a name."""
    address = host.partition("%")[0]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return True
    return False


class Lookup:
    """One look-up, under way from the moment it is made."""

    def __init__(self, host: str, threaded: bool = True) -> None:
        self.host = host
        self._found: tuple[str, ...] = ()
        self._failure: PeerError | None = None
        self.denied = False
        """The resolver answered, and that there is no such address."""
        self._bell: socket.socket | None = None
        if is_numeric(host):
            self._found = (host,)
        elif not threaded:
            self._look()
        else:
            self._bell, theirs = socket.socketpair()
            threading.Thread(target=self._look, args=(theirs,), daemon=True).start()

    def fileno(self) -> int:
        """Readable once the look-up is done; -1 when there is nothing to wait for."""
        return self._bell.fileno() if self._bell else -1

    def done(self) -> bool:
        """Whether `addresses` may be asked for."""
        if self._bell is not None:
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            if poll.poll(0):
                self.close()
        return self._bell is None

    def addresses(self) -> tuple[str, ...]:
        """Numeric, in the resolver's order.  PeerError if there are none."""
        if self._failure is not None:
            raise self._failure
        return self._found

    def wait(self, deadline: Deadline) -> tuple[str, ...]:
        """`addresses`, as soon as they are there; PeerError when that takes too long."""
        try:
            if not self.done():
                deadline.wait(self.fileno(), select.POLLIN, self.late(deadline.seconds))
            return self.addresses()
        finally:
            self.close()

    def late(self, seconds: float) -> str:
        """What to say when time is up."""
        return f"{self.host}: no answer from the name servers within {seconds:.3g} s"

    def close(self) -> None:
        """Wait no longer.  The thread is left to itself."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _look(self, theirs: socket.socket | None = None) -> None:
        try:
            rows = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
            self._found = tuple(dict.fromkeys(str(row[4][0]) for row in rows))
        except socket.gaierror as e:
            self.denied = e.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
            self._failure = _explain(self.host, e)
        except (OSError, ValueError) as e:  # UnicodeError: labels empty or too long
            self._failure = PeerError(f"{self.host}: not a name that can be looked up: {e}")
        finally:
            if theirs is not None:
                theirs.close()


def resolve(task: ResolveTask, threaded: bool = True) -> Resolved | Failed:
    """Carry out one task."""
    try:
        hosts = Lookup(task.host, threaded).wait(Deadline(task.timeout))
    except PintsError as e:
        return Failed(task.id, "resolve", str(e), e.hint or unreachable_hint())
    return Resolved(task.id, tuple(Address(host, task.port) for host in hosts))


def unreachable_hint() -> str:
    """What may help when the name servers do not answer or answer with a failure."""
    hint = "is the network up? give `addresses` beside the name to do without look-ups"
    return "; ".join(filter(None, (hint, _validation_hint())))


def _validation_hint() -> str:
    """What to say where systemd-resolved runs, which fails every name if it checks DNSSEC and
    the clock is wrong.  Its NSS module (nss-resolve) then even denies that there is the name,
    and is the only one that heeds the variable; by way of plain DNS it answers SERVFAIL."""
    if not os.path.isdir(_RESOLVED):
        return ""
    return (
        "if systemd-resolved checks DNSSEC (`resolvectl dnssec` tells), a wrong clock fails it: "
        "install libnss-resolve and set SYSTEMD_NSS_RESOLVE_VALIDATE=0 for this service"
    )


def _explain(host: str, error: socket.gaierror) -> PeerError:
    match error.errno:
        case socket.EAI_NONAME:
            hint = "check the spelling of the server's name"
            hints = filter(None, (hint, _validation_hint()))
            return PeerError(f"{host}: no such name", "; ".join(hints))
        case socket.EAI_NODATA:
            return PeerError(f"{host}: the name exists but has no address")
        case socket.EAI_AGAIN | socket.EAI_FAIL:
            return PeerError(
                f"{host}: name servers unreachable or failing ({error.strerror})",
                unreachable_hint(),
            )
    return PeerError(f"{host}: look-up failed: {error.strerror}", unreachable_hint())
