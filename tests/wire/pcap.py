"""As much of the pcap format as it takes to read UDP over IPv4 over Ethernet."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Datagram:
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes


def datagrams(path: Path) -> Iterator[Datagram]:
    """The whole datagrams of a little-endian capture of Ethernet frames, in order."""
    data = path.read_bytes()
    magic, link_type = struct.unpack_from("<I", data)[0], struct.unpack_from("<I", data, 20)[0]
    assert (magic, link_type) == (0xA1B2C3D4, 1)
    at = 24
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16 : at + 16 + length]
        at += 16 + length
        ip = frame[14:]
        if frame[12:14] != b"\x08\x00" or ip[9] != 17:
            continue
        udp = ip[(ip[0] & 15) * 4 :]
        source, destination, udp_length = struct.unpack_from(">HHH", udp)
        yield Datagram(
            (_dotted(ip[12:16]), source), (_dotted(ip[16:20]), destination), udp[8:udp_length]
        )


def _dotted(address: bytes) -> str:
    return ".".join(map(str, address))
