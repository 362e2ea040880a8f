"""Roughtime (RFC 10049): when its servers are asked, and what they say together (R2, R4).

They are asked at the start with everything else, then at growing intervals until the time is
anchored, and not after: they would have nothing to add.

Guarantees:
- Evidence comes only from a quorum: a majority of all operators that are configured, whether
  they answer or not, and no fewer than three.  However many servers an operator runs, it is one.
- The interval holds every instant that a quorum holds for possible: not only those that the most
  do, or one liar who is off by little would move it off true time.
- An operator counts by readings of two rounds or more that all share one instant.
- Nothing counts that lies wholly below the hard floor or above the ceiling, or that was signed
  by a key whose delegation had ended before the floor: such a key may be anybody's by now.
- Each reading that is kept out is named with its rule and figures (R13).
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from pints.actions import Action, Log, Save, Start
from pints.bootstrap.engine import Bootstrap
from pints.bootstrap.restoring import ROUGHTIME
from pints.bootstrap.rules import Refusal
from pints.bootstrap.witness import registrable_domain
from pints.client.retry import Retry
from pints.config.options import decode_key
from pints.config.tables import RoughtimeConfig
from pints.timescale import Boot, Instant, Reading, iso, nanoseconds, seconds, span
from pints.values.belief import DRIFT_UNSTEERED, Floors
from pints.values.evidence import Evidence, Strength
from pints.values.files import MALFEASANCE_FILE
from pints.values.worker_tasks import (
    Failed,
    Result,
    RoughtimeHeard,
    RoughtimeReading,
    RoughtimeServer,
    RoughtimeTask,
)

LEAST_OPERATORS = 3
"""RFC 10049 section 8.1."""
ROUNDS = 2
"""Of readings that an operator must have: all contradictions show only in two (section 8.2)."""
TIMEOUT = 20.0
"""Seconds for two rounds, a dead server or two among them."""
SLEPT = 1.0
"""The worker ages its readings by a clock that stops in sleep: after a sleep longer than this,
seconds, they are worth nothing."""
WIDEST = 60.0
"""Seconds around the middle: who is less sure agrees with everybody, so it has no vote.
Honest servers claim 1 to 10 s."""
DELIVERY = 1.0
"""Seconds that a result may have been on its way from the worker, which its `age` lacks."""


class RoughtimePoll:
    """Asks all servers, one after the other, in the worker, and judges what they answer."""

    def __init__(
        self,
        servers: Sequence[RoughtimeConfig],
        bootstrap: Bootstrap,
        entropy: Callable[[int], bytes],
        now: Reading,
    ) -> None:
        self._servers = tuple(
            RoughtimeServer(s.server, s.port, key, s.operator or registrable_domain(s.server))
            for s in servers
            if (key := decode_key(s.key)) is not None
        )
        self._operators = len({server.operator for server in self._servers})
        self._bootstrap = bootstrap
        self._retry = Retry(entropy)
        self._asked = now
        """When a task was started last."""
        if self._operators >= LEAST_OPERATORS:
            self._retry.want(now.boot)

    def due(self) -> Boot | None:
        """When `act` has something to do next."""
        return None if self._retry.running or self._bootstrap.anchored else self._retry.due

    def act(self, number: Callable[[], int], now: Reading) -> list[Action]:
        """Ask the servers, if that is due; `number` yields one for the task."""
        if self._bootstrap.anchored or not self._retry.start(now.boot, burdens=True):
            return []
        self._asked = now
        return [Start(RoughtimeTask(number(), self._servers, ROUNDS, TIMEOUT))]

    def network_changed(self, now: Boot) -> None:
        """The network came up: a server that could not be reached may be reachable."""
        self._retry.hasten(now)

    def handle(self, result: Result, now: Reading) -> list[Action]:
        """The servers answered: a quorum of their operators is independent evidence."""
        slept = seconds(now.boot - self._asked.boot) - seconds(now.raw - self._asked.raw)
        if not isinstance(result, RoughtimeHeard) or slept > SLEPT:
            reason = result.reason if isinstance(result, Failed) else "the machine slept meanwhile"
            self._retry.failed(True, now.boot)
            return [Log(logging.WARNING, f"roughtime: {reason}")]
        floors = self._bootstrap.lenient_floors
        evidence, refusals = judge(result.readings, self._operators, floors, now.boot)
        actions: list[Action] = [Log(logging.WARNING, str(r), r.rule) for r in refusals]
        actions += [Log(logging.INFO, f"roughtime: {line}") for line in result.failures]
        if result.malfeasance:
            actions.append(Save(MALFEASANCE_FILE, result.malfeasance.encode()))
            text = f"roughtime: servers contradict each other: proof kept as {MALFEASANCE_FILE}"
            actions.append(Log(logging.ERROR, text))
        if evidence is None:
            self._retry.failed(True, now.boot)
            return actions
        self._retry.succeeded()
        return actions + self._bootstrap.offer(evidence, now)


def judge(
    readings: Iterable[RoughtimeReading],
    configured: int,
    floors: Floors,
    now: Boot,
    operators_needed: int = LEAST_OPERATORS,
) -> tuple[Evidence | None, list[Refusal]]:
    """What the readings of one result come to at the boot instant `now`, when it arrived.

    `configured` is the number of operators in the configuration.
    """
    words, refusals = _by_operator(readings, floors, now)
    if not words:
        return None, refusals
    needed = max(operators_needed, LEAST_OPERATORS, configured // 2 + 1)
    said = words.values()
    most = max(_voices(low, said) for low, _ in said)
    if most < needed:
        text = f"{most} of {configured} operators agree, {needed} are needed"
        refusals.append(Refusal("R2", ROUGHTIME, text))
        return None, refusals
    low = min(low for low, _ in said if _voices(low, said) >= needed)
    high = max(high for _, high in said if _voices(high, said) >= needed)
    for operator, (own_low, own_high) in sorted(words.items()):
        if own_high < low or high < own_low:
            away = seconds(own_low + own_high - low - high) / 2
            text = f"outvoted, {span(away)} off what other operators agree on"
            refusals.append(_refuse("R2", operator, text))
    high = Instant(high + nanoseconds(DELIVERY))
    return Evidence(ROUGHTIME, Strength.INDEPENDENT, now, low, high), refusals


def _by_operator(
    readings: Iterable[RoughtimeReading], floors: Floors, now: Boot
) -> tuple[dict[str, tuple[Instant, Instant]], list[Refusal]]:
    """What each operator that may vote says of the boot instant `now`."""
    refusals: list[Refusal] = []
    rounds: dict[str, set[int]] = {}
    words: dict[str, tuple[Instant, Instant]] = {}
    for reading in readings:
        low, high = _at(reading, now)
        refusal = _admit(reading, low, high, floors)
        if refusal is not None:
            refusals.append(refusal)
            continue
        operator = reading.operator
        rounds.setdefault(operator, set()).add(reading.round)
        known = words.get(operator, (low, high))
        words[operator] = max(low, known[0]), min(high, known[1])
    for operator, (low, high) in list(words.items()):
        text = ""
        if low > high:
            text = f"contradicts itself by {span(seconds(low - high))}"
        elif len(rounds[operator]) < ROUNDS:
            text = f"answered in {len(rounds[operator])} of {ROUNDS} rounds"
        if text:
            refusals.append(_refuse("R2", operator, text))
            del words[operator]
    return words, refusals


def _voices(instant: Instant, said: Collection[tuple[Instant, Instant]]) -> int:
    """How many hold an instant for possible."""
    return sum(low <= instant <= high for low, high in said)


def _at(reading: RoughtimeReading, now: Boot) -> tuple[Instant, Instant]:
    """What it says of the boot instant `now`."""
    passed, drift = nanoseconds(reading.age), nanoseconds(DRIFT_UNSTEERED * reading.age)
    return Instant(reading.low + passed - drift), Instant(reading.high + passed + drift)


def _admit(
    reading: RoughtimeReading, low: Instant, high: Instant, floors: Floors
) -> Refusal | None:
    """Why a reading that says `low` to `high` may not vote; None if it may."""
    if reading.maxt < floors.hard:
        text = f"delegation ended {iso(reading.maxt)}, before the floor {iso(floors.hard)}"
        return _refuse("R4", reading.host, text)
    if high < floors.hard:
        return _refuse("R1", reading.host, f"{iso(high)} is below the floor {iso(floors.hard)}")
    if low > floors.ceiling:
        text = f"{iso(low)} is above the ceiling {iso(floors.ceiling)}"
        return _refuse("R1", reading.host, text)
    error = seconds(high - low) / 2
    if error > WIDEST:
        text = f"known to {span(error)} only, {span(WIDEST)} at most may vote"
        return _refuse("R2", reading.host, text)
    return None


def _refuse(rule: str, who: str, text: str) -> Refusal:
    return Refusal(rule, f"{ROUGHTIME} {who}", text)
