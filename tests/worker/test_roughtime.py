"""Roughtime servers, good and bad, asked by the worker."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

from pints.demo.world import free_port
from pints.timescale import NS
from pints.values.worker_tasks import (
    RoughtimeHeard,
    RoughtimeServer,
    RoughtimeTask,
    decode,
    encode,
)
from pints.wire.roughtime import (
    VERSIONS,
    Link,
    chained_nonce,
    contradictions,
    decode_request,
    decode_response,
)
from pints.worker import roughtime
from pints.worker.roughtime import measure
from pints.worker.run import inline
from tests.cli.ntp_server import LOOPBACK
from tests.roughtime_server import Roughtime

DAY = 86400.0
GRACE = 3.0
"""Seconds beyond a limit, for a machine that is busy with other tests."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as servers:
        yield servers


def known(server: Roughtime, operator: str = "", host: str = "") -> RoughtimeServer:
    return RoughtimeServer(host or server.host, server.port, server.key, operator)


def task(*servers: RoughtimeServer, rounds: int = 2, timeout: float = 20.0) -> RoughtimeTask:
    return RoughtimeTask(7, servers, rounds, timeout)


def three(stack: ExitStack, **fields: Any) -> list[Roughtime]:
    """Of which the second has the fields."""
    return [
        stack.enter_context(Roughtime()),
        stack.enter_context(Roughtime(**fields)),
        stack.enter_context(Roughtime()),
    ]


def hear(servers: list[Roughtime], **options: Any) -> RoughtimeHeard:
    asked = task(*(known(server, f"operator {n}") for n, server in enumerate(servers)), **options)
    heard = measure(asked)
    assert decode(encode(heard)) == heard
    return heard


def test_two_rounds_in_the_same_order(stack: ExitStack) -> None:
    before = time.time()
    servers = three(stack)
    heard = hear(servers)
    now = time.time()
    assert (heard.id, heard.failures, heard.malfeasance) == (7, (), "")
    names = ["operator 0", "operator 1", "operator 2"]
    assert [r.operator for r in heard.readings] == names * 2
    assert [r.round for r in heard.readings] == [1, 1, 1, 2, 2, 2]
    for reading in heard.readings:
        assert 0 <= reading.age <= now - before
        # A midpoint is cut to whole seconds.
        assert (before - 4) * NS <= reading.low <= (now - 3) * NS
        assert (before - 1 + 3) * NS <= reading.high <= (now + 3 + now - before) * NS
        assert reading.mint < reading.low < reading.high < reading.maxt
    ages = [reading.age for reading in heard.readings]
    assert ages == sorted(ages, reverse=True)
    asked = [decode_request(server.requests[n]) for n in range(2) for server in servers]
    assert len({request.nonce for request in asked}) == 6


@pytest.mark.parametrize("number", VERSIONS)
def test_each_version(number: int) -> None:
    with Roughtime(versions=(number,)) as server:
        assert len(hear([server]).readings) == 2


def test_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: Any, **options: Any) -> Any:
        if host == "two.test":
            return [(0, 0, 0, "", ("::1",)), (0, 0, 0, "", (LOOPBACK,))]
        return real(host, port, **options)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with Roughtime() as server:
        # Nothing listens on its first address, so the second attempt goes to the other.
        heard = measure(task(known(server, host="two.test")))
        assert [reading.host for reading in heard.readings] == ["two.test"] * 2
        assert heard.failures == ()


def test_name_that_nobody_knows_breaks_nothing(stack: ExitStack) -> None:
    servers = [known(server) for server in three(stack)]
    servers[0] = RoughtimeServer("nobody.invalid", 2002, bytes(32), "nobody")
    heard = measure(task(*servers))
    assert len(heard.readings) == 4
    (failure,) = heard.failures
    assert failure.startswith("nobody.invalid: ")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[RoughtimeServer]:
    """A server of whose name the name servers say nothing before the test is over."""
    over = threading.Event()
    real = socket.getaddrinfo

    def look_up(host: str, port: Any, **options: Any) -> Any:
        if host == "slow.test":
            over.wait(60)
        return real(host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield RoughtimeServer("slow.test", 2002, bytes(32), "")
    over.set()


def test_name_servers_that_hang_cost_no_more_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch, stack: ExitStack, slow: RoughtimeServer
) -> None:
    monkeypatch.setattr(roughtime, "LOOKUP_LIMIT", 0.2)
    server = stack.enter_context(Roughtime())
    heard = measure(task(slow, slow, known(server)))
    assert len(heard.readings) == 2
    assert len(heard.failures) == 2
    assert "no answer from the name servers" in heard.failures[0]


def test_name_that_hangs_delays_nobody_else(
    monkeypatch: pytest.MonkeyPatch, stack: ExitStack, slow: RoughtimeServer
) -> None:
    """The other servers have answered twice before the name servers say a word."""
    monkeypatch.setattr(roughtime, "LOOKUP_LIMIT", 300.0)
    heard = measure(task(slow, *(known(server) for server in three(stack))))
    assert len(heard.readings) == 6
    assert len(heard.failures) == 1


def test_silent_server_costs_a_second_and_is_not_asked_again(stack: ExitStack) -> None:
    servers = three(stack, silent=1000)
    began = time.monotonic()
    heard = hear(servers)
    assert sum(roughtime.ATTEMPTS) <= time.monotonic() - began < sum(roughtime.ATTEMPTS) + GRACE
    assert [r.operator for r in heard.readings] == ["operator 0", "operator 2"] * 2
    assert heard.failures == (f"127.0.0.1: no answer from 127.0.0.1:{servers[1].port}",)
    first, second = servers[1].requests
    assert first == second


def test_server_that_falls_silent_in_the_second_round(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = three(stack)
    honest = Roughtime.respond

    def fall_silent(self: Roughtime, packet: bytes) -> bytes | None:
        return honest(self, packet) if self is not servers[1] or len(self.requests) < 2 else None

    monkeypatch.setattr(Roughtime, "respond", fall_silent)
    heard = hear(servers)
    assert [r.round for r in heard.readings] == [1, 1, 1, 2, 2]
    (failure,) = heard.failures
    assert failure.endswith("in round 2")


def test_lost_packet_is_sent_again(stack: ExitStack) -> None:
    heard = hear(three(stack, silent=1))
    assert len(heard.readings) == 6
    assert heard.failures == ()
    reading = heard.readings[1]
    # The round trip counts from the first request.
    assert reading.high - reading.low > (6 + roughtime.ATTEMPTS[0]) * NS


def test_honest_server_that_signs_wrongly_now_and_then(stack: ExitStack) -> None:
    heard = hear(three(stack, grease=1))
    assert len(heard.readings) == 6
    assert heard.failures == ()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"grease": 1000}, "bad signature of the response"),
        ({"bad_delegation": True}, "bad signature of the delegation"),
        ({"expired": True}, "outside the delegation"),
        ({"wrong_nonce": True}, "another request's nonce"),
        ({"other_request": True}, "does not contain our request"),
        ({"versions": (0x8000000B,), "extra": {"VER": bytes(4)}}, "not offered"),
        ({"extra": {"AAAA": bytes(4000)}}, "response of"),
    ],
)
def test_bad_answers(stack: ExitStack, fields: dict[str, Any], why: str) -> None:
    servers = three(stack, **fields)
    heard = hear(servers)
    assert len(heard.readings) == 4
    (failure,) = heard.failures
    assert failure.startswith(f"127.0.0.1: 127.0.0.1:{servers[1].port}: answer refused: ")
    assert why in failure
    assert failure.isprintable()
    assert heard.malfeasance == ""


def test_nobody_listens(stack: ExitStack) -> None:
    server = stack.enter_context(Roughtime())
    port = free_port(socket.SOCK_DGRAM)
    dead = RoughtimeServer(LOOPBACK, port, server.key, "")
    began = time.monotonic()
    heard = measure(task(dead, known(server)))
    assert time.monotonic() - began < sum(roughtime.ATTEMPTS) + GRACE
    assert len(heard.readings) == 2
    assert heard.failures == (f"127.0.0.1: asking 127.0.0.1:{port}: Connection refused",)


def test_other_key_than_the_servers(stack: ExitStack) -> None:
    server, other = stack.enter_context(Roughtime()), Roughtime()
    heard = measure(task(RoughtimeServer(LOOPBACK, server.port, other.key, "")))
    assert heard.readings == ()
    assert len(heard.failures) == 1


def test_deadline_holds_whatever_the_number_of_servers(stack: ExitStack) -> None:
    silent = stack.enter_context(Roughtime(silent=1000))
    began = time.monotonic()
    heard = measure(task(*[known(silent)] * 20, timeout=1.5))
    assert time.monotonic() - began < 1.5 + GRACE
    assert heard.readings == ()
    assert len(heard.failures) == 20
    assert heard.failures[-1] == "127.0.0.1: not asked in round 1: time is up"


def test_liar_is_proved_to_be_one(stack: ExitStack) -> None:
    servers = three(stack, lie=DAY)
    heard = hear(servers)
    assert len(heard.readings) == 6, "which of them lied is for others to say"
    report = json.loads(heard.malfeasance)
    names = ("publicKey", "request", "response", "rand")
    links = [
        Link(*(base64.b64decode(part.get(name, ""), validate=True) for name in names))
        for part in report["responses"]
    ]
    assert [link.key for link in links] == [server.key for server in servers] * 2
    assert "rand" not in report["responses"][0]
    for before, link in pairwise(links):
        assert decode_request(link.request).nonce == chained_nonce(before.response, link.rand)
    answers = [decode_response(link.response, link.request, link.key) for link in links]
    assert contradictions(answers) == [(1, 2), (1, 3), (1, 5), (4, 5)]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("lie", [-DAY, DAY, -10.0, 10.0])
def test_two_rounds_show_every_lie(stack: ExitStack, place: int, lie: float) -> None:
    servers = three(stack)
    servers[place].lie = lie
    assert hear(servers).malfeasance


def test_who_lies_within_its_radius_does_not_contradict(stack: ExitStack) -> None:
    assert hear(three(stack, lie=60.0, radius=60)).malfeasance == ""


def test_inline(stack: ExitStack) -> None:
    server = stack.enter_context(Roughtime())
    (heard,) = inline(task(known(server), rounds=1))
    assert isinstance(heard, RoughtimeHeard)
    assert len(heard.readings) == 1
