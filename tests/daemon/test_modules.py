"""What the resident process must never import, looked for in the real one."""

import os
import subprocess
import sys
from pathlib import Path

from pints.control.client import ask
from tests.chronyd import Chronyd

NEVER = {
    "OpenSSL", "ssl", "_ssl", "asyncio", "hashlib", "_hashlib", "hmac", "secrets", "random",
    "importlib.metadata", "tempfile", "subprocess", "shutil", "service_identity",
    "cryptography.x509", "smbus2", "pints.shell.rtc_device",
}  # fmt: skip


def test_the_running_daemon_never_imports_them(tmp_path: Path, five_chronyd: list[Chronyd]) -> None:
    settings = "".join(server.source for server in five_chronyd[:3])
    config = tmp_path / "pints.toml"
    config.write_text(
        f'{settings}[state]\ndirectory = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\n'
    )
    command = [sys.executable, "-m", "pints", "run", "--no-clock", "-c", str(config)]
    # The interpreter itself then tells of every import until the process ends.
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stderr=log, env=environment)
    try:
        socket = tmp_path / "run" / "control.sock"
        while not socket.exists():
            assert daemon.poll() is None, (tmp_path / "log").read_text()
            os.sched_yield()
        assert ask(str(socket), {"command": "wait"}, timeout=20)["state"] == "verified"
        for command_name in ("status", "tracking", "sources", "authdata", "bootstrap", "save"):
            ask(str(socket), {"command": command_name})
    finally:
        daemon.terminate()
        assert daemon.wait(10) == 0
    text = (tmp_path / "log").read_text()
    lines = [line for line in text.splitlines() if line.startswith("import time")]
    imported = {line.rsplit("|", 1)[1].strip() for line in lines}
    assert {"pints.core.core", "pints.shell.worker"} <= imported
    assert not imported & NEVER
