"""Files that a card spoiled, that somebody else wrote, or that cannot be written: every file of
the state folder and of the runtime folder, in every way."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from pints import restore
from pints.actions import Action, Announce, RecordBelief, Save, SaveTime, SetClock
from pints.client.batches import batch_names
from pints.timescale import DAY, HOUR
from pints_drivers.fake_rtc import good
from tests.extent import examples
from tests.world.attackers import UID, kiss
from tests.world.device import Device
from tests.world.disk import ALL, CREATING, READING
from tests.world.rules import TORN, tear
from tests.world.test_honest import GOOD, seasoned
from tests.world.world import World

DEEP = b'{"a":' * 5000
FOREIGN = {
    "empty": b"",
    "zeros": bytes(4096),
    "garbage": bytes(range(256)) * 16,
    "not UTF-8": b"\xff\xfe\xfa",
    "a list": b"[]",
    "null": b"null\n",
    "a number": b"1" * 5000,
    "an empty object": b"{}",
    "deep": DEEP,
    "Infinity": b'{"frequency": Infinity, "skew": NaN}',
    "text": "pints-time 1 ratcheted=\u0661 seen=2 sum=1\n".encode(),
}
STATE_FILES = ("time", "drift.json", "quorum.json", "names.json", "rtc.json", *batch_names())
VALUES: tuple[object, ...] = (-1, 0, 1 << 62, 1 << 64, 10**400, "x", None, [], 1.5, True)
RUN_FILES = ("belief", "backoffs")


def lived(world: World) -> Device:
    """A device with every file that there can be, off for a day: a second then is within what its
    chip may have drifted."""
    world.five()
    device = Device(world, rtc=good(world.true_time()))
    device.boot()
    assert device.reaches("verified", "anchored", within=2 * HOUR)
    world.run(HOUR)
    device.stop()
    world.run(DAY)
    assert set(STATE_FILES) <= set(device.disk)
    return device


@pytest.mark.parametrize("name", examples(STATE_FILES))
def test_foreign_state(world: World, name: str) -> None:
    """Set aside, said, survived: verified as ever, and a good file takes its place."""
    device = lived(world)
    disk = dict(device.disk)
    others = {f"content of {n}": data for n, data in disk.items() if n != name}
    for what, rubbish in {**FOREIGN, "half of it": tear(disk[name]), **others}.items():
        # The cookies of the disk are spent by the boots before.
        fresh = {n: data for n, data in disk.items() if "sessions" not in n}
        device.disk = {**fresh, name: rubbish}
        device.boot()
        device.world.run(2.0)
        assert device.state == "verified", f"{name} is {what}"
        assert abs(device.error()) < GOOD, f"{name} is {what}"
        device.stop()
        if name == "time":
            assert restore.decode(device.disk["time"]) is not None


@pytest.mark.parametrize("name", examples(RUN_FILES))
def test_foreign_runtime_files(world: World, name: str) -> None:
    """A daemon that is started again within the boot finds them so."""
    device = lived(world)
    device.disk = {n: data for n, data in device.disk.items() if "sessions" not in n}
    device.boot()
    assert device.reaches("verified", within=1.0)
    run = dict(device.run)
    for what, rubbish in {**FOREIGN, "half of it": tear(run[name]), "a line": TORN[3]}.items():
        device.kill()
        device.run.lay({**run, name: rubbish})
        world.run(20.0)
        device.start()
        world.run(20.0)
        assert device.state == "verified", f"{name} is {what}"
        assert abs(device.error()) < GOOD, f"{name} is {what}"


def test_files_of_another_boot(world: World) -> None:
    """The runtime folder that somebody made persistent: yesterday's belief is no belief."""
    device = lived(world)
    run = dict(device.run)
    world.run(DAY)
    device.boot()
    device.kill()
    device.run.lay(run)
    world.network_up = False
    device.start()
    world.run(10)
    assert device.state == "restored"


def test_everything_is_foreign(world: World) -> None:
    device = lived(world)
    for rubbish in FOREIGN.values():
        device.disk = dict.fromkeys(device.disk, rubbish)
        device.boot()
        device.ends("verified windows", "verified anchored", within=2.0, error=GOOD)
        device.stop()


@pytest.mark.parametrize("value", examples(VALUES))
def test_values_out_of_range(world: World, value: object) -> None:
    """Whole JSON, good names, absurd values."""
    device = lived(world)
    disk = dict(device.disk)
    for name in ("drift.json", "quorum.json", "names.json", "rtc.json"):
        for key in json.loads(disk[name]):
            fields = {**json.loads(disk[name]), key: value}
            fresh = {n: data for n, data in disk.items() if "sessions" not in n}
            device.disk = {**fresh, name: json.dumps(fields).encode()}
            device.boot()
            device.world.run(2.0)
            assert device.state == "verified", f"{name}: {key}"
            assert abs(device.error()) < GOOD, f"{name}: {key}"
            device.kill()


@pytest.mark.each_once
@pytest.mark.parametrize("name", ["time", "drift.json", *batch_names()])
@pytest.mark.parametrize("rubbish", TORN)
def test_files_that_a_card_spoiled(world: World, name: str, rubbish: bytes) -> None:
    world.five()
    device = seasoned(world)
    world.run(DAY)
    device.disk[name] = rubbish
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD


def test_files_cut_in_half(world: World) -> None:
    world.five()
    device = seasoned(world)
    device.disk = {name: tear(data) for name, data in device.disk.items()}
    device.boot()
    assert device.reaches("verified", "windows", within=1.0)


# --- disks that refuse -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "refused"),
    examples([(errno.EROFS, ALL), (errno.ENOSPC, CREATING), (errno.EIO, ALL | READING)], 2),
    ids=["read-only", "full", "failing"],
)
def test_disk_that_takes_nothing(world: World, error: int, refused: frozenset[str]) -> None:
    """From the first boot on: verified and anchored in each, only that nothing is kept."""
    world.five()
    device = Device(world)
    device.disk.fail(error, refused=refused)
    for _ in range(2):
        device.boot()
        device.ends("verified windows", within=1.0, error=GOOD)
        device.ends("verified anchored", within=2 * HOUR, error=GOOD)
        device.stop()
        assert device.saved_ratchet() == 0
    device.disk.fail(0)
    device.boot()
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    device.stop()
    assert device.saved_ratchet() > 0


def test_overlay(world: World) -> None:
    """Every boot is the first: verified, and no cookie is ever laid aside."""
    world.five()
    device = Device(world)
    device.disk_durable = False
    for _ in range(3):
        device.boot()
        device.ends("verified windows", within=1.0, error=GOOD)
        device.ends("verified anchored", within=2 * HOUR, error=GOOD)
        assert not device.sessions_saved
        device.stop()


def test_overlay_and_a_storm_of_naks(world: World) -> None:
    """No session to fall back on: denial while it lasts, and no more."""
    servers = world.five()
    device = Device(world)
    device.disk_durable = False
    device.boot()
    device.ends("verified anchored", within=2 * HOUR, error=GOOD)
    device.kill()
    exchanges = device.counted()
    for server in servers:
        server.tamper = lambda request, reply: [kiss(request, b"NTSN", request[UID])] * 5
    device.boot()
    device.ends("restored", within=HOUR / 2, error=401 * DAY)
    assert device.counted() - exchanges <= 5 * 13, "R12: 10 s x 1.5^(n-1)"
    for server in servers:
        server.tamper = None
    device.ends("verified windows", within=HOUR, error=GOOD)


def test_disk_full_exactly_at_the_ratchet(world: World) -> None:
    """Anchored as ever; what could not be saved is, once there is room; never lowered."""
    world.five()
    device = Device(world)
    device.remember(DAY)
    before = device.saved_ratchet()
    device.boot()
    device.ends("verified windows", within=HOUR - 30, error=GOOD)
    device.disk.fail(errno.ENOSPC)
    device.ends("verified anchored", within=1100.0, error=GOOD)
    assert device.saved_ratchet() == before
    device.disk.fail(0)
    device.ends("verified anchored", within=4.2 * HOUR, error=GOOD)
    assert device.saved_ratchet() > before


def test_clones_that_boot_together(world: World) -> None:
    """Two boards, one card's content: one has its sessions, the other destroys them unsent; no
    cookie goes out twice (`world` looks)."""
    world.five()
    device, clone = seasoned(world), Device(world)
    clone.disk = dict(device.disk)
    clone.board = "another board"
    exchanges = device.counted()
    device.boot()
    device.ends("verified anchored", within=1.0, error=GOOD)
    assert device.counted() == exchanges
    clone.boot()
    assert not clone.sessions_saved
    clone.ends("verified windows", "verified anchored", within=1.0, error=GOOD)
    assert clone.counted() == exchanges + 5
    clone.ends("verified anchored", within=2 * HOUR, error=GOOD)
    device.ends("verified anchored", within=0.0, error=GOOD)


@pytest.mark.each_once
@pytest.mark.parametrize("state", ["restored", "provisional", "verified windows", "disputed",
                                   "verified anchored", "holdover anchored"])  # fmt: skip
@pytest.mark.parametrize("times", [1, 5])
def test_killed_in_every_state_again_and_again(world: World, state: str, times: int) -> None:
    """The daemon dies as often as it comes there; nothing reopens, nothing is lost (R9)."""
    servers = world.five()
    device = Device(world, rtc=good(world.true_time()))
    device.boot()
    chip = device.rtc.chip
    if state == "disputed":
        assert device.reaches("verified", "anchored", within=2 * HOUR)
        device.stop()
        device.disk = {n: d for n, d in device.disk.items() if "sessions" not in n}
        for server in servers:
            server.forget_keys()
        chip = device.rtc.chip
        device.rtc.chip = replace(chip, offset=chip.offset + HOUR)
        device.boot()
    if state.startswith("holdover"):
        assert device.reaches("verified", "anchored", within=2 * HOUR)
        for server in servers:
            server.up = False
    for turn in range(times):
        reached = world.run(3 * HOUR, lambda: state in device.states[-1])
        assert reached or turn, "then it may have got further, and stay there"
        device.kill()
        device.start()
    for server in servers:
        server.up = True
    if state == "disputed":
        device.rtc.chip = chip  # somebody sets it right
        device.kill()
        device.start()
    # Who was killed five times in holdover has asked for many keys in vain (R12).
    assert device.reaches("verified", within=6 * HOUR)
    world.run(HOUR)
    assert abs(device.error()) < GOOD


@pytest.mark.each_once
@pytest.mark.parametrize("state", ["restored", "provisional", "verified windows",
                                   "verified anchored", "holdover anchored"])  # fmt: skip
@pytest.mark.parametrize("power_cut", [False, True])
def test_killed_in_every_state(world: World, state: str, power_cut: bool) -> None:
    servers = world.five()
    device = Device(world)
    device.boot()
    if state.startswith("holdover"):
        assert device.reaches("verified", "anchored", within=2 * HOUR)
        for server in servers:
            server.up = False
    assert world.run(3 * HOUR, lambda: device.states[-1] == state)
    device.kill()
    for server in servers:
        server.up = True
    ratchet = device.saved_ratchet()
    world.run(12.0)  # until keys may be asked for again (R12)
    if power_cut:
        device.boot()
    else:
        device.start()
    assert device.reaches("verified", within=1.0)
    assert abs(device.error()) < GOOD
    assert device.saved_ratchet() >= ratchet
    anchored = "anchored" in state
    assert device.reaches("verified", "anchored", within=0.1 if anchored else 2 * HOUR)


class Mortal(Device):
    """Its daemon dies right after it has done such an action, and is started again."""

    fatal: Callable[[Action], bool]
    deaths = 1

    def after(self, action: Action) -> None:
        super().after(action)
        if self.deaths and self.fatal(action):
            self.deaths -= 1
            self.kill()
            self.world.at(0.1, self.start)


@pytest.mark.parametrize(
    ("fatal", "deaths"),
    [(lambda action: isinstance(action, RecordBelief), 5),
     (lambda action: isinstance(action, SetClock), 1),
     (lambda action: isinstance(action, Announce) and action.state == "verified", 5),
     (lambda action: isinstance(action, SaveTime), 5),
     (lambda action: isinstance(action, Save), 5)],
    ids=["belief recorded", "clock set", "verified announced", "time saved", "file saved"],
)  # fmt: skip
def test_killed_after_each_kind_of_action(
    world: World, fatal: Callable[[Action], bool], deaths: int
) -> None:
    """Between what was recorded and what is announced, too: nothing reopens, all ends well."""
    world.five()
    device = Mortal(world)
    device.fatal, device.deaths = fatal, deaths
    device.boot()
    device.ends("verified windows", within=HOUR / 2, error=GOOD)
    device.ends("verified anchored", within=3 * HOUR, error=GOOD)
    assert device.deaths == 0


@pytest.mark.more
def test_power_cut_at_every_write(world: World) -> None:
    """The disk as it was after each single write of a device's first day boots as well."""
    world.five()
    device = Device(world)
    disks: list[dict[str, bytes]] = []
    write = device.write

    def remember(name: str, data: bytes) -> None:
        write(name, data)
        disks.append(dict(device.disk))

    device.write = remember  # type: ignore[method-assign]
    device.boot()
    world.run(1.1 * DAY)
    device.stop()
    assert len(disks) > 5
    ratchet = 0
    for disk in disks:
        device.disk = dict(disk)
        assert device.saved_ratchet() >= ratchet
        ratchet = device.saved_ratchet()
    device.write = write  # type: ignore[method-assign]
    # Cookies of an older disk were spent by the boots before: only the newest may be used.
    for number, disk in enumerate(disks):
        device.disk = {name: data for name, data in disk.items() if "sessions" not in name}
        device.boot()
        assert device.reaches("verified", within=1.0), f"after write {number}"
        device.kill()
