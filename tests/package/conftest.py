"""The package, built twice: as it is, and as the version after it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import absent
from tests.package.machine import ROOT, Machine

CHANGELOG = (ROOT / "debian" / "changelog").read_text()
VERSION = re.match(r"pints \((.*?)\)", CHANGELOG).group(1)  # type: ignore[union-attr]
NEXT = f"{VERSION}+1"


def build(folder: Path, version: str = "") -> Path:
    """Build the package into a folder."""
    environment = {**os.environ, "DEB_VERSION": version}
    subprocess.run([ROOT / "scripts" / "deb.sh", folder], env=environment, check=True)
    (deb,) = folder.glob(f"pints_{version or VERSION}_all.deb")
    return deb


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of this tree and that of the next version."""
    if os.geteuid() != 0:
        absent("it takes root to enter a tree and install into it")
    if shutil.which("nsenter") is None or shutil.which("dpkg-deb") is None:
        absent("it takes dpkg and nsenter: sudo apt-get install dpkg util-linux")
    folder = tmp_path_factory.mktemp("packages")
    folder.chmod(0o755)
    build(folder)
    build(folder, NEXT)
    return folder


@pytest.fixture
def machine(packages: Path) -> Iterator[Machine]:
    """A machine as Debian installs it: time from systemd-timesyncd."""
    with Machine(packages) as made:
        yield made


@pytest.fixture
def inside_build(packages: Path) -> Callable[[str], str]:
    """What a command prints in the tree that has the tools; the packages are in /out."""

    def run(script: str) -> str:
        done = subprocess.run(
            [ROOT / "scripts" / "debian-tree.sh", "build", "sh", "-euc", script],
            env={**os.environ, "OUT": str(packages)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
