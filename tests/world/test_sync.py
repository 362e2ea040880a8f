"""Simulated days: how well the clock is kept, and whether it says honestly how well.

The bound that is reported must hold at every instant, for it is what others build on; the RMS
is what steering is for.
"""

import math

import pytest

from pints.timescale import DAY, HOUR
from tests.extent import examples
from tests.world.device import Device
from tests.world.world import World


def watch(world: World, device: Device, span: float, every: float = 20.0) -> list[float]:
    """The clock's errors during a span, each held against the bound given at that instant."""
    errors: list[float] = []

    def look() -> None:
        if device.state == "verified":
            now, error = device.clock.read(), device.error()
            bound = device.core.steering.bound(now)
            assert abs(error) <= bound, f"off by {error} s, bound {bound} s"
            errors.append(error)
        world.at(every, look)

    look()
    world.run(span)
    return errors


def rms(errors: list[float]) -> float:
    return math.sqrt(sum(error * error for error in errors) / len(errors))


@pytest.mark.parametrize("crystal", examples([-50e-6, 0.0, 50e-6]))
def test_a_day_over_paths_with_queues(world: World, crystal: float) -> None:
    world.five(delay=0.01, queue=0.002)
    device = Device(world, crystal=crystal)
    device.boot()
    first = watch(world, device, HOUR)
    assert rms(first) < 2e-3
    errors = watch(world, device, DAY)
    assert rms(errors) < 3e-4
    assert max(map(abs, errors)) < 1.5e-3
    assert abs(device.core.discipline.frequency + crystal) < 0.2e-6
    assert not device.refused("R10"), "no step after the first"
    assert len(device.set_to) == 1


@pytest.mark.parametrize("crystal", examples([-100e-6, 100e-6]))
def test_the_first_minutes_on_a_local_network(world: World, crystal: float) -> None:
    """Short delays make tight bounds, before anything is known of the crystal."""
    world.five(delay=1e-4, queue=5e-5)
    device = Device(world, crystal=crystal)
    device.boot()
    errors = watch(world, device, 1200.0, every=0.5)
    assert max(map(abs, errors)) < 0.01
    later = watch(world, device, 6 * HOUR)
    assert rms(later) < 1e-4


@pytest.mark.parametrize("asymmetry", [-0.004, 0.02, 0.2])
def test_one_way_that_takes_longer(world: World, asymmetry: float) -> None:
    """Nothing within a path reveals it: the error is half of it at most, and within the bound."""
    world.five(delay=0.01, queue=0.001, asymmetry=asymmetry)
    device = Device(world, crystal=20e-6)
    device.boot()
    watch(world, device, HOUR)
    errors = watch(world, device, 6 * HOUR)
    assert rms(errors) < abs(asymmetry) / 2 + 1e-3


def test_one_asymmetric_server_among_five(world: World) -> None:
    world.five(delay=0.01, queue=0.001)[0].asymmetry = 0.05
    device = Device(world, crystal=20e-6)
    device.boot()
    watch(world, device, HOUR)
    assert rms(watch(world, device, 6 * HOUR)) < 3e-3


def test_outage_and_return(world: World) -> None:
    servers = world.five(delay=0.01, queue=0.002)
    device = Device(world, crystal=-30e-6)
    device.boot()
    watch(world, device, 12 * HOUR)
    for server in servers:
        server.up = False
    assert device.reaches("holdover", within=2 * HOUR)
    world.run(8 * HOUR)
    assert abs(device.error()) <= device.core.steering.bound(device.clock.read())
    assert abs(device.error()) < 0.02, "the crystal's rate was known well"
    for server in servers:
        server.up = True
    assert device.reaches("verified", within=HOUR)
    assert abs(device.error()) < 0.02
    watch(world, device, HOUR)
    assert rms(watch(world, device, 2 * HOUR)) < 1e-3


@pytest.mark.more
def test_the_crystal_is_remembered(world: World) -> None:
    world.five(delay=0.01, queue=0.002)
    device = Device(world, crystal=80e-6)
    device.boot()
    world.run(DAY)
    device.stop()
    world.run(HOUR)
    device.boot()
    assert device.reaches("verified", within=1.0)
    errors = watch(world, device, HOUR)
    assert rms(errors) < 1.5e-3
    assert abs(device.core.discipline.frequency + 80e-6) < 1e-6


@pytest.mark.more
def test_a_longer_route_to_all(world: World) -> None:
    """Both ways equally longer: no error, once it is learned."""
    servers = world.five(delay=0.01, queue=0.001)
    device = Device(world, crystal=20e-6)
    device.boot()
    watch(world, device, 6 * HOUR)
    for server in servers:
        server.delay = 0.04
    errors = watch(world, device, 12 * HOUR)
    assert rms(errors) < 1e-3


@pytest.mark.more
def test_polls_become_rare_when_all_is_calm(world: World) -> None:
    servers = world.five(delay=0.01, queue=0.001)
    device = Device(world, crystal=20e-6)
    device.boot()
    world.run(DAY)
    before = sum(server.requests for server in servers)
    world.run(DAY)
    assert sum(server.requests for server in servers) - before < 5 * DAY / 300
