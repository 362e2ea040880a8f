"""How much of the system each unit is exposed to, by `systemd-analyze security`, 0 to 10.

    python -m tests.systemd.exposure

prints it beside the units of Debian's own time services, which `make peers` fetches.
"""

import re
import sys
import tempfile
from pathlib import Path

from tests.systemd.units import DROP_INS, ROOT, SERVICES, analyze, install

PEERS = ROOT / ".peers" / "units"
_LEVEL = re.compile(r"^→ Overall exposure level for \S+: (\d+\.\d+) ", re.M)


def exposure(unit: Path) -> float:
    """Of a unit file, with the drop-ins beside it."""
    # Since systemd 254 it would else ask the running system, or refuse without one.
    done = analyze(unit.parent, "security", "--offline=true", f"./{unit.name}")
    found = _LEVEL.search(done.stdout)
    if found is None:
        raise RuntimeError(f"{unit}: {done.stderr or done.stdout}")
    return float(found[1])


def table() -> list[tuple[str, float]]:
    """Ours, ours with each drop-in, and Debian's."""
    with tempfile.TemporaryDirectory() as place:
        folder = install(Path(place, "plain"))
        rows = [(name, exposure(folder / name)) for name in SERVICES]
        for name in DROP_INS:
            unit = install(Path(place, name), name) / "pints.service"
            rows.append((f"pints.service with {name}.conf", exposure(unit)))
    return rows + [(f"Debian's {unit.name}", exposure(unit)) for unit in sorted(PEERS.glob("*"))]


def main() -> int:
    rows = table()
    for name, level in rows:
        print(f"{name:38} {level:4.1f}")
    if not any(name.startswith("Debian") for name, _ in rows):
        print("without Debian's own for comparison; fetch them: make peers", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
