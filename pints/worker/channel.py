"""TLS 1.3 over a non-blocking socket: every wait has a deadline, every failure is one line.

OpenSSL never touches the socket: it reads and writes memory, and this module moves the octets,
one `recv` for one report of readiness.  So it is known exactly whether a ClientHello went out,
a peer that does not speak TLS is recognised by its first octet, and no flood is taken in.

Nobody is authenticated here: the certificate chain is handed out for `verdict` to judge, for
OpenSSL's own check would refuse a chain for its dates alone.  No callback into Python is
registered with OpenSSL (systemd's MemoryDenyWriteExecute forbids what cffi needs for one), no
session is kept or resumed.
"""

import contextlib
import select
import socket
from collections.abc import Callable
from typing import TypeVar

from OpenSSL import SSL, crypto

from pints.errors import PeerError
from pints.worker.deadline import Deadline

MAX_RECEIVED = 1 << 18
"""Octets from the peer in one connection; OpenSSL allows a chain 100 KiB."""
_PIECE = 16384
_ALERT = 21
_HANDSHAKE = 22
"""TLS record types (RFC 8446 section 5.1): all that a server may begin with."""

_T = TypeVar("_T")


class Channel:
    """The client's end of one connection, which it owns and closes."""

    def __init__(self, sock: socket.socket, peer: str, server_name: str, protocol: bytes) -> None:
        """`peer` is for messages; `server_name` is sent as SNI unless it is ''."""
        self._sock = sock
        self._peer = peer
        self._protocol = protocol
        self._received = 0
        self.sent_hello = False
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_alpn_protos([protocol])
        self._tls = SSL.Connection(context, None)
        if server_name:
            self._tls.set_tlsext_host_name(server_name.encode("ascii"))
        self._tls.set_connect_state()

    def handshake(self, deadline: Deadline) -> None:
        """To the end of the handshake, ALPN included.  Our Finished is not sent yet but goes
        out with the first data: one segment, nothing for Nagle's algorithm to hold back."""
        self._drive(self._tls.do_handshake, deadline)
        chosen = self._tls.get_alpn_proto_negotiated()
        if chosen != self._protocol:
            raise _not_ntske(self._peer, "does not answer to ALPN")

    def chain(self) -> list[bytes]:
        """The certificates the server presented, DER, leaf first."""
        certificates = self._tls.get_peer_cert_chain() or []
        return [crypto.dump_certificate(crypto.FILETYPE_ASN1, c) for c in certificates]

    def send(self, data: bytes, deadline: Deadline) -> None:
        """All of `data`."""
        self._drive(lambda: self._tls.sendall(data), deadline, flush=True)

    def receive(self, deadline: Deadline) -> bytes:
        """The next piece, never empty: an early end is a PeerError."""
        return self._drive(lambda: self._tls.recv(_PIECE), deadline)

    def export(self, label: bytes, length: int, context: bytes) -> bytes:
        """Keying material of this connection (RFC 5705, RFC 8446 section 7.5)."""
        return self._tls.export_keying_material(label, length, context)

    def close(self) -> None:
        """Say goodbye if that costs no waiting."""
        with contextlib.suppress(SSL.Error, OSError):
            self._tls.shutdown()
            self._sock.send(self._tls.bio_read(_PIECE))
        self._sock.close()

    def _drive(self, operation: Callable[[], _T], deadline: Deadline, flush: bool = False) -> _T:
        """Carry out a TLS operation, moving octets while it wants some."""
        try:
            while True:
                try:
                    result = operation()
                except SSL.WantReadError:
                    self._flush(deadline)
                    self._fill(deadline)
                else:
                    if flush:
                        self._flush(deadline)
                    return result
        except SSL.ZeroReturnError:
            raise self._closed() from None
        except SSL.Error as e:
            with contextlib.suppress(SSL.Error, OSError):
                self._sock.send(self._tls.bio_read(_PIECE))  # the alert that says why
            raise self._explain(e) from None
        except ConnectionError as e:
            raise PeerError(f"{self._peer}: {e.strerror}") from None
        except OSError as e:
            raise PeerError(f"{self._peer}: network failure: {e.strerror}") from None

    def _flush(self, deadline: Deadline) -> None:
        while True:
            try:
                data = self._tls.bio_read(_PIECE)
            except SSL.WantReadError:
                return
            while data:
                deadline.wait(self._sock.fileno(), select.POLLOUT, self._late(deadline))
                with contextlib.suppress(BlockingIOError):
                    data = data[self._sock.send(data) :]
                    self.sent_hello = True

    def _fill(self, deadline: Deadline) -> None:
        deadline.wait(self._sock.fileno(), select.POLLIN, self._late(deadline))
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return
        if not data:
            raise self._closed()
        if not self._received and data[0] not in (_ALERT, _HANDSHAKE):
            start = data[:20].decode("ascii", "replace")
            shown = "".join(c if c.isprintable() else "?" for c in start)
            raise PeerError(
                f"{self._peer}: does not speak TLS, it begins with '{shown}'",
                "an NTS key server listens on TCP port 4460",
            )
        self._received += len(data)
        if self._received > MAX_RECEIVED:
            raise PeerError(f"{self._peer}: sends more than {MAX_RECEIVED} octets")
        self._tls.bio_write(data)

    def _late(self, deadline: Deadline) -> str:
        return f"{self._peer}: no complete answer within {deadline.seconds:.3g} s"

    def _closed(self) -> PeerError:
        return PeerError(f"{self._peer}: closed the connection before its answer was complete")

    def _explain(self, error: SSL.Error) -> PeerError:
        # OpenSSL queues (library, function, reason); the wording differs between releases.
        queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
        reasons = [str(entry[-1]) for entry in queue]
        text = "; ".join(reasons) or "no reason given"
        if "no application protocol" in text:
            return _not_ntske(self._peer, "refuses ALPN")
        if "protocol version" in text or "unsupported protocol" in text:
            return PeerError(
                f"{self._peer}: does not offer TLS 1.3", "NTS demands it (RFC 8915 section 3)"
            )
        return PeerError(f"{self._peer}: TLS failure: {text}")


def _not_ntske(peer: str, how: str) -> PeerError:
    return PeerError(
        f"{peer}: speaks TLS but no NTS key exchange ({how} ntske/1)",
        "an NTS key server listens on TCP port 4460",
    )
