"""What is said of the simulated world at the end of a run: how many boots there were, and which
scenario noticed the want of which rule.

Apart from what tests use, for it is the process that shares out the tests which says it.
"""

import os
from collections import Counter

import pytest

BOOTS, MUTANT = "boots", "mutant"
"""Properties of a test's report."""
HONEST = frozenset(
    f"test_{name}"
    for name in "calendar clocks floors honest network power roughtime shell state sync".split()
)
"""Files in which nobody lies; all others are hostile."""


# Quoted, for pytest 8.3 (Debian 13) does not export that name yet.
def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """By the reports of all processes."""
    boots: Counter[str] = Counter()
    mutants = []
    for report in (r for kind in terminalreporter.stats.values() for r in kind):
        if not isinstance(report, pytest.TestReport):
            continue
        file = report.nodeid.split("::")[0].split("/")[-1].removesuffix(".py")
        for name, value in report.user_properties:
            if name == BOOTS and report.when == "teardown":
                boots[file] += int(str(value))
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
    for mutant in sorted(mutants):
        terminalreporter.write_line(mutant)
    seed = os.environ.get("PINTS_SEED")
    terminalreporter.write_line(f"seed {seed} (again: PINTS_SEED={seed})")
