"""What the witnesses say together: rules R1 to R4 over their testimonies, and nothing else.

A pure function of what was said; the state machine in `engine` decides what follows from it.
The rules themselves are in `rules`; here is the order in which they speak.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pints.bootstrap import rules
from pints.bootstrap.rules import Refusal
from pints.bootstrap.witness import Identity, groups
from pints.lean import dataclass
from pints.timescale import Boot, Instant, nanoseconds, seconds, span
from pints.values.belief import Belief, Floors
from pints.values.chain import Chain, Window

DISAGREEMENT = 5e-3
"""Added to every interval that votes, seconds.  Honest servers on a short path differ by more
than they admit; the question here is what time it is, not what microsecond."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """One witness's latest word: at `boot`, true time was within `distance` s of `time`."""

    source: str
    boot: Boot
    time: Instant
    distance: float
    windows: tuple[Window, ...]
    """Instants for which it may speak: its chain's, or a saved session's 28 days."""
    saved: bool
    """By a saved session, so without any certificate's date."""
    roots: tuple[str, ...] = ()
    barred: Refusal | None = None
    """Why it has no vote whatever it says (R10)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands once the rules have spoken."""

    low: Instant
    high: Instant
    """The agreed interval; meaningless without members."""
    members: frozenset[str]
    """Sources that agree, one for each witness."""
    agreeing: frozenset[str]
    """All sources that agree, also where several are one witness."""
    dissenters: frozenset[str]
    """Sources that say another time than the agreed one, or than this boot has verified."""
    refusals: tuple[Refusal, ...]
    vetoed: bool = False
    """By R4: nothing may be believed."""

    @property
    def middle(self) -> Instant:
        return Instant((self.low + self.high) // 2)

    @property
    def half_width(self) -> float:
        return seconds(self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Terms:
    """What testimonies are held against."""

    floors: Floors
    max_distance: float
    drift: float
    """Growth of a testimony's bound with its age."""
    belief: Belief | None = None
    """From earlier in this boot: what contradicts it does not vote (R9)."""


def deliberate(
    testimonies: Iterable[Testimony],
    identities: Mapping[str, Identity],
    chains: Mapping[str, Chain],
    terms: Terms,
    now: Boot,
) -> Finding:
    """Find what the most witnesses agree on at the boot instant `now`, under R1 to R4.

    `identities` tell which of them are one witness; `chains` are all that were shown and are
    good but, maybe, for their dates, whether their servers answer or not.
    """
    refusals: list[Refusal] = []
    silenced: dict[str, Belief] = {}
    voting: dict[str, tuple[Testimony, Belief]] = {}
    for testimony in testimonies:
        stated = Belief(testimony.time, testimony.boot, testimony.distance, terms.drift)
        grown = stated.at(now)
        refusal = _admit(testimony, grown, terms)
        if refusal is not None:
            refusals.append(refusal)
            narrow = 2 * stated.error <= terms.max_distance
            if refusal.rule == "R9" or (refusal.rule == "R2" and narrow):
                # Without a vote for what this boot has verified, or for its age, it still dissents.
                silenced[testimony.source] = grown
        else:
            wide = replace(grown, error=grown.error + DISAGREEMENT)
            voting[testimony.source] = (testimony, wide)
    while True:
        finding = _agree(voting, identities, terms)
        liars = _outside_windows(finding, voting)
        if not liars:
            break
        # R3: they leave the quorum, not the number of witnesses; the rest agree anew.
        for liar in liars:
            refusals.append(liar)
            del voting[liar.source]
    dissenters = finding.dissenters | {
        source
        for source, said in silenced.items()
        if said.high < finding.low or finding.high < said.low
    }
    veto = _from_the_future(finding, chains) if finding.members else []
    return Finding(
        finding.low, finding.high, finding.members, finding.agreeing, dissenters,
        (*refusals, *finding.refusals, *veto), bool(veto),
    )  # fmt: skip


def _admit(said: Testimony, grown: Belief, terms: Terms) -> Refusal | None:
    """Why a testimony may not vote; None if it may."""
    return (
        rules.r1_bounds(said.source, grown.low, grown.high, terms.floors)
        or rules.r2_width(said.source, grown.error, terms.max_distance)
        or rules.r9_contradicts(said.source, grown, terms.belief, terms.max_distance)
        or said.barred
    )


def _agree(
    voting: Mapping[str, tuple[Testimony, Belief]], identities: Mapping[str, Identity], terms: Terms
) -> Finding:
    """Marzullo over the sources, counted by witness.

    Sources that are one witness are one voice on whichever side they stand: a second name
    adds nothing.  Who is one with whom is asked of each side by itself, so that nobody makes
    twins of two others by passing for both.  Of equally many voices the narrowest intersection
    wins, then the earliest.
    """
    nobody: frozenset[str] = frozenset()
    if not voting:
        return Finding(Instant(0), Instant(0), nobody, nobody, nobody, ())
    reference = min(belief.time for _, belief in voting.values())
    intervals: dict[str, tuple[float, float]] = {}
    for source, (_, belief) in voting.items():
        offset = seconds(belief.time - reference)
        intervals[source] = (offset - belief.error, offset + belief.error)
    found: tuple[int, float, float, frozenset[str]] | None = None
    for start in sorted({low for low, _ in intervals.values()}):
        agreeing = frozenset(s for s, (low, high) in intervals.items() if low <= start <= high)
        voices = len(set(_witnesses(agreeing, identities).values()))
        end = min(intervals[s][1] for s in agreeing)
        if found is None or (-voices, end - start) < (-found[0], found[2] - found[1]):
            found = voices, start, end, agreeing
    assert found is not None, "there is at least one interval"
    _, start, end, agreeing = found
    low = max(Instant(reference + nanoseconds(start)), terms.floors.hard)
    high = min(Instant(reference + nanoseconds(end)), terms.floors.ceiling)
    witness_of = _witnesses(agreeing, identities)
    members: dict[str, str] = {}
    for source in sorted(agreeing, key=lambda s: (voting[s][1].error, s)):
        members.setdefault(witness_of[source], source)
    outvoted = []
    for source in sorted(set(intervals) - agreeing):
        away = (sum(intervals[source]) - start - end) / 2
        outvoted.append(Refusal("R2", source, f"outvoted, {span(away)} off what others agree on"))
    dissenters = frozenset(intervals) - agreeing
    return Finding(low, high, frozenset(members.values()), agreeing, dissenters, tuple(outvoted))


def _witnesses(sources: Iterable[str], identities: Mapping[str, Identity]) -> dict[str, str]:
    """Each source's witness, as far as these sources alone tell."""
    return groups({source: identities[source] for source in sources})


def _outside_windows(
    finding: Finding, voting: Mapping[str, tuple[Testimony, Belief]]
) -> list[Refusal]:
    """R3: those whose certificate (or saved session) may not speak for the agreed time."""
    verdicts = [
        rules.r3_window(source, said.windows, said.saved, finding.low, finding.high)
        for source in sorted(finding.agreeing)
        for said in (voting[source][0],)
    ]
    return [liar for liar in verdicts if liar is not None]


def _from_the_future(finding: Finding, chains: Mapping[str, Chain]) -> list[Refusal]:
    """R4: a certificate cannot come from the future, whoever shows it."""
    verdicts = [
        rules.r4_future(source, chain, finding.low, finding.high)
        for source, chain in sorted(chains.items())
    ]
    return [veto for veto in verdicts if veto is not None]
