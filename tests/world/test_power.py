"""The power is cut at every single system call of a device's life, and whatever it leaves on
the disk, the next boots verify: saved time is neither lost nor lowered, no cookie is sent twice
(`world.Server` looks), nothing torn is believed.  The same where the disk is full, read-only or
failing from some call on, and where it forgets all with the power.

The disk chooses by the seed what of the undurable survives.  PINTS_POWER_SEEDS=100 tries as many
choices at each moment; `tests.extent` has how many are the rule, and at how many moments.
"""

import errno
import json
import logging
import os
from dataclasses import replace
from functools import partial

import pytest

from pints import restore
from pints.client.batches import batch_names
from pints.client.session import decode_batch
from pints.config.tables import SourceConfig, StateConfig
from pints.timescale import DAY, HOUR
from tests.extent import POWER_SEEDS, examples, several
from tests.world.device import Device
from tests.world.disk import ALL, CREATING, READING, PowerCut
from tests.world.parting import Partings
from tests.world.world import World

STRIDE = 1 if POWER_SEEDS > 1 else 6
"""Where not every moment is tried, each sixth is, from one that the seed has."""
POLL = 12
"""log2 s: a life of few packets."""


def newborn(seed: int) -> Device:
    """Among three servers, with an empty disk."""
    world = World(seed)
    for name in "abc":
        world.server(f"ntp.{name}.test", delay=0.001)
    device = Device(world, [SourceConfig(n, minpoll=POLL, maxpoll=POLL) for n in world.servers])
    device.config = replace(device.config, state=StateConfig(save_interval=DAY / 2))
    return device


def live(device: Device) -> None:
    """A cold boot; anchored; a day, after which all that was saved is saved anew; a clean stop;
    a warm boot and a stop that replaces the batch it spent."""
    device.boot()
    assert device.reaches("verified", within=1.0)
    assert device.reaches("verified", "anchored", within=4 * HOUR)
    device.world.run(DAY)
    device.stop()
    device.boot()
    assert device.reaches("verified", within=1.0)
    device.world.run(15)
    device.stop()


def calls() -> int:
    """System calls of such a life."""
    device = newborn(1)
    live(device)
    return device.disk.calls


def cut(device: Device, moment: int, seed: int) -> None:
    """Let the power fail at this moment, and the disk choose by a seed of its own."""
    device.disk.luck(seed + moment)
    device.disk.cut_at = moment


def whole(device: Device) -> None:
    """Nothing torn lies under any name, nothing half made is left over."""
    for name in device.disk.visible():
        match name:
            case "time":
                assert restore.decode(device.disk[name]) is not None
            case _ if name in batch_names():
                assert decode_batch(device.disk[name], device.board)
            case _ if name.endswith(".json"):
                assert json.loads(device.disk[name])
            case _:
                pytest.fail(f"{name} is left over")


def revives(device: Device) -> None:
    """It boots and verifies until all batches are spent, and once more, each time losing its
    power before it could lay new ones aside."""
    for _ in range(len(batch_names()) + 1):
        device.boot()
        assert device.saved_ratchet() >= device.saved
        whole(device)
        assert device.reaches("verified", within=1.0)
        assert abs(device.error()) < 0.05


def test_a_life_has_what_is_to_be_cut() -> None:
    device = newborn(1)
    live(device)
    trace = device.disk.trace
    assert trace.count("unlink") == 1, "one batch was spent"
    assert trace.count("rename") >= 12
    assert set(device.disk) >= {"time", "drift.json", *batch_names()}
    exchanges = sum(server.exchanges for server in device.world.servers.values())
    assert exchanges == 3, "the second boot was warm"


def test_power_cut_at_every_system_call(seed: int) -> None:
    for turn in range(POWER_SEEDS):
        device = newborn(seed + turn)

        def judge(moment: int, device: Device = device) -> None:
            device.kill()
            revives(device)

        befall = partial(cut, device, seed=seed + 1000 * turn)
        # Each third is at a call's beginning and at another's end by turns.
        moments = range(turn, 2 * calls(), several(3, 1))
        lives = Partings(device, moments, befall, judge)
        lives.live(live)
        assert lives.passed == list(moments)


def test_what_goes_wrong_in_a_copy_is_told(seed: int) -> None:
    device = newborn(seed)

    def judge(moment: int) -> None:
        assert moment != 4, "this one"

    lives = Partings(device, (3, 4, 5), partial(cut, device, seed=seed), judge)
    with pytest.raises(pytest.fail.Exception, match=r"^moment 4(?s:.*)this one"):
        lives.live(live)
    assert lives.passed == [3, 4, 5]


def test_power_cut_again_and_again(seed: int) -> None:
    """Also within what the boots after a cut do."""
    device = newborn(seed)
    cuts = 0
    for _ in range(60):
        moments = device.world.rng.randrange(1, 120)
        try:
            device.disk.cut_at = 2 * device.disk.calls + moments
            live(device)
        except PowerCut:
            device.kill()
            cuts += 1
        assert device.saved_ratchet() >= device.saved or device.disk.calls
    assert cuts > 20
    revives(device)


def test_power_cut_where_all_is_forgotten(seed: int) -> None:
    """An overlay on an image that never ran: each boot is the first."""
    device = newborn(seed)
    device.disk.forgetful = True

    def judge(moment: int) -> None:
        device.kill()
        device.saved = 0
        device.boot()
        assert not device.disk
        assert device.reaches("verified", within=1.0)
        assert not device.sessions_saved

    moments = range(seed % STRIDE, 2 * calls(), STRIDE)
    lives = Partings(device, moments, partial(cut, device, seed=seed), judge)
    lives.live(live)
    # Nothing is laid aside: fewer calls.
    assert 20 < lives.passed[-1] < moments[-1]


def test_an_overlay_over_saved_sessions(seed: int) -> None:
    """Cookies that would come back with every boot are not sent at all."""
    device = newborn(seed)
    live(device)
    below = dict(device.disk)
    device.disk.lay(below)
    device.disk.forgetful = True
    kept = {s.cookie for n in batch_names() for s in decode_batch(below[n], device.board)}
    assert len(kept) == 9
    for _ in range(3):
        live(device)
        for name in batch_names():
            assert device.disk[name] == below[name]
    sent = {c for server in device.world.servers.values() for c in server.cookies_seen}
    assert not kept & sent


@pytest.mark.parametrize(
    ("error", "refused"),
    examples([(errno.ENOSPC, CREATING), (errno.EROFS, ALL), (errno.EIO, ALL | READING),
              (errno.EIO, ALL), (errno.EIO, {"fsync"}), (errno.EIO, {"unlink"})], 3),
)  # fmt: skip
def test_a_disk_that_fails_from_any_call_on(
    seed: int, error: int, refused: frozenset[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on and says so once; once the disk is mended, all is as it should be."""
    caplog.set_level(logging.INFO, "pints")
    device = newborn(seed)

    def fail(moment: int) -> None:
        device.disk.luck(seed + moment)
        device.disk.fail(error, (moment + 1) // 2, frozenset(refused))

    def judge(moment: int) -> None:
        said = [r.message for r in caplog.records if r.levelno == logging.ERROR]
        assert len([text for text in said if os.strerror(error) in text]) <= 2, "once a run"
        assert device.disk.failing
        device.disk.fail(0)
        revives(device)

    # Right after the call before: what is read between the two fails as well.
    moments = range(2 * (seed % STRIDE) - 1, 2 * calls() - 1, 2 * STRIDE)
    lives = Partings(device, moments, fail, judge)
    lives.live(live)
    assert lives.passed == list(moments)


def test_a_full_disk_is_said_once_and_so_is_its_end(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pints")
    device = newborn(seed)
    device.boot()
    assert device.reaches("verified", "anchored", within=4 * HOUR)
    device.disk.fail(errno.ENOSPC)
    device.world.run(3 * DAY)
    said = [r.message for r in caplog.records if r.levelno >= logging.INFO]
    assert len([text for text in said if "No space left on device" in text]) == 1
    assert "free some space there" in caplog.text
    device.disk.fail(0)
    device.world.run(DAY)
    assert caplog.text.count("state works again") == 1
    assert device.saved_ratchet() == device.saved


@pytest.mark.parametrize("mended", [False, True])
def test_saved_time_that_cannot_be_read_is_not_lowered(seed: int, mended: bool) -> None:
    """R7, on a card that does not read just now and writes nevertheless."""
    device = newborn(seed)
    live(device)
    device.disk.fail(errno.EIO, refused=READING)
    device.boot()
    assert device.reaches("verified", within=1.0)
    if mended:
        device.disk.fail(0)
    device.stop()
    assert device.saved_ratchet() >= device.saved > 0
    device.disk.fail(0)
    revives(device)
