"""One NTS key exchange (RFC 8915 section 4), from the host's name to keys and cookies.

Whatever the other end does, `exchange` returns one result, by the task's deadline.  Nothing is
asked of a server before its certificate chain was judged: name, issuer, signature and usage
must be right, and there must be instants at which it is valid; whether the present is among
them is for the daemon to decide, who has the belief about the time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pints.errors import ConfigError, PeerError, PintsError, WireError
from pints.values.address import Address
from pints.values.chain import Chain
from pints.values.worker_tasks import Exchanged, ExchangeTask, Failed
from pints.wire import ke
from pints.wire.aead import ALGORITHMS
from pints.worker.anchors import Anchors, load_anchors
from pints.worker.channel import Channel
from pints.worker.connect import Race
from pints.worker.deadline import Deadline
from pints.worker.resolve import Lookup, is_numeric
from pints.worker.verdict import judge

STEP_LIMIT = 8.0
"""Seconds for TLS, and again for the records: who has connected does not get all the time."""


def exchange(
    task: ExchangeTask,
    load: Callable[[Sequence[str]], Anchors] = load_anchors,
    threaded: bool = True,
) -> Exchanged | Failed:
    """Carry out one task.  `threaded=False` looks names up without threads."""
    attempt = _Exchange(task, threaded)
    try:
        return attempt.run(load)
    except PintsError as e:
        return Failed(task.id, attempt.step, str(e), e.hint, attempt.sent_hello)
    finally:
        attempt.close()


class _Exchange:
    """The steps, and what a failure must know: which one, and whether a ClientHello went out."""

    def __init__(self, task: ExchangeTask, threaded: bool) -> None:
        self.step = "resolve"
        self._task = task
        self._threaded = threaded
        self._deadline = Deadline(task.timeout)
        self._channel: Channel | None = None
        self._timing: list[tuple[str, float]] = []
        self._resolver_works = False

    @property
    def sent_hello(self) -> bool:
        return self._channel is not None and self._channel.sent_hello

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def run(self, load: Callable[[Sequence[str]], Anchors]) -> Exchanged:
        task = self._task
        if not task.host.isascii():
            raise ConfigError(f"{task.host}: not ASCII", "write the name in its xn-- form")
        offered = tuple(a for a in task.algorithms if a in ALGORITHMS) or tuple(ALGORITHMS)
        lookup = Lookup(task.host, self._threaded)
        # Anchors are read while the resolver is at work, and a `ca` that is no file is known
        # before anybody was bothered.
        self.step = "chain"
        anchors = load(task.ca)
        channel, address, hosts = self._connect(lookup)
        with self._timed("tls"):
            channel.handshake(self._deadline.within(STEP_LIMIT))
        with self._timed("chain"):
            chain = self._judge(channel, anchors)
        with self._timed("records"):
            response = self._ask(channel, offered)
        return Exchanged(
            id=task.id,
            algorithm=response.algorithm,
            keys=_keys(channel, response),
            cookies=response.cookies,
            addresses=self._ntp_addresses(response, hosts),
            server=response.server or task.host,
            chain=chain,
            ke_address=address,
            timing=tuple(self._timing),
        )

    def _connect(self, lookup: Lookup) -> tuple[Channel, Address, tuple[str, ...]]:
        """The connection, where it leads, and the host's addresses, that one first."""
        task = self._task
        race = Race(task.addresses, lookup, task.port)
        began = time.monotonic()
        try:
            sock, address = race.run(self._deadline)
        finally:
            self.step = race.step
        self._resolver_works = race.resolver_works
        resolving = race.looked_up_after or 0.0
        self._timing.append(("resolve", resolving))
        self._timing.append(("connect", max(0.0, time.monotonic() - began - resolving)))
        name = "" if is_numeric(task.host) else task.host.rstrip(".")
        peer = task.host if address.host == task.host else f"{task.host} ({address})"
        self._channel = Channel(sock, peer, name, ke.ALPN)
        return self._channel, address, race.alive(address.host)

    def _judge(self, channel: Channel, anchors: Anchors) -> Chain:
        try:
            return judge(channel.chain(), self._task.host, anchors)
        except PintsError as e:
            e.args = (f"{self._task.host}: {e}",)
            raise

    def _ask(self, channel: Channel, offered: Sequence[int]) -> ke.Response:
        deadline = self._deadline.within(STEP_LIMIT)
        channel.send(ke.encode_request(ke.Request(tuple(offered))), deadline)
        stream = ke.RecordStream()
        try:
            while not stream.complete:
                stream.feed(channel.receive(deadline))
            return ke.decode_response(stream.records, offered)
        except WireError as e:
            raise PeerError(f"{self._task.host}: {e}") from None

    def _ntp_addresses(self, response: ke.Response, hosts: Sequence[str]) -> tuple[Address, ...]:
        """Of the NTP server.  It is the key server unless that names another."""
        port = self._task.ntp_port or response.port
        if response.server and not _same_name(response.server, self._task.host):
            with self._timed("resolve-ntp"):
                hosts = self._look_up(response.server) or hosts
        return tuple(Address(host, port) for host in hosts)

    def _look_up(self, name: str) -> Sequence[str]:
        """The addresses of a name; none if the resolver is dead, which is no reason to throw
        keys away.  The key server's own are then worth a try: only who holds the keys can
        answer there.  (A resolver that cannot validate may deny that there is the name.)"""
        lookup = Lookup(name, self._threaded)
        try:
            return lookup.wait(self._deadline.within(STEP_LIMIT))
        except PeerError:
            if lookup.denied and self._resolver_works:
                raise
            return ()

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        self.step = step
        began = time.monotonic()
        yield
        self._timing.append((step, time.monotonic() - began))


def _same_name(name: str, other: str) -> bool:
    return name.rstrip(".").lower() == other.rstrip(".").lower()


def _keys(channel: Channel, response: ke.Response) -> tuple[tuple[bytes, bytes], ...]:
    length = ALGORITHMS[response.algorithm].key_length

    def export(algorithm: int, server_to_client: bool) -> bytes:
        context = ke.exporter_context(algorithm, server_to_client)
        return channel.export(ke.EXPORTER_LABEL, length, context)

    return tuple(
        (export(algorithm, False), export(algorithm, True))
        for algorithm in ke.exporter_contexts(response.algorithm, response.compliant_export)
    )
