"""R8: a saved time that lies in the future, because it was poisoned.

Guarantees: it is reported as soon as a quorum's worth of witnesses founders on it; it is
lowered only if the administrator allows it, and then only when all witnesses that answer, a
quorum and at least three, and independent evidence say the same for ten minutes.  The build
epoch is never lowered: whoever owns every key comes no further back than that.
"""

import logging
from collections.abc import Collection
from dataclasses import replace

from pints.actions import Log
from pints.bootstrap.quorum import Finding
from pints.lean import dataclass
from pints.timescale import Boot, after, iso
from pints.values.belief import Floors

UNANIMOUS_FOR = 600.0
"""Seconds that the agreement must last."""
LEAST_WITNESSES = 3


@dataclass(slots=True)
class FutureFloor:
    """Watches one boot's floor."""

    allowed: bool
    """Whether `future_floor = "unanimous"` is configured."""
    _said: bool = False
    _since: Boot | None = None

    def report(self, below: Collection[str], needed: int, floors: Floors) -> list[Log]:
        """Say so once when `needed` witnesses are refused for lying `below` the floor."""
        if self._said or len(below) < max(needed, 2):
            return []
        self._said = True
        if floors.hard == floors.build_epoch:
            text = (
                f"R8: {len(below)} witnesses lie before this build's epoch, "
                f"{iso(floors.hard)}: if they are right, install a build of a right date"
            )
        else:
            text = (
                f"R8: {len(below)} witnesses lie before the saved time {iso(floors.hard)}: if "
                "they are right: stop pints, pints restore --forget, start pints"
            )
        return [Log(logging.ERROR, text, "R8")]

    def lowered(
        self, finding: Finding, voices: int, needed: int, confirmed: bool, floors: Floors, now: Boot
    ) -> Floors | None:
        """The floors once `finding`, made without the saved time, has stood for long enough.

        `voices` is the number of witnesses that answer; `confirmed` tells whether independent
        evidence says the same.
        """
        members = len(finding.members)
        unanimous = members == voices and not finding.dissenters
        stands = self.allowed and confirmed and unanimous and finding.high < floors.hard
        if not stands or members < max(needed, LEAST_WITNESSES):
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now < after(self._since, UNANIMOUS_FOR):
            return None
        return replace(floors, ratcheted=max(finding.low, floors.build_epoch))
