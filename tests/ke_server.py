"""TCP and TLS servers on loopback that behave as a test says, also badly.

    with KeServer(site, response) as server:
        ... exchange keys with 127.0.0.1:server.port ...

Each connection is served in the server's own thread, one after the other.  What the other end
or `close` does to a connection ends its service and is no error; anything else is.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

from OpenSSL import SSL

from pints.demo.authority import Issued
from pints.wire import ke
from pints.wire.aead import AES_SIV_CMAC_256

COOKIES = tuple(bytes([i]) * 100 for i in range(8))
GRANT = ke.Response(AES_SIV_CMAC_256, COOKIES)


class Server:
    """Accepts, and hands each connection to `behave`."""

    def __init__(self, behave: Callable[[socket.socket], None], host: str = "127.0.0.1") -> None:
        self._behave = behave
        self._listener = socket.create_server((host, 0))
        self._current: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown() wakes who waits in accept() or recv(); close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        current = self._current
        if current is not None:
            with contextlib.suppress(OSError):
                current.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._current = connection
            with connection, contextlib.suppress(OSError, SSL.Error):
                self._behave(connection)


class TlsServer(Server):
    """Shakes hands, then hands the TLS connection to `behave`."""

    def __init__(
        self,
        site: Issued,
        behave: Callable[[SSL.Connection], None],
        *,
        alpn: bytes = ke.ALPN,
        version: int = SSL.TLS1_3_VERSION,
        host: str = "127.0.0.1",
    ) -> None:
        """`alpn` is what it speaks; b"" knows nothing of ALPN."""
        super().__init__(self._shake_hands, host)
        self._then = behave
        self.server_names: list[bytes | None] = []
        context = self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_max_proto_version(version)
        context.use_privatekey(site.key)
        context.use_certificate(site.certificate)
        for certificate in site.chain[1:]:
            context.add_extra_chain_cert(certificate)
        if alpn:
            context.set_alpn_select_callback(
                lambda _, offered: alpn if alpn in offered else SSL.NO_OVERLAPPING_PROTOCOLS
            )

    def _shake_hands(self, sock: socket.socket) -> None:
        # Or Nagle's algorithm would hold the answer back until the session tickets, which
        # OpenSSL sends unasked, are acknowledged.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = SSL.Connection(self._context, sock)
        connection.set_accept_state()
        connection.do_handshake()
        self.server_names.append(connection.get_servername())
        self._then(connection)


class KeServer(TlsServer):
    """Reads a request and answers with `response`, a grant or any octets."""

    def __init__(
        self,
        site: Issued,
        response: ke.Response | bytes = GRANT,
        *,
        alpn: bytes = ke.ALPN,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(site, self._answer, alpn=alpn, host=host)
        self._response = response if isinstance(response, bytes) else ke.encode_response(response)
        self.requests: list[ke.Request] = []
        self.keys: dict[int, tuple[bytes, bytes]] = {}
        """By AEAD: the pair of keys an answer with it would mean, by the RFC."""

    def _answer(self, connection: SSL.Connection) -> None:
        stream = ke.RecordStream()
        while not stream.feed(connection.recv(4096)):
            pass
        self.requests.append(ke.decode_request(stream.records))
        for algorithm, length in ((15, 32), (30, 16)):
            c2s, s2c = (
                connection.export_keying_material(
                    ke.EXPORTER_LABEL, length, ke.exporter_context(algorithm, direction)
                )
                for direction in (False, True)
            )
            self.keys[algorithm] = c2s, s2c
        connection.sendall(self._response)
        connection.shutdown()
        connection.recv(1)  # the client's goodbye: to close before it would be a reset
