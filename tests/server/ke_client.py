"""An NTS-KE client that can be as right or as wrong as a test wants."""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from OpenSSL import SSL

from pints.wire import ke
from pints.wire.aead import ALGORITHMS

TIMEOUT = 10
"""Seconds for each step."""


@dataclass(frozen=True)
class Exchange:
    """What a good exchange yields."""

    response: ke.Response
    c2s: bytes
    s2c: bytes


def context(ca: Path, alpn: Sequence[bytes] = (ke.ALPN,)) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(ca))
    context.set_verify(SSL.VERIFY_PEER)
    if alpn:
        context.set_alpn_protos(list(alpn))
    return context


def connect(port: int, context: SSL.Context) -> tuple[socket.socket, SSL.Connection]:
    """A connection whose handshake is done, as far as the client can tell."""
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    # Python's own timeout would make the socket non-blocking, which pyOpenSSL does not hide.
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", TIMEOUT, 0))
    tls = SSL.Connection(context, sock)
    tls.set_connect_state()
    try:
        tls.do_handshake()
    except BaseException:
        sock.close()
        raise
    return sock, tls


def read_all(tls: SSL.Connection) -> bytes:
    """All until the server's close_notify; SSL.Error if it ends without one."""
    data = b""
    while True:
        try:
            data += tls.recv(4096)
        except SSL.ZeroReturnError:
            return data


def talk(port: int, ca: Path, message: bytes) -> bytes:
    """The server's whole answer to a message."""
    sock, tls = connect(port, context(ca))
    with sock:
        tls.sendall(message)
        return read_all(tls)


def records(data: bytes) -> list[ke.Record]:
    stream = ke.RecordStream()
    assert stream.feed(data)
    return stream.records


def exchange(port: int, ca: Path, request: ke.Request | None = None) -> Exchange:
    """What pints' own client does."""
    request = request or ke.Request(tuple(ALGORITHMS))
    sock, tls = connect(port, context(ca))
    with sock:
        tls.sendall(ke.encode_request(request))
        response = ke.decode_response(records(read_all(tls)), request.algorithms)
        length = ALGORITHMS[response.algorithm].key_length
        number = ke.exporter_contexts(response.algorithm, response.compliant_export)[0]
        c2s, s2c = (
            tls.export_keying_material(
                ke.EXPORTER_LABEL, length, ke.exporter_context(number, direction)
            )
            for direction in (False, True)
        )
        tls.shutdown()
    return Exchange(response, c2s, s2c)
