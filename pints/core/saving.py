"""What should outlast this daemon, and when it is written: seldom, for writes wear the card.

Guarantees: saved time and sessions move on only on basis `anchored` (R6, R7; `bootstrap`
decides); what was verified in this boot, and how often keys were asked for, goes to the
runtime folder, where it outlives the daemon and not the boot (R9, R12).
"""

from collections.abc import Collection, Mapping

from pints.actions import Action, RecordBelief, Save, SaveForBoot, SaveTime
from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.record import QuorumRecord, encode_quorum
from pints.bootstrap.states import Basis, State
from pints.client.association import Association
from pints.client.batches import Batches
from pints.client.names import Names
from pints.client.retry import Backoff, encode_backoffs
from pints.config.tables import Config
from pints.sync.discipline import Discipline
from pints.timescale import DAY, Boot, Instant, Reading, after
from pints.values.files import (
    BACKOFFS_FILE,
    DRIFT_FILE,
    NAMES_FILE,
    QUORUM_FILE,
    json_line,
)

QUORUM_STEP = 60.0
"""The quorum's record is written when it has agreed for this long in a boot, seconds, then when
that has doubled and some: six times in the hour that it may take, and half a short boot's time
is always kept."""


class Saving:
    """The pen of one daemon.  Readings are without slews (`sync.slew`)."""

    def __init__(
        self,
        config: Config,
        bootstrap: Bootstrap,
        discipline: Discipline,
        names: Names,
        batches: Batches,
        now: Boot,
        *,
        boot_id: str,
        board: str,
        durable: bool,
        quorum_kept: bool,
    ) -> None:
        """`quorum_kept`: an earlier daemon or boot has left a record of its quorum."""
        self.batches = batches
        self.due = after(now, config.state.save_interval)
        """When the next regular save is."""
        self._config = config
        self._bootstrap = bootstrap
        self._discipline = discipline
        self._names = names
        self._boot_id = boot_id
        self._board = board
        self._durable = durable
        self._ratcheted = bootstrap.floors.ratcheted
        self._refresh_due = after(now, DAY)
        self.anchored = False
        """Whether sessions were ever saved, or set out to be, in this life."""
        self._quorum_kept = quorum_kept
        self._resumed: float | None = None
        """For how long the quorum had agreed when this life wrote it first, seconds."""
        self._recorded = 0.0
        """How much that was more when it was written last."""

    @property
    def sessions_allowed(self) -> bool:
        """R6, and only where an unlink is for good."""
        return self._bootstrap.anchored and self._durable

    def regular(self, associations: Collection[Association], now: Reading) -> list[Action]:
        """The regular save, if it is due."""
        if now.boot < self.due:
            return []
        self.due = after(now.boot, self._config.state.save_interval)
        return self.everything(associations, now)

    def everything(
        self, associations: Collection[Association], now: Reading, final: bool = False
    ) -> list[Action]:
        """All that is worth keeping.  `final` is a clean stop, when batches that were spent
        are replaced."""
        bootstrap = self._bootstrap
        verified = bootstrap.state is State.VERIFIED
        seen = bootstrap.seen(now.boot)
        self._ratcheted = bootstrap.ratchet(now.boot)
        actions: list[Action] = [SaveTime(self._ratcheted, seen, bootstrap.anchored)]
        if self._discipline.selection is not None and verified:
            drift = {"frequency": self._discipline.frequency, "skew": self._discipline.skew}
            actions.append(Save(DRIFT_FILE, json_line(drift)))
        if bootstrap.belief is not None and verified:
            actions.append(RecordBelief(bootstrap.belief, bootstrap.basis.value))
        if verified and self._names.changed:
            actions.append(Save(NAMES_FILE, self._names.encode()))
        stale = now.boot >= self._refresh_due
        if stale:
            self._refresh_due = after(now.boot, DAY)
        if (stale or final) and self.sessions_allowed:
            files = self.batches.fill(associations, self._config.network, anew=stale)
            actions += [Save(name, data) for name, data in files]
        return actions

    def on_state(self, associations: Collection[Association], now: Reading) -> list[Action]:
        """What a change of trust, or of what is known, brings with it."""
        bootstrap = self._bootstrap
        if bootstrap.anchored and not self.anchored:
            self.anchored = True
            self.batches.expect(now.boot)
            return [
                *self.everything(associations, now), *self._forget_quorum(),
                *self.awaited(associations, now.boot),
            ]  # fmt: skip
        if bootstrap.floors.ratcheted < self._ratcheted:  # R8 has lowered it
            return self.everything(associations, now)
        actions = self._keep_quorum(now)
        if self.batches.due is not None:
            actions += self.awaited(associations, now.boot)
        return actions

    def awaited(self, associations: Collection[Association], now: Boot) -> list[Action]:
        """Batches that wait for sources, once they are complete or late."""
        if not self.sessions_allowed:
            self.batches.give_up(now)
            return []
        files = self.batches.awaited(associations, self._config.network, now)
        return [Save(name, data) for name, data in files]

    def keys_renewed(self, now: Boot) -> None:
        """What is laid aside is older now than what is in use."""
        if self.anchored:
            self.batches.keys_renewed(now)

    def backoffs(self, backoffs: Mapping[str, Backoff]) -> list[Action]:
        """How often keys were asked for (R12), before they are again."""
        return [SaveForBoot(BACKOFFS_FILE, encode_backoffs(backoffs, self._boot_id).encode())]

    def _keep_quorum(self, now: Reading) -> list[Action]:
        """Who verified this boot and has agreed for how long, for the next one to go on with
        (R6): at once and some times more, for many a boot ends by the plug."""
        record = self._bootstrap.quorum(self._boot_id, now.boot)
        if record is None or self._bootstrap.basis is not Basis.WINDOWS:
            return []
        agreed = max(record.agreed.values(), default=0.0)
        if self._resumed is None:
            self._resumed = agreed
        elif agreed - self._resumed < 2 * self._recorded + QUORUM_STEP:
            return []
        self._recorded, self._quorum_kept = agreed - self._resumed, True
        data = encode_quorum(record, self._board)
        return [Save(QUORUM_FILE, data), SaveTime(self._ratcheted, record.time, False)]

    def _forget_quorum(self) -> list[Action]:
        """What is anchored has sessions to confirm it: an old quorum would only help those
        who come by its keys later."""
        if not self._quorum_kept:
            return []
        self._quorum_kept = False
        empty = QuorumRecord(self._boot_id, {}, Instant(0))
        return [Save(QUORUM_FILE, encode_quorum(empty, self._board))]
