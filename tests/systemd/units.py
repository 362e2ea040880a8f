"""The unit files as data, and as an installed system would have them."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "systemd"
SERVICES = tuple(sorted(path.name for path in SYSTEMD.glob("*.service")))
UNITS = (*SERVICES, *sorted(path.name for path in SYSTEMD.glob("*.path")))
DROP_INS = tuple(sorted(path.stem for path in SYSTEMD.glob("pints.service.d/*.conf")))
DRIVERS = tuple(name for name in DROP_INS if name != "serve")
PACKAGES = "/usr/lib/python3/dist-packages"
"""Where the units look for the code."""


def lines(text: str) -> list[tuple[str, str, str]]:
    """Section, name and value of every setting, in their order."""
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            name, equals, value = line.partition("=")
            assert equals, line
            found.append((section, name, value))
    return found


def settings(unit: str, *drop_ins: str) -> dict[str, list[str]]:
    """Every setting's values, in their order, with those of drop-ins of pints.service."""
    texts = [(SYSTEMD / unit).read_text()]
    texts += [(SYSTEMD / "pints.service.d" / f"{name}.conf").read_text() for name in drop_ins]
    values: dict[str, list[str]] = {}
    for text in texts:
        for _, name, value in lines(text):
            values.setdefault(name, []).append(value)
    return values


def words(unit: str, name: str, *drop_ins: str) -> set[str]:
    """All words of a setting."""
    return {word for value in settings(unit, *drop_ins).get(name, []) for word in value.split()}


def install(folder: Path, *drop_ins: str) -> Path:
    """All units in a folder of their own, with these drop-ins linked in, and naming programs
    that are there: this interpreter's instead of the system's."""
    folder.mkdir(parents=True)
    program = Path(sys.executable).parent / "pints"
    for name in UNITS:
        text = (SYSTEMD / name).read_text()
        text = text.replace("/usr/bin/pints ", f"{program} ").replace(PACKAGES, str(ROOT))
        (folder / name).write_text(text.replace("/usr/bin/python3", sys.executable))
    if drop_ins:
        (folder / "pints.service.d").mkdir()
    for name in drop_ins:
        shutil.copy(SYSTEMD / "pints.service.d" / f"{name}.conf", folder / "pints.service.d")
    return folder


def analyze(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """systemd-analyze in that folder, which needs no running systemd."""
    return subprocess.run(
        ["systemd-analyze", *arguments, "--no-pager"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
             "SYSTEMD_LOG_LEVEL": "warning", "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )  # fmt: skip
