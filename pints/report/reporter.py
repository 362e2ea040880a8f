"""What the daemon tells about itself: the content of every status command, as plain values.

Keys are never among them.  Seconds unless a name says otherwise; instants as ISO 8601 and in
nanoseconds; `None` for what is not known.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pints import __version__
from pints.bootstrap.rules import HOLDOVER_ID, RULES, r2_quorum
from pints.bootstrap.states import Basis, State
from pints.bootstrap.witness import is_witness, registrable_domain
from pints.client.association import LOST_AFTER, Association
from pints.errors import PintsError
from pints.shell.system_clock import SystemClock
from pints.shell.udp import reference_id
from pints.timescale import Boot, Instant, Reading, iso, seconds
from pints.values.chain import Window

if TYPE_CHECKING:
    from pints.daemon import Daemon
    from pints.report.evidence import Asked, Row
    from pints.server.responder import ServerState

Document = dict[str, Any]


class Reporter:
    """Reads the daemon's parts; changes nothing."""

    LEVELS: tuple[str, ...] = ("restored", "verified", "anchored")
    """What `pints wait` can wait for, ascending."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self.commands: dict[str, Callable[[Reading], Document]] = {
            "status": self._status,
            "tracking": self._tracking,
            "sources": self._sources,
            "authdata": self._authdata,
            "bootstrap": self._bootstrap,
            "refclocks": self._refclocks,
            "gps": self._refclocks,
            "serverstats": self._serverstats,
            "rtc": self._rtc,
        }

    def answer(self, command: str) -> Document:
        """The document of a command; PintsError for one that does not exist."""
        if command not in self.commands:
            raise PintsError(f"no command '{command}'", ", ".join(self.commands))
        return self.commands[command](self._daemon.clock.read())

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
        if state is State.HOLDOVER and core.steering.bound(now) > MAX_DISPERSION:
            return unsynchronized(PRECISION)
        best = core.discipline.last(selection.best)
        if best is None or core.steering.last_update is None:
            return unsynchronized(PRECISION)
        return ServerState(
            leap=core.steering.leaps.pending.indicator if core.steering.leaps.pending else 0,
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
            "follows": bootstrap.follows,
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
            "error_interval": None,
            "last_update": None,
            "last_update_age": None,
        }
        if selection is None:
            return document
        best = core.discipline.last(selection.best)
        document |= {
            "reference": selection.best,
            "stratum": best.stratum + 1 if best else 0,
            "deviation": selection.deviation,
            "frequency_ppm": core.discipline.frequency * 1e6,
            "skew_ppm": core.discipline.skew * 1e6,
            "error_bound": core.steering.bound(now),
            "error_interval": core.steering.interval(now),
        }
        if core.steering.last_update is not None:
            document["last_update"] = iso(core.steering.last_update.real)
            document["last_update_age"] = seconds(now.boot - core.steering.last_update.boot)
        return document

    def _sources(self, now: Reading) -> Document:
        core = self._daemon.core
        rows = []
        for association in core.associations.values():
            known = core.discipline.sources.get(association.id)
            sample = known.last if known else None
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
                    "residual": known.estimator.residual if known else None,
                    "error": sample.distance if sample else None,
                    "delay": sample.delay if sample else None,
                    "authenticated": association.config.nts,
                    "interleaved": association.counters.interleaved,
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
        return self._standing(now) | self._grounds(now)

    def _standing(self, now: Reading) -> Document:
        """How far the time is trusted, and between what it lies."""
        core = self._daemon.core
        bootstrap, config = core.bootstrap, core.config.bootstrap
        belief = bootstrap.belief.at(now.boot) if bootstrap.belief else None
        majority = r2_quorum(bootstrap.witnesses, config.min_witnesses, False)
        windows, leap = bootstrap.basis is Basis.WINDOWS, core.steering.leaps.pending
        return {
            "state": bootstrap.state.value,
            "basis": bootstrap.basis.value,
            "single_witness": bootstrap.single_witness,
            "single_issuer": bool(windows and bootstrap.single_issuer),
            "weakened_quorum": bootstrap.needed < majority,
            "step_provisional": config.step_provisional,
            "time": iso(now.real),
            "woke": iso(core.started.real),
            "running_for": seconds(now.boot - core.started.boot),
            "belief": iso(belief.time) if belief else None,
            "belief_error": belief.error if belief else None,
            "build_epoch": iso(bootstrap.floors.build_epoch),
            "hard_floor": iso(bootstrap.floors.hard),
            "soft_floor": iso(bootstrap.floors.soft),
            "ceiling": iso(bootstrap.floors.ceiling),
            "leap_second": iso(leap.at) if leap else None,
            "errors": [UNRECORDED] if bootstrap.unrecorded else [],
        }

    def _grounds(self, now: Reading) -> Document:
        """Who said what, what came of it, and by which rule."""
        # Imported when somebody asks: the daemon does without it.
        from pints.report.evidence import account

        core = self._daemon.core
        bootstrap, finding = core.bootstrap, core.bootstrap.finding
        agreeing = len(finding.members) if finding else 0
        decided = agreeing >= bootstrap.needed
        return {
            "witnesses": bootstrap.witnesses,
            "needed": bootstrap.needed,
            "agreeing": agreeing,
            "members": sorted(finding.agreeing) if finding else [],
            "confirming": list(bootstrap.weighed.confirming) if decided else [],
            "contradicting": list(bootstrap.weighed.contradicting) if decided else [],
            "evidence": [_row(row) for row in account(bootstrap, self._asked(), now.boot)],
            "others": self._others(),
            "refusals": [str(r) for r in bootstrap.refusals],
            "refused": dict(core.refusals),
            "rules": {name: rule.text for name, rule in RULES.items()},
            "story": [
                {"after": max(seconds(boot - core.started.boot), 0.0), "text": text}
                for boot, text in core.story
            ],
            "testimonies": [
                {
                    "source": t.source,
                    "time": iso(t.time),
                    "error": t.distance,
                    "age": seconds(now.boot - t.boot),
                    "by": "saved session" if t.saved else "certificate",
                    "windows": _spans(t.windows),
                }
                for t in bootstrap.testimonies
            ],
            "failures": self._failures(),
        }

    def _asked(self) -> "list[Asked]":
        """Everything that is asked for the time and may count, with why it is silent."""
        from pints.report.evidence import Asked, Kind

        core = self._daemon.core
        asked = [
            Asked(a.id, Kind.WITNESS, *_silence(a))
            for a in core.associations.values()
            if is_witness(a.config, core.config)
        ]
        if core.config.rtc.driver:
            asked.append(Asked("rtc", Kind.RTC, "it cannot be read", _LOG))
        asked += [
            Asked(receiver.id, Kind.RECEIVER, "no three fixes in a row tell one time yet")
            for receiver in core.config.refclocks
            # Pulses are asked for no time.
            if core.corroboration and receiver.id not in core.corroboration.receivers.pulsing
        ]
        if core.config.bootstrap.roughtime:
            asked.append(Asked("roughtime", Kind.ROUGHTIME, self._roughtime_silence()))
        for anchor in core.config.anchors:
            why, hint = _silence(core.associations[anchor.id])
            if not why and core.bootstrap.belief is not None:
                why = "not needed: the time is believed without it"
            asked.append(Asked(f"anchor {anchor.id}", Kind.ANCHOR, why, hint))
        return asked

    def _roughtime_silence(self) -> str:
        """Why Roughtime says nothing: the last that is known of it."""
        from pints.evidence.roughtime import LEAST_OPERATORS

        core = self._daemon.core
        servers = core.config.bootstrap.roughtime
        operators = len({s.operator or registrable_domain(s.server) for s in servers})
        if operators < LEAST_OPERATORS:
            return f"{operators} operators configured, {LEAST_OPERATORS} are needed"
        said = [text for _, text in core.story if ": roughtime" in text]
        if said:
            return said[-1].replace(": roughtime: ", ": ")
        return "not needed: the time is anchored without it" if core.bootstrap.anchored else ""

    def _others(self) -> list[str]:
        """Sources that are no witnesses: plain NTP, named by the network, or never used."""
        core = self._daemon.core
        anchors = {a.id for a in core.config.anchors}
        return [
            a.id for a in core.associations.values()
            if a.id not in anchors and not is_witness(a.config, core.config)
        ]  # fmt: skip

    def _failures(self) -> Document:
        associations = self._daemon.core.associations.values()
        return {a.id: _failure(a) for a in associations if a.failure is not None}

    def _refclocks(self, now: Reading) -> Document:
        # Imported when somebody asks: the daemon does without it.
        from pints.report.refclocks import rows_of

        core, devices = self._daemon.core, self._daemon.devices
        configs = core.config.refclocks
        if core.corroboration is None or devices is None or not configs:
            raise PintsError("this pints has no receiver", "add a [[refclock]] to pints.toml")
        receivers, failing = core.corroboration.receivers, self._daemon.attempts.failing
        rows = rows_of(configs, receivers, core.discipline, devices.details, failing, now)
        return {"refclocks": rows}

    def _serverstats(self, now: Reading) -> Document:
        server = self._daemon.server
        if server is None:
            raise PintsError("this pints serves nobody", "set listen in [server]")
        counters = server.counters
        return {name: getattr(counters, name) for name in counters.__slots__}

    def _rtc(self, now: Reading) -> Document:
        # Imported when somebody asks: the daemon does without it.
        from pints.drivers import NO_RTC, NO_RTC_HINT
        from pints.report.rtc import Compared, rtc_account

        rtc, core = self._daemon.rtc, self._daemon.core
        if rtc is None or core.corroboration is None:
            raise PintsError(NO_RTC, NO_RTC_HINT)
        read = rtc.look()
        if read is None:
            raise PintsError("the real-time clock cannot be read", _LOG)
        last, compared = core.corroboration.reading, None
        true = core.discipline.true_time(last.at.raw) if last and not last.flags else None
        if last is not None and true is not None:
            error = last.error + core.discipline.bound(last.at.raw)
            age = seconds(now.raw - last.at.raw)
            compared = Compared(seconds(last.time - true), error, age)
        return rtc_account(*read, core.corroboration.calibration, compared)


UNRECORDED = (
    "R9: what the servers agree on cannot be recorded in the runtime folder, so it is not announced"
)
"""What `pints bootstrap` says while rule R9 keeps `verified` back."""
_LOG = "why: journalctl -u pints"
PRECISION = -20
"""Log2 seconds: about a microsecond, what reading a clock from Python costs."""
MAX_DISPERSION = 16.0
"""Seconds: a clock in holdover whose bound has grown beyond it is served no more, and the kernel
calls its own unsynchronized (MAXDISP, RFC 5905 section 7.3; NTP_PHASE_LIMIT, linux/timex.h)."""


def _failure(association: Association) -> Document | None:
    failure = association.failure
    return None if failure is None else {"reason": failure.reason, "hint": failure.hint}


def _silence(association: Association) -> tuple[str, str]:
    """Why a source says nothing, and what to do about it."""
    if association.failure is not None:
        return association.failure.reason, association.failure.hint
    if association.unanswered:
        count = association.unanswered
        return f"{count} request{'s' if count != 1 else ''} unanswered", ""
    return "", ""


def _row(row: "Row") -> Document:
    error = seconds(row.high - row.low) / 2 if row.low and row.high else None
    return {
        "origin": row.origin,
        "kind": row.kind.value,
        "strength": row.strength,
        "time": iso(Instant((row.low + row.high) // 2)) if row.low and row.high else None,
        "error": error,
        "not_before": iso(row.low) if row.low is not None else None,
        "not_after": iso(row.high) if row.high is not None else None,
        "windows": _spans(row.windows),
        "age": row.age,
        "verdict": row.verdict.value,
        "rule": row.rule,
        "detail": row.detail,
        "hint": row.hint,
    }


def _spans(windows: Iterable[Window]) -> list[list[str]]:
    return [[iso(w.start), iso(w.end)] for w in windows]


def _answering(association: Association) -> bool:
    return association.reach > 0 and association.unanswered < LOST_AFTER


def _age(then: Boot | None, now: Boot) -> float | None:
    return None if then is None else seconds(now - then)
