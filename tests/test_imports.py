"""The contracts of pyproject.toml hold: no import upwards, no circle, a core without I/O.

Each is broken once on purpose, in a copy of the tree: a contract that cannot fail proves nothing.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="import-linter is not installed (Debian 13 lacks it)")
ROOT = Path(__file__).parent.parent
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
}


def lint(tree: Path, contract: str) -> tuple[bool, str]:
    """Whether a contract holds for the tree, and what the linter prints."""
    environment = os.environ | {"PYTHONPATH": f"{tree}{os.pathsep}{tree / 'drivers'}"}
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()",
         "--no-cache", "--contract", contract],
        cwd=tree, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("pints", "drivers"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contracts_hold(contract: str) -> None:
    holds, printed = lint(ROOT, contract)
    assert holds, printed


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [
        ("layers", "pints/bootstrap/quorum.py", "from pints.core.core import Core"),
        ("layers", "pints/report/reporter.py", "from pints.daemon import Daemon"),
        ("layers", "pints/values/sample.py", "from pints.sync.select import Selection"),
        ("circles", "pints/bootstrap/quorum.py", "from pints.bootstrap.engine import Bootstrap"),
        ("circles", "pints/timescale.py", "from pints.restore import main"),
        ("pure", "pints/evidence/gps.py", "import time"),
        ("hardware", "pints/shell/rtc_device.py", "import smbus2"),
        ("drivers", "drivers/pints_drivers/gps.py", "from pints.core.core import Core"),
    ],
)
def test_a_broken_contract_is_noticed(tree: Path, contract: str, file: str, line: str) -> None:
    source = tree / file
    source.write_text(source.read_text() + f"\n\ndef _planted() -> None:\n    {line}\n")
    if (contract, file) == ("circles", "pints/timescale.py"):
        other = tree / "pints/restore.py"
        other.write_text(other.read_text() + "\n\nfrom pints.timescale import NS as NS\n")
    holds, printed = lint(tree, contract)
    assert not holds, printed


def test_every_package_has_its_layer() -> None:
    """`exhaustive` makes the linter complain of one that has none."""
    layers = CONTRACTS["layers"]
    assert layers["exhaustive"]
    named = {name.strip() for line in layers["layers"] for name in line.split("|")}
    here = {p.stem for p in (ROOT / "pints").iterdir() if p.suffix == ".py"}
    here |= {p.name for p in (ROOT / "pints").iterdir() if (p / "__init__.py").exists()}
    assert named == here - {"__init__"}
