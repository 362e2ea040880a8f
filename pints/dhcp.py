"""The time servers that a DHCP server names, written down for the daemon.

Run by path with `python3 -I -S`, as root, by the hooks of DHCP clients (`systemd/hooks`):

    dhcp.py NAME [ADDRESS...]      what the lease of this name (interface, protocol) names now

What this guarantees:
- Whoever shares the network may be the author of what comes in.  Of that, only numeric
  addresses of single hosts get out, in their one plain form, and at most MOST of them.
- The file is replaced as a whole, and only when the list has changed; only then is the daemon
  told.
- Root writes nothing here.  The folder is the daemon's, which may have been taken over, so its
  own user is all that ever touches it.

What is written names sources without NTS, which are never witnesses (docs/trust.md).
"""

import os
import socket
import sys

RUNTIME = "/run/pints"
FOLDER = "sources.d"
MOST = 4
"""Addresses of one lease that are taken; it may name hundreds."""
TELL = ("/usr/bin/systemctl", "--no-block", "start", "pints-sources.service")
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"


def address(text: str) -> str:
    """The plain form of a single host's numeric address; "" for anything else."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError):
        return ""
    first = packed[0]
    if family == socket.AF_INET:
        # This network, this host, multicast, reserved with broadcast (RFC 6890).
        return "" if first in (0, 127) or first >= 224 else socket.inet_ntop(family, packed)
    # Unspecified, loopback and IPv4 in IPv6's clothes; an address that says nothing without a
    # link (fe80::/10); multicast.
    local = first == 0xFE and packed[1] & 0xC0 == 0x80
    if not any(packed[:10]) or local or first == 0xFF:
        return ""
    return socket.inet_ntop(family, packed)


def document(texts: "list[str]") -> bytes:
    """The TOML of what is good among these, without doubles; empty for nothing."""
    good = list(dict.fromkeys(filter(None, map(address, texts))))[:MOST]
    tables = [f'[[source]]\nserver = "{host}"\nnts = false\n' for host in good]
    return "\n".join(["# Named by the network (DHCP).\n", *tables]).encode() if good else b""


def replace(folder: str, name: str, data: bytes) -> bool:
    """Make the file of this lease hold `data`, or be gone; whether that changed anything."""
    label = "".join(c if c in _NAME else "_" for c in name)[:64]
    path = f"{folder}/dhcp-{label}.toml"
    try:
        with open(path, "rb") as file:
            old = file.read(65536)
    except FileNotFoundError:
        old = b""
    if data == old:
        return False
    if not data:
        os.unlink(path)
        return True
    temporary = f"{folder}/.{label}.{os.getpid()}"
    with open(temporary, "xb") as file:
        file.write(data)
    os.replace(temporary, path)
    return True


def tell_daemon() -> None:
    """Become root again, and then the program that has the daemon told."""
    try:
        os.seteuid(0)
        os.setegid(0)
    except PermissionError:  # somebody tries it out
        sys.stderr.write("pints dhcp: noted; only root may have the daemon told\n")
        return
    os.execv(TELL[0], TELL)  # noqa: S606 - a fixed program, by its full path


def main(argv: "list[str]", runtime: str = RUNTIME, tell: "object" = None) -> int:
    """Take down what a lease names.  `tell()` is called when that has changed anything."""
    if not argv:
        sys.stderr.write("usage: dhcp.py NAME [ADDRESS...]\n")
        return 2
    try:
        # /run is root's, so this is whom the service manager gave it to.
        owner = os.lstat(runtime)
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.setgroups([])
            os.setegid(owner.st_gid)
            os.seteuid(owner.st_uid)
        changed = replace(f"{runtime}/{FOLDER}", argv[0], document(argv[1:]))
    except OSError as e:
        sys.stderr.write(f"pints dhcp: {e}\n")
        return 1
    if changed and callable(tell):
        tell()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], RUNTIME, tell_daemon))
