"""Tells when the network may have come up: a link got its carrier, an address or a default
route appeared.  The kernel says so over a netlink socket.

What this guarantees:
- What does not come from the kernel is dropped, and whatever comes, the answer is yes or no.
- One call reads what is there, and no more than `MOST_READS` datagrams.
- Too much at once (ENOBUFS) is a yes: something happened, it is only not known what.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

from pints.errors import DeviceError

# linux/rtnetlink.h: groups, message types, and the fields of struct rtmsg that are looked at.
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV4_ROUTE = 0x40
RTMGRP_IPV6_IFADDR = 0x100
RTMGRP_IPV6_ROUTE = 0x400
RTM_NEWLINK = 16
RTM_NEWADDR = 20
RTM_NEWROUTE = 24
RT_TABLE_MAIN = 254
RTN_UNICAST = 1
# linux/if.h
IFF_UP = 0x1
IFF_RUNNING = 0x40
# linux/if_addr.h
IFA_F_TENTATIVE = 0x40  # IPv6: still asking whether somebody else has it; no use yet

GROUPS = (
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
)
NLMSG = struct.Struct("=IHHII")
"""struct nlmsghdr: length (with itself), type, flags, sequence, port (linux/netlink.h)."""
IFINFO = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change."""
IFADDR = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
RTMSG = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination and source lengths, TOS, table, protocol, scope, type,
flags."""
MAX_DATAGRAM = 32768
"""What the kernel puts into one (NLMSG_GOODSIZE is a page; a link's message may be longer)."""
MOST_READS = 64
MOST_LINKS = 64
"""Links whose carrier is remembered: those of containers come and go."""


class LinkWatch:
    """The socket.  DeviceError where there is no netlink: in simulators, in some containers.

    Register `fileno()` with the loop for POLLIN, `on_readable` as what follows.
    """

    def __init__(self) -> None:
        self._running: dict[int, bool] = {}
        """Whether each link had its carrier when it was last heard of."""
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
        except (OSError, AttributeError) as error:
            raise _no_netlink(error) from error
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, GROUPS))
        except OSError as error:
            self._socket.close()
            raise _no_netlink(error) from error

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def on_readable(self) -> bool:
        """Whether the network may have come up since the last call."""
        came_up = False
        for _ in range(MOST_READS):
            try:
                data, _, flags, sender = self._socket.recvmsg(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                # ENOBUFS: there was more than the kernel would keep.  Asking again clears it.
                came_up = True
                if error.errno != errno.ENOBUFS:
                    break
                continue
            if sender[0] != 0:  # anybody may send to this socket; the kernel's port is 0
                continue
            came_up |= bool(flags & socket.MSG_TRUNC) or self.hear(data)
        return came_up

    def hear(self, data: bytes) -> bool:
        """Whether one datagram of the kernel says that the network may have come up."""
        # Of every message, for each is an account of its link: no `any`.
        return True in [self._good_news(kind, body) for kind, body in _messages(data)]

    def close(self) -> None:
        """Unregister from the loop first.  May be called twice."""
        self._socket.close()

    def _good_news(self, kind: int, body: bytes) -> bool:
        if kind == RTM_NEWLINK and len(body) >= IFINFO.size:
            _, _, index, flags, _ = IFINFO.unpack_from(body)
            running = bool(flags & IFF_UP and flags & IFF_RUNNING)
            # Wireless links tell of themselves all day: only the change counts.
            was, self._running[index] = self._running.get(index, False), running
            if len(self._running) > MOST_LINKS:
                self._running.clear()
            return running and not was
        if kind == RTM_NEWADDR and len(body) >= IFADDR.size:
            _, _, flags, _, _ = IFADDR.unpack_from(body)
            return not int(flags) & IFA_F_TENTATIVE
        if kind == RTM_NEWROUTE and len(body) >= RTMSG.size:
            _, destination, _, _, table, _, _, sort, _ = RTMSG.unpack_from(body)
            return (destination, table, sort) == (0, RT_TABLE_MAIN, RTN_UNICAST)
        return False


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each whole message."""
    offset = 0
    while offset + NLMSG.size <= len(data):
        length, kind, _, _, _ = NLMSG.unpack_from(data, offset)
        if length < NLMSG.size or offset + length > len(data):
            return
        yield kind, data[offset + NLMSG.size : offset + length]
        offset += (length + 3) & ~3  # NLMSG_ALIGN


def _no_netlink(error: Exception) -> DeviceError:
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
    return DeviceError(f"cannot watch the network's links: {reason}")
