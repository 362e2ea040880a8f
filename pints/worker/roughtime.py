"""Roughtime servers asked one after the other (RFC 10049 sections 5 and 8.2).

Guarantees: a result by the task's deadline, whatever servers and name servers do; one that is
silent, or answers wrongly only, costs a second and is not asked again; nothing but what
`decode_response` has verified becomes a reading.  No clock is read but the monotonic one.

Each nonce but the first is made from the answer before, so the order of the answers can be
proved to anybody: where they contradict each other the result carries that proof.
"""

import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from pints.errors import PeerError, WireError
from pints.lean import dataclass
from pints.timescale import Instant, nanoseconds
from pints.values.address import Address
from pints.values.worker_tasks import (
    RoughtimeHeard,
    RoughtimeReading,
    RoughtimeServer,
    RoughtimeTask,
)
from pints.wire.roughtime import (
    MAX_PACKET_LENGTH,
    RAND_LENGTH,
    Answer,
    Link,
    chained_nonce,
    contradictions,
    decode_response,
    encode_report,
    encode_request,
)
from pints.worker.deadline import Deadline
from pints.worker.resolve import Lookup

ATTEMPTS = (0.4, 0.6)
"""Seconds to wait after each request, 1.5 times longer each time (section 5): a second in all."""
LOOKUP_LIMIT = 5.0
"""Seconds for all names together, which are looked up at the same time."""
STRAGGLERS = 0.5
"""Seconds that the rest of the names have once more than half of the servers were asked."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A verified answer and how it came."""

    answer: Answer
    request: bytes
    response: bytes
    address: Address
    received: float
    """Of `time.monotonic`."""
    round_trip: float
    """Seconds since the first request, if it was sent twice."""


def measure(task: RoughtimeTask, threaded: bool = True) -> RoughtimeHeard:
    """Carry out one task.  `threaded=False` looks names up without threads."""
    deadline = Deadline(task.timeout)
    failures: dict[int, str] = {}
    hosts: dict[int, tuple[str, ...]] = {}
    replies: list[tuple[int, RoughtimeServer, Reply]] = []
    links: list[Link] = []
    found = _look_up(task, threaded, deadline, hosts, failures)
    for turn in range(1, task.rounds + 1):
        for n in found if turn == 1 else hosts:
            if n in failures:
                continue  # without an answer in every round it has no vote
            server = task.servers[n]
            if not deadline.left():
                failures[n] = f"{server.host}: not asked in round {turn}: time is up"
                continue
            rand = os.urandom(RAND_LENGTH)
            nonce = chained_nonce(links[-1].response, rand) if links else rand
            try:
                reply = ask(server, hosts[n], nonce, deadline)
            except PeerError as e:
                failures[n] = f"{e} in round {turn}" if turn > 1 else str(e)
                continue
            replies.append((turn, server, reply))
            links.append(
                Link(server.key, reply.request, reply.response, rand if len(links) else b"")
            )
    lied = contradictions([reply.answer for _, _, reply in replies])
    now = time.monotonic()
    return RoughtimeHeard(
        task.id,
        tuple(_reading(turn, server, reply, now) for turn, server, reply in replies),
        tuple(failures[n] for n in sorted(failures)),
        encode_report(links) if lied else "",
    )


def ask(server: RoughtimeServer, hosts: Sequence[str], nonce: bytes, deadline: Deadline) -> Reply:
    """One server's answer; `hosts` are its numeric addresses.  PeerError if none is good.

    What cannot be verified is not the end: somebody else may have sent it, and honest servers
    send such things on purpose (section 7).
    """
    packet = encode_request(nonce, server.key)
    targets = _targets(hosts, server.port)
    failure = PeerError(
        f"{server.host}: no answer from {' or '.join(dict.fromkeys(map(str, targets)))}",
        f"a firewall on the way may drop UDP port {server.port}; "
        "and a server that does not have the key is silent",
    )
    sockets: dict[int, tuple[socket.socket, Address]] = {}
    poll = select.poll()
    began = time.monotonic()
    with ExitStack() as stack:
        for patience, address in zip(ATTEMPTS, targets, strict=True):
            try:
                sock = stack.enter_context(_open(address))
                sock.send(packet)
            except OSError as e:
                failure = _unreachable(server, address, e)
                continue
            sockets[sock.fileno()] = sock, address
            poll.register(sock, select.POLLIN)
            until = deadline.within(patience)
            while sockets and (left := until.left()) > 0:
                for fd, _ in poll.poll(left * 1000 + 1):
                    sock, address = sockets[fd]
                    try:
                        data = sock.recv(MAX_PACKET_LENGTH + 1)
                        received = time.monotonic()
                        answer = decode_response(data, packet, server.key)
                    except BlockingIOError:
                        pass  # a datagram with a bad checksum wakes, too
                    except OSError as e:
                        failure = _unreachable(server, address, e)
                        poll.unregister(fd)
                        del sockets[fd]
                    except WireError as e:
                        reason = f"{server.host}: {address}: answer refused: {e}"
                        failure = PeerError(reason, "does the server really have the key?")
                    else:
                        return Reply(answer, packet, data, address, received, received - began)
    raise failure


def _look_up(
    task: RoughtimeTask,
    threaded: bool,
    deadline: Deadline,
    hosts: dict[int, tuple[str, ...]],
    failures: dict[int, str],
) -> Iterator[int]:
    """The servers, in the order in which their numeric addresses are found: a name that hangs
    delays nobody else.  Each is in `hosts` when it is yielded, or later in `failures`."""
    waiting = {n: Lookup(server.host, threaded) for n, server in enumerate(task.servers)}
    limit = deadline.within(LOOKUP_LIMIT)
    few = False
    while waiting:
        for n in [n for n, lookup in waiting.items() if lookup.done()]:
            try:
                hosts[n] = waiting.pop(n).addresses()
            except PeerError as e:
                failures[n] = str(e)
            else:
                yield n
        if not few and 2 * len(hosts) > len(task.servers):
            few, limit = True, limit.within(STRAGGLERS)
        poll = select.poll()
        for lookup in waiting.values():
            poll.register(lookup.fileno(), select.POLLIN)
        if waiting and not poll.poll(limit.left() * 1000):
            break
    for n, lookup in waiting.items():
        failures[n] = lookup.late(LOOKUP_LIMIT)
        lookup.close()


def _targets(hosts: Sequence[str], port: int) -> tuple[Address, Address]:
    """Where the two attempts go: if there is one, the second to the other address family."""
    others = [host for host in hosts if (":" in host) != (":" in hosts[0])]
    return Address(hosts[0], port), Address((*others, hosts[0])[0], port)


def _open(address: Address) -> socket.socket:
    """A socket with a fresh port that hears nobody else."""
    row = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(row[0], socket.SOCK_DGRAM)
    try:
        sock.connect(row[4])
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _unreachable(server: RoughtimeServer, address: Address, error: OSError) -> PeerError:
    return PeerError(
        f"{server.host}: asking {address}: {error.strerror}",
        "is the network up, and the server's port right?",
    )


def _reading(turn: int, server: RoughtimeServer, reply: Reply, now: float) -> RoughtimeReading:
    answer = reply.answer
    return RoughtimeReading(
        host=server.host,
        operator=server.operator,
        round=turn,
        low=answer.low,
        high=Instant(answer.high + nanoseconds(reply.round_trip)),
        age=now - reply.received,
        mint=answer.mint,
        maxt=answer.maxt,
    )
