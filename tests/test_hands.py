"""The daemon's hands: what a real machine's do, and what a simulator's lack."""

from pathlib import Path

import pytest

from pints.config.load import merge
from pints.config.tables import Config, StateConfig
from pints.control.server import Reply
from pints.errors import DeviceError, PintsError
from pints.events import Event
from pints.hands import Hands, SimulatorHands
from pints.shell.attempts import Attempts
from pints.shell.loop import Loop
from pints.shell.software_clock import SoftwareClock
from pints.shell.worker import InlineWorker
from pints.timescale import Instant

HANDS = [Hands(), SimulatorHands()]


def nobody(request: object, reply: Reply) -> None:
    raise AssertionError("nobody asks")


def nothing(event: Event) -> None:
    raise AssertionError("nothing happens")


def configured(folder: Path, **control: str) -> Config:
    state = {"directory": f"{folder}/state", "runtime": f"{folder}/run"}
    return merge(Config(), {"state": state, "control": control}, "pints.toml")


@pytest.fixture
def loop() -> Loop:
    return Loop(SoftwareClock(Instant(0)))


@pytest.mark.parametrize("hands", HANDS, ids=["real", "simulator"])
def test_folders_are_one_daemons_until_it_lets_go(hands: Hands, tmp_path: Path) -> None:
    state = StateConfig(f"{tmp_path}/state", f"{tmp_path}/run")
    let_go = hands.take_folders(state)
    assert (tmp_path / "run").is_dir()
    with pytest.raises(DeviceError, match="another pints uses"):
        hands.take_folders(state)
    let_go()
    hands.take_folders(state)()


def test_the_control_sockets_group_must_exist(loop: Loop, tmp_path: Path) -> None:
    config = configured(tmp_path, group="no-such-group")
    with pytest.raises(PintsError, match="no group 'no-such-group'") as refused:
        Hands().control(loop, config, nobody)
    assert refused.value.hint == "addgroup --system no-such-group"
    assert not (tmp_path / "run" / "control.sock").exists()


def test_a_real_machine_has_a_control_socket_and_a_simulator_none(
    loop: Loop, tmp_path: Path
) -> None:
    config = configured(tmp_path)
    control = Hands().control(loop, config, nobody)
    assert control is not None
    assert (tmp_path / "run" / "control.sock").is_socket()
    control.close()
    simulator: Hands = SimulatorHands()
    assert simulator.control(loop, config, nobody) is None
    assert not (tmp_path / "run" / "control.sock").exists()
    assert simulator.link() is None
    assert isinstance(simulator.worker(loop, lambda result: None), InlineWorker)


@pytest.mark.parametrize("hands", HANDS, ids=["real", "simulator"])
def test_what_is_not_configured_is_not_made(hands: Hands, loop: Loop, tmp_path: Path) -> None:
    config, clock, attempts = configured(tmp_path), SoftwareClock(Instant(0)), Attempts()
    store = hands.store(str(tmp_path))
    assert hands.rtc(loop, clock, config, attempts, nothing) is None
    assert hands.refclocks(loop, clock, config, attempts, nothing) is None
    assert hands.outputs(loop, config, attempts) == []
    assert hands.ntp_server(loop, clock, config, store, ke_server=True) is None
