"""The documents of `pints tracking`, `pints sources` and `pints authdata`."""

from pints.core.core import Core
from pints.report.cells import Document, age, failure
from pints.timescale import Reading, iso, seconds


def tracking(core: Core, rate: float, now: Reading) -> Document:
    """`pints tracking`.  `rate`: the fraction by which the system clock outruns the crystal."""
    selection = core.discipline.selection
    document: Document = {
        "state": core.bootstrap.state.value,
        "reference": None,
        "stratum": 0,
        "offset": core.steering.offset(now),
        "last_offset": core.steering.last_offset if core.steering.last_update else None,
        "deviation": None,
        "frequency_ppm": None,
        "skew_ppm": None,
        "rate_ppm": rate * 1e6,
        "error_bound": None,
        "error_interval": None,
        "last_update": None,
        "last_update_age": None,
    }
    if selection is None:
        return document
    best = core.discipline.last(selection.best)
    document |= {
        "reference": selection.best,
        "stratum": best.stratum + 1 if best else 0,
        "deviation": selection.deviation,
        "frequency_ppm": core.discipline.frequency * 1e6,
        "skew_ppm": core.discipline.skew * 1e6,
        "error_bound": core.steering.bound(now),
        "error_interval": core.steering.interval(now),
    }
    if core.steering.last_update is not None:
        document["last_update"] = iso(core.steering.last_update.real)
        document["last_update_age"] = seconds(now.boot - core.steering.last_update.boot)
    return document


def sources(core: Core, now: Reading) -> Document:
    """`pints sources`."""
    rows = []
    for association in core.associations.values():
        known = core.discipline.sources.get(association.id)
        sample = known.last if known else None
        true = core.discipline.true_time(sample.raw) if sample else None
        rows.append(
            {
                "mark": core.mark(association.id),
                "source": association.id,
                "address": str(association.addresses[0]) if association.addresses else None,
                "stratum": sample.stratum if sample else 0,
                "poll": association.poll,
                "reach": association.reach,
                "last_rx": age(association.last_answer, now.boot),
                # chrony's sign: positive when the source is ahead of what is believed.
                "offset": seconds(sample.time - true) if sample and true else None,
                "residual": known.estimator.residual if known else None,
                "error": sample.distance if sample else None,
                "delay": sample.delay if sample else None,
                "authenticated": association.config.nts,
                "interleaved": association.counters.interleaved,
                "failure": failure(association),
            }
        )
    return {"sources": rows}


def authdata(core: Core, now: Reading) -> Document:
    """`pints authdata`."""
    rows = []
    for association in core.associations.values():
        session, counters = association.session, association.counters
        cookies = session.cookies if session else []
        rows.append(
            {
                "source": association.id,
                "mode": "NTS" if association.config.nts else "-",
                "key_id": counters.exchanges,
                "type": session.algorithm.id if session else 0,
                "key_length": session.algorithm.key_length * 8 if session else 0,
                "last": age(counters.last_exchange, now.boot),
                "attempts": association.attempts,
                "naks": counters.naks,
                "cookies": len(cookies),
                "cookie_length": len(cookies[0]) if cookies else 0,
                "saved_session": bool(session and session.saved),
            }
        )
    return {"sources": rows}
