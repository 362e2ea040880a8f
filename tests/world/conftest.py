"""What all scenarios share, and what is said of them at the end: how many boots there were."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from pints import restore
from tests.conftest import SEED
from tests.world.device import Device
from tests.world.world import World

BOOTS, MUTANT = "boots", "mutant"
"""Properties of a test's report."""
HONEST = frozenset(
    f"test_{name}"
    for name in "calendar clocks floors honest network power roughtime state sync".split()
)
"""Files in which nobody lies; all others are hostile."""


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that early boot dates the past by are the machine's own: none in the world."""
    monkeypatch.setattr(restore, "WITNESS_FILES", ())


@pytest.fixture(autouse=True)
def _count_boots(record_property: Callable[[str, object], None]) -> Iterator[None]:
    before = Device.booted
    yield
    record_property(BOOTS, Device.booted - before)


@pytest.fixture
def world(seed: int) -> World:
    return World(seed)


# Quoted, for pytest 8.3 (Debian 13) does not export that name yet.
def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    reports = [
        report
        for kind in terminalreporter.stats.values()
        for report in kind
        if isinstance(report, pytest.TestReport)
    ]
    boots: Counter[str] = Counter()
    mutants = []
    for report in reports:
        for name, value in report.user_properties:
            if name == BOOTS and report.when == "teardown":
                boots[report.nodeid.split("::")[0].split("/")[-1].removesuffix(".py")] += int(
                    str(value)
                )
            if name == MUTANT and report.when == "call":
                mutants.append(str(value))
    if not boots:
        return
    terminalreporter.section("simulated world")
    for kind, named in (("honest", True), ("hostile", False)):
        files = {file: n for file, n in boots.items() if (file in HONEST) is named}
        listed = ", ".join(f"{n} {file.removeprefix('test_')}" for file, n in sorted(files.items()))
        if files:
            terminalreporter.write_line(f"{sum(files.values())} {kind} boots: {listed}")
    for mutant in mutants:
        terminalreporter.write_line(mutant)
    terminalreporter.write_line(f"seed {SEED} (again: PINTS_SEED={SEED})")
