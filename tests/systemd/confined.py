"""Runs a program under a unit's restrictions, where no systemd runs: the same system call filters,
made by the same library, and the same capabilities.

    python -m tests.systemd.confined UNIT COMMAND...

What it applies: CapabilityBoundingSet=, AmbientCapabilities= (by root alone), NoNewPrivileges=,
SystemCallFilter=, MemoryDenyWriteExecute=, RestrictAddressFamilies=, UMask=.  What it leaves out:
the user, name spaces and control groups (all of Protect...= and Private...=, DevicePolicy=).
"""

import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys
from functools import cache

from tests.systemd.units import settings, words

# linux/prctl.h, linux/securebits.h, linux/capability.h, seccomp.h
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 24, 38, 28, 47
AMBIENT_RAISE = 2
NOROOT_LOCKED = 3
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10, "CAP_SYS_TIME": 25}
LAST_CAPABILITY = 63
VERSION_3 = 0x20080522
ALLOW = 0x7FFF0000
REFUSE = 0x00050000
MASKED_EQUAL, EQUAL = 7, 4
FAMILIES = 46


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [
        ("arg", ctypes.c_uint), ("op", ctypes.c_int),
        ("a", ctypes.c_uint64), ("b", ctypes.c_uint64),
    ]  # fmt: skip


libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    unit, *command = sys.argv[1:]
    # Everything that is looked up comes first; afterwards looking up may be forbidden.
    allowed = calls(settings(unit)["SystemCallFilter"])
    no_exec = words(unit, "MemoryDenyWriteExecute") == {"yes"}
    families = words(unit, "RestrictAddressFamilies")
    os.umask(int(settings(unit)["UMask"][0], 8))
    if os.geteuid() == 0:
        capabilities(
            {CAPABILITIES[name] for name in words(unit, "CapabilityBoundingSet")},
            {CAPABILITIES[name] for name in words(unit, "AmbientCapabilities")},
        )
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    more = Filter(ALLOW)
    if no_exec:
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        more.rule(REFUSE | errno.EPERM, "mmap", (2, both, both))
        for name in ("mprotect", "pkey_mprotect"):
            more.rule(REFUSE | errno.EPERM, name, (2, mmap.PROT_EXEC, mmap.PROT_EXEC))
    known = {getattr(socket, name).value for name in families - {"none"}}
    for family in set(range(FAMILIES)) - known:
        more.rule(REFUSE | errno.EAFNOSUPPORT, "socket", (0, family, None))
    more.load()
    only = Filter(REFUSE | errno.EPERM)
    for name in allowed:
        only.rule(ALLOW, name)
    only.load()
    os.execv(command[0], command)


@cache
def group(name: str) -> frozenset[str]:
    """The system calls of one of systemd's groups, itself of groups perhaps."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    members = [line.strip() for line in done.stdout.splitlines()[1:]]
    return frozenset().union(
        *(group(m) if m[0] == "@" else {m} for m in members if m and m[0] != "#")
    )


def calls(filters: list[str]) -> set[str]:
    """What lines of SystemCallFilter= allow together, read as systemd.exec(5) says: the first
    one opens an allow list, a later one adds to it, or with ~ takes away."""
    allowed = set(group("@default"))
    for line in filters:
        names = line.removeprefix("~").split()
        named = set().union(*(group(n) if n[0] == "@" else {n} for n in names))
        allowed = allowed - named if line[0] == "~" else allowed | named
    return allowed


def capabilities(bounding: set[int], ambient: set[int]) -> None:
    """These, for root as well, who would get all that is not bounded with the next program."""
    check(libc.prctl(PR_SET_SECUREBITS, NOROOT_LOCKED, 0, 0, 0))
    for number in range(LAST_CAPABILITY + 1):
        if number not in bounding:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # EINVAL for what the kernel lacks
    bits = sum(1 << number for number in ambient)
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    check(libc.capset(header, (ctypes.c_uint32 * 6)(bits, bits, bits)))
    for number in ambient:
        check(libc.prctl(PR_CAP_AMBIENT, AMBIENT_RAISE, number, 0, 0))


class Filter:
    """libseccomp's, which systemd uses."""

    def __init__(self, otherwise: int) -> None:
        library = self._library = ctypes.CDLL("libseccomp.so.2")
        library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(otherwise)))

    def rule(self, action: int, call: str, *arguments: tuple[int, int, int | None]) -> None:
        """For a call whose arguments (number, mask, value under it; or number, value, None)
        are these."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # not on this kind of machine
        compared = [
            Comparison(n, EQUAL, a, 0) if b is None else Comparison(n, MASKED_EQUAL, a, b)
            for n, a, b in arguments
        ]
        array = (Comparison * len(compared))(*compared)
        refused = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(compared), array
        )
        if refused:
            raise OSError(-refused, f"{call}: {os.strerror(-refused)}")

    def load(self) -> None:
        """In force from here on, for whatever this process becomes and starts."""
        refused = self._library.seccomp_load(self._context)
        if refused:
            raise OSError(-refused, os.strerror(-refused))


def check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main()
