"""What the boots need: servers, cards, and a kernel."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pints.demo.authority import Authority
from tests.boot import card
from tests.boot.lan import SERVERS, Cable
from tests.boot.pi import Pi
from tests.chronyd import Chronyd, chronyd, host_now
from tests.roughtime_server import Roughtime

ROOT = Path(__file__).parents[2]
TREE = ROOT / ".peers/debian-13/device"
OPERATORS = "Alder", "Birch", "Cedar"
SETTINGS = "/etc/pints/pints.toml"


class Lab:
    """Three NTS servers of three operators, each with a CA of its own; three that come late, at
    other addresses; three Roughtime servers; and a card with the package of this tree."""

    def __init__(self, find: Callable[[str], Path], package: Path, folder: Path) -> None:
        self.folder, self.kernel = folder, find("linux.uml")
        programs = find("chronyd"), find("chronyd-4.6")
        self.servers, self.late = (
            [
                chronyd(programs[n % 2], folder / f"chronyd{n}", SERVERS[n], host_now())
                for n in numbers
            ]
            for numbers in (range(3), range(3, 6))
        )
        self.roughtime = [Roughtime(host=SERVERS[n]) for n in range(3)]
        self.authority = Authority("CA of the house")
        self.cables = [Cable(1), Cable(2)]
        modules = next((ROOT / ".peers/modules").iterdir())
        self._blank = self._make(package, modules)

    def _make(self, package: Path, modules: Path) -> Path:
        root = self.folder / "root"
        subprocess.run(["cp", "-a", str(TREE), str(root)], check=True)
        card.furnish(root, package, modules)
        for server in (*self.servers, *self.late):
            shutil.copy(server.ca, root / f"etc/pints/{server.host}.pem")
        chain, key = self.authority.issue([self.cables[1].guest]).write(root / "etc/pints")
        key.chmod(0o640)
        card.inside(root, f"chgrp pints /etc/pints/{key.name}; chmod 644 /etc/pints/{chain.name}")
        (root / SETTINGS[1:]).write_text(self.settings(self.servers))
        made = card.image(self.folder / "blank", card.SIZE, root)
        shutil.rmtree(root)
        return made

    def card(self, name: str, of: Path | None = None, **files: str) -> Path:
        """A card, fresh or like another."""
        return card.copy(of or self._blank, self.folder / name)

    def pi(self, what: Path, cable: int = 0, other: Path | None = None) -> Pi:
        """A board with the card in it."""
        return Pi(self.kernel, what, self.cables[cable], other)

    def settings(self, servers: Sequence[Chronyd], minpoll: int = 6) -> str:
        """A user's pints.toml."""
        sources = [
            f'[[source]]\nserver = "{s.host}"\nke_port = {s.ke_port}\noperator = "{operator}"\n'
            f'ca = "/etc/pints/{s.host}.pem"\nminpoll = {minpoll}\n'
            for s, operator in zip(servers, OPERATORS, strict=True)
        ]
        sources += [
            f'[[bootstrap.roughtime]]\nserver = "{r.host}"\nport = {r.port}\noperator = "{n}"\n'
            f'key = "{base64.b64encode(r.key).decode()}"\n'
            for n, r in enumerate(self.roughtime)
        ]
        return "\n".join(sources)

    def query(self, host: str) -> dict[str, Any]:
        """What `pints query --nts` says of a Pi's clock, beside this machine's."""
        ca = self.authority.write(self.folder)
        done = subprocess.run(
            [sys.executable, "-m", "pints", "query", "--nts", f"--ca={ca}", "--json", host],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        (answer,) = json.loads(done.stdout)["hosts"]
        return dict(answer)
