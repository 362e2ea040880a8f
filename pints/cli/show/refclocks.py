"""Text of `pints refclocks` and `pints gps`."""

from typing import Any

from pints.cli.show.table import MARKS, ago, failure_lines, if_known, signed, table
from pints.timescale import span

Document = dict[str, Any]
LABEL = 11
SILENT = "nothing understood yet"


def refclocks_text(document: Document) -> str:
    """A line for each receiver."""
    heads = "S", "Name", "Steady", "LastRx", "Offset", "+- Error", "Fix", "Sats"
    rows = [
        [
            row["mark"],
            row["receiver"],
            "yes" if row["steady"] else "no",
            ago(row["last_rx"]),
            if_known(signed, row["offset"]),
            if_known(_error, row["error"]),
            if_known(_yes, (row["details"] or {}).get("fix")),
            if_known(str, (row["details"] or {}).get("satellites")),
        ]
        for row in document["refclocks"]
    ]
    failures = {r["receiver"]: r["failure"] for r in document["refclocks"] if r["failure"]}
    return "\n".join([*table(heads, rows, left=2), MARKS, *failure_lines(failures)])


def gps_text(document: Document) -> str:
    """A paragraph for each receiver that tells of itself."""
    rows = document["refclocks"]
    told = [_paragraph(row, rows) for row in rows if row["details"]]
    failures = {row["receiver"]: row["failure"] for row in rows if row["failure"]}
    if failures:
        told.append("\n".join(failure_lines(failures)))
    return "\n\n".join(told) or "no receiver that tells of itself: pints refclocks"


def _paragraph(row: Document, rows: list[Document]) -> str:
    details = row["details"]
    pulses = [r for r in rows if r["pulses"] and r["numbered_by"] in (None, row["receiver"])]
    lines = [
        ("Fix", _fix(details)),
        ("Time (UTC)", f"{row['time'] or '-'}{'' if row['steady'] else ', not steady'}"),
        ("Offset", _offset(row)),
        *(("Pulses", f"{_offset(r)}, {r['receiver']}") for r in pulses),
        ("Line", f"{if_known(_baud, details['speed'])}, {details['noise']} bytes of noise"),
        ("Sentences", _counts(details["sentences"]) or SILENT),
    ]
    return "\n".join([row["receiver"], *(f"  {label:<{LABEL}}: {text}" for label, text in lines)])


def _fix(details: Document) -> str:
    return f"{_yes(details['fix'])}, {if_known(str, details['satellites'])} satellites"


def _offset(row: Document) -> str:
    return f"{if_known(signed, row['offset'])} {if_known(_error, row['error'])}"


def _counts(sentences: dict[str, int]) -> str:
    most = sorted(sentences.items(), key=lambda one: -one[1])
    return ", ".join(f"{kind} {count}" for kind, count in most)


def _error(error: float) -> str:
    return f"+- {span(error)}"


def _baud(speed: int) -> str:
    return f"{speed} baud"


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
