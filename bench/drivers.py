"""Resident memory that each driver adds to the daemon once it is configured, its library included.

Each is imported by an interpreter of its own that has imported what a daemon with devices has.
What a driver opens is not opened: no device is needed.
"""

import subprocess
import sys

from bench.programs import ROOT
from bench.series import Series, show
from pints.drivers import OUTPUTS, REFCLOCKS, RTCS

GOAL = "none: a driver costs nothing until the configuration names it"
RUNS = 5
BASE = "the daemon without"
WHEN_OPENED = {"pints_drivers.i2c_rtc": "smbus2"}
"""What a driver imports no sooner than it opens its device."""
_LOAD = """
import sys
import pints.daemon, pints.evidence.independent
import pints.shell.refclock_devices, pints.shell.output_device, pints.shell.rtc_device
for module in sys.argv[1:]:
    __import__(module)
for line in open("/proc/self/status"):
    if line.startswith("VmRSS"):
        print(line.split()[1])
"""


def measure(runs: int) -> None:
    drivers: dict[str, list[str]] = {}
    for table in (RTCS, REFCLOCKS, OUTPUTS):
        for name, driver in table.items():
            if not name.startswith("fake-"):
                drivers.setdefault(driver.place.partition(":")[0], []).append(name)
    count = range(runs or RUNS)
    base = Series.of(_memory() for _ in count)
    rows, absent = [(BASE, base)], []
    for module, names in drivers.items():
        try:
            modules = [module, *filter(None, [WHEN_OPENED.get(module)])]
            loaded = [_memory(*modules) for _ in count]
        except subprocess.CalledProcessError:
            absent.append(f"{names[0]}: its library is not installed here")
            continue
        label = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        rows.append((f"  and {label}", Series.of(m - base.median for m in loaded)))
    show("resident memory (VmRSS), MiB", rows, digits=2)
    for line in absent:
        print(f"  not measured: {line}")


def _memory(*modules: str) -> float:
    """MiB."""
    command = [sys.executable, "-c", _LOAD, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return int(done.stdout) / 1024
