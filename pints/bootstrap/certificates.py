"""The certificate chains of a boot: who has shown which, and which were forgiven their dates.

Guarantees: a chain is let in only by R4 and R5; one that was let in in spite of its dates is
remembered, to be judged again when the time is known (R6), and its word is not strict.  Of each
source the newest chain is kept for R4, whether it may be used or not, as long as the boot
lasts: an older one that is shown after it takes nothing back.
"""

import logging
from collections.abc import Collection

from pints.actions import Log
from pints.bootstrap import rules
from pints.bootstrap.rules import Refusal
from pints.errors import UntrustedTimeError
from pints.timescale import Instant, iso
from pints.values.belief import Belief
from pints.values.chain import Chain


class Certificates:
    """By source.  All chains are good for the right name and anchor, but maybe for their dates."""

    def __init__(self, strict: bool) -> None:
        """`strict`: no relaxed exchange is wanted (`relaxed_dates = "never"`)."""
        self.chains: dict[str, Chain] = {}
        """Those that may be used."""
        self._newest: dict[str, Chain] = {}
        """The one issued last of all that each has shown, good but maybe for its dates (R4)."""
        self.forgiven: set[str] = set()
        """Sources whose dates were ever forgiven in this boot."""
        self.before_floor: set[str] = set()
        """Sources whose chain ended before the floor (R8 wonders which of both is wrong)."""
        self._relaxed: set[str] = set()
        self._strict = strict

    def admit(
        self, source: str, chain: Chain, at: Belief, believed: bool, witness: bool, floor: Instant
    ) -> list[Log]:
        """Let a chain in that its source has shown.  It is judged `at` what is `believed` or
        merely restored.  UntrustedTimeError if its keys may not be used."""
        if refusal := rules.r4_expired(source, chain, floor):
            if witness:
                self.before_floor.add(source)
            raise _untrusted(
                refusal,
                "its operator must renew it; or, if it is the floor that is wrong: "
                "pints restore --forget",
            )
        self.before_floor.discard(source)
        known = self._newest.get(source)
        if known is None or known.leaf_not_before < chain.leaf_not_before:
            self._newest[source] = chain
        vetoes = believed and witness
        if vetoes and (refusal := rules.r4_future(source, chain, at.low, at.high)):
            raise _untrusted(refusal, "a witness from the future disputes what is believed")
        if refusal := rules.r5_dates(source, chain, at, believed, self._strict):
            advice = 'set relaxed_dates = "until-verified", or wait for its dates'
            raise _untrusted(refusal, "its operator must renew it" if believed else advice)
        self.chains[source] = chain
        if chain.good(at.low, at.high):
            self._relaxed.discard(source)
            return []
        self._relaxed.add(source)
        self.forgiven.add(source)
        dates = rules.spell(chain.windows)
        text = f"{source}: certificate good {dates}: judged again when the time is known"
        return [Log(logging.INFO, text)]

    def judge_again(self, belief: Belief) -> tuple[list[Refusal], list[Log]]:
        """R6: when a belief stands, all are held against it.  Those refused are gone."""
        verdicts = [rules.r6_strict(s, chain, belief) for s, chain in sorted(self.chains.items())]
        refused = [verdict for verdict in verdicts if verdict is not None]
        for refusal in refused:
            del self.chains[refusal.source]
        good = ", ".join(sorted(self._relaxed & self.chains.keys()))
        self._relaxed.clear()
        text = f"R6: judged again at {iso(belief.time)} and good: {good}"
        return refused, [Log(logging.INFO, text)] if good else []

    def newest(self, sources: Collection[str]) -> dict[str, Chain]:
        """The chain issued last that each of these has shown, whether it may be used or not."""
        return {s: chain for s, chain in self._newest.items() if s in sources}

    def of(self, sources: Collection[str]) -> dict[str, Chain]:
        """The chains of these sources that may be used."""
        return {s: chain for s, chain in self.chains.items() if s in sources}


def _untrusted(refusal: Refusal, hint: str) -> UntrustedTimeError:
    return UntrustedTimeError(refusal.rule, refusal.text, hint)
