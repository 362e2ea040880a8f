"""When Roughtime servers are asked: at the start with everything else, then at growing
intervals until the time is anchored; after that they have nothing to add."""

from collections.abc import Callable, Sequence

from pints.bootstrap.witness import registrable_domain
from pints.client.retry import Retry
from pints.config.options import decode_key
from pints.config.tables import RoughtimeConfig
from pints.timescale import Boot
from pints.values.worker_tasks import RoughtimeServer, RoughtimeTask

ROUNDS = 2
TIMEOUT = 20.0
"""Seconds for two rounds, a dead server or two among them."""
OPERATORS = 3
"""So few make no quorum (RFC 10049 section 8)."""


class RoughtimePoll:
    """Asks all servers, one after the other, in the worker."""

    def __init__(
        self, servers: Sequence[RoughtimeConfig], entropy: Callable[[int], bytes], now: Boot
    ) -> None:
        self.servers = tuple(
            RoughtimeServer(s.server, s.port, key, s.operator or registrable_domain(s.server))
            for s in servers
            if (key := decode_key(s.key)) is not None
        )
        self._retry = Retry(entropy)
        if self.operators >= OPERATORS:
            self._retry.want(now)

    @property
    def operators(self) -> int:
        """How many distinct ones are configured."""
        return len({server.operator for server in self.servers})

    def due(self) -> Boot | None:
        """When `task` has something to say next."""
        return None if self._retry.running else self._retry.due

    def task(self, number: Callable[[], int], now: Boot) -> RoughtimeTask | None:
        """The task to start now, if one is due; `number` yields one for it."""
        if not self._retry.start(now, burdens=True):
            return None
        return RoughtimeTask(number(), self.servers, ROUNDS, TIMEOUT)

    def done(self, good: bool, now: Boot) -> None:
        """What came back: a quorum, or nothing of use."""
        if good:
            self._retry.succeeded()
        else:
            self._retry.failed(True, now)

    def network_changed(self, now: Boot) -> None:
        """The network came up: who could not be reached may be."""
        self._retry.hasten(now)
