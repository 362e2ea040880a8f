"""Pins by gpiozero, whose mock pins obey the same rules as real ones."""

import warnings
from collections.abc import Iterator

import pytest
from gpiozero import Device
from gpiozero.exc import BadPinFactory, PinFactoryFallback, PinSetInput
from gpiozero.pins.mock import MockFactory

from pints.drivers import OutputConfig, open_output
from pints.errors import DeviceError
from pints_drivers.patterns import PATTERNS

VERIFIED = {"verified (windows)", "verified (anchored)"}


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    Device.pin_factory = MockFactory()
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = None


def states() -> list[tuple[str, str]]:
    return [(s, b.strip("()")) for s, _, b in (name.partition(" ") for name in PATTERNS)]


def test_a_lamp_changes_when_it_said_it_would(pins: MockFactory) -> None:
    lamp = open_output(OutputConfig("led", pin=17))
    assert lamp.name == "led 17"
    for state, basis in states():
        shown = [(lamp.show(state, basis), pins.pin(17).state) for _ in range(4)]
        name = f"{state} ({basis})" if basis else state
        lit, dark = PATTERNS[name]
        if dark:
            assert sorted(shown) == sorted([(lit, True), (dark, False)] * 2)
            assert shown[0] != shown[1]
        else:
            assert shown == [(None, True)] * 4
    lamp.close()


@pytest.mark.parametrize(
    ("level", "high"), [("verified", VERIFIED), ("anchored", {"verified (anchored)"})]
)
def test_the_pin_is_high_while_the_time_is_as_sure_as_that(
    pins: MockFactory, level: str, high: set[str]
) -> None:
    output = open_output(OutputConfig("verified-pin", pin=27, level=level))
    assert pins.pin(27).state == 0
    found = set()
    for state, basis in states():
        assert output.show(state, basis) is None
        if pins.pin(27).state:
            found.add(f"{state} ({basis})")
    assert found == high
    output.close()


@pytest.mark.parametrize("driver", ["led", "verified-pin"])
def test_closed_it_is_low_and_may_be_opened_again(pins: MockFactory, driver: str) -> None:
    config = OutputConfig(driver, pin=17)
    for _ in range(2):
        output = open_output(config)
        output.show("verified", "anchored")
        assert pins.pin(17).state == 1
        output.close()
        output.close()
        assert (pins.pin(17).function, pins.pin(17).state) == ("input", 0)


def test_no_pin(pins: MockFactory) -> None:
    with pytest.raises(DeviceError, match="led: no pin") as e:
        open_output(OutputConfig("led"))
    assert "pin" in e.value.hint


def test_a_pin_that_is_taken(pins: MockFactory) -> None:
    taken = open_output(OutputConfig("led", pin=17))
    with pytest.raises(DeviceError, match=r"^verified-pin 17: .*in use"):
        open_output(OutputConfig("verified-pin", pin=17))
    taken.close()


def test_whatever_a_library_raises_is_one_line(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = open_output(OutputConfig("led", pin=17))

    def fail(*_: object) -> None:
        raise PinSetInput("GPIO\nbusy")

    pin = pins.pin(17)
    monkeypatch.setattr(type(pin), "_set_state", fail)
    with pytest.raises(DeviceError, match="led 17: GPIO busy") as e:
        lamp.show("verified", "anchored")
    assert "gpio.conf" in e.value.hint


def test_no_library_that_moves_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error, and not a warning for each that is missing."""

    def none() -> None:
        warnings.warn(PinFactoryFallback("Falling back from lgpio"), stacklevel=2)
        raise BadPinFactory("Unable to load any default pin factory!")

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", staticmethod(none))
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(DeviceError, match=r"^led 17: Unable to load any default pin factory!$") as e,
    ):
        open_output(OutputConfig("led", pin=17))
    assert "python3-lgpio" in e.value.hint
