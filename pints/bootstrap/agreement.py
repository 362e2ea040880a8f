"""For how long who has agreed: what confirms a quorum that nothing independent does (R6).

Guarantees: a source counts from when it began to agree without a break, undisputed, in a boot
that was told so; what it agreed in earlier boots is added only if its certificate is no older
now than it was then, its dates did not have to be forgiven, and time has not gone back.
"""

from collections.abc import Collection

from pints.bootstrap.certificates import Certificates
from pints.bootstrap.record import QuorumRecord
from pints.timescale import Boot, seconds
from pints.values.belief import Belief


class Agreement:
    """One boot's account, by source."""

    def __init__(self, certificates: Certificates, earlier: QuorumRecord | None) -> None:
        """`earlier` is what an earlier boot has recorded."""
        self._certificates = certificates
        self._earlier = earlier
        self._since: dict[str, Boot] = {}

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
        """The same, in earlier boots."""
        earlier, chain = self._earlier, self._certificates.chains.get(source)
        if earlier is None or chain is None or source in self._certificates.forgiven:
            return 0.0
        if belief is None or belief.low < earlier.time:
            return 0.0
        return earlier.agreed_for(source, chain.leaf_not_before)
