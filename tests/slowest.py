"""The slowest files of a run, told at its end, so that whoever makes a file slow sees it.

By the reports of all processes; like the tally of the simulated world it runs where the tests are
shared out.
"""

from collections import Counter
from typing import Any

import pytest

FILES = 10


class Slowest:
    """Adds up how long the tests of each file took, fixtures included."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        self.seconds[file] += report.duration  # type: ignore[assignment]
        self.tests[file] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.tests:
            return  # they were but collected
        terminalreporter.section(f"{FILES} slowest files")
        for file, seconds in self.seconds.most_common(FILES):
            terminalreporter.write_line(f"{seconds:7.1f} s  {self.tests[file]:4} tests  {file}")
        terminalreporter.write_line(f"{sum(self.seconds.values()):7.1f} s in all, on all cores")
