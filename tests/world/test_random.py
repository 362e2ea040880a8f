"""Random worlds: whatever happens in whatever order, the rules hold (`rules` watches), and
when it is over an honest majority is believed.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pints.client.batches import batch_names
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from tests.world.device import Device
from tests.world.test_hostile import UID, kiss
from tests.world.world import Server, World

EVENTS = (
    "wait", "power cut", "kill -9", "clean stop", "network down", "network up", "port blocked",
    "port open", "silence", "speak", "lie", "new master keys", "new certificate", "naks",
    "no naks", "set the clock", "spoil a file",
)  # fmt: skip
GAPS = (0.005, 0.03, 1.0, 7.0, 200.0, HOUR, 3 * HOUR)
LIES = (-2 * YEAR, -30 * DAY, -HOUR, -1.5, 0.05, 1.5, HOUR, 2 * YEAR)

happening = st.tuples(
    st.sampled_from(EVENTS), st.integers(0, 6), st.sampled_from(GAPS), st.sampled_from(LIES)
)


def happen(device: Device, kind: str, server: Server, liar: Server | None, lie: float) -> None:
    """One event; `liar` is None where nobody lies."""
    world = device.world
    match kind:
        case "power cut":
            device.kill()
            device.boot()
        case "kill -9":
            device.kill()
            device.start()
        case "clean stop":
            device.stop()
            device.boot()
        case "network down" | "network up":
            world.network_up = kind.endswith("up")
        case "port blocked" | "port open":
            for each in world.servers.values():
                each.ke_up = kind.endswith("open")
        case "silence" | "speak":
            server.up = server.ke_up = kind == "speak"
        case "lie" if liar is not None:
            liar.lie = lie
            liar.chain = world.chain((min(lie / DAY, 0) - 60, lie / DAY + 30))
        case "new master keys":
            server.forget_keys()
        case "new certificate" if server is not liar:
            server.chain = world.chain((-1, 89))
        case "naks":
            server.tamper = lambda request, reply: [kiss(request, b"NTSN", request[UID])]
        case "no naks":
            server.tamper = None
        case "set the clock":
            device.rules.meddled = True
            device.clock.step(nanoseconds(abs(lie)))
        case "spoil a file":
            for name in ("drift.json", *batch_names()):
                if name in device.disk:
                    device.disk[name] = device.disk[name][:40]


def live(
    seed: int,
    servers: int,
    liars: int,
    saved: float | None,
    events: list[tuple[str, int, float, float]],
) -> tuple[World, Device]:
    """A device's life with these events in it."""
    world = World(seed)
    for n in range(servers):
        world.server(f"ntp.n{n}.test", queue=0.002, delay=0.01)
    device = Device(
        world, crystal=30e-6, build_epoch=Instant(world.true_time() - nanoseconds(5 * YEAR))
    )
    if saved is not None:
        device.remember(saved)
    everybody = list(world.servers.values())
    device.boot()
    for kind, number, gap, lie in events:
        liar = everybody[number % liars] if liars else None
        happen(device, kind, everybody[number % servers], liar, lie)
        world.run(gap)
    return world, device


seeds = st.integers(0, 2**32 - 1)
saved_times = st.sampled_from([None, HOUR, 30 * DAY, 4 * YEAR])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.integers(3, 7), saved_times, st.lists(happening, max_size=14))
def test_with_a_lying_minority(
    seed: int, servers: int, saved: float | None, events: list[tuple[str, int, float, float]]
) -> None:
    world, device = live(seed, servers, (servers - 1) // 2, saved, events)
    world.network_up = True
    for server in world.servers.values():
        server.up = server.ke_up = True
        server.tamper = None
    # Key exchanges may have become rare meanwhile (R12).
    assert device.reaches("verified", within=12 * HOUR)
    world.run(HOUR)
    assert abs(device.error()) < 0.15


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, st.integers(3, 7), saved_times, st.lists(happening, max_size=14))
def test_with_a_lying_majority(
    seed: int, servers: int, saved: float | None, events: list[tuple[str, int, float, float]]
) -> None:
    """What is promised even then: floor, ceiling, no cookie twice, nothing saved in haste."""
    world, _ = live(seed, servers, servers, saved, events)
    world.run(HOUR)
