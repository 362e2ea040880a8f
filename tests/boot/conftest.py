"""`make boot`: what it needs and what it says at the end.  No other run of pytest collects it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.boot import first, guest
from tests.boot.lab import ROOT, TREE, Lab
from tests.boot.lan import apart
from tests.boot.pi import Pi
from tests.boot.steady import steady_pi
from tests.conftest import absent

collect_ignore_glob = [] if os.environ.get("PINTS_BOOT") else ["test_*"]

FIGURES: dict[str, str] = {}


@pytest.fixture(scope="session")
def lab(peer: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
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
        for cable in lab.cables:
            stack.enter_context(cable)
        for roughtime in lab.roughtime:
            stack.enter_context(roughtime)
        for server in (*lab.servers, *lab.late):
            stack.callback(server.stop)
        for server in lab.servers:
            server.start()
        yield lab


@pytest.fixture(scope="session")
def steady(lab: Lab) -> Iterator[Pi]:
    """Runs from the first test that wants it to the end."""
    with steady_pi(lab) as pi:
        yield pi


@pytest.fixture(scope="session")
def figures() -> dict[str, str]:
    """What is told at the end of the run."""
    return FIGURES


@pytest.fixture(scope="session")
def lived(lab: Lab, figures: dict[str, str]) -> Path:
    """A card after its first boot ever, which was a good one."""
    card = lab.card("first")
    with lab.pi(card) as pi:
        pi.boot()
        guest.wait(pi)
        first.check_journal(pi)
        first.check_time(pi)
        first.check_state(pi)
        figures["first boot"] = first.costs(pi)
        pi.off()
    return card


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands over what it measured."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = FIGURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """And it is taken over."""
    FIGURES.update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    if FIGURES:
        terminalreporter.section("boots on a real kernel")
        for name, value in FIGURES.items():
            terminalreporter.write_line(f"{name}: {value}")
