"""Key exchanges and look-ups: what the worker is given to do, and what becomes of what it
brings.

Guarantees: a result counts once, for the source it was asked for; keys are used only if the
bootstrap lets their chain in (R4 to R6); known addresses are tried beside the resolver's.
"""

import math
from dataclasses import replace

from pints.actions import Action, Start
from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.witness import OWN_NETWORK, Identity, identity, is_local
from pints.client.association import Association
from pints.client.names import Names
from pints.client.session import RENEW_AFTER, SavedSession, Session, revive
from pints.config.tables import SourceConfig
from pints.errors import UntrustedTimeError
from pints.timescale import DAY, HOUR, Reading, seconds
from pints.values.address import Address
from pints.values.worker_tasks import Exchanged, ExchangeTask, Resolved, ResolveTask, Result
from pints.wire.aead import ALGORITHMS
from pints.wire.ntp import NTP_PORT

ENDS_SOON = DAY
"""Seconds before a certificate ends from which on a newer one is looked for."""
TASK_TIMEOUT = 15.0
"""Seconds for a key exchange with its look-ups."""


class Tasks:
    """The worker's tasks of one daemon."""

    def __init__(self, bootstrap: Bootstrap, names: Names) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._asked_for: dict[int, str] = {}
        """The source of each task that is under way."""
        self._next = 1

    def number(self, source: str) -> int:
        """A number for a task for a source; `source_of` its result tells which."""
        number, self._next = self._next, self._next + 1
        self._asked_for[number] = source
        return number

    def source_of(self, result: Result) -> str | None:
        """For whom a result is; None for one that nobody waits for."""
        return self._asked_for.pop(result.id, None)

    def start(self, source: SourceConfig) -> Start:
        """Ask for a source's keys or, for plain NTP, its addresses."""
        number = self.number(source.id)
        if not source.nts:
            port = source.port or NTP_PORT
            return Start(ResolveTask(number, source.server, port, TASK_TIMEOUT))
        known = tuple(dict.fromkeys((*source.addresses, *self._names.known(source.id))))
        return Start(
            ExchangeTask(
                number, source.server, source.ke_port, TASK_TIMEOUT, known,
                source.ca, tuple(ALGORITHMS), source.port,
            )
        )  # fmt: skip

    def resolved(self, source: str, result: Resolved) -> None:
        """Remember where a name led."""
        self._names.learned(source, [address.host for address in result.addresses])

    def exchanged(
        self, source: SourceConfig, result: Exchanged, now: Reading
    ) -> tuple[Session, list[Action]]:
        """The session that an exchange yields, and what the bootstrap says to it.
        UntrustedTimeError if its keys may not be used."""
        algorithm = ALGORITHMS.get(result.algorithm)
        if algorithm is None:
            raise UntrustedTimeError("R5", f"AEAD {result.algorithm} was not offered")
        shown = _identity(source, result.chain.leaf_key, result.addresses[:1])
        actions = self._bootstrap.present(source.id, result.chain, shown, now)
        same = result.server == source.server
        ntp_hosts = (address.host for address in result.addresses if same)
        self._names.learned(source.id, (result.ke_address.host, *ntp_hosts))
        session = Session(
            algorithm, list(result.keys), result.addresses, result.chain, list(result.cookies),
            result.server,
        )  # fmt: skip
        session.checked = self._bootstrap.checked(source.id)
        return session, actions

    def revived(self, saved: SavedSession | None, source: SourceConfig) -> Session | None:
        """The session that an earlier boot has laid aside, if there is one."""
        session = revive(saved) if saved is not None and source.nts else None
        if session is not None:
            shown = _identity(source, session.chain.leaf_key, session.addresses)
            self._bootstrap.identify(source.id, shown)
        return session

    def outlived(self, association: Association, session: Session, now: Reading) -> bool:
        """Whether new keys are due: the session may not speak for the present (R3), or half
        of its time as a saved one is over, or its certificate soon ends."""
        exchanged = association.counters.last_exchange
        rest = math.inf if exchanged is None else seconds(now.boot - exchanged)
        refusals, belief = self._bootstrap.refusals, self._bootstrap.belief
        if any(r.rule == "R3" and r.source == association.id for r in refusals):
            return rest >= HOUR
        if belief is None or session.checked is None:
            return False
        time = belief.at(now.boot).time
        ends_soon = not session.saved and seconds(session.chain.end - time) < ENDS_SOON
        # A certificate that is renewed late is looked for a few times, not every hour.
        looked_for = ends_soon and rest >= ENDS_SOON / 4
        return seconds(time - session.checked) > RENEW_AFTER or looked_for


def _identity(source: SourceConfig, leaf_key: str, addresses: tuple[Address, ...]) -> Identity:
    known = identity(source)
    # A public name may well lead to a machine of one's own network.
    own = not known.operator and any(is_local(address.host) for address in addresses)
    operator = OWN_NETWORK if own else known.operator
    return replace(known, operator=operator, leaf_key=leaf_key, addresses=frozenset(addresses))
