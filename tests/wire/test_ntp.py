"""NTP headers and timestamps."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.timescale import NS, Instant
from pints.wire import ntp
from tests.wire.pcap import datagrams

SERVER_REPLY_OF_A_GPS_CLOCK = bytes.fromhex(
    "24 01 06 e9"  # no warning, version 4, server; stratum 1; 64 s; 2^-23 s
    "00008000 00010001 47505300"  # 0.5 s, 1 s and a bit, GPS
    "ea123456 00000000 ea123457 80000000 ea123458 40000000 ea123458 c0000000"
)
CLIENT_REQUEST_THAT_TELLS_NOTHING = bytes.fromhex(
    "23 000020" + "00" * 36 + "0123456789abcdef"  # chrony's: all but the nonce blank
)
UNSYNCHRONIZED_SERVER = bytes.fromhex("e4 10 06 e9" + "00" * 44)
VERSION_3_SERVER = bytes.fromhex("1c 02 06 e9" + "00" * 44)
KISS = bytes.fromhex("e4 00 06 e9 00000000 00000000")

ERA = 1 << 32
UNIX_OF_ERA_0 = -2_208_988_800
UNIX_OF_ERA_1 = 2_085_978_496  # 2036-02-07T06:28:16Z
UNIX_OF_INT32_OVERFLOW = 2_147_483_648  # 2038-01-19T03:14:08Z
HALF = (1 << 31) * NS


def kiss(code: bytes, flags: int = 0xE4, stratum: int = 0) -> ntp.Packet:
    return ntp.decode(bytes([flags, stratum]) + KISS[2:] + code + bytes(32))


def test_every_field_of_a_server_reply() -> None:
    packet = ntp.decode(SERVER_REPLY_OF_A_GPS_CLOCK)
    assert packet == ntp.Packet(
        mode=ntp.MODE_SERVER,
        version=4,
        leap=ntp.LEAP_NONE,
        stratum=1,
        poll=6,
        precision=-23,
        root_delay=0.5,
        root_dispersion=1 + 2**-16,
        reference_id=b"GPS\0",
        reference=0xEA123456_00000000,
        origin=0xEA123457_80000000,
        receive=0xEA123458_40000000,
        transmit=0xEA123458_C0000000,
    )
    assert packet.kiss_code == ""


def test_a_request_tells_nothing_but_its_nonce() -> None:
    request = ntp.Packet(mode=ntp.MODE_CLIENT, transmit=0x0123456789ABCDEF, precision=32)
    assert ntp.encode(request) == CLIENT_REQUEST_THAT_TELLS_NOTHING
    assert ntp.decode(CLIENT_REQUEST_THAT_TELLS_NOTHING) == request


def test_leap_3_says_unsynchronized() -> None:
    packet = ntp.decode(UNSYNCHRONIZED_SERVER)
    assert (packet.leap, packet.stratum) == (ntp.LEAP_UNKNOWN, ntp.MAX_STRATUM)


def test_version_3_is_read() -> None:
    assert ntp.decode(VERSION_3_SERVER).version == 3


@pytest.mark.parametrize("version", [0, 1, 2, 5, 6, 7])
def test_other_versions_are_refused(version: int) -> None:
    with pytest.raises(WireError, match=f"NTP version {version}"):
        ntp.decode(bytes([version << 3 | 4]) + SERVER_REPLY_OF_A_GPS_CLOCK[1:])


@pytest.mark.parametrize("length", [0, 1, 47, ntp.MAX_PACKET_LENGTH + 1, 65507])
def test_datagrams_of_impossible_length_are_refused(length: int) -> None:
    with pytest.raises(WireError, match=f"NTP packet of {length} octets"):
        ntp.decode(SERVER_REPLY_OF_A_GPS_CLOCK.ljust(length, b"\0")[:length])


@pytest.mark.parametrize("length", [48, 52, 68, 72, ntp.MAX_PACKET_LENGTH])
def test_what_follows_the_header_changes_nothing(length: int) -> None:
    data = SERVER_REPLY_OF_A_GPS_CLOCK.ljust(length, b"\xff")
    assert ntp.decode(data) == ntp.decode(SERVER_REPLY_OF_A_GPS_CLOCK)


@pytest.mark.parametrize("code", ["RATE", "DENY", "RSTR", "NTSN", "XYZ"])
def test_kiss_codes(code: str) -> None:
    assert kiss(code.encode().ljust(4, b"\0")).kiss_code == code


def test_no_kiss_without_a_code() -> None:
    assert kiss(bytes(4)).kiss_code == ""


def test_no_kiss_above_stratum_0() -> None:
    assert kiss(b"RATE", stratum=1).kiss_code == ""


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 5, 6, 7])
def test_only_servers_kiss(mode: int) -> None:
    assert kiss(b"RATE", flags=0xE0 | mode).kiss_code == ""


@pytest.mark.parametrize(
    ("code", "text"), [(b"\n\x1b[m", "??[m"), (b"\xff\x7f A", "???A"), (b"A\0B\0", "A?B")]
)
def test_a_kiss_code_is_fit_for_a_log(code: bytes, text: str) -> None:
    assert kiss(code).kiss_code == text


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_a_wire_error(data: bytes) -> None:
    try:
        packet = ntp.decode(data)
    except WireError:
        assert len(data) < ntp.HEADER_LENGTH or data[0] >> 3 & 7 not in (3, 4)
    else:
        assert packet.kiss_code.isprintable()


@given(st.sampled_from([3, 4]), st.integers(0, 255), st.binary(min_size=47, max_size=47))
def test_what_was_read_is_written_alike(version: int, flags: int, rest: bytes) -> None:
    data = bytes([flags & 0xC7 | version << 3]) + rest
    assert ntp.encode(ntp.decode(data)) == data


TIMESTAMPS = st.integers(0, (1 << 64) - 1)
SHORTS = st.integers(0, (1 << 32) - 1).map(lambda n: n / ntp.SHORT)
PACKETS = st.builds(
    ntp.Packet,
    mode=st.integers(0, 7),
    transmit=TIMESTAMPS,
    version=st.sampled_from([3, 4]),
    leap=st.integers(0, 3),
    stratum=st.integers(0, 255),
    poll=st.integers(-128, 127),
    precision=st.integers(-128, 127),
    root_delay=SHORTS,
    root_dispersion=SHORTS,
    reference_id=st.binary(min_size=4, max_size=4),
    reference=TIMESTAMPS,
    origin=TIMESTAMPS,
    receive=TIMESTAMPS,
)


@given(PACKETS)
def test_what_was_written_is_read_alike(packet: ntp.Packet) -> None:
    assert ntp.decode(ntp.encode(packet)) == packet


def root_on_the_wire(value: float) -> float:
    packet = ntp.Packet(mode=ntp.MODE_SERVER, transmit=0, root_delay=value, root_dispersion=value)
    read = ntp.decode(ntp.encode(packet))
    assert read.root_delay == read.root_dispersion
    return read.root_delay


@given(st.floats(0.0, 65535.0))
def test_an_error_bound_grows_on_the_wire_by_less_than_one_unit(value: float) -> None:
    assert 0 <= root_on_the_wire(value) - value <= 1 / ntp.SHORT


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (0.0, 0),
        (1e-12, 1),
        (1 / 65536, 1),
        (1.5, 0x18000),
        (65535.99999, 0xFFFFFFFF),
        (65536.0, 0xFFFFFFFF),
        (1e30, 0xFFFFFFFF),
        (math.inf, 0xFFFFFFFF),
        (-1e-12, 0),
        (-math.inf, 0),
    ],
)
def test_an_error_bound_beyond_the_format_saturates(value: float, wire: int) -> None:
    assert root_on_the_wire(value) * ntp.SHORT == wire


@pytest.mark.parametrize(
    ("unix", "timestamp"),
    [
        (UNIX_OF_ERA_0, 0),
        (0, 2_208_988_800),
        (63_072_000, 2_272_060_800),  # RFC 5905 figure 4: 1972-01-01, the first day of UTC
        (946_598_400, 3_155_587_200),  # 1999-12-31, the last day of the century
        (UNIX_OF_ERA_1 - 1, ERA - 1),
        (UNIX_OF_ERA_1, 0),
        (UNIX_OF_ERA_1 + 63_104, 63_104),  # 2036-02-08, the first whole day of era 1
        (UNIX_OF_INT32_OVERFLOW - 1, 61_505_151),
        (UNIX_OF_INT32_OVERFLOW, 61_505_152),
        (UNIX_OF_ERA_1 + ERA, 0),
    ],
)
def test_dates_and_their_timestamps(unix: int, timestamp: int) -> None:
    instant = Instant(unix * NS)
    assert ntp.fold(instant) == timestamp << 32
    assert ntp.unfold(timestamp << 32, instant) == instant


@pytest.mark.parametrize(
    ("nanos", "fraction"), [(1, 4), (500_000_000, 1 << 31), (999_999_999, 0xFFFFFFFB)]
)
def test_fractions_are_rounded_down(nanos: int, fraction: int) -> None:
    assert ntp.fold(Instant(nanos)) & 0xFFFFFFFF == fraction


def test_the_last_fraction_carries_into_the_next_second() -> None:
    assert ntp.unfold(0x83AA7E80_FFFFFFFF, Instant(0)) == NS


ERAS = st.integers(-20 * ERA * NS, 20 * ERA * NS).map(Instant)


@given(ERAS, st.integers(-HALF + NS, HALF - NS))
def test_instants_of_any_era_survive_to_the_nanosecond(instant: Instant, away: int) -> None:
    assert ntp.unfold(ntp.fold(instant), Instant(instant + away)) == instant


@given(st.integers(-2 * NS, 2 * NS), st.integers(-100 * NS, 100 * NS))
def test_the_wrap_of_2036_is_an_instant_like_any_other(delta: int, away: int) -> None:
    instant = Instant(UNIX_OF_ERA_1 * NS + delta)
    assert ntp.unfold(ntp.fold(instant), Instant(instant + away)) == instant


@given(TIMESTAMPS, ERAS)
def test_the_nearest_era_is_chosen(timestamp: int, near: Instant) -> None:
    instant = ntp.unfold(timestamp, near)
    assert abs(instant - near) <= HALF + NS
    # The same moment of the eras beside it is farther away, but for the second of a tie.
    assert all(abs(instant + k * ERA * NS - near) >= HALF - NS for k in (-1, 1))


@given(TIMESTAMPS, ERAS)
def test_unfolding_loses_less_than_a_nanosecond(timestamp: int, near: Instant) -> None:
    again = ntp.fold(ntp.unfold(timestamp, near))
    assert (again - timestamp) % (1 << 64) <= (1 << 32) // NS


@given(st.lists(ERAS, min_size=2, max_size=5))
def test_unfolding_keeps_the_order_of_what_is_near(instants: list[Instant]) -> None:
    near = instants[0]
    close = sorted(Instant(near + (i - near) % HALF) for i in instants)
    back = [ntp.unfold(ntp.fold(i), near) for i in close]
    assert [b - a for a, b in pairwise(back)] == [b - a for a, b in pairwise(close)]


def test_a_captured_day_reads_as_zeek_reads_it(real_data: Path) -> None:
    """Symmetric requests of version 3 and their answers, of an autumn day of 2004."""
    lines = (real_data / "nts/zeek_ntp3.ntp.log").read_text().splitlines()
    names = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    log = [dict(zip(names, line.split("\t"), strict=True)) for line in lines if line[0] != "#"]
    captured = [
        (datagram, ntp.decode(datagram.payload))
        for datagram in datagrams(real_data / "nts/zeek_NTP_sync.pcap")
        if datagram.destination[1] == 123
    ]
    assert len(captured) == len(log) > 20

    def instant(text: str, timestamp: int) -> bool:
        if not timestamp:
            return float(text) == 0
        nanos = int(text.replace(".", "")) * 1000
        return abs(ntp.unfold(timestamp, Instant(nanos)) - nanos) <= 1000

    def logged(packet: ntp.Packet, row: dict[str, str], peers: set[str]) -> bool:
        return (
            peers == {row["id.orig_h"], row["id.resp_h"]}
            and (packet.version, packet.mode) == (int(row["version"]), int(row["mode"]))
            and packet.stratum == int(row["stratum"])
            and 2.0**packet.poll == float(row["poll"])
            and abs(2.0**packet.precision - float(row["precision"])) < 1e-6
            and abs(packet.root_delay - float(row["root_delay"])) < 1e-6
            and abs(packet.root_dispersion - float(row["root_disp"])) < 1e-6
            and instant(row["ref_time"], packet.reference)
            and instant(row["org_time"], packet.origin)
            and instant(row["rec_time"], packet.receive)
            and instant(row["xmt_time"], packet.transmit)
            and reference(packet) == row["ref_id"]
        )

    def reference(packet: ntp.Packet) -> str:
        if packet.stratum > 1:
            return ".".join(map(str, packet.reference_id))
        return packet.reference_id.decode().replace("\0", "\\x00")

    for datagram, packet in captured:
        peers = {datagram.source[0], datagram.destination[0]}
        found = [row for row in log if logged(packet, row, peers)]
        assert found, packet
        log.remove(found[0])
        assert ntp.encode(packet) == datagram.payload
    assert not log


def test_packets_that_ntpd_rs_reads_and_refuses(real_data: Path) -> None:
    vectors = json.loads((real_data / "nts/ntpdrs_ntp_packets.json").read_text())["packets"]
    verdicts = set()
    for vector in vectors:
        data = bytes.fromhex(vector["hex"])
        verdicts.add(vector["expect"])
        if vector["expect"] == "reject":
            with pytest.raises(WireError):
                ntp.decode(data)
        else:  # "reject-as-cookie" too is a good header
            assert ntp.encode(ntp.decode(data)) == data[: ntp.HEADER_LENGTH]
    assert verdicts == {"accept", "reject", "reject-as-cookie"}
