"""Puts the pints of this tree onto a card, where its package puts it."""

import shutil
from pathlib import Path

from tests.boot.card import inside

ROOT = Path(__file__).parents[2]
COMMAND = "#!/usr/bin/python3 -s\nimport sys\n\nfrom pints.cli import main\n\nsys.exit(main())\n"


def install(root: Path, source: Path = ROOT) -> None:
    modules = root / "usr/lib/python3/dist-packages"
    units = root / "usr/lib/systemd"
    no_caches = shutil.ignore_patterns("__pycache__")
    for package in (source / "pints", source / "drivers" / "pints_drivers"):
        if package.exists():
            shutil.copytree(package, modules / package.name, ignore=no_caches)
    for kind in ("service", "path", "socket", "timer"):
        for unit in (source / "systemd").glob(f"*.{kind}"):
            shutil.copy(unit, units / "system")
    for folder, where in {
        "sysusers.d": "usr/lib/sysusers.d",
        "tmpfiles.d": "usr/lib/tmpfiles.d",
        "preset": "usr/lib/systemd/system-preset",
        "pints.service.d": "usr/share/pints/pints.service.d",
    }.items():
        shutil.copytree(source / "systemd" / folder, root / where, dirs_exist_ok=True)
    command = root / "usr/bin/pints"
    command.write_text(COMMAND)
    command.chmod(0o755)
    (root / "etc/pints").mkdir()
    inside(root, "python3 -m compileall -q /usr/lib/python3/dist-packages/pints; systemd-sysusers")
    inside(root, "systemctl enable pints.service")
