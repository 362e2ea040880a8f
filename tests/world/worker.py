"""What the worker does, played: names, connections, and Roughtime servers asked in turn.

Names and TLS are values here; Roughtime is spoken by the real codec, signatures and all.
`clock_error` is the asking machine's, by which a resolver may validate.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pints.shell.worker import OnResult
from pints.timescale import Instant, nanoseconds, seconds
from pints.values.address import Address
from pints.values.worker_tasks import (
    Exchanged,
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    RoughtimeHeard,
    RoughtimeReading,
    RoughtimeTask,
    Task,
)
from pints.wire.roughtime import (
    Answer,
    Link,
    chained_nonce,
    contradictions,
    decode_response,
    encode_report,
    encode_request,
)
from tests.world.world import Server, World

if TYPE_CHECKING:
    from tests.world.device import Device

NEXT_ADDRESS = 0.25
"""Seconds that a dead address costs a key exchange."""


class PlayedWorker:
    """A device's worker: each task takes the world's time."""

    def __init__(
        self,
        device: "Device",
        later: Callable[[float, Callable[[], None]], None],
        on_result: OnResult,
    ) -> None:
        self._device = device
        self._world = device.world
        self._later = later
        self._on_result = on_result

    def submit(self, task: Task) -> None:
        """Have a task carried out."""
        error = self._device.error()
        if isinstance(task, RoughtimeTask):
            took, heard = ask_roughtime(self._world, task, error)
            self._later(took, partial(self._roughtime_heard, heard))
            return
        server = self._world.find(task.host)
        reached, hosts, failure = reach(self._world, server, task, error)
        # TCP, TLS and the records: three round trips; a dead port costs its time-out.
        answers = not isinstance(task, ExchangeTask) or server.ke_up or failure is not None
        self._later(
            reached + 6 * server.way() if answers else task.timeout,
            lambda: self._on_result(failure or self._result(server, task, hosts)),
        )

    def close(self) -> None:
        """Its results come by the loop, which is closed as well."""

    def _result(
        self, server: Server, task: ResolveTask | ExchangeTask, hosts: tuple[str, ...]
    ) -> Result:
        if not self._world.network_up:
            return Failed(task.id, "tls", f"{task.host}: connection lost", sent_hello=True)
        if isinstance(task, ResolveTask):
            return Resolved(task.id, tuple(Address(host, task.port) for host in hosts))
        heard = server.exchange(task, hosts)
        if isinstance(heard, Exchanged):
            source = self._device.source_of(task.host)
            self._device.rules.shown(source, heard.chain, server.refusal)
        return heard

    def _roughtime_heard(self, heard: RoughtimeHeard) -> None:
        for reading in heard.readings:
            middle = (reading.low + reading.high) // 2 + nanoseconds(reading.age)
            width = seconds(reading.high - reading.low) / 2
            self._device.rules.heard(f"hearsay of {reading.host}", middle, width)
        self._on_result(heard)


def reach(
    world: World, server: Server, task: ResolveTask | ExchangeTask, clock_error: float
) -> tuple[float, tuple[str, ...], Failed | None]:
    """Seconds until an address of the server is found that answers, and its addresses from
    that one on; or why there is none."""
    names, good = world.names, server.address.host
    known = task.addresses if isinstance(task, ExchangeTask) else ()
    if not world.network_up:
        return 0.0, (), Failed(task.id, "resolve", f"{task.host}: no route: is the network up?")
    if good in known:
        return NEXT_ADDRESS * known.index(good), known[known.index(good) :], None
    reason = names.fails(clock_error) if names.up else "no answer from the name servers"
    if reason:
        wait = names.delay if names.up else task.timeout
        return wait, (), Failed(task.id, "resolve", f"{task.host}: {reason}")
    if isinstance(task, ResolveTask):
        return names.delay, (*server.dead, good), None
    return names.delay + NEXT_ADDRESS * len(server.dead), (good,), None


def ask_roughtime(
    world: World, task: RoughtimeTask, clock_error: float
) -> tuple[float, RoughtimeHeard]:
    """What the worker does, with its codec: how long it takes, and what it brings."""
    took = world.names.delay
    failures: dict[str, str] = {}
    heard: list[tuple[float, RoughtimeReading, Answer]] = []
    links: list[Link] = []
    fails = world.names.fails(clock_error) if world.network_up else "no route"
    if fails or not world.names.up:
        failures = {s.host: f"{s.host}: {fails or 'no answer'}" for s in task.servers}
    for turn in range(1, task.rounds + 1):
        for server in task.servers:
            if server.host in failures:
                continue
            operator = world.operators[server.host]
            rand = world.entropy(32)
            nonce = chained_nonce(links[-1].response, rand) if links else rand
            request = encode_request(nonce, server.key)
            response = operator.answer(request, took + operator.delay)
            took += 2 * operator.delay if response else 1.0
            if response is None:
                failures[server.host] = f"{server.host}: no answer"
                continue
            answer = decode_response(response, request, server.key)
            reading = RoughtimeReading(
                server.host, server.operator, turn, answer.low,
                Instant(answer.high + nanoseconds(2 * operator.delay)), 0.0,
                answer.mint, answer.maxt,
            )  # fmt: skip
            heard.append((took, reading, answer))
            links.append(Link(server.key, request, response, rand if links else b""))
    lied = contradictions([answer for _, _, answer in heard])
    readings = tuple(replace(reading, age=took - at) for at, reading, _ in heard)
    report = encode_report(links) if lied else ""
    return took, RoughtimeHeard(task.id, readings, tuple(failures.values()), report)
