"""Answers every status command with a document of plain values; changes nothing.

Keys are never among them.  Seconds unless a name says otherwise; instants as ISO 8601 and in
nanoseconds; `None` for what is not known.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pints import __version__
from pints.bootstrap.states import Basis, State
from pints.core.core import Core
from pints.errors import PintsError
from pints.report.cells import LOG_HINT, Document, answering, failures
from pints.report.sources import authdata, sources, tracking
from pints.shell.attempts import Attempts
from pints.shell.clock import Clock
from pints.storage.store import Store
from pints.timescale import Reading, iso, seconds

if TYPE_CHECKING:
    from pints.shell.refclock_devices import Devices
    from pints.shell.rtc_device import BoardRtc


class Reporter:
    """Reads the daemon's parts; changes nothing."""

    LEVELS: tuple[str, ...] = ("restored", "verified", "anchored")
    """What `pints wait` can wait for, ascending."""

    def __init__(
        self,
        core: Core,
        clock: Clock,
        store: Store,
        attempts: Attempts,
        *,
        counters: Any = None,
        rtc: "BoardRtc | None" = None,
        devices: "Devices | None" = None,
    ) -> None:
        """`counters` are the NTP server's; None: this daemon serves nobody."""
        self._core = core
        self._clock = clock
        self._store = store
        self._attempts = attempts
        self._counters = counters
        self._rtc_device = rtc
        self._devices = devices
        self.commands: dict[str, Callable[[Reading], Document]] = {
            "status": self._status,
            "tracking": lambda now: tracking(core, clock.rate(), now),
            "sources": lambda now: sources(core, now),
            "authdata": lambda now: authdata(core, now),
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
        return self.commands[command](self._clock.read())

    def reached(self, level: str) -> bool:
        """Whether the trust state is at least this."""
        bootstrap = self._core.bootstrap
        if level == "restored":
            return bootstrap.state is not State.UNSET
        good = bootstrap.state is State.VERIFIED
        return good and (level == "verified" or bootstrap.basis is Basis.ANCHORED)

    def headline(self) -> str:
        """One line for the service manager."""
        bootstrap = self._core.bootstrap
        basis = f" ({bootstrap.basis.value})" if bootstrap.basis.value else ""
        return f"{bootstrap.state.value}{basis}"

    # --- the documents -------------------------------------------------------------------

    def _status(self, now: Reading) -> Document:
        core = self._core
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
            "answering": sum(answering(a) for a in core.associations.values()),
            "failures": failures(core),
            "running_for": seconds(now.boot - core.started.boot),
            "steps": core.steering.steps,
            "writes": self._store.writes,
            "bytes_written": self._store.bytes_written,
            "refusals": dict(core.refusals),
        }

    def _bootstrap(self, now: Reading) -> Document:
        # Imported when somebody asks: the daemon does without it.
        from pints.report.bootstrap import bootstrap_document

        return bootstrap_document(self._core, now)

    def _refclocks(self, now: Reading) -> Document:
        # Imported when somebody asks: the daemon does without it.
        from pints.report.refclocks import rows_of

        core, devices = self._core, self._devices
        configs = core.config.refclocks
        if core.independent is None or devices is None or not configs:
            raise PintsError("this pints has no receiver", "add a [[refclock]] to pints.toml")
        receivers, failing = core.independent.refclocks, self._attempts.failing
        rows = rows_of(configs, receivers, core.discipline, devices.details, failing, now)
        return {"refclocks": rows}

    def _serverstats(self, now: Reading) -> Document:
        counters = self._counters
        if counters is None:
            raise PintsError("this pints serves nobody", "set listen in [server]")
        return {name: getattr(counters, name) for name in counters.__slots__}

    def _rtc(self, now: Reading) -> Document:
        # Imported when somebody asks: the daemon does without it.
        from pints.drivers import NO_RTC, NO_RTC_HINT
        from pints.report.rtc import Compared, rtc_account

        rtc, core = self._rtc_device, self._core
        if rtc is None or core.independent is None:
            raise PintsError(NO_RTC, NO_RTC_HINT)
        read = rtc.look()
        if read is None:
            raise PintsError("the real-time clock cannot be read", LOG_HINT)
        last, compared = core.independent.rtc.reading, None
        true = core.discipline.true_time(last.at.raw) if last and not last.flags else None
        if last is not None and true is not None:
            error = last.error + core.discipline.bound(last.at.raw)
            age = seconds(now.raw - last.at.raw)
            compared = Compared(seconds(last.time - true), error, age)
        return rtc_account(read.chip, read.reading, core.independent.rtc.calibration, compared)
