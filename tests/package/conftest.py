"""Shared by a run: Debian trees, the package and the version after it, and a clone."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import PEERS, absent
from tests.package.machine import Still
from tests.package.tree import ROOT, Completed, Tree, once, overlay, own_mounts, prepared

CHANGELOG = (ROOT / "debian" / "changelog").read_text()
VERSION = re.match(r"pints \((.*?)\)", CHANGELOG).group(1)  # type: ignore[union-attr]
NEXT = f"{VERSION}+1"
DEB = f"/out/pints_{VERSION}_all.deb"
NEXT_DEB = f"/out/pints_{NEXT}_all.deb"
DEPENDENCIES = "python3-cryptography python3-openssl python3-service-identity"
CLONE = (
    "install.sh", "pyproject.toml", "hatch_build.py", "LICENSE",
    "debian", "docs", "drivers", "etc", "installer", "pints", "systemd",
)  # fmt: skip
NEEDED = ("cryptography>=43", "pyOpenSSL>=25", "service-identity>=24", "hatchling>=1.25")
DEBIANS = {"trixie": "device", "bookworm": "device-12"}
"""Release, and what scripts/debian-tree.sh calls its tree."""


def pytest_configure(config: pytest.Config) -> None:
    """The processes that share the tests share the mounts, too."""
    if os.geteuid() == 0 and not hasattr(config, "workerinput"):
        own_mounts()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what makes a tree for itself alone: at the end, one process would wait for it."""
    items.sort(key=lambda item: "debian_12" not in item.name)


def in_debian(name: str, *command: str, **environment: str) -> str:
    """Return what a command prints in a throw-away tree of scripts/debian-tree.sh."""
    done = subprocess.run(
        [ROOT / "scripts" / "debian-tree.sh", name, *command],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def debian() -> Callable[[str], Path]:
    """`debian("trixie")` is the tree of that release, with nothing installed; not to be changed."""
    if os.geteuid() != 0:
        absent("it takes root to enter a tree and install into it")
    for tool in ("nsenter", "setpriv", "unshare"):
        if shutil.which(tool) is None:
            absent(f"{tool} is missing: sudo apt-get install util-linux")

    def made(release: str) -> Path:
        in_debian(DEBIANS[release], "true")
        return PEERS.parent / "debian-13" / DEBIANS[release]

    return made


# --- the package ------------------------------------------------------------------------------


def build(folder: Path, version: str = "") -> Path:
    """Build the package into a folder."""
    environment = {**os.environ, "DEB_VERSION": version}
    subprocess.run([ROOT / "scripts" / "deb.sh", folder], env=environment, check=True)
    (deb,) = folder.glob(f"pints_{version or VERSION}_all.deb")
    return deb


@pytest.fixture(scope="session")
def package(debian: Callable[[str], Path]) -> Path:
    """A folder with the package of this tree."""
    return once("package", build)


@pytest.fixture(scope="session")
def next_package(debian: Callable[[str], Path]) -> Path:
    """A folder with the package of the next version."""
    return once("next-package", lambda folder: build(folder, NEXT))


def put_out(folder: Path, tree: Tree) -> None:
    out = tree / "out"
    out.mkdir(exist_ok=True)
    for deb in folder.glob("*.deb"):
        shutil.copy(deb, out)


@pytest.fixture
def machine(package: Path, debian: Callable[[str], Path]) -> Iterator[Still]:
    """A machine as Debian installs it: time from systemd-timesyncd."""
    with overlay(debian("trixie")) as tree:
        put_out(package, tree)
        yield Still(tree)


@pytest.fixture
def machine_with(package: Path, debian: Callable[[str], Path]) -> Iterator[Callable[[str], Still]]:
    """`machine_with(DEB)` is that machine, after `apt-get install` of these words."""
    with ExitStack() as stack:

        def made(words: str) -> Still:
            def install(tree: Tree) -> None:
                put_out(package, tree)
                Still(tree).apt("install", words)

            name = f"with-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
            layers = prepared(name, install, debian("trixie"))
            return Still(stack.enter_context(overlay(*layers)))

        yield made


@pytest.fixture
def inside_build(package: Path) -> Callable[[str], str]:
    """What a command prints in the tree that has the tools; the package is in /out."""
    return lambda script: in_debian("build", "sh", "-euc", script, OUT=str(package))


# --- install.sh ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheels() -> Callable[[str], Path]:
    """What pip would fetch, fetched once, for a version of Python."""

    def fetch(python: str, folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "-q", "-d", str(folder)]
        choice = ["--python-version", python, "--only-binary", ":all:"]
        subprocess.run([*pip, *choice, *NEEDED], check=True)

    return lambda python: once(f"wheels-{python}", partial(fetch, python))


@pytest.fixture
def tree(debian: Callable[[str], Path]) -> Iterator[Tree]:
    """Debian 13 as it was before anything was installed."""
    with overlay(debian("trixie")) as tree:
        yield tree


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source, as a user has it."""
    return copy_clone(tmp_path_factory.mktemp("clone") / "pints")


@pytest.fixture
def installed(
    debian: Callable[[str], Path], clone: Path, wheels: Callable[[str], Path]
) -> Iterator[Tree]:
    """Debian 13 with pints."""

    def put(tree: Tree) -> None:
        done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
        assert done.returncode == 0, done.stderr

    with overlay(*prepared("installed", put, debian("trixie"))) as tree:
        yield tree


def copy_clone(to: Path) -> Path:
    to.mkdir(parents=True)
    for name in CLONE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, to / name)
    return to


def install(clone: Path, *words: object, **environment: str) -> Completed:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return subprocess.run(
        ["sh", str(clone / "install.sh"), *map(str, words)],
        capture_output=True, text=True, env={"PATH": path, **environment},
    )  # fmt: skip


def refused(done: Completed, *words: str) -> None:
    """One line, with the cause and what mends it."""
    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
