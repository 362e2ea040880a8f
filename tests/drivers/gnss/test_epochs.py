"""Epochs: which sentences make a fix together, of which second, and how sure it is."""

import pytest

from pints.drivers import LEAP_UNKNOWN, Fix, Report, Sawtooth
from pints.timescale import DAY, NS, Instant, iso, nanoseconds
from pints_drivers.fake_receiver import GPS_AHEAD, nmea_burst, ubx_burst
from pints_drivers.gnss import nmea, ubx
from pints_drivers.gnss.epochs import FRESH, JITTER, KINDS, LAG, Epochs
from pints_drivers.gnss.said import Said
from pints_drivers.gnss.stream import Heard, Stream
from tests.drivers.gnss.readings import reading

TIME = Instant(1_790_000_000 * NS)  # 14:13:20
PLACE = "4807.038,N,01131.000,E"
RMC = f"GPRMC,141320.00,A,{PLACE},0,0,210926,,,A"
ZDA = "GPZDA,141320.00,21,09,2026,00,00"
GGA = f"GPGGA,141320.00,{PLACE},1,08,0.9,545.4,M,46.9,M,,"


class Receiver:
    """What comes of its sentences."""

    def __init__(self, measured: bool = False) -> None:
        self.epochs = Epochs(measured)
        self.stream = Stream(0.0)

    def hear(self, at: float, *said: str | bytes) -> list[Report]:
        """Sentences and messages that come together, so many seconds after the start."""
        data = b"".join(nmea.encode(s) if isinstance(s, str) else s for s in said)
        heard = self.stream.feed(data, reading(at))
        return [report for one in heard if (report := self.epochs.hear(one)) is not None]


def second(n: int) -> Instant:
    return Instant(TIME + n * NS)


@pytest.mark.parametrize(
    "said",
    [
        [RMC],
        [GGA, ZDA],
        [RMC, ZDA, GGA],
        [GGA.replace(",1,08", ",4,30"), RMC],
        [f"GNGNS,141320.00,{PLACE},AN,08", ZDA],
        [f"GPGLL,{PLACE},141320.00,A,D", ZDA],
        [ubx_burst(TIME)],
        [ubx_burst(TIME), RMC, ZDA],
        [ubx.encode(0x01, 0x06, bytes(10) + b"\5\1" + bytes(40)), ZDA],
    ],
)
def test_a_fix(said: list[str | bytes]) -> None:
    (fix,) = Receiver().hear(5.0, *said)
    assert isinstance(fix, Fix)
    assert fix.time == TIME + nanoseconds(LAG / 2)
    assert (fix.at, fix.leap) == (reading(5.0), LEAP_UNKNOWN)
    assert fix.error == pytest.approx(LAG / 2, abs=1e-6)


@pytest.mark.parametrize(
    "said",
    [
        [GGA],  # no date
        [ZDA],  # nobody vouches for it
        [RMC.replace(",A,4807", ",V,4807")],
        [RMC[:-1] + "E"],
        [RMC.replace("210926", "320926")],
        [GGA.replace(",1,08", ",0,00"), RMC],
        [GGA.replace(",1,08", ",6,08"), RMC],  # estimated
        [GGA.replace(",1,08", ",8,08"), RMC, ZDA],  # simulated
        [ubx_burst(TIME, fix=False), ZDA],
        [ubx_burst(TIME, fix=False), RMC],
    ],
)
def test_no_fix(said: list[str | bytes]) -> None:
    assert Receiver().hear(5.0, *said) == []


def test_each_second_has_one() -> None:
    receiver = Receiver()
    for n in range(5):
        burst = ubx_burst(second(n)) + nmea_burst(second(n))
        (fix,) = receiver.hear(5.0 + n, burst)
        assert isinstance(fix, Fix)
        assert (iso(fix.time), fix.at) == (iso(second(n)), reading(5.0 + n))


def test_it_is_stamped_with_the_first_sentence_of_its_epoch() -> None:
    """GGA has no date, but it is the burst's beginning."""
    receiver = Receiver()
    assert receiver.hear(5.1, GGA) == []
    assert receiver.hear(5.2, "GPGSV,1,1,00") == []
    (fix,) = receiver.hear(5.6, RMC)
    assert isinstance(fix, Fix)
    assert fix.at == reading(5.1)


def test_a_word_for_a_fix_grows_stale() -> None:
    receiver = Receiver()
    receiver.hear(5.0, GGA)
    assert receiver.epochs.fixed(reading(5.0 + FRESH).raw)
    assert receiver.hear(5.1 + FRESH, ZDA) == []


def test_lost_and_found_again() -> None:
    receiver = Receiver()
    told = [
        len(receiver.hear(5.0 + n, nmea_burst(second(n), fix=n < 2 or n > 5))) for n in range(9)
    ]
    assert told == [1, 1, 0, 0, 0, 0, 1, 1, 1]


def test_a_time_that_stands_still_is_told_once() -> None:
    receiver = Receiver()
    told = [len(receiver.hear(5.0 + n, nmea_burst(TIME))) for n in range(9)]
    assert told == [1] + [0] * 8


def test_a_time_that_stood_still_while_there_was_no_fix_is_stamped_when_there_is_one() -> None:
    receiver = Receiver()
    for n in range(9):
        receiver.hear(5.0 + n, nmea_burst(TIME, fix=False))
    (fix,) = receiver.hear(14.0, nmea_burst(TIME))
    assert isinstance(fix, Fix)
    assert fix.at == reading(14.0)


def test_midnight_and_ten_epochs_a_second() -> None:
    receiver = Receiver()
    start = TIME - TIME % nanoseconds(DAY) + nanoseconds(DAY) - NS
    times = []
    for n in range(20):
        time = Instant(start + n * NS // 10)
        (fix,) = receiver.hear(5.0 + n / 10, nmea_burst(time))
        assert isinstance(fix, Fix)
        times.append(fix.time - nanoseconds(LAG / 2))
    assert times == [start + n * NS // 10 for n in range(20)]


def test_rolled_over_it_is_told_as_it_was_said() -> None:
    """pints unfolds it."""
    (fix,) = Receiver().hear(5.0, nmea_burst(TIME, rollovers=1))
    assert isinstance(fix, Fix)
    assert iso(fix.time) == "2007-02-05T14:13:20Z"


# --- how sure --------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0.0, 0.05, 0.3, LAG])
def test_the_truth_is_within_its_error(lag: float) -> None:
    (fix,) = Receiver().hear(lag, RMC)  # sent `lag` after the second, which began at 0
    assert isinstance(fix, Fix)
    assert abs(TIME + nanoseconds(lag) - fix.time) <= nanoseconds(fix.error)


def test_a_lag_that_was_measured_is_corrected_elsewhere() -> None:
    (fix,) = Receiver(measured=True).hear(0.0, RMC)
    assert isinstance(fix, Fix)
    assert (fix.time, fix.error) == (TIME, JITTER)


def test_who_came_late_is_less_sure() -> None:
    epochs = Epochs(False)
    said = Said("RMC", TIME, 51_200_000, True)
    fix = epochs.hear(Heard(said, reading(1.5), late=1.0))
    assert isinstance(fix, Fix)
    assert fix.error == pytest.approx((LAG + 1.0) / 2)
    assert fix.time == TIME + nanoseconds((LAG + 1.0) / 2)


def test_the_receivers_own_doubt_counts() -> None:
    (fix,) = Receiver().hear(0.0, ubx_burst(TIME, accuracy=2 * NS))
    assert isinstance(fix, Fix)
    assert fix.error == pytest.approx(LAG / 2 + 2)


# --- what u-blox receivers know besides --------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "due", "leap"),
    [(1, 3600, 1), (-1, 3600, 2), (1, 86_400, 1), (1, 86_500, 0), (1, 1, 0), (0, 3600, 0)],
)
def test_a_leap_second_is_announced_on_its_day(change: int, due: int, leap: int) -> None:
    receiver = Receiver()
    receiver.hear(5.0, ubx_burst(TIME, leap=(change, due)))
    (fix,) = receiver.hear(6.0, ubx_burst(second(1)))
    assert isinstance(fix, Fix)
    assert fix.leap == leap


def test_a_sawtooth_is_told_in_utc() -> None:
    receiver = Receiver()
    _, sawtooth = receiver.hear(5.0, ubx_burst(TIME, qerr=3_000))
    assert sawtooth == Sawtooth(second(1), -3e-9)


def test_a_sawtooth_in_gps_time_waits_for_the_leap_seconds() -> None:
    burst = ubx_burst(TIME, qerr=3_000)
    tim_tp = burst[-24:]
    receiver = Receiver()
    assert receiver.hear(5.0, tim_tp) == []
    receiver.hear(6.0, ubx_burst(TIME))
    assert receiver.hear(7.0, tim_tp) == [Sawtooth(second(1), -3e-9)]
    assert receiver.epochs._ahead == GPS_AHEAD


def test_whoever_invents_kinds_of_sentences_fills_no_memory() -> None:
    receiver = Receiver()
    for n in range(1000):
        receiver.hear(n, f"GPX{n:03d}")
    assert len(receiver.epochs.counts) == KINDS + 1
    assert receiver.epochs.counts["others"] == 1000 - KINDS
