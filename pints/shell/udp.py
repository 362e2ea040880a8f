"""UDP sockets whose packets carry the kernel's receive and transmit timestamps.

What this guarantees:
- A request goes out on a socket of its own, from a fresh port that the kernel picks at random,
  and the socket takes datagrams from that one address only.
- A reply leaves from the address its request came to.
- Nothing here blocks, loops or raises because of the network: one system call for each
  readiness report, and an ICMP error is a small value.
- A stamp says whether the kernel took it and how far off it may be.

Register the sockets with the loop for POLLIN | POLLPRI.  POLLERR or POLLPRI announces the
error queue, where transmit stamps arrive; it is read then and only then.
"""

import errno
import os
import socket
import struct

from pints.errors import DeviceError
from pints.lean import dataclass
from pints.shell.clock import Clock
from pints.timescale import Reading
from pints.values.address import Address

# asm-generic/socket.h.  Python's socket module lacks these up to 3.13.
SO_TIMESTAMPNS_OLD = 35
SO_TIMESTAMPING_OLD = 37
SO_SELECT_ERR_QUEUE = 45
SO_TIMESTAMPNS_NEW = 64
SO_TIMESTAMPING_NEW = 65
# linux/in.h
IP_PKTINFO = 8
IP_FREEBIND = 15
# linux/net_tstamp.h
SOF_TX_SOFTWARE = 1 << 1
SOF_RX_SOFTWARE = 1 << 3
SOF_SOFTWARE = 1 << 4
SOF_OPT_TSONLY = 1 << 11  # no copy of the packet beside its transmit stamp

# A control message has the number of the option that asked for it.  The stamp is a timespec,
# of SO_TIMESTAMPING the first of three: NEW in 64 bits, OLD in the kernel's `long`.
STAMPS = {
    SO_TIMESTAMPING_NEW: struct.Struct("=qq"),
    SO_TIMESTAMPING_OLD: struct.Struct("@ll"),
    SO_TIMESTAMPNS_NEW: struct.Struct("=qq"),
    SO_TIMESTAMPNS_OLD: struct.Struct("@ll"),
}

# In order of preference.  With a 64-bit `long` the pairs mean the same bytes and OLD is what
# every kernel (NEW: since 5.1) and every simulator knows; with 32 bits OLD ends in 2038.
OPTIONS = (
    (SO_TIMESTAMPING_OLD, SO_TIMESTAMPING_NEW, SO_TIMESTAMPNS_OLD, SO_TIMESTAMPNS_NEW)
    if struct.calcsize("@l") == 8
    else (SO_TIMESTAMPING_NEW, SO_TIMESTAMPING_OLD, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPNS_OLD)
)

KERNEL_ERROR = 2e-6
"""Error of a kernel stamp that is placed by a quick reading of the clock, seconds.  A reading that
took longer, because something came between, has the larger error that the clock tells."""

USER_ERROR = 100e-6
"""How late (receive) or early (transmit) user space's own stamp may be.  50 to 117 us were
measured on loopback; a busy Pi Zero does worse, which the delay then shows."""

MAX_DATAGRAM = 2048  # larger than any NTP packet; a longer datagram is dropped as truncated
CONTROL_SPACE = 512

IN_PKTINFO = struct.Struct("@i4s4s")  # interface, our own address, the header's destination
IN6_PKTINFO = struct.Struct("@16si")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a packet passed."""

    reading: Reading
    kernel: bool  # taken by the kernel, not by us
    error: float  # seconds


@dataclass(frozen=True, slots=True)
class NetError:
    """What the network, or this machine's part of it, answered instead."""

    errno: int

    def __str__(self) -> str:
        return os.strerror(self.errno)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A request as it came in, with all that a reply needs."""

    data: bytes
    peer: tuple[str, int] | tuple[str, int, int, int]
    stamp: Stamp
    source: tuple[tuple[int, int, bytes], ...]  # control messages that set the reply's source


class RequestSocket:
    """One request's socket: sends one packet, receives what `address` answers.

    Never raises for the network's sake: if there is no route, no IPv6 or no free descriptor,
    `fileno()` is -1 where there is no socket at all and `send` says why.  So send first, then
    register with the loop.  ValueError for an address that is not numeric.
    """

    def __init__(self, clock: Clock, address: Address) -> None:
        self._clock = clock
        self._socket: socket.socket | None = None
        self._failed: NetError | None = None
        self._sent = False
        try:
            family, target = sockaddr(address)
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            enable_stamps(self._socket, transmit=True)
            self._socket.connect(target)
        except OSError as error:
            self._failed = _neterror(error)

    @property
    def reference_id(self) -> bytes:
        """By which a server that takes its time from this machine would name it."""
        if self._socket is None:
            return b""
        return reference_id(str(self._socket.getsockname()[0]))

    def fileno(self) -> int:
        """-1 without a socket."""
        return -1 if self._socket is None else self._socket.fileno()

    def send(self, packet: bytes) -> Stamp | NetError:
        """Send the one packet.  The stamp is user space's, taken just before.

        Only one: whatever transmit stamp then comes back is this packet's, which needs no
        matching (and a simulator's stamps could not be matched).
        """
        if self._sent:
            raise RuntimeError("a request socket sends one packet")
        if self._failed is not None or self._socket is None:
            return self._failed or NetError(errno.EBADF)
        reading = self._clock.read()
        try:
            self._socket.send(packet)
        except OSError as error:
            return _neterror(error)
        self._sent = True
        return Stamp(reading, kernel=False, error=USER_ERROR)

    def on_readable(self) -> tuple[bytes, Stamp] | NetError | None:
        """On POLLIN: one datagram and its receive stamp; None for nothing worth having."""
        if self._socket is None:
            return None
        try:
            data, control, flags, _ = self._socket.recvmsg(MAX_DATAGRAM, CONTROL_SPACE)
        except BlockingIOError:
            return None
        except OSError as error:
            return _neterror(error)
        if flags & socket.MSG_TRUNC:
            return None
        return data, receive_stamp(self._clock, control)

    def on_error_queue(self) -> Stamp | NetError | None:
        """On POLLERR or POLLPRI: the transmit stamp, or the ICMP error that was the reason.

        None when the kernel's stamp cannot be placed: what `send` returned then stands.
        """
        if self._socket is None:
            return None
        try:
            _, control, _, _ = self._socket.recvmsg(
                MAX_DATAGRAM, CONTROL_SPACE, socket.MSG_ERRQUEUE
            )
        except BlockingIOError:
            # An error is pending on the socket itself.  Asking for it also clears it, without
            # which poll() would report it for ever.
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return NetError(number) if number else None
        except OSError as error:
            return _neterror(error)
        return kernel_stamp(self._clock, control)

    def close(self) -> None:
        """Unregister from the loop first.  May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._failed = NetError(errno.EBADF)


class ServerSocket:
    """A listening socket.  DeviceError when the address cannot be had.

    With `v6only` false, "::" also takes IPv4 requests, whose peers read "::ffff:192.0.2.1".
    A reply's transmit time is the caller's: read the clock last, then `send`.
    """

    def __init__(self, clock: Clock, address: Address, v6only: bool = True) -> None:
        self._clock = clock
        self.unsent = 0
        """Replies that the network would not take."""
        try:
            family, target = sockaddr(address)
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            raise DeviceError(f"cannot listen on {address}: {error.strerror}") from error
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            # At boot the address may not be there yet.  (For both families: linux/in6.h has
            # no option of its own that is as old.)
            _try_option(self._socket, socket.IPPROTO_IP, IP_FREEBIND, 1)
            enable_stamps(self._socket, transmit=False)
            self._socket.bind(target)
        except OSError as error:
            self._socket.close()
            hint = {
                errno.EADDRINUSE: f"another server is there: ss -ulpn sport = :{address.port}",
                errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: run as the service",
            }.get(error.errno or 0, "")
            raise DeviceError(f"cannot listen on {address}: {error.strerror}", hint) from error

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def address(self) -> Address:
        """Where it listens, with the port the kernel chose if none was asked for."""
        host, port, *_ = self._socket.getsockname()
        return Address(host, port)

    def recv(self) -> Datagram | None:
        """On POLLIN: one request; None for nothing worth having."""
        try:
            data, control, flags, peer = self._socket.recvmsg(MAX_DATAGRAM, CONTROL_SPACE)
        except OSError:
            return None
        if flags & socket.MSG_TRUNC:
            return None
        return Datagram(data, peer, receive_stamp(self._clock, control), _reply_source(control))

    def send(self, data: bytes, request: Datagram) -> None:
        """Answer `request`.  What the network will not take at once is dropped and counted."""
        try:
            self._socket.sendmsg([data], request.source, 0, request.peer)
        except OSError:
            self.unsent += 1

    def close(self) -> None:
        """Unregister from the loop first.  May be called twice."""
        self._socket.close()


def hold_stamps() -> socket.socket | None:
    """A socket that does nothing but keep the kernel stamping while it is open.

    The kernel begins to stamp packets some time after the first socket asks for it, and ends
    with the last.  Short-lived request sockets alone would often come too early; hold this one
    for as long as requests are made.  None if there is no such socket: stamps then come late.
    """
    try:
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except OSError:
        return None
    enable_stamps(held, transmit=False)
    return held


def enable_stamps(sock: socket.socket, transmit: bool) -> int | None:
    """Ask for kernel stamps in the best way there is; the option that was taken, if any.

    The SO_TIMESTAMPNS options stamp what is received only.
    """
    flags = SOF_SOFTWARE | SOF_RX_SOFTWARE
    if transmit:
        flags |= SOF_TX_SOFTWARE | SOF_OPT_TSONLY
    for option in OPTIONS:
        wants_flags = option in (SO_TIMESTAMPING_OLD, SO_TIMESTAMPING_NEW)
        if _try_option(sock, socket.SOL_SOCKET, option, flags if wants_flags else 1):
            if transmit and wants_flags:
                _try_option(sock, socket.SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1)
            return option
    return None


def receive_stamp(clock: Clock, control: list[tuple[int, int, bytes]]) -> Stamp:
    """The kernel's stamp where there is one that can be placed, else now."""
    return kernel_stamp(clock, control) or Stamp(clock.read(), kernel=False, error=USER_ERROR)


def kernel_stamp(clock: Clock, control: list[tuple[int, int, bytes]]) -> Stamp | None:
    """The stamp among a packet's control messages, if there is one that can be placed."""
    for level, kind, data in control:
        form = STAMPS.get(kind) if level == socket.SOL_SOCKET else None
        if form is None or len(data) < form.size:
            continue
        seconds, nanoseconds = form.unpack_from(data)
        # Zero: the kernel had none.  The sum is CLOCK_REALTIME, which the clock must place.
        reading = clock.stamp(seconds * 1_000_000_000 + nanoseconds) if seconds else None
        if reading is not None:
            return Stamp(reading, kernel=True, error=max(KERNEL_ERROR, clock.pairing_error))
    return None


def sockaddr(address: Address) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    """The address family and Python's form of a numeric address.

    ValueError for a name, which the socket module would look up, and block; OSError for the
    scope of an interface that is not there.
    """
    host, percent, scope = address.host.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except OSError:
        raise ValueError(f"not a numeric address: {address.host}") from None
    if family == socket.AF_INET:
        if percent:
            raise ValueError(f"an IPv4 address has no scope: {address.host}")
        return family, (host, address.port)
    if not scope:
        return family, (host, address.port, 0, 0)
    index = int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)
    return family, (host, address.port, 0, index)


def _reply_source(
    control: list[tuple[int, int, bytes]],
) -> tuple[tuple[int, int, bytes], ...]:
    """Control messages that make a reply leave from where its request arrived."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) >= IN_PKTINFO.size:
            # The kernel's routes choose the interface: packets may come in by one and go out
            # by another.
            _, ours, _ = IN_PKTINFO.unpack_from(data)
            return ((level, kind, IN_PKTINFO.pack(0, ours, bytes(4))),)
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            ours, interface = IN6_PKTINFO.unpack_from(data)
            if ours[0] == 0xFF:  # multicast is nobody's source
                ours = bytes(16)
            elif not (ours[0] == 0xFE and ours[1] & 0xC0 == 0x80):
                interface = 0  # only a link-local address means nothing without its link
            return ((level, kind, IN6_PKTINFO.pack(ours, interface)),)
    return ()


def _try_option(sock: socket.socket, level: int, option: int, value: int) -> bool:
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True


def _neterror(error: OSError) -> NetError:
    return NetError(error.errno or errno.EIO)


def reference_id(host: str) -> bytes:
    """What a server whose time comes from `host` tells of it (RFC 5905 section 7.3): the IPv4
    address; of an IPv6 address any four octets that tell hosts apart serve."""
    try:
        return socket.inet_pton(socket.AF_INET, host)
    except OSError:
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return bytes(4)
    return bytes(packed[n] ^ packed[n + 4] ^ packed[n + 8] ^ packed[n + 12] for n in range(4))
