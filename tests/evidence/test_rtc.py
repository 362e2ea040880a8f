"""A real-time clock as evidence: honest chips stay honest for months, the others prove nothing."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pints.bootstrap.rules import Refusal
from pints.drivers import RtcReading
from pints.errors import StateError
from pints.evidence.rtc import (
    MEASURE_FOR,
    SPEAKS_FOR,
    STRANGER,
    UNMEASURED,
    WRITE_EVERY,
    Calibration,
    decode_calibration,
    encode_calibration,
    learn,
    rtc_evidence,
    trimmed,
    worth_writing,
    written,
)
from pints.timescale import DAY, HOUR, NS, YEAR, Boot, Instant, Raw, Reading, nanoseconds, seconds
from pints.values.belief import Floors
from pints.values.evidence import Evidence, Strength

EPOCH = Instant(1_780_000_000 * NS)
FLOORS = Floors(EPOCH)
CHIP = "ds3231 i2c-1 0x68"
NOW = Instant(EPOCH + nanoseconds(100 * DAY))
AT = Reading(Instant(0), Boot(7 * NS), Raw(7 * NS))


def later(start: Instant, passed: float) -> Instant:
    return Instant(start + nanoseconds(passed))


def said(time: int, *flags: str, error: float = 0.5) -> RtcReading:
    """What a chip of whole seconds says that stands at `time`."""
    return RtcReading(Instant(time // NS * NS + NS // 2), error, flags, AT)


def fresh(set_at: Instant = NOW, **known: float) -> Calibration:
    """Of a chip that pints has just set."""
    return replace(Calibration(CHIP, set_at, 0.0, 0.5, True), **known)  # type: ignore[arg-type]


def evidence(
    reading: RtcReading, calibration: Calibration | None, floors: Floors = FLOORS
) -> Evidence:
    heard = rtc_evidence(CHIP, reading, calibration, floors)
    assert isinstance(heard, Evidence), heard
    return heard


def refusal(
    reading: RtcReading, calibration: Calibration | None, floors: Floors = FLOORS
) -> Refusal:
    heard = rtc_evidence(CHIP, reading, calibration, floors)
    assert isinstance(heard, Refusal), heard
    assert heard.rule == "R1"
    return heard


# --- an honest chip --------------------------------------------------------------------------


class Chip:
    """Counts at its own rate, which temperature changes by up to 1 ppm either way."""

    def __init__(self, drift: float) -> None:
        self.true = NOW
        self.gained = 0.0
        self.drift = drift

    def run(self, passed: float, weather: float) -> None:
        self.true = later(self.true, passed)
        self.gained += (self.drift + weather) * passed

    def set(self) -> None:
        """Setting it starts a second."""
        now = self.true
        self.gained = seconds((now + NS // 2) // NS * NS - now)

    def read(self) -> RtcReading:
        return said(self.true + nanoseconds(self.gained))


spells = st.lists(
    st.tuples(
        st.floats(60.0, 20 * DAY),  # how long it runs
        st.floats(-1e-6, 1e-6),  # the weather
        st.booleans(),  # whether true time is known then
        st.floats(-0.05, 0.05),  # the error of that
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=300)
@given(st.floats(-95e-6, 95e-6), spells)
def test_honest_chip_contains_the_truth_over_months(
    drift: float, spells: list[tuple[float, float, bool, float]]
) -> None:
    chip = Chip(drift)
    chip.set()
    calibration = written(CHIP, chip.read(), None, chip.true, 0.05)
    assert calibration.ratcheted
    for passed, weather, known, off in spells:
        chip.run(passed, weather)
        heard = evidence(chip.read(), calibration)
        assert heard.strength is Strength.INDEPENDENT
        assert heard.admits(chip.true, chip.true), (heard, chip.true)
        if not known:
            continue
        estimate = later(chip.true, off)
        calibration = learn(calibration, chip.read(), estimate, 0.05)
        assert calibration.ratcheted, "nobody has set it"
        assert abs(drift - calibration.drift) <= calibration.drift_error + 1e-6
        if worth_writing(CHIP, chip.read(), calibration, estimate, 0.05):
            chip.set()
            calibration = written(CHIP, chip.read(), calibration, estimate, 0.05)
            assert calibration.ratcheted


def test_a_month_of_measuring_narrows_the_interval() -> None:
    chip = Chip(40e-6)
    chip.set()
    unmeasured = written(CHIP, chip.read(), None, chip.true, 0.01)
    chip.run(30 * DAY, 0.0)
    measured = learn(unmeasured, chip.read(), chip.true, 0.01)
    assert measured.drift == pytest.approx(40e-6, abs=0.5e-6)
    chip.run(30 * DAY, 0.0)
    before, after = evidence(chip.read(), unmeasured), evidence(chip.read(), measured)
    assert before.error == pytest.approx(60 * DAY * UNMEASURED, rel=0.01)
    assert after.error == pytest.approx(60 * DAY * 2e-6, rel=0.3)
    assert abs(seconds(after.middle - chip.true)) < 3


def test_a_chip_without_compensation_says_so() -> None:
    """The driver knows its crystal; the interval of a cold winter is that much wider."""
    measured = fresh(drift_error=1e-6)
    month = later(NOW, 30 * DAY)
    bare = replace(said(month), stability=30e-6)
    assert evidence(said(month), measured).error == pytest.approx(30 * DAY * 3e-6, rel=0.2)
    assert evidence(bare, measured).error == pytest.approx(30 * DAY * 31e-6, rel=0.2)


def test_what_the_kernel_sets_as_well_proves_nothing() -> None:
    """It does so when the time is verified, which somebody who owns expired keys may have done."""
    shared = replace(said(NOW), shared=True)
    heard = rtc_evidence(CHIP, shared, fresh(), FLOORS)
    assert isinstance(heard, Evidence)
    assert heard.strength is Strength.LOCAL
    assert heard.low is not None
    assert heard.high is not None
    assert heard.low <= NOW <= heard.high
    refused = rtc_evidence(CHIP, replace(shared, flags=("OSF",)), fresh(), FLOORS)
    assert isinstance(refused, Refusal)


def test_what_setting_it_left_over_is_taken_off() -> None:
    month = later(NOW, 30 * DAY)
    reading = RtcReading(later(month, 1.4), 0.01, (), AT)
    heard = evidence(reading, fresh(offset=1.4, error=0.01, drift_error=0.0))
    assert abs(seconds(heard.middle - month)) < 1e-6


def test_evidence_is_held_against_the_boot_clock() -> None:
    assert evidence(said(NOW), fresh()).boot == AT.boot


def test_drift_is_measured_over_a_day_or_more() -> None:
    chip = Chip(40e-6)
    known = fresh()
    chip.run(DAY - 60, 0.0)
    assert learn(known, chip.read(), chip.true, 0.01) == known
    chip.run(120, 0.0)
    assert learn(known, chip.read(), chip.true, 0.01).drift_error < UNMEASURED


def test_measurements_that_share_nothing_widen_what_is_known() -> None:
    """Summer and winter: neither alone is what the chip will do."""
    known = fresh(drift=0.0, drift_error=0.1e-6)
    true = later(NOW, 100 * DAY)
    chip = true + nanoseconds(1.8e-6 * 100 * DAY)
    learned = learn(known, said(chip), true, 0.0)
    assert learned.ratcheted
    assert learned.drift - learned.drift_error == pytest.approx(-0.1e-6)
    assert learned.drift + learned.drift_error == pytest.approx(1.8e-6, abs=0.2e-6)


# --- the others ------------------------------------------------------------------------------


@pytest.mark.parametrize("calibration", [None, fresh()])
@pytest.mark.parametrize("flags", [("OSF",), ("VL", "bad BCD")])
def test_its_own_flags_refuse_it(flags: tuple[str, ...], calibration: Calibration | None) -> None:
    text = refusal(said(NOW, *flags), calibration).text
    assert all(flag in text for flag in flags)
    assert CHIP in text


@pytest.mark.parametrize("calibration", [None, fresh(EPOCH)])
@pytest.mark.parametrize("days", [-9000.0, -1.0, 20.1 * 365.2425, 60 * 365.0])
def test_outside_floor_and_ceiling_it_is_refused(
    days: float, calibration: Calibration | None
) -> None:
    text = refusal(said(later(EPOCH, days * DAY)), calibration).text
    assert ("floor" if days < 0 else "ceiling") in text
    assert "T" in text
    assert "Z" in text


def test_a_chip_that_pints_set_is_heard_where_its_interval_reaches_the_floor() -> None:
    set_at = Instant(NOW - nanoseconds(30 * DAY))
    raised = Floors(EPOCH, ratcheted=later(NOW, 10.0))
    assert evidence(said(NOW), fresh(set_at), raised).strength is Strength.INDEPENDENT
    refusal(said(NOW), None, raised)


@given(st.floats(0, 19.9 * YEAR), st.sampled_from(["none", "other chip", "not ratcheted"]))
def test_a_chip_that_pints_did_not_set_is_local(passed: float, why: str) -> None:
    calibrations = {
        "none": None,
        "other chip": replace(fresh(EPOCH), chip="pcf85063 i2c-1 0x51"),
        "not ratcheted": replace(fresh(EPOCH), ratcheted=False),
    }
    time = later(EPOCH, passed + 1)
    heard = evidence(said(time), calibrations[why])
    assert heard.strength is Strength.LOCAL
    assert abs(seconds(heard.middle - time)) <= 0.5


@pytest.mark.parametrize("zone", [-12, -5, 2, 5.75, 14])
def test_a_chip_in_local_time_is_never_independent(zone: float) -> None:
    local = later(NOW, zone * HOUR)
    stranger = evidence(said(local), None)
    assert stranger.strength is Strength.LOCAL
    assert stranger.admits(NOW, NOW)
    assert stranger.error == pytest.approx(STRANGER, abs=1)
    # Somebody sets a chip that was pints's to local time: noticed when true time is known.
    noticed = learn(fresh(Instant(NOW - nanoseconds(30 * DAY))), said(local), NOW, 0.01)
    assert not noticed.ratcheted
    assert noticed.drift_error == UNMEASURED
    assert evidence(said(later(local, DAY)), noticed).strength is Strength.LOCAL
    assert worth_writing(CHIP, said(local), noticed, NOW, 0.01) == ""
    tomorrow = later(NOW, WRITE_EVERY + 1)
    assert "somebody" in worth_writing(CHIP, said(tomorrow), noticed, tomorrow, 0.01)


@given(st.floats(-12 * HOUR, 14 * HOUR), st.floats(0, 10 * YEAR), st.floats(-1, 1))
def test_the_error_of_a_stranger_is_honest(zone: float, age: float, drift: float) -> None:
    """Set by hand, to local time, up to a battery's life ago."""
    chip = later(NOW, zone + drift * UNMEASURED * age)
    assert evidence(said(chip), None).admits(NOW, NOW)


@given(st.floats(SPEAKS_FOR + DAY, 19 * YEAR), st.floats(-90e-6, 90e-6), st.floats(0, UNMEASURED))
def test_years_ahead_is_never_independent(ahead: float, drift: float, drift_error: float) -> None:
    """A decade ahead, or a decade asleep: the chip cannot tell which, so it is not believed."""
    calibration = fresh(drift=drift, drift_error=drift_error)
    assert evidence(said(later(NOW, ahead)), calibration).strength is Strength.LOCAL


@given(st.floats(60, 90 * DAY))
def test_before_it_was_set_is_never_independent(back: float) -> None:
    assert evidence(said(later(NOW, -back)), fresh()).strength is Strength.LOCAL


@given(st.integers(0, 1 << 62), st.booleans())
def test_a_chip_that_starts_at_2000_is_refused(uptime: int, flagged: bool) -> None:
    time = 946_684_800 * NS + uptime % nanoseconds(20 * YEAR)
    refusal(said(time, *["OSF"] * flagged), fresh())
    refusal(said(time, *["OSF"] * flagged), None)


def test_a_chip_that_stopped_is_not_as_pints_set_it() -> None:
    month = later(NOW, 30 * DAY)
    stopped = learn(fresh(drift=3e-6, drift_error=1e-6), said(month, "OSF"), month, 0.01)
    assert not stopped.ratcheted
    assert (stopped.set_at, stopped.drift) == (month, 3e-6)


@given(st.floats(1, 1e8), st.sampled_from([-1, 1]), st.floats(0, 60 * DAY))
def test_a_jump_beyond_its_drift_is_noticed(jump: float, sign: int, passed: float) -> None:
    known = fresh(drift_error=1e-6)
    true = later(NOW, passed)
    allowed = 0.5 + 0.5 + 3e-6 * passed + 0.01
    chip = true + nanoseconds(sign * (allowed + 0.5 + jump))
    learned = learn(known, said(chip), true, 0.01)
    assert not learned.ratcheted
    assert learned.drift_error == UNMEASURED


# --- setting it ------------------------------------------------------------------------------

DAY_LATER = later(NOW, WRITE_EVERY + 60)
WEEK_LATER = later(NOW, MEASURE_FOR + 60)


@pytest.mark.parametrize(
    ("calibration", "time", "off", "flags", "reason"),
    [
        (None, NOW, 0.0, (), "never set"),
        (replace(fresh(), chip="another"), NOW, 0.0, (), "never set"),
        (fresh(), later(NOW, HOUR), 30.0, ("OSF",), ""),  # not twice a day
        (fresh(), WEEK_LATER, 1.2, (), ""),  # the resolution alone explains it
        (fresh(), DAY_LATER, 2.5, (), ""),  # a week tells more of its drift
        (fresh(), WEEK_LATER, 2.5, (), "drifted by 2.5 s"),
        (fresh(), WEEK_LATER, -2.5, (), "drifted by -2.5 s"),
        (replace(fresh(), offset=2.0), WEEK_LATER, 2.5, (), ""),  # it was left like that
        (fresh(), DAY_LATER, 0.0, ("OSF",), "OSF"),
        (replace(fresh(), ratcheted=False), DAY_LATER, 0.0, (), "somebody else"),
    ],
)
def test_when_it_is_set_again(
    calibration: Calibration | None, time: Instant, off: float, flags: tuple[str, ...], reason: str
) -> None:
    reading = RtcReading(later(time, off), 0.5, flags, AT)
    why = worth_writing(CHIP, reading, calibration, time, 0.01)
    assert reason in why
    assert bool(reason) is bool(why)


def test_a_reading_at_the_edge_of_a_second_tells_smaller_offsets() -> None:
    reading = RtcReading(later(WEEK_LATER, 1.05), 0.01, (), AT)
    assert worth_writing(CHIP, reading, fresh(), WEEK_LATER, 0.01)


@pytest.mark.parametrize("back", [said(NOW, "OSF"), said(later(NOW, 5.0)), said(later(NOW, -HOUR))])
def test_a_chip_that_does_not_take_it_is_no_evidence(back: RtcReading) -> None:
    calibration = written(CHIP, back, fresh(), NOW, 0.01)
    assert not calibration.ratcheted


def test_setting_it_keeps_what_is_known_of_its_drift() -> None:
    known = fresh(EPOCH, drift=12e-6, drift_error=1e-6)
    again = written(CHIP, said(NOW), known, NOW, 0.01)
    assert (again.set_at, again.drift, again.drift_error) == (NOW, 12e-6, 1e-6)
    assert written("another", said(NOW), known, NOW, 0.01).drift_error == UNMEASURED


# --- what the disk keeps ---------------------------------------------------------------------

calibrations = st.builds(
    Calibration,
    st.text(max_size=40),
    st.integers(1, (1 << 63) - 1).map(Instant),
    st.floats(-9e9, 9e9),
    st.floats(0, 9e5),
    st.booleans(),
    st.floats(-4e-4, 4e-4),
    st.floats(0, 4e-4),
)


@given(calibrations)
def test_calibration_outlasts_the_daemon(calibration: Calibration) -> None:
    assert decode_calibration(encode_calibration(calibration, "board"), "board") == calibration


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(encode_calibration(fresh(), "board")), **fields}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        encode_calibration(fresh(), "board")[:-20],
        changed(chip=5),
        changed(ratcheted=1),
        changed(ratcheted="false"),
        changed(set_at=True),
        changed(set_at=1.5e18),
        changed(set_at=0),
        changed(set_at=-5),
        changed(set_at=1 << 63),
        changed(offset=float("nan")),
        changed(offset=10**400),
        changed(offset=[]),
        changed(error=-1.0),
        changed(error=float("inf")),
        changed(drift=float("nan")),
        changed(drift=1e-3),
        changed(drift_error=-1e-9),
        changed(drift_error=1.0),
    ],
)
def test_torn_or_foreign_calibration(data: bytes) -> None:
    with pytest.raises(StateError):
        decode_calibration(data, "board")


@given(st.binary(max_size=80))
def test_any_bytes_are_a_calibration_or_a_state_error(data: bytes) -> None:
    with suppress(StateError):
        decode_calibration(data, "board")


def test_calibration_of_another_board_is_not_taken() -> None:
    """Cards get cloned; chips do not come along."""
    assert decode_calibration(encode_calibration(fresh(), "this"), "another") is None


def test_a_trimmed_chip_is_of_another_rate_and_speaks_for_nothing_until_it_is_set() -> None:
    known = Calibration("chip", Instant(NS), 0.1, 0.01, True, 23e-6, 0.5e-6)
    now = trimmed(known, -21.7e-6)
    assert now.drift == pytest.approx(1.3e-6)
    # What a count does is only typical.
    assert now.drift_error == pytest.approx(0.5e-6 + 10.85e-6)
    assert not now.ratcheted
