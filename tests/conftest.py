"""What tests share: real data, real peers, a seed, and hypothesis as CI wants it.

In CI nothing is skipped for being absent, and nothing is random.
"""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests import extent
from tests.slowest import Slowest
from tests.world.tally import pytest_terminal_summary  # noqa: F401 - pytest finds it here

CI = os.environ.get("CI", "") not in ("", "0", "false")
SEED = int(os.environ.get("PINTS_SEED") or (1 if CI else random.randrange(1 << 32)))
os.environ["PINTS_SEED"] = str(SEED)  # the same for the processes that share the tests
PEERS = Path(__file__).parent.parent / ".peers" / "bin"

# A shell that starts something in the background has it ignore SIGINT.  The programs that tests
# start would inherit that, and play on when a test interrupts them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("here", print_blob=True, deadline=None)
settings.load_profile("ci" if CI else "here")


def pytest_report_header() -> str:
    return f"seed: {SEED} (again: PINTS_SEED={SEED})"


def pytest_configure(config: pytest.Config) -> None:
    if extent.ALL and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Slowest())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests do nothing but wait for a whole daemon."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "peer" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.peer)
    extent.thin_out(config, items)
    # What takes long begins first: else one core lives through it alone at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What has a target of its own (make test-package) runs when it is named, and only then."""
    mine = collection_path == Path(__file__).parent / "package"
    return True if mine and not any("package" in word for word in config.args) else None


def absent(reason: str) -> None:
    """Skip the test for want of something, which in CI is a failure."""
    if CI:
        pytest.fail(f"{reason}; in CI it must be there")
    pytest.skip(reason)


@pytest.fixture
def seed() -> int:
    """Seeds every simulated world; printed in the header of each run."""
    return SEED


@pytest.fixture
def rng(seed: int) -> random.Random:
    """A generator of the test's own, started from the run's seed."""
    return random.Random(seed)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of captures from real devices and servers, named by PINTS_REAL_DATA."""
    folder = Path(os.environ.get("PINTS_REAL_DATA") or "/nonexistent")
    if not folder.is_dir():
        absent("PINTS_REAL_DATA does not name a folder of real data")
    return folder


@pytest.fixture(scope="session")
def peer() -> Callable[[str], Path]:
    """`peer("chronyd")` is the path of a real program that `make peers` fetched."""

    def find(name: str) -> Path:
        program = PEERS / name
        if not program.exists():
            absent(f"{name} is not in .peers/bin; fetch it: make peers")
        return program

    return find
