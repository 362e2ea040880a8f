"""Boots of a machine whose receiver also gives a pulse each second.

Pulses keep the clock to the microsecond; they never date it, and edges that are no seconds do it
no harm.
"""

import pytest

from pints.timescale import HOUR
from pints_drivers.gnss.epochs import LAG
from tests.extent import examples
from tests.world.device import Device
from tests.world.test_clocks import cut_off
from tests.world.test_sync import rms, watch
from tests.world.world import PulsePerSecond, Receiver, World

MICROSECOND = 1e-6


def kept(world: World, pulses: PulsePerSecond, span: float = HOUR) -> list[float]:
    """What the clock is off once it was verified half an hour ago."""
    world.five(delay=0.01, queue=0.002)
    device = Device(world, pulses=[pulses], crystal=30e-6)
    device.boot()
    watch(world, device, HOUR / 2, every=60.0)
    return watch(world, device, span, every=7.0)


def test_pulses_keep_the_clock_to_a_microsecond(world: World) -> None:
    errors = kept(world, PulsePerSecond())
    assert rms(errors) < MICROSECOND
    assert max(map(abs, errors)) < 4 * MICROSECOND


def test_missed_doubled_and_spurious_edges(world: World) -> None:
    errors = kept(world, PulsePerSecond(missed=0.2, doubled=0.2, spurious=0.2))
    assert rms(errors) < MICROSECOND
    assert max(map(abs, errors)) < 5 * MICROSECOND


@pytest.mark.parametrize("lie", examples([0.3, -0.3, 0.1, 0.45]))
def test_a_lying_pulse_is_named_and_not_followed(world: World, lie: float) -> None:
    world.five(delay=0.01, queue=0.002)
    device = Device(world, pulses=[PulsePerSecond(lie=lie)])
    device.boot()
    errors = watch(world, device, HOUR, every=60.0)
    assert max(map(abs, errors)) < 0.01
    assert device.said("begins seconds")
    assert device.said("not followed")


def test_pulses_that_turn_are_outvoted(world: World) -> None:
    """After an hour of the truth they come late by what no server's path explains."""
    world.five(delay=0.01, queue=0.002)
    pulses = PulsePerSecond()
    device = Device(world, pulses=[pulses])
    device.boot()
    watch(world, device, HOUR, every=60.0)
    pulses.lie = 0.2
    errors = watch(world, device, HOUR, every=60.0)
    assert max(map(abs, errors)) < 0.01
    assert device.said("begins seconds 200 ms late")


def test_pulses_alone_date_nothing(world: World) -> None:
    device = Device(world, pulses=[PulsePerSecond()])
    device.boot()
    world.run(600.0)
    assert device.core.discipline.selection is None
    assert device.said("no second yet: the time is not known by anybody")
    assert len([line for _, line in device.log if "no second yet" in line]) == 1


def test_a_receiver_and_its_pulses_without_a_network(world: World) -> None:
    """The fixes are a serial line's; they restore the clock, their pulses sharpen it."""
    world.five()
    cut_off(world)
    receiver, pulses = Receiver(error=0.1), PulsePerSecond(lock="fake-gps")
    device = Device(world, receivers=[receiver], pulses=[pulses], crystal=30e-6)
    device.boot()
    device.ends("restored", within=600.0, error=5 * MICROSECOND)
    device.ends("restored", within=HOUR, error=3 * MICROSECOND)


def test_pulses_end_with_the_fixes_that_number_them(world: World) -> None:
    world.five()
    cut_off(world)
    receiver, pulses = Receiver(error=0.1), PulsePerSecond(lock="fake-gps")
    device = Device(world, receivers=[receiver], pulses=[pulses])
    device.boot()
    world.run(600.0)
    assert device.core.discipline.selection is not None
    assert device.core.discipline.selection.best == "fake-pps pps0"
    receiver.plugged = False
    world.run(60.0)
    assert device.core.independent is not None
    assert not device.core.independent.refclocks.sharpening(device.clock.read())


@pytest.mark.parametrize("off", [0.3, 0.0, -0.3])
def test_what_sentences_say_is_enough_to_number_pulses(world: World, off: float) -> None:
    """The driver `gps` doubts them by half of how late they may be, which hides an error."""
    world.five()
    cut_off(world)
    receiver = Receiver(error=LAG / 2, lie=off)
    pulses = PulsePerSecond(lock="fake-gps")
    device = Device(world, receivers=[receiver], pulses=[pulses], crystal=30e-6)
    device.boot()
    device.ends("restored", within=600.0, error=5 * MICROSECOND)
