"""What the figures were measured on."""

import os
import platform
import re

import cryptography

from bench.programs import read


def machine() -> str:
    """One line."""
    cores = os.cpu_count() or 1
    return (
        f"{_processor()} x {cores}; {platform.python_implementation()} "
        f"{platform.python_version()}; cryptography {cryptography.__version__}; "
        f"Linux {platform.release().partition('-')[0]} {platform.machine()}"
    )


def _processor() -> str:
    """A PC names its processor, a Pi its board."""
    text = read("/proc/cpuinfo")
    found = re.search(r"^(?:Model|model name)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()
