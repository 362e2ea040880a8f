"""Decides what clients are told: from what the core knows to the variables of RFC 5905.

Guarantees: time is served only while it is verified, or in holdover while its bound is below
MAX_DISPERSION; in every other state clients hear that this server is unsynchronized.
"""

from pints.bootstrap.rules import HOLDOVER_ID
from pints.bootstrap.states import State
from pints.core.core import Core
from pints.server.responder import PRECISION, ServerState, unsynchronized
from pints.shell.udp import reference_id
from pints.timescale import Reading
from pints.wire import ntp


def server_state(core: Core, now: Reading) -> ServerState | None:
    """What the NTP server may say; None to leave it to serve its own clock."""
    selection = core.discipline.selection
    if not core.associations:
        return None
    state = core.bootstrap.state
    if state not in (State.VERIFIED, State.HOLDOVER) or selection is None:
        return unsynchronized(PRECISION)
    if state is State.HOLDOVER and core.steering.bound(now) > ntp.MAX_DISPERSION:
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
        reference_id=_reference_id(core, selection.best),
        reference=core.steering.last_update.real,
        synchronized=True,
    )


def may_serve_own_clock(core: Core) -> bool:
    """Whether `local_stratum` may be served: never while nothing is known or time is disputed."""
    return core.bootstrap.state not in (State.UNSET, State.DISPUTED)


def _reference_id(core: Core, source: str) -> bytes:
    if core.bootstrap.state is State.HOLDOVER:
        return HOLDOVER_ID
    association = core.associations.get(source)
    if association is None:
        return b"GPS\0"  # a receiver
    return reference_id(association.address.host) if association.addresses else bytes(4)
