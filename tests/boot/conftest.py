"""`make boot`: what is needed, and what is said at the end.  No other run of pytest collects these."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.boot.lab import ROOT, TREE, Lab
from tests.boot.lan import apart
from tests.boot.steady import Steady, steady_pi
from tests.conftest import absent

collect_ignore_glob = [] if os.environ.get("PINTS_BOOT") else ["test_*"]

FIGURES: dict[str, str] = {}


@pytest.fixture(scope="session")
def lab(
    peer: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Servers that run, on a network apart."""
    if os.geteuid() != 0:
        absent("boots need root: a TAP device, and a Debian tree with all its owners")
    packages = sorted((ROOT / "dist").glob("pints_*_all.deb"), key=os.path.getmtime)
    if not packages or not TREE.exists():
        absent("no package in dist/, or no Debian 13 to put it on: make boot")
    with ExitStack() as stack:
        try:
            stack.enter_context(apart())
        except OSError as e:
            absent(f"no network of our own here: {e}")
        lab = Lab(peer, packages[-1], tmp_path_factory.mktemp("boot"))
        for part in (*lab.cables, *lab.roughtime):
            stack.enter_context(part)
        for server in (*lab.servers, *lab.late):
            stack.callback(server.stop)
        for server in lab.servers:
            server.start()
        yield lab


@pytest.fixture(scope="session")
def steady(lab: Lab) -> Iterator[Steady]:
    """Runs beside all other boots, so that its clock has the time to show what it is worth."""
    with steady_pi(lab) as steady:
        yield steady


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, str]:
    """What is told at the end of the run."""
    return FIGURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.section("boots on a real kernel")
        for name, value in FIGURES.items():
            terminalreporter.write_line(f"{name}: {value}")
