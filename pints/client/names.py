"""The addresses that names had: tried beside the resolver's, for one that is late, dead, or
checks DNSSEC by a wrong clock.

Nothing depends on their being right: of a key server the certificate, and of an NTP server the
keys, are checked whatever the address.
"""

import json
from collections.abc import Iterable

from pints.values.files import decoding, json_line

MOST = 4
"""Addresses of one source."""
MISSES = 3
"""Times in a row that other addresses are found: then an old one is dropped."""
MOST_SOURCES = 64
"""Sources; who was heard of longest ago is dropped."""
_DECIMAL = frozenset("0123456789")
_HEX = _DECIMAL | frozenset("abcdefABCDEF")
_GROUPS = 8
"""Of an IPv6 address."""


class Names:
    """The addresses of each source, as of this daemon and of those before it."""

    def __init__(self) -> None:
        self.changed = False
        """Whether there is something to write since `encode`.  The order is not worth it."""
        self._rows: dict[str, dict[str, int]] = {}
        """Of each source: its addresses, and how often in a row each was not among the found."""

    def known(self, source_id: str) -> tuple[str, ...]:
        """Numeric addresses, the newest first."""
        return tuple(self._rows.get(source_id, ()))

    def learned(self, source_id: str, addresses: Iterable[str]) -> None:
        """These were found, the best first.  Others are kept behind them for a while."""
        found = [host for host in dict.fromkeys(addresses) if is_plain(host)][:MOST]
        if not found:
            return
        old = self._rows.pop(source_id, {})
        row = dict.fromkeys(found, 0)
        for host, misses in old.items():
            if host not in row and misses + 1 < MISSES and len(row) < MOST:
                row[host] = misses + 1
        self._rows[source_id] = row
        while len(self._rows) > MOST_SOURCES:
            del self._rows[next(iter(self._rows))]
        self.changed = self.changed or row != old  # of dicts: whatever the order

    def encode(self) -> bytes:
        """As the disk keeps them."""
        self.changed = False
        rows = {source: list(row.items()) for source, row in self._rows.items()}
        return json_line({"pints-names": 1, "sources": rows})

    @classmethod
    def decode(cls, data: bytes) -> "Names":
        """From the disk.  StateError if it is torn or foreign."""
        names = cls()
        with decoding("record of addresses"):
            document = json.loads(data)
            if document["pints-names"] != 1:
                raise ValueError
            for source, row in document["sources"].items():
                names._rows[source] = dict(_entry(*pair) for pair in row[:MOST])
        return names


def is_plain(host: str) -> bool:
    """Whether it is a numeric address without a zone, which is good on any day.  (The socket
    module, which knows too, is not for the core; `ipaddress` costs half a megabyte.)"""
    return _is_ipv6(host) if ":" in host else _is_ipv4(host)


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(
        set(part) <= _DECIMAL and 0 < len(part) < 4 and int(part) < 256 and part == str(int(part))
        for part in parts
    )


def _is_ipv6(host: str) -> bool:
    head, gap, tail = host.partition("::")
    groups = (head.split(":") if head else []) + (tail.split(":") if tail else [])
    if groups and _is_ipv4(groups[-1]) and host.endswith(groups[-1]):
        groups[-1:] = ["0", "0"]
    fitting = len(groups) < _GROUPS if gap else len(groups) == _GROUPS
    return fitting and all(0 < len(group) < 5 and set(group) <= _HEX for group in groups)


def _entry(host: object, misses: object) -> tuple[str, int]:
    if not isinstance(host, str) or not is_plain(host):
        raise ValueError
    if type(misses) is not int or not 0 <= misses < MISSES:
        raise ValueError
    return host, misses
