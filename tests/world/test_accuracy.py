"""Networks and crystals that are not what the mathematics supposes: how well the clock is kept.

`bench/clknetsim/` has the same worlds and more, beside chrony.
"""

import math

import pytest

from pints.timescale import DAY, HOUR
from tests.world.device import Device
from tests.world.test_sync import rms, watch
from tests.world.world import World


def kept(world: World, **traits: float) -> Device:
    """A device that has been running for six hours."""
    world.five(**{"delay": 0.01, "queue": 0.002, **traits})
    device = Device(world, crystal=20e-6)
    device.boot()
    watch(world, device, 6 * HOUR, every=60.0)
    return device


def test_one_way_congested(world: World) -> None:
    """Its packets say little, those of the other way go on saying much."""
    device = kept(world)
    for server in world.servers.values():
        server.congestion = 0.02
    errors = watch(world, device, 12 * HOUR)
    assert rms(errors) < 2e-3, "a tenth of what the middle of each exchange is off"


@pytest.mark.parametrize("by", [-3e-6, 3e-6])
def test_a_crystal_that_jumps(world: World, by: float) -> None:
    device = kept(world)
    device.clock.heat(by)
    errors = watch(world, device, 2 * HOUR)
    assert max(map(abs, errors)) < 6e-3
    assert rms(watch(world, device, 6 * HOUR)) < 1e-3
    assert abs(device.core.discipline.frequency + 20e-6 + by) < 0.3e-6


def test_days_and_nights(world: World) -> None:
    """A crystal that follows the temperature of its room."""
    device = kept(world)

    def warm() -> None:
        device.clock.heat(1e-6 * math.sin(2 * math.pi * world.elapsed / 1e9 / DAY))
        world.at(600.0, warm)

    warm()
    errors = watch(world, device, 3 * DAY)
    assert rms(errors) < 1e-3
    assert len(device.set_to) == 1, "never stepped again"


def test_a_wrong_server_is_named_and_never_followed(world: World) -> None:
    device = kept(world)
    wrong = next(iter(world.servers.values()))
    wrong.lie = 0.05
    errors = watch(world, device, DAY)
    assert rms(errors) < 1e-3
    assert device.core.mark(wrong.name) == "x"


def test_the_interval_holds_the_truth(world: World) -> None:
    """Looked at every minute for two days; 0.1 % of them may be outside."""
    device = kept(world)
    outside = looks = 0

    def look() -> None:
        nonlocal outside, looks
        now = device.clock.read()
        looks += 1
        outside += abs(device.error()) > device.core.steering.interval(now)
        world.at(60.0, look)

    look()
    world.run(2 * DAY)
    assert looks > 2800
    assert outside <= 3


def test_congestion_that_comes_and_goes_is_no_other_route(world: World) -> None:
    device = kept(world)
    for _ in range(4):
        for server in world.servers.values():
            server.queue = 0.03
        watch(world, device, HOUR)
        for server in world.servers.values():
            server.queue = 0.002
        watch(world, device, HOUR)
    assert rms(watch(world, device, 6 * HOUR)) < 1e-3
