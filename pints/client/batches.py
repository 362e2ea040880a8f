"""The batches of cookies that wait on the disk for the next boots.

Guarantees: they are made only when their maker says that sessions may be saved, one cookie of
each source in each; they are few, and written seldom.
"""

from collections.abc import Collection, Iterable

from pints.client.association import Association
from pints.client.session import encode_batch, lay_aside
from pints.timescale import HOUR, Boot, after
from pints.values.files import batch_file

BATCHES = 3
"""Boots in a row that may do without a key exchange."""
REST = 8 * HOUR
"""Seconds between two writings because keys were renewed: each is three files."""
PATIENCE = 10.0
"""Seconds that the first batch of a boot waits for sources that have not answered yet."""


class Batches:
    """Knows what is on the disk, and when it should be written anew."""

    def __init__(self, board: str, on_disk: int) -> None:
        self._board = board
        self._on_disk = on_disk
        self._old = False
        """Keys were renewed: the batches on disk hold older ones."""
        self._refreshed: Boot | None = None
        self.due: Boot | None = None
        """When those that are awaited are written at the latest."""

    def expect(self, now: Boot) -> None:
        """Sessions may be saved from now on: write them soon."""
        self.due = after(now, PATIENCE)

    def keys_renewed(self, now: Boot) -> None:
        """What is laid aside must be renewed as well, soon but not all the time."""
        self._old = True
        rested = self._refreshed is None or now >= after(self._refreshed, REST)
        if rested and self.due is None:
            self._refreshed = now
            self.expect(now)

    def give_up(self, now: Boot) -> None:
        """Sessions may not be saved just now: whoever is late is not waited for."""
        if self.due is not None and now >= self.due:
            self.due = None

    def awaited(
        self, associations: Collection[Association], excluded: Collection[str], now: Boot
    ) -> list[tuple[str, bytes]]:
        """The files to write if some were awaited, and all sources can be in them or it is
        late."""
        if self.due is None:
            return []
        asked = [a.session for a in associations if a.config.nts]
        if now < self.due and not all(s and s.proven for s in asked):
            return []
        self.due = None
        return self.fill(associations, excluded)

    def fill(
        self, associations: Iterable[Association], excluded: Collection[str], anew: bool = False
    ) -> list[tuple[str, bytes]]:
        """The files that are missing (or, of older keys or `anew`, all): name and content."""
        files: list[tuple[str, bytes]] = []
        sources = [a for a in associations if a.session is not None and a.id not in excluded]
        start = 0 if anew or self._old else self._on_disk
        self._old = False
        for number in range(start, BATCHES):
            rows = [
                row
                for a in sources
                if a.session is not None
                and (row := lay_aside(a.id, a.session, a.address)) is not None
            ]
            if not rows:
                break
            files.append((batch_file(number), encode_batch(self._board, rows)))
            self._on_disk = max(self._on_disk, number + 1)
        return files


def batch_names() -> list[str]:
    """The files of laid-aside cookies, in the order in which they are spent."""
    return [batch_file(number) for number in reversed(range(BATCHES))]
