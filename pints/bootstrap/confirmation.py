"""Confirmation and contradiction of a quorum (R6), and so the basis of `verified`.

Independent evidence: saved sessions count one for each witness; the real-time clock, Roughtime
and every trusted receiver count one each.  What is less sure than `rules.CONFIRMS_WITHIN` counts
for nothing.

Without it a quorum confirms itself after an hour.  A source counts from when it began to agree
without a break, undisputed, in a boot that was told so; what it agreed in earlier boots is added
only if its certificate is no older now than it was then, its dates did not have to be forgiven,
and time has not gone back.
"""

from collections.abc import Collection, Iterable, Mapping

from pints.bootstrap import rules
from pints.bootstrap.certificates import Certificates
from pints.bootstrap.quorum import Finding, Testimony
from pints.bootstrap.record import QuorumRecord
from pints.bootstrap.rules import CONFIRMS_WITHIN, Refusal
from pints.bootstrap.states import Basis
from pints.bootstrap.witness import Identity, groups
from pints.lean import dataclass
from pints.timescale import HOUR, Boot, seconds
from pints.values.belief import DRIFT_UNSTEERED, Belief
from pints.values.evidence import Evidence, Strength

ANCHOR_AFTER = HOUR
"""How long the same quorum must go on agreeing to confirm itself, seconds."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """Who confirms a finding and who contradicts it, by name."""

    confirming: tuple[str, ...]
    contradicting: tuple[str, ...]


def weigh(
    finding: Finding,
    testimonies: Mapping[str, Testimony],
    witness_of: Mapping[str, str],
    evidence: Iterable[Evidence],
    now: Boot,
) -> Weighed:
    """What independent evidence says of an agreed interval at the boot instant `now`; nothing
    where nobody agrees on any."""
    if not finding.members:
        return Weighed((), ())
    confirming = {witness_of[s]: s for s in finding.agreeing if testimonies[s].saved}
    against = {witness_of[s]: s for s in finding.dissenters if _speaks_by_session(testimonies[s])}
    names: tuple[list[str], list[str]] = ([], [])
    for one in evidence:
        if one.strength is Strength.INDEPENDENT and one.error <= CONFIRMS_WITHIN:
            present = one.at(now, DRIFT_UNSTEERED)
            names[not present.admits(finding.low, finding.high)].append(one.origin)
    return Weighed(
        (*sorted(confirming.values()), *sorted(names[0])),
        (*sorted(against.values()), *sorted(names[1])),
    )


def _speaks_by_session(testimony: Testimony) -> bool:
    """Whether a word comes by a saved session that may speak for what it says."""
    stated = Belief(testimony.time, testimony.boot, testimony.distance)
    return testimony.saved and any(w.contains(stated.low, stated.high) for w in testimony.windows)


class Confirmation:
    """One boot's account of what its quorum rests on."""

    def __init__(
        self,
        certificates: Certificates,
        earlier: QuorumRecord | None,
        *,
        anchored: bool,
        disputed: bool,
    ) -> None:
        """`earlier` is what an earlier boot has recorded; `anchored` and `disputed` say what an
        earlier daemon of this boot was."""
        self.anchored = anchored
        """Whether this boot was anchored at any time, by this daemon or one before it."""
        self.was_disputed = disputed
        self._certificates = certificates
        self._earlier = earlier
        self._since: dict[str, Boot] = {}
        """When each source that agrees began to."""

    def basis(
        self,
        finding: Finding,
        weighed: Weighed,
        testimonies: Mapping[str, Testimony],
        identities: Mapping[str, Identity],
        belief: Belief,
        needed: int,
    ) -> Basis:
        """Return the basis of `verified` now; once anchored, a boot stays so."""
        if self.anchored or len(weighed.confirming) > len(weighed.contradicting):
            return Basis.ANCHORED
        if weighed.contradicting:
            return Basis.WINDOWS
        # Has the same quorum, strict, agreed for an hour: in this boot, or over several?
        late = {
            s for s in finding.agreeing & testimonies.keys()
            if self.lasted(s, testimonies[s].boot, belief) >= ANCHOR_AFTER
        }  # fmt: skip
        voices = len(set(groups({s: identities[s] for s in late}).values()))
        itself = voices >= needed and not single_issuer(late, testimonies)
        return Basis.ANCHORED if itself else Basis.WINDOWS

    def contradiction(self, finding: Finding, weighed: Weighed) -> Refusal | None:
        """Return what disputes a quorum: a certificate from its future, or independent evidence
        where the quorum has nothing but its windows."""
        if finding.vetoed:
            return next(r for r in finding.refusals if r.rule == "R4")
        if self.anchored:
            return None
        confirming, against = len(weighed.confirming), list(weighed.contradicting)
        if self.was_disputed and confirming <= len(against):
            text = "disputed before pints was started again: only independent evidence ends that"
            return Refusal("R9", "this boot", text)
        return rules.r6_contradiction(confirming, against)

    def begin(self, agreeing: Collection[str], now: Boot) -> None:
        """These agree now and are a quorum: who is new begins, who is not among them ends."""
        self._since = {s: self._since.get(s, now) for s in sorted(agreeing)}

    def keep(self, agreeing: Collection[str]) -> None:
        """These still agree, and are too few: nobody begins."""
        self._since = {s: since for s, since in self._since.items() if s in agreeing}

    def break_off(self) -> None:
        """It was disputed, or nobody could be told: all begin anew."""
        self._since.clear()

    def lasted(self, source: str, now: Boot, belief: Belief | None) -> float:
        """Seconds that a source has agreed, in this boot and those before it."""
        since = self._since.get(source, now)
        return max(seconds(now - since), 0.0) + self._before(source, belief)

    def _before(self, source: str, belief: Belief | None) -> float:
        """Return the seconds that a source has agreed in earlier boots."""
        earlier, chain = self._earlier, self._certificates.chains.get(source)
        if earlier is None or chain is None or source in self._certificates.forgiven:
            return 0.0
        if belief is None or belief.low < earlier.time:
            return 0.0
        return earlier.agreed_for(source, chain.leaf_not_before)


def single_issuer(sources: Iterable[str], testimonies: Mapping[str, Testimony]) -> bool:
    """Whether one root key stands behind all of these sources (R6)."""
    return rules.r6_single_issuer(testimonies[s].roots for s in sources if s in testimonies)
