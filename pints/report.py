"""What the daemon tells about itself: the content of every status command, as plain values.

Keys are never among them.  Seconds unless a name says otherwise; instants as ISO 8601 and in
nanoseconds; `None` for what is not known.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pints import __version__
from pints.bootstrap.rules import HOLDOVER_ID
from pints.bootstrap.states import Basis, State
from pints.client.association import LOST_AFTER, Association
from pints.errors import PintsError
from pints.shell.system_clock import SystemClock
from pints.shell.udp import reference_id
from pints.timescale import Boot, Reading, iso, seconds

if TYPE_CHECKING:
    from pints.daemon import Daemon
    from pints.server.responder import ServerState

Document = dict[str, Any]


class Reporter:
    """Reads the daemon's parts; changes nothing."""

    LEVELS: tuple[str, ...] = ("restored", "verified", "anchored")
    """What `pints wait` can wait for, ascending."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._commands: dict[str, Callable[[Reading], Document]] = {
            "status": self._status,
            "tracking": self._tracking,
            "sources": self._sources,
            "authdata": self._authdata,
            "bootstrap": self._bootstrap,
            "serverstats": self._serverstats,
        }

    def answer(self, command: str) -> Document:
        """The document of a command; PintsError for one that does not exist."""
        if command not in self._commands:
            raise PintsError(f"no command '{command}'", ", ".join(self._commands))
        return self._commands[command](self._daemon.clock.read())

    def reached(self, level: str) -> bool:
        """Whether the trust state is at least this."""
        bootstrap = self._daemon.core.bootstrap
        if level == "restored":
            return bootstrap.state is not State.UNSET
        good = bootstrap.state is State.VERIFIED
        return good and (level == "verified" or bootstrap.basis is Basis.ANCHORED)

    def opening(self) -> str:
        """The daemon's first line: what it is about to do."""
        daemon = self._daemon
        count = len(daemon.core.associations)
        clock = "" if isinstance(daemon.clock, SystemClock) else ", on a copy of the clock"
        sources = f"{count} source{'s' if count != 1 else ''}"
        return f"pints {__version__}: {sources}, state in {daemon.store.directory}{clock}"

    def headline(self) -> str:
        """One line for the service manager."""
        bootstrap = self._daemon.core.bootstrap
        basis = f" ({bootstrap.basis.value})" if bootstrap.basis.value else ""
        return f"{bootstrap.state.value}{basis}"

    def server_state(self, now: Reading) -> "ServerState | None":
        """What the NTP server may say; None to leave it to serve its own clock."""
        from pints.server.responder import ServerState, unsynchronized

        core = self._daemon.core
        selection = core.discipline.selection
        if not core.associations:
            return None
        state = core.bootstrap.state
        if state not in (State.VERIFIED, State.HOLDOVER) or selection is None:
            return unsynchronized(PRECISION)
        best = core.discipline.last.get(selection.best)
        if best is None or core.steering.last_update is None:
            return unsynchronized(PRECISION)
        return ServerState(
            leap=core.leaps.pending.indicator if core.leaps.pending else 0,
            stratum=min(best.stratum + 1, 15),
            precision=PRECISION,
            root_delay=best.delay + best.root_delay,
            root_dispersion=best.dispersion + best.root_dispersion + abs(core.steering.last_offset),
            reference_id=self._reference_id(selection.best),
            reference=core.steering.last_update.real,
            synchronized=True,
        )

    def _reference_id(self, source: str) -> bytes:
        core = self._daemon.core
        if core.bootstrap.state is State.HOLDOVER:
            return HOLDOVER_ID
        association = core.associations.get(source)
        if association is None:
            return b"GPS\0"  # a receiver
        return reference_id(association.address.host) if association.addresses else bytes(4)

    # --- the documents -------------------------------------------------------------------

    def _status(self, now: Reading) -> Document:
        daemon, core = self._daemon, self._daemon.core
        bootstrap = core.bootstrap
        known = bootstrap.state in (State.VERIFIED, State.HOLDOVER)
        return {
            "version": __version__,
            "state": bootstrap.state.value,
            "basis": bootstrap.basis.value,
            "single_witness": bootstrap.single_witness,
            "single_issuer": bool(bootstrap.basis is Basis.WINDOWS and bootstrap.single_issuer),
            "time": iso(now.real),
            "time_ns": now.real,
            "offset": core.steering.offset(now) if known else None,
            "error_bound": core.steering.bound(now) if known else None,
            "witnesses": bootstrap.witnesses,
            "needed": bootstrap.needed,
            "agreeing": len(bootstrap.finding.members) if bootstrap.finding else 0,
            "sources": len(core.associations),
            "answering": sum(_answering(a) for a in core.associations.values()),
            "failures": self._failures(),
            "running_for": seconds(now.boot - core.started.boot),
            "steps": core.steering.steps,
            "writes": daemon.store.writes,
            "bytes_written": daemon.store.bytes_written,
            "refusals": dict(core.refusals),
        }

    def _tracking(self, now: Reading) -> Document:
        core = self._daemon.core
        selection = core.discipline.selection
        document: Document = {
            "state": core.bootstrap.state.value,
            "reference": None,
            "stratum": 0,
            "offset": core.steering.offset(now),
            "last_offset": core.steering.last_offset if core.steering.last_update else None,
            "deviation": None,
            "frequency_ppm": None,
            "skew_ppm": None,
            "rate_ppm": self._daemon.clock.rate() * 1e6,
            "error_bound": None,
            "last_update": None,
            "last_update_age": None,
        }
        if selection is None:
            return document
        best = core.discipline.last.get(selection.best)
        document |= {
            "reference": selection.best,
            "stratum": best.stratum + 1 if best else 0,
            "deviation": selection.deviation,
            "frequency_ppm": core.discipline.frequency * 1e6,
            "skew_ppm": core.discipline.skew * 1e6,
            "error_bound": core.steering.bound(now),
        }
        if core.steering.last_update is not None:
            document["last_update"] = iso(core.steering.last_update.real)
            document["last_update_age"] = seconds(now.boot - core.steering.last_update.boot)
        return document

    def _sources(self, now: Reading) -> Document:
        core = self._daemon.core
        rows = []
        for association in core.associations.values():
            sample = core.discipline.last.get(association.id)
            path = core.discipline.filters.get(association.id)
            true = core.discipline.true_time(sample.raw) if sample else None
            rows.append(
                {
                    "mark": core.mark(association.id),
                    "source": association.id,
                    "address": str(association.addresses[0]) if association.addresses else None,
                    "stratum": sample.stratum if sample else 0,
                    "poll": association.poll,
                    "reach": association.reach,
                    "last_rx": _age(association.last_answer, now.boot),
                    # chrony's sign: positive when the source is ahead of what is believed.
                    "offset": seconds(sample.time - true) if sample and true else None,
                    "residual": path.residual if path else None,
                    "error": sample.distance if sample else None,
                    "delay": sample.delay if sample else None,
                    "authenticated": association.config.nts,
                    "failure": _failure(association),
                }
            )
        return {"sources": rows}

    def _authdata(self, now: Reading) -> Document:
        rows = []
        for association in self._daemon.core.associations.values():
            session, counters = association.session, association.counters
            cookies = session.cookies if session else []
            rows.append(
                {
                    "source": association.id,
                    "mode": "NTS" if association.config.nts else "-",
                    "key_id": counters.exchanges,
                    "type": session.algorithm.id if session else 0,
                    "key_length": session.algorithm.key_length * 8 if session else 0,
                    "last": _age(counters.last_exchange, now.boot),
                    "attempts": association.attempts,
                    "naks": counters.naks,
                    "cookies": len(cookies),
                    "cookie_length": len(cookies[0]) if cookies else 0,
                    "saved_session": bool(session and session.saved),
                }
            )
        return {"sources": rows}

    def _bootstrap(self, now: Reading) -> Document:
        core = self._daemon.core
        bootstrap = core.bootstrap
        belief = bootstrap.belief.at(now.boot) if bootstrap.belief else None
        return {
            "state": bootstrap.state.value,
            "basis": bootstrap.basis.value,
            "belief": iso(belief.time) if belief else None,
            "belief_error": belief.error if belief else None,
            "hard_floor": iso(bootstrap.floors.hard),
            "soft_floor": iso(bootstrap.floors.soft),
            "ceiling": iso(bootstrap.floors.ceiling),
            "witnesses": bootstrap.witnesses,
            "needed": bootstrap.needed,
            "members": sorted(bootstrap.finding.agreeing) if bootstrap.finding else [],
            "refusals": [str(r) for r in bootstrap.refusals],
            "testimonies": [
                {
                    "source": t.source,
                    "time": iso(t.time),
                    "error": t.distance,
                    "age": seconds(now.boot - t.boot),
                    "by": "saved session" if t.saved else "certificate",
                    "windows": [[iso(w.start), iso(w.end)] for w in t.windows],
                }
                for t in bootstrap.testimonies
            ],
            "failures": self._failures(),
        }

    def _failures(self) -> Document:
        associations = self._daemon.core.associations.values()
        return {a.id: _failure(a) for a in associations if a.failure is not None}

    def _serverstats(self, now: Reading) -> Document:
        server = self._daemon.server
        if server is None:
            raise PintsError("this pints serves nobody", "set listen in [server]")
        counters = server.counters
        return {name: getattr(counters, name) for name in counters.__slots__}


PRECISION = -20
"""Log2 seconds: about a microsecond, what reading a clock from Python costs."""


def _failure(association: Association) -> Document | None:
    failure = association.failure
    return None if failure is None else {"reason": failure.reason, "hint": failure.hint}


def _answering(association: Association) -> bool:
    return association.reach > 0 and association.unanswered < LOST_AFTER


def _age(then: Boot | None, now: Boot) -> float | None:
    return None if then is None else seconds(now - then)
