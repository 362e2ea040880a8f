"""One key exchange as a server has it: a small state machine around a TLS connection.

- It does as much as the socket allows and then says what it waits for; it never blocks.
- However the client behaves, the session ends: by its own rules or at its deadline, after a
  bounded number of octets.
- Keys and cookies go to nobody who did not negotiate TLS 1.3 and "ntske/1".
- Whatever is said to the client, an alert included, is left on the wire long enough to be
  read: the socket is closed when the client has closed it, or at the deadline.
"""

import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum

from OpenSSL import SSL

from pints.errors import WireError
from pints.lean import dataclass
from pints.server.cookies import Entropy, KeyRing
from pints.server.ke_credentials import NoAlpnError
from pints.timescale import Boot, after
from pints.wire import ke
from pints.wire.aead import AES_128_GCM_SIV, ALGORITHMS
from pints.wire.ntp import NTP_PORT
from pints.wire.nts import MAX_COOKIES

TIMEOUT = 5.0
"""Seconds for a whole session.  A client's clock starts late: it has a handshake to compute."""
LINGER = 1.0
"""Seconds to wait for the client's end of a connection that is over."""
MAX_REQUEST = 4096
"""Octets of a request's records; chrony's has 30."""
MAX_REST = 65536
"""Octets thrown away after the answer."""
_CHUNK = 4096

Export = Callable[[bytes, int], bytes]
"""(context, length) to keying material, as RFC 5705 has it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What clients are told beside their cookies."""

    ntp_port: int = NTP_PORT
    ntp_server: str = ""
    """Name or address; '' is the one they asked."""


def answer(
    records: Sequence[ke.Record], export: Export, ring: KeyRing, offer: Offer, entropy: Entropy
) -> bytes:
    """The server's whole message to a client's.

    The first AEAD that the client offers and this machine has is taken.  The keys of
    AES-128-GCM-SIV depend on whether the client asked for the RFC's exporter context: chrony
    before 4.6.1 uses another and does not ask.
    """
    try:
        request = ke.decode_request(records)
    except ke.RefusalError as e:
        return ke.encode_error(e.code)
    chosen = next((id for id in request.algorithms if id in ALGORITHMS), None)
    if not request.ntpv4 or chosen is None:
        return ke.encode_nothing_in_common(request)
    compliant = request.compliant_export and chosen == AES_128_GCM_SIV
    exported_as = ke.exporter_contexts(chosen, compliant)[0]
    length = ALGORITHMS[chosen].key_length
    c2s = export(ke.exporter_context(exported_as, False), length)
    s2c = export(ke.exporter_context(exported_as, True), length)
    cookies = tuple(ring.seal(chosen, c2s, s2c, entropy) for _ in range(MAX_COOKIES))
    return ke.encode_response(
        ke.Response(chosen, cookies, offer.ntp_server, offer.ntp_port, compliant)
    )


class State(Enum):
    """Where a session is.  It goes forward only."""

    HANDSHAKE = "handshake"
    READ = "read"
    WRITE = "write"
    SHUTDOWN = "shutdown"
    LINGER = "linger"
    OVER = "over"


class KeSession:
    """A client's connection, from accept to close.

    `reply(records, export)` makes the answer; it is called once at most.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: SSL.Context,
        deadline: Boot,
        reply: Callable[[Sequence[ke.Record], Export], bytes],
    ) -> None:
        sock.setblocking(False)
        self.deadline = deadline
        self.state = State.HANDSHAKE
        self._socket = sock
        self._reply = reply
        self._stream = ke.RecordStream(MAX_REQUEST)
        self._unsent = b""
        self._rest = MAX_REST
        self._tls = SSL.Connection(context, sock)
        self._tls.set_accept_state()

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""
        return self._socket.fileno()

    def advance(self, now: Boot) -> int:
        """Go as far as the socket allows.  Returns the poll events to wait for; 0: it is over
        and wants to be closed."""
        while self.state is not State.OVER and now < self.deadline:
            try:
                state = _STEPS[self.state](self)
            except (SSL.WantReadError, BlockingIOError):
                return select.POLLIN
            except SSL.WantWriteError:
                return select.POLLOUT
            except (SSL.Error, NoAlpnError):
                # OpenSSL has sent the alert.  What the client did wrong is its own affair: a
                # line in the log for each would be a stranger's way to fill a card.
                state = State.LINGER
            except OSError:
                state = State.OVER
            if state is State.LINGER and self.state is not state:
                self._end_output(now)
            self.state = state
        return 0

    def close(self) -> None:
        """At once, whatever the state.  May be called twice."""
        self.state = State.OVER
        self._socket.close()

    def _handshake(self) -> State:
        self._tls.do_handshake()
        # A client that sends no ALPN at all never reaches the callback that refuses.
        if self._tls.get_alpn_proto_negotiated() != ke.ALPN:
            return State.SHUTDOWN
        return State.READ

    def _read(self) -> State:
        try:
            if not self._stream.feed(self._tls.recv(_CHUNK)):
                return State.READ
        except WireError:
            self._unsent = ke.encode_error(ke.BAD_REQUEST)
        else:
            self._unsent = self._reply(self._stream.records, self._export)
        return State.WRITE

    def _export(self, context: bytes, length: int) -> bytes:
        return self._tls.export_keying_material(ke.EXPORTER_LABEL, length, context)

    def _write(self) -> State:
        self._unsent = self._unsent[self._tls.send(self._unsent) :]
        return State.WRITE if self._unsent else State.SHUTDOWN

    def _shutdown(self) -> State:
        self._tls.shutdown()
        return State.LINGER

    def _end_output(self, now: Boot) -> None:
        self.deadline = min(self.deadline, after(now, LINGER))
        with suppress(OSError):  # gone already
            self._socket.shutdown(socket.SHUT_WR)

    def _linger(self) -> State:
        # Closing while octets lie unread would send a reset, and a reset makes the client's
        # kernel forget what it has not yet read of ours.
        got = len(self._socket.recv(_CHUNK))
        self._rest -= got
        return State.LINGER if got and self._rest > 0 else State.OVER


_STEPS: dict[State, Callable[[KeSession], State]] = {
    State.HANDSHAKE: KeSession._handshake,
    State.READ: KeSession._read,
    State.WRITE: KeSession._write,
    State.SHUTDOWN: KeSession._shutdown,
    State.LINGER: KeSession._linger,
}
