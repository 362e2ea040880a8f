"""The stream: sentences and messages out of whatever comes, however it is cut."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.timescale import NS, Instant
from pints_drivers.fake_receiver import nmea_burst, ubx_burst
from pints_drivers.gnss import nmea, ubx
from pints_drivers.gnss.said import Said
from pints_drivers.gnss.stream import Stream
from tests.drivers.gnss.readings import reading

TIME = Instant(1_790_000_000 * NS)
NMEA = nmea_burst(TIME)
UBX = ubx_burst(TIME, leap=(1, 3600), qerr=-3_000)
MIXED = UBX + NMEA + UBX
NAMES = ["NAV-PVT", "NAV-TIMELS", "TIM-TP", "GGA", "RMC", "ZDA", "NAV-PVT", "NAV-TIMELS", "TIM-TP"]
KEPT = max(nmea.LONGEST + 1, ubx.LONGEST + ubx.AROUND)


def heard(*pieces: bytes) -> list[Said]:
    stream = Stream(0.0)
    return [h.said for n, piece in enumerate(pieces) for h in stream.feed(piece, reading(n))]


def names(*pieces: bytes) -> list[str]:
    return [said.kind for said in heard(*pieces)]


def test_both_formats_in_one_stream() -> None:
    assert names(MIXED) == NAMES


@given(st.lists(st.integers(0, len(MIXED))))
def test_where_it_is_cut_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted({*cuts} - {0, len(MIXED)}), len(MIXED)]
    assert heard(*(MIXED[a:b] for a, b in pairwise(edges))) == heard(MIXED)


@pytest.mark.parametrize(
    ("noise", "lost"),
    [
        (b"\0\xff\xb5\xb5", 0),
        (b"$", 0),
        (b"$GPGSV,4,1,13,02,11,1", 0),  # another's sentence was cut off
        (b"$$$GPRMC", 0),
        (b"\xb5b\x01", 1),  # the next bytes are taken for its header...
        (b"\xb5b\x01\x07\x00\x01", 0),  # ...and for its payload, until its checksum is wrong
        (b"\xb5b\x01\x07\xff\xff", 0),
        (b"$GPZDA,1\r\n", 0),
        (b"x" * 5000, 0),
        (b"$" + b"x" * 5000, 0),
    ],
)
def test_noise_costs_at_most_what_it_touches(noise: bytes, lost: int) -> None:
    after = NMEA + UBX + NMEA
    assert len(names(noise + after)) >= len(names(after)) - lost


def test_a_sentence_in_the_middle_of_another() -> None:
    """As of an iSync, whose two processors share a line."""
    inner = nmea.encode("PTNTA,20160203131537,2,T4,000000066,+099,3,0,3")
    assert names(NMEA[:20] + inner + NMEA[20:]) == ["PTNTA", "RMC", "ZDA"]


def test_a_message_in_the_middle_of_a_sentence() -> None:
    assert names(NMEA[:20] + UBX + NMEA[20:]) == [*NAMES[:3], "RMC", "ZDA"]


def test_a_message_may_hold_what_looks_like_a_sentence() -> None:
    assert names(ubx.encode(0x0A, 0x04, NMEA) + NMEA) == ["0A-04", "GGA", "RMC", "ZDA"]


def test_lines_end_in_either_way() -> None:
    assert names(NMEA.replace(b"\r", b"")) == ["GGA", "RMC", "ZDA"]
    assert names(NMEA.replace(b"\n", b"")) == ["GGA", "RMC", "ZDA"]


def test_noise_is_counted() -> None:
    stream = Stream(0.0)
    list(stream.feed(b"\r\nnoise\n" + NMEA + b"$GPZDA,no checksum\r\n" + UBX, reading(0)))
    assert stream.noise == len("noise") + len("$GPZDA,no checksum")


@given(st.lists(st.sampled_from([NMEA, UBX, b"$", b"\xb5b", b"\xb5", b"\r\n"])
                | st.binary(min_size=1, max_size=300), max_size=30))  # fmt: skip
def test_little_is_kept_of_whatever_comes(pieces: list[bytes]) -> None:
    stream = Stream(1e-3)
    for n, piece in enumerate(pieces):
        list(stream.feed(piece, reading(n)))
        assert len(stream._buffer) <= KEPT
        assert len(stream._reads) <= len(stream._buffer)


def test_damaged_bytes_never_make_another_time(rng: random.Random) -> None:
    """A checksum of eight bits lets one of 256 through, so only a few bits are changed, as noise
    on a line does."""
    right = {said.time for said in heard(MIXED)}
    for _ in range(2000):
        damaged = bytearray(MIXED)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        assert {said.time for said in heard(bytes(damaged))} <= right


# --- when it came ----------------------------------------------------------------------------


def test_a_sentence_began_before_what_came_after_it_in_the_same_read() -> None:
    stream = Stream(0.001)
    began = [h.began for h in stream.feed(NMEA, reading(10.0))]
    sizes = [len(line) for line in NMEA.splitlines(keepends=True)]
    left = [sum(sizes[n:]) for n in range(3)]
    assert began == [reading(10.0 - 0.001 * bytes_) for bytes_ in left]


def test_it_began_with_the_read_that_brought_its_first_byte() -> None:
    stream = Stream(0.001)
    assert not list(stream.feed(NMEA[:10], reading(10.0)))
    assert not list(stream.feed(NMEA[10:20], reading(10.01)))
    first, *_ = stream.feed(NMEA[20:], reading(10.5))
    assert first.began == reading(9.99)
    assert first.late == 0.0


def test_who_comes_late_says_so() -> None:
    """Of bytes that had been waiting, nobody knows for how long."""
    first, *_ = Stream(0.0001).feed(b"\r\n" + NMEA, reading(10.0), late=1.0)
    assert first.began == reading(10.0 - 0.0001 * len(NMEA))
    assert first.late == pytest.approx(1.0 - 0.0001 * len(NMEA))
