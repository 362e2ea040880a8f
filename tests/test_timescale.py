"""Instants, durations, and how a person reads them."""

import math
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.timescale import (
    DAY,
    HOUR,
    NS,
    YEAR,
    Boot,
    Instant,
    after,
    civil,
    iso,
    midnight,
    nanoseconds,
    seconds,
    span,
)

FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("unix", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (2_085_978_496, "2036-02-07T06:28:16Z"),
        (2_147_483_648, "2038-01-19T03:14:08Z"),
        (LAST + 1, "10000-01-01T00:00:00Z"),
        (FIRST - 1, "0000-12-31T23:59:59Z"),
    ],
)
def test_dates_that_calendars_get_wrong(unix: int, text: str) -> None:
    assert iso(Instant(unix * NS)) == text


@given(st.integers(FIRST, LAST), st.integers(0, NS - 1))
def test_iso_agrees_with_the_standard_library(unix: int, nanos: int) -> None:
    # Its strftime writes years below 1000 with fewer digits; isoformat does not.
    expected = datetime.fromtimestamp(unix, UTC).replace(tzinfo=None).isoformat() + "Z"
    assert iso(Instant(unix * NS + nanos)) == expected


@given(st.integers(FIRST, LAST))
def test_a_day_begins_at_midnight(unix: int) -> None:
    day = unix // 86400 * 86400
    assert midnight(*civil(Instant(unix * NS))) == day * NS


def test_a_day_that_its_month_lacks_is_one_of_the_next() -> None:
    assert civil(midnight(2100, 2, 29)) == (2100, 3, 1)
    assert civil(midnight(2096, 2, 29)) == (2096, 2, 29)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ns"),
        (0.25e-9, "0.25 ns"),
        (999.7e-9, "1000 ns"),
        (1e-6, "1 us"),
        (1.234567e-3, "1.23 ms"),
        (-1.2e-3, "-1.2 ms"),
        (0.9999, "1000 ms"),
        (35.0, "35 s"),
        (119.9, "120 s"),
        (120.0, "2 min"),
        (2 * HOUR, "2 h"),
        (2 * DAY, "2 days"),
        (400 * DAY, "400 days"),
        (1000 * DAY, "1000 days"),
        (-1095 * DAY, "-1095 days"),
        (3 * YEAR, "3 years"),
        (5000 * YEAR, "5000 years"),
        (math.inf, "inf years"),
    ],
)
def test_a_duration_as_a_person_says_it(value: float, text: str) -> None:
    assert span(value) == text


UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": HOUR,
    "days": DAY,
    "years": YEAR,
}


@given(st.floats(1e-9, 1e13))
def test_a_duration_is_told_to_three_digits_and_never_in_powers_of_ten(value: float) -> None:
    text = span(value)
    assert re.fullmatch(r"\d+(\.\d+)? [a-z]+", text)
    number, unit = text.split()
    assert float(number) * UNITS[unit] == pytest.approx(value, rel=0.005)
    assert span(-value) == f"-{text}"


@given(st.integers(-(10**15), 10**15))
def test_nanoseconds_survive_as_seconds_over_eleven_days(nanos: int) -> None:
    assert nanoseconds(seconds(nanos)) == nanos


def test_a_difference_is_rounded_to_the_nearest_nanosecond() -> None:
    assert nanoseconds(1.6e-9) == 2
    assert nanoseconds(-1.6e-9) == -2
    assert nanoseconds(0.4e-9) == 0


def test_a_deadline_lies_after_its_start() -> None:
    assert after(Boot(5 * NS), 1.5) == 6_500_000_000
    assert after(Boot(5 * NS), -1.5) == 3_500_000_000
