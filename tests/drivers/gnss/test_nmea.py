"""Sentences: what they say, and that nothing else says anything."""

import re
from datetime import date, datetime
from pathlib import Path

import pynmea2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.timescale import NS, Instant, iso
from pints_drivers.gnss.nmea import decode, encode
from pints_drivers.gnss.said import Said

PLACE = "4807.038,N,01131.000,E"


def said(body: str) -> Said:
    found = decode(encode(body).rstrip())
    assert found is not None
    return found


def time_of(body: str) -> str | None:
    time = said(body).time
    return None if time is None else iso(time)


def test_a_captured_sentence() -> None:
    """Of a u-blox MAX-M8Q."""
    line = b"$GNRMC,000942.00,A,4404.13401,N,12118.85633,W,0.041,,100117,,,A*73"
    assert decode(line) == Said("RMC", Instant(1_484_006_982 * NS), 582_000, True)


@pytest.mark.parametrize(
    ("body", "time"),
    [
        (f"GPRMC,235959.99,A,{PLACE},0,0,311299,,,A", "1999-12-31T23:59:59Z"),
        (f"GPRMC,000000,A,{PLACE},0,0,010180", "1980-01-01T00:00:00Z"),
        (f"GLRMC,000000.,A,{PLACE},0,0,290200,,,A,V", "2000-02-29T00:00:00Z"),
        (f"GNRMC,120000.5,V,{PLACE},0,0,010179,,,N", "2079-01-01T12:00:00Z"),
        ("GNZDA,120000.00,23,11,2026,00,00", "2026-11-23T12:00:00Z"),
        ("GPZDA,120000,3,1,2026,,", "2026-01-03T12:00:00Z"),
    ],
)
def test_times(body: str, time: str) -> None:
    assert time_of(body) == time


@pytest.mark.parametrize(
    "body",
    [
        f"GPRMC,120000.00,A,{PLACE},0,0,290226,,,A",  # no such day
        f"GPRMC,120000.00,A,{PLACE},0,0,001226,,,A",
        f"GPRMC,120000.00,A,{PLACE},0,0,311326,,,A",
        f"GPRMC,120000.00,A,{PLACE},0,0,2208-1,,,A",  # after a rollover
        f"GPRMC,120000.00,A,{PLACE},0,0,,,,A",
        f"GPRMC,240000.00,A,{PLACE},0,0,231126,,,A",
        f"GPRMC,126000.00,A,{PLACE},0,0,231126,,,A",
        f"GPRMC,235960.00,A,{PLACE},0,0,311216,,,A",  # a leap second
        f"GPRMC,-12000.00,A,{PLACE},0,0,231126,,,A",
        f"GPRMC,,A,{PLACE},0,0,231126,,,A",
        f"GPRMC,120000.0000000000,A,{PLACE},0,0,231126,,,A",
        "GPRMC",
        "GPRMC,,V,,,,,,,,,,N",
        "GPZDA,120000.00,23,11,26,00,00",
        "GPZDA,120000.00,23,11,9999,00,00",
        "GPZDA,120000.00,23,11,1979,00,00",
        "GPZDA,120000.00,,,,,",
        "GPZDA",
        f"GPGGA,120000.00,{PLACE},1,08,0.9,545.4,M,46.9,M,,",  # no date
    ],
)
def test_what_tells_no_time(body: str) -> None:
    assert time_of(body) is None


@pytest.mark.parametrize(
    ("body", "good"),
    [
        (f"GPRMC,120000.00,A,{PLACE},0,0,231126", True),
        *((f"GPRMC,120000.00,A,{PLACE},0,0,231126,,,{mode}", True) for mode in "ADFPR"),
        *((f"GPRMC,120000.00,A,{PLACE},0,0,231126,,,{mode}", False) for mode in "EMSNX"),
        (f"GPRMC,120000.00,V,{PLACE},0,0,231126,,,A", False),
        *((f"GPGGA,120000.00,{PLACE},{q},08", q in "12345") for q in "0123456789"),
        (f"GPGGA,120000.00,{PLACE},,", False),
        *((f"GNGNS,120000.00,{PLACE},{m},08", True) for m in ("A", "AN", "NNRF", "DDPA")),
        *((f"GNGNS,120000.00,{PLACE},{m},08", False) for m in ("", "N", "NN", "AE", "SS", "MA")),
        (f"GPGLL,{PLACE},120000.00,A,A", True),
        (f"GPGLL,{PLACE},120000.00,A,E", False),
        (f"GPGLL,{PLACE},120000.00,V,N", False),
        ("GPZDA,120000.00,23,11,2026,00,00", None),
        ("GPGSV,1,1,00", None),
    ],
)
def test_whether_there_is_a_fix(body: str, good: bool | None) -> None:
    assert said(body).good is good


def test_satellites_that_are_used() -> None:
    assert said(f"GPGGA,120000.00,{PLACE},1,08").satellites == 8
    assert said(f"GNGNS,120000.00,{PLACE},A,23").satellites == 23
    assert said(f"GNGNS,120000.00,{PLACE},A,").satellites is None
    assert said(f"GNGNS,120000.00,{PLACE},A,-1").satellites is None


def test_a_fix_without_a_time_of_its_own_has_an_epoch() -> None:
    assert said(f"GPGGA,000001.25,{PLACE},1,08").of_day == 1250
    assert said(f"GPGLL,{PLACE},000001.9996,A").of_day == 2000


def test_what_others_sell_is_counted_by_its_maker() -> None:
    assert said("PUBX,00,120000.00").kind == "PUBX"
    assert said("PMTK001,314,3").kind == "PMTK0"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"$",
        b"$*00",
        b"$GPZDA,120000.00,23,11,2026,00,00",  # no checksum
        b"$GPZDA,120000.00,23,11,2026,00,00*",
        b"$GPZDA,120000.00,23,11,2026,00,00*6",
        b"$GPZDA,120000.00,23,11,2026,00,00*60",  # a wrong one
        b"$GPZDA,120000.00,23,11,2026,00,00*+6",
        b"$GPZDA,1200\xb200.00,23,11,2026,00,00*D4",
    ],
)
def test_no_sentence(line: bytes) -> None:
    assert decode(line) is None


@given(st.binary(max_size=100))
def test_noise_says_nothing_and_breaks_nothing(noise: bytes) -> None:
    assert decode(noise) is None


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126,
                                      exclude_characters="$*,"), max_size=12), max_size=20),
       st.sampled_from(["RMC", "ZDA", "GGA", "GNS", "GLL", "VTG"]))  # fmt: skip
def test_whatever_its_fields_are_a_sentence_is_read(fields: list[str], kind: str) -> None:
    assert said(",".join(["GP" + kind, *fields])).kind == kind


def test_anothers_parser_reads_the_same(real_data: Path) -> None:
    """pynmea2, in every sentence of every log."""
    times = 0
    for log in sorted((real_data / "gps").glob("*.log")):
        for line in re.findall(rb"\$..(?:RMC|ZDA),[ -~]*?\*[0-9A-F]{2}", log.read_bytes()):
            ours = decode(line)
            try:
                theirs = theirs_of(line)
            except (pynmea2.ParseError, TypeError, AttributeError):
                assert ours is None or ours.time is None, (log.name, line)
                continue
            assert ours is not None
            assert ours.time == round(theirs.timestamp() * 1000) * 1_000_000, (log.name, line)
            times += 1
    assert times > 300


def theirs_of(line: bytes) -> datetime:
    sentence = pynmea2.parse(line.decode(), check=True)
    if sentence.sentence_type == "RMC":
        day = sentence.datestamp
    else:
        day = date(sentence.year, sentence.month, sentence.day)
    return datetime.combine(day, sentence.timestamp)
