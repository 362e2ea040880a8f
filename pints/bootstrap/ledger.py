"""All evidence of a boot that is no witness's word, by origin: what stands, and what is barred."""

from pints.bootstrap import rules
from pints.bootstrap.rules import Refusal
from pints.timescale import Boot
from pints.values.belief import DRIFT_UNSTEERED, Floors
from pints.values.evidence import Evidence


class Ledger:
    """One entry for each origin: what it said last."""

    def __init__(self) -> None:
        self.said: dict[str, Evidence] = {}
        self._barred: dict[str, Refusal] = {}

    def take(self, said: Evidence | Refusal) -> None:
        """An origin spoke, or was refused."""
        if isinstance(said, Refusal):
            self.said.pop(said.source, None)
            self._barred[said.source] = said
        else:
            self._barred.pop(said.origin, None)
            self.said[said.origin] = said

    def drop(self, origin: str) -> bool:
        """An origin is gone; whether it had anything to say."""
        self._barred.pop(origin, None)
        return self.said.pop(origin, None) is not None

    def within(self, floors: Floors, now: Boot) -> list[Evidence]:
        """What R1 lets in, as it stands at the boot instant `now`."""
        present = [one.at(now, DRIFT_UNSTEERED) for one in self.said.values()]
        return [one for one in present if _beyond(one, floors) is None]

    def refusals(self, floors: Floors, now: Boot) -> list[Refusal]:
        """What is kept out, by R1 and by those who read it."""
        present = (one.at(now, DRIFT_UNSTEERED) for one in self.said.values())
        beyond = (_beyond(one, floors) for one in present)
        return [*self._barred.values(), *(refusal for refusal in beyond if refusal is not None)]


def _beyond(one: Evidence, floors: Floors) -> Refusal | None:
    if one.low is None or one.high is None:
        return None
    return rules.r1_bounds(one.origin, one.low, one.high, floors)
