"""What `pints refclocks` and `pints gps` tell of each receiver."""

from collections.abc import Callable, Mapping
from dataclasses import fields

from pints.config.tables import RefclockConfig, locks
from pints.drivers import Details
from pints.evidence.refclocks import Refclocks
from pints.report.cells import Document
from pints.sync.discipline import Discipline
from pints.sync.select import UNUSABLE
from pints.timescale import Reading, iso, seconds


def rows_of(
    configs: tuple[RefclockConfig, ...],
    receivers: Refclocks,
    discipline: Discipline,
    details: Callable[[str], Details | None],
    failing: Mapping[str, tuple[str, str]],
    now: Reading,
) -> list[Document]:
    """A row for each that is configured.  `failing`: by part, why it does not work
    and what mends it."""
    marks = discipline.selection.marks if discipline.selection else {}
    rows = []
    for config in configs:
        name = config.id
        said = receivers.standing(name)
        true = discipline.true_time(said.at.raw) if said else None
        reason, hint = failing.get(name, ("", ""))
        rows.append(
            {
                "mark": marks.get(name, UNUSABLE),
                "receiver": name,
                "driver": config.driver,
                "device": config.device,
                "steady": bool(said and said.steady),
                "pulses": bool(said and said.pulses),
                "numbered_by": next(iter(locks(config, configs)), None),
                "last_rx": seconds(now.boot - said.at.boot) if said else None,
                "time": iso(said.time) if said else None,
                # As of sources: positive when it is ahead of what is believed.
                "offset": seconds(said.time - true) if said and true else None,
                "error": said.error if said else None,
                "details": _details(details(name)),
                "failure": {"reason": reason, "hint": hint} if reason else None,
            }
        )
    return rows


def _details(known: Details | None) -> Document | None:
    if known is None:
        return None
    shown = {field.name: getattr(known, field.name) for field in fields(known)}
    return shown | {"sentences": dict(known.sentences)}
