"""Random worlds: whatever happens in whatever order, the rules hold (`rules` watches), and
when it is over an honest majority is believed.

A seed is a life: servers, liars, clocks on the board, what was saved, and up to twenty events.
`make test` lives the same few each time, `make test-all` more of these and others besides (the same
ones in CI), and `make worlds SEEDS=1000` as many others (docs/testing.md, `tests.extent`).
"""

import errno
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pints.actions import Action, SaveTime
from pints.client.batches import batch_names
from pints.config.tables import BootstrapConfig, SourceConfig
from pints.errors import UntrustedTimeError
from pints.timescale import DAY, HOUR, YEAR, Instant, nanoseconds
from pints_drivers.fake_rtc import Chip, flat, good
from tests.conftest import SEED
from tests.extent import WORLD, WORLDS, examples, several
from tests.world.attackers import UID, kiss
from tests.world.device import Device
from tests.world.disk import ALL
from tests.world.rules import Rules
from tests.world.test_turncoats import NEW_YEAR_S_EVE
from tests.world.world import TRUE_START, Receiver, Server, World

FIXED, BLOCK = 60, 12
"""Seeds that are always the same, and how many seeds are one test."""
GAPS = (0.005, 0.03, 0.3, 2.0, 20.0, 300.0, 1.1 * HOUR)
LIES = (-2 * YEAR, -30 * DAY, -HOUR, -1.5, 0.05, 1.5, HOUR, 2 * YEAR)
MOST_EVENTS = 20


@dataclass(slots=True)
class Life:
    """One device among its servers."""

    device: Device
    servers: list[Server]
    liars: int
    """The first so many servers are somebody's who lies."""

    @property
    def world(self) -> World:
        return self.device.world


@dataclass(frozen=True, slots=True)
class Happening:
    """One event.  What it needs of numbers, it takes from here."""

    kind: str
    server: int
    gap: float
    """Seconds to the next."""
    lie: float

    def __str__(self) -> str:
        return f"{self.kind} ({self.server}, {self.lie:.0f}), {self.gap} s"


# --- what may happen -------------------------------------------------------------------------


def power_cut(life: Life, it: Happening) -> None:
    life.device.kill()
    life.device.boot()


def killed(life: Life, it: Happening) -> None:
    life.device.kill()
    life.device.start()


def clean_stop(life: Life, it: Happening) -> None:
    life.device.stop()
    life.device.boot()


def long_absence(life: Life, it: Happening) -> None:
    life.device.stop()
    life.world.run(abs(it.lie) / 8)
    for server in life.servers[life.liars :]:
        server.chain = life.world.chain((-1, 89))
    life.device.boot()


def suspended(life: Life, it: Happening) -> None:
    life.device.suspend(min(abs(it.lie), DAY))


def network(life: Life, it: Happening, up: bool) -> None:
    life.world.network_up = up


def flap(life: Life, it: Happening) -> None:
    for _ in range(10):
        life.world.network_up = not life.world.network_up
        life.world.run(it.gap / 100)


def key_exchange(life: Life, it: Happening, up: bool) -> None:
    for server in life.servers:
        server.ke_up = up


def heard(life: Life, it: Happening, up: bool) -> None:
    server = life.servers[it.server % len(life.servers)]
    server.up = server.ke_up = up


def lie(life: Life, it: Happening) -> None:
    if life.liars:
        liar = life.servers[it.server % life.liars]
        liar.lie = it.lie
        liar.chain = life.world.chain((min(it.lie / DAY, 0) - 60, it.lie / DAY + 30))


def new_master_keys(life: Life, it: Happening) -> None:
    life.servers[it.server % len(life.servers)].forget_keys()


def new_certificate(life: Life, it: Happening) -> None:
    for server in life.servers[life.liars :]:
        server.chain = life.world.chain((-1, 89))


def naks(life: Life, it: Happening, forged: bool) -> None:
    server = life.servers[it.server % len(life.servers)]
    server.tamper = _nak if forged else None


def _nak(request: bytes, reply: bytes | None) -> list[bytes]:
    return [kiss(request, b"NTSN", request[UID])]


def date_s(life: Life, it: Happening) -> None:
    life.device.set_the_date(abs(it.lie))


def settime(life: Life, it: Happening) -> None:
    with suppress(UntrustedTimeError):  # it is known better
        life.device.settime(Instant(life.world.true_time() + nanoseconds(it.lie)))


def spoil_a_file(life: Life, it: Happening) -> None:
    disk = life.device.disk
    for name in ("drift.json", "rtc.json", "quorum.json", "names.json", *batch_names()):
        if name in disk:
            disk[name] = disk[name][:40]


def disk(life: Life, it: Happening, error: int) -> None:
    # One that does not even read is test_power's: nobody knows the saved time then.
    life.device.disk.fail(error, refused=ALL if error == errno.EIO else frozenset())


def runtime(life: Life, it: Happening, writable: bool) -> None:
    life.device.run_writable = writable


def chip_jumps(life: Life, it: Happening) -> None:
    now = life.world.true_time()
    life.device.rtc.chip = Chip(it.lie, 20e-6, (), now)


def chip_flat(life: Life, it: Happening) -> None:
    life.device.rtc.chip = flat(life.world.true_time())


def receiver(life: Life, it: Happening, lies: bool = False, **traits: bool) -> None:
    for each in life.device.receivers.values():
        each.lie = it.lie if lies else 0.0
        for name, value in traits.items():
            setattr(each, name, value)


def roughtime(life: Life, it: Happening) -> None:
    """One of three lies, or all where most servers do, too."""
    honest = life.liars * 2 < len(life.servers)
    for operator in list(life.world.operators.values())[: 1 if honest else 3]:
        operator.lie = it.lie


def anchor(life: Life, it: Happening) -> None:
    for each in life.world.anchors.values():
        each.lie = it.lie


def nothing(life: Life, it: Happening) -> None:
    """Time goes on."""


EVENTS: dict[str, Callable[[Life, Happening], None]] = {
    "wait": nothing, "power cut": power_cut, "kill -9": killed,
    "clean stop": clean_stop, "long absence": long_absence, "suspend": suspended,
    "network down": partial(network, up=False), "network up": partial(network, up=True),
    "flap": flap, "port blocked": partial(key_exchange, up=False),
    "port open": partial(key_exchange, up=True), "silence": partial(heard, up=False),
    "speak": partial(heard, up=True), "lie": lie,
    "new master keys": new_master_keys, "new certificates": new_certificate,
    "naks": partial(naks, forged=True), "no naks": partial(naks, forged=False),
    "date -s": date_s, "settime": settime, "spoil files": spoil_a_file,
    "disk full": partial(disk, error=errno.ENOSPC), "disk fails": partial(disk, error=errno.EIO),
    "disk read-only": partial(disk, error=errno.EROFS), "disk mended": partial(disk, error=0),
    "/run full": partial(runtime, writable=False), "/run mended": partial(runtime, writable=True),
    "chip jumps": chip_jumps, "chip flat": chip_flat, "gps lies": partial(receiver, lies=True),
    "gps right": receiver, "gps unplugged": partial(receiver, plugged=False),
    "gps plugged": partial(receiver, plugged=True), "no sky": partial(receiver, sees_sky=False),
    "sky": partial(receiver, sees_sky=True), "roughtime lies": roughtime, "anchor lies": anchor,
}  # fmt: skip


class PatientRules(Rules):
    """Where `rules` are stricter than the law: what was ratcheted while anchored may reach a disk
    that was full when it no longer is, `step_provisional` follows Roughtime, too, and a receiver
    may take the clock back to the soft floor."""

    promised = 0

    def start(self) -> None:
        super().start()
        self.promised = 0

    def _may_restore(self, time: int) -> bool:
        bootstrap = self.device.config.bootstrap
        roughly = bootstrap.step_provisional and bool(bootstrap.roughtime)
        # Who says less than the soft floor takes the clock there at most.
        held = bool(self.device.receivers) and time == self.device.core.bootstrap.floors.soft
        return roughly or held or super()._may_restore(time)

    def before(self, action: Action) -> None:
        if isinstance(action, SaveTime):
            if (self.device.state, self.device.basis) == ("verified", "anchored"):
                self.promised = max(self.promised, action.ratcheted)
            elif self.ratcheted < action.ratcheted <= self.promised:
                return
        super().before(action)


BOOTS = ("power cut", "kill -9", "clean stop", "long absence")
"""What there is most of."""


# --- lives -----------------------------------------------------------------------------------


def born(seed: int, servers: int, liars: int) -> Life:
    """A device with what its seed gives it."""
    luck = random.Random(seed)
    start = TRUE_START
    if luck.random() < 0.15:  # a leap second within the first hours
        start = Instant(NEW_YEAR_S_EVE + nanoseconds(luck.uniform(0, DAY)))
    world = World(seed, start)
    if start != TRUE_START:
        world.leap = Instant(NEW_YEAR_S_EVE + nanoseconds(DAY))
    everybody = [world.server(f"ntp.n{n}.test", queue=0.002, delay=0.01) for n in range(servers)]
    sources = [SourceConfig(server.name) for server in everybody]
    network: set[str] = set()
    for n in range(luck.choice((0, 0, 0, 5))):  # DHCP's
        false = world.server(f"ntp.dhcp{n}.test", lie=luck.choice(LIES), delay=0.001)
        false.chain = world.chain((-2000, 2000))
        sources.append(SourceConfig(false.name, nts=luck.random() < 0.5))
        network.add(sources[-1].id)
    if luck.random() < 0.3:
        world.three_operators()
    if luck.random() < 0.2:
        world.anchor()
    honest = liars * 2 < servers
    trust = not honest and luck.random() < 0.5
    device = Device(
        world,
        sources,
        BootstrapConfig(
            future_floor=luck.choice(("keep", "keep", "unanimous")),
            relaxed_dates="until-verified",
            step_provisional=luck.random() < 0.2,
        ),
        crystal=luck.uniform(-50e-6, 50e-6),
        build_epoch=Instant(world.true_time() - nanoseconds(5 * YEAR)),
        network=frozenset(network),
        rtc=good(world.true_time(), luck.uniform(-20e-6, 20e-6)) if luck.random() < 0.4 else None,
        receivers=[Receiver(trust=trust, interval=64.0)] if luck.random() < 0.3 else [],
    )
    device.rules = PatientRules(device)
    saved = luck.choice((None, HOUR, 30 * DAY, 4 * YEAR))
    if saved is not None:
        device.remember(saved, ratcheted=luck.random() < 0.7)
    return Life(device, everybody, liars)


def live(life: Life, events: list[Happening]) -> None:
    life.device.boot()
    for event in events:
        EVENTS[event.kind](life, event)
        life.world.run(event.gap)


def comes_right(life: Life) -> None:
    """All is mended but what the liars say; then an honest majority is believed."""
    device = life.device
    device.disk.fail(0)
    device.run_writable = True
    for server in life.servers:
        server.up = server.ke_up = True
        server.tamper = None
    for server in life.servers[life.liars :]:
        server.chain = life.world.chain((-1, 89))
    life.world.network_up = True
    # A chip that was set by somebody may dispute, until somebody sees to it.
    device.rtc.chip = flat(life.world.true_time())
    device.kill()
    device.boot()
    assert device.reaches("verified", within=2 * HOUR), device.log[-20:]
    life.world.run(HOUR)
    assert device.state == "verified"
    assert abs(device.error()) < 0.15


def live_by(seed: int) -> None:
    """The life of a seed."""
    luck = random.Random(seed)
    servers = luck.randint(3, 7)
    honest = luck.random() < 0.6
    life = born(seed, servers, luck.randint(0, (servers - 1) // 2) if honest else servers)
    kinds = [*EVENTS, *BOOTS * 5]
    events = [
        Happening(luck.choice(kinds), luck.randrange(7), luck.choice(GAPS), luck.choice(LIES))
        for _ in range(luck.randint(1, MOST_EVENTS))
    ]
    try:
        live(life, events)
        if honest:
            comes_right(life)
    except Exception as e:
        said = "\n".join(f"  {event}" for event in events)
        how = f"again: PINTS_WORLD={seed} pytest tests/world/test_random.py"
        raise AssertionError(f"world {seed}, {servers} servers: {e}\n{said}\n{how}") from e


@pytest.mark.skipif(bool(WORLD), reason="another seed is asked for")
@pytest.mark.parametrize("first", examples(range(0, FIXED, BLOCK)))
def test_worlds_that_are_always_the_same(first: int) -> None:
    for seed in range(first, first + BLOCK):
        live_by(seed)


@pytest.mark.skipif(not (WORLD or WORLDS), reason="PINTS_WORLDS is not set: make worlds SEEDS=1000")
@pytest.mark.parametrize("first", range(0, 1 if WORLD else max(WORLDS, 1), BLOCK))
def test_other_worlds(first: int) -> None:
    if WORLD:
        live_by(int(WORLD))
        return
    failed = []
    for seed in range((SEED << 20) + first, (SEED << 20) + min(first + BLOCK, WORLDS)):
        try:
            live_by(seed)
        except AssertionError as e:
            failed.append(str(e))
    assert not failed, "\n".join(failed)


# --- the same, by hypothesis: which finds the shortest life that fails -------------------------

happening = st.builds(
    Happening, st.sampled_from(list(EVENTS)), st.integers(0, 6), st.sampled_from(GAPS),
    st.sampled_from(LIES),
)  # fmt: skip
a_life = given(st.integers(0, 2**32 - 1), st.integers(3, 7), st.lists(happening, max_size=14))
CHECKS = [HealthCheck.function_scoped_fixture]


@settings(max_examples=several(8, 60), suppress_health_check=CHECKS)
@a_life
def test_with_a_lying_minority(seed: int, servers: int, events: list[Happening]) -> None:
    life = born(seed, servers, (servers - 1) // 2)
    live(life, events)
    comes_right(life)


@settings(max_examples=several(8, 60), suppress_health_check=CHECKS)
@a_life
def test_with_a_lying_majority(seed: int, servers: int, events: list[Happening]) -> None:
    """What is promised even then: floor, ceiling, no cookie twice, nothing saved in haste."""
    life = born(seed, servers, servers)
    live(life, events)
    life.world.run(HOUR)
