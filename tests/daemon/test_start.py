"""Starts that are refused: one clear line, and nothing spent."""

import subprocess
import sys
from pathlib import Path

from tests.device import Device

SOURCE = '[[source]]\nserver = "127.0.0.1"\nke_port = 9\n'


def start(config: Path) -> subprocess.CompletedProcess[str]:
    """`pints run` that is expected to give up."""
    command = [sys.executable, "-m", "pints", "run", "--no-clock", "-c", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_second_daemon_spends_nothing_of_the_first(tmp_path: Path) -> None:
    with Device(tmp_path / "pi", SOURCE) as device:
        device.ask("status")
        batch = tmp_path / "pi" / "state" / "sessions" / "0.json"
        batch.parent.mkdir(exist_ok=True)
        batch.write_bytes(b"a batch of the first")
        other = tmp_path / "other.toml"
        for runtime in ("run", "elsewhere"):
            other.write_text(
                f'{SOURCE}[state]\ndirectory = "{tmp_path}/pi/state"\n'
                f'runtime = "{tmp_path}/pi/{runtime}"\n'
            )
            refused = start(other)
            assert refused.returncode == 1
            assert refused.stderr.startswith("pints: another pints uses")
            assert len(refused.stderr.splitlines()) == 2
        assert batch.read_bytes() == b"a batch of the first"
        assert device.ask("status")["sources"] == 1


def test_a_group_that_does_not_exist_spends_nothing(tmp_path: Path) -> None:
    sessions = tmp_path / "state" / "sessions"
    sessions.mkdir(parents=True, mode=0o700)
    (tmp_path / "state").chmod(0o700)
    (sessions / "0.json").write_bytes(b"a batch")
    config = tmp_path / "pints.toml"
    config.write_text(
        f'{SOURCE}[state]\ndirectory = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\n'
        '[control]\ngroup = "no-such-group"\n'
    )
    refused = start(config)
    assert refused.returncode == 1
    assert "no-such-group" in refused.stderr
    assert (sessions / "0.json").exists()


def test_a_runtime_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = tmp_path / "pints.toml"
    config.write_text(
        f'{SOURCE}[state]\ndirectory = "{tmp_path}/state"\nruntime = "{tmp_path}/file/run"\n'
    )
    refused = start(config)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"pints: cannot make {tmp_path}/file/run: ")
    assert len(refused.stderr.splitlines()) == 2
