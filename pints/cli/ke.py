"""`pints ke`: what a key exchange with a server yields.  No key is ever printed."""

import argparse
import json
import time
import warnings
from typing import TYPE_CHECKING, Any

from pints.cli.options import add_addresses, add_json, add_timeout, add_trusted, port_from
from pints.errors import PeerError
from pints.timescale import Instant, iso, seconds, span
from pints.values.chain import Chain
from pints.wire import ke
from pints.wire.aead import ALGORITHMS

if TYPE_CHECKING:
    from pints.values.worker_tasks import Exchanged


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "ke",
        help="try an NTS key exchange with a server",
        description="Do an NTS key exchange and show what it yields: the certificate chain and "
        "when it is valid, AEAD, cookies, NTP server, timing.  Exit status 1 also if all is well "
        "but for the chain's dates.",
    )
    parser.add_argument("host", metavar="HOST", help="name or address that is in the certificate")
    parser.add_argument(
        "--port", type=port_from(1), default=ke.PORT, metavar="P",
        help="TCP port (default: %(default)s)",
    )  # fmt: skip
    add_trusted(parser)
    add_addresses(parser, "numeric address of HOST to try first")
    add_timeout(parser, 15.0)
    parser.add_argument(
        "--aead", metavar="NAME", action="append", default=[],
        choices=[algorithm.name for algorithm in ALGORITHMS.values()],
        help="AEAD to offer, the preferred first: %(choices)s (default: all)",
    )  # fmt: skip
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exchange keys once and describe it."""
    # Here, not above: every `pints` command would pay for TLS.
    from pints.values.worker_tasks import ExchangeTask, Failed
    from pints.worker.exchange import exchange

    # The libraries' remarks on others' certificates.
    warnings.simplefilter("ignore")
    numbers = {algorithm.name: algorithm.id for algorithm in ALGORITHMS.values()}
    result = exchange(
        ExchangeTask(
            id=0,
            host=args.host,
            port=args.port,
            timeout=args.timeout,
            addresses=tuple(args.address),
            ca=tuple(args.ca),
            algorithms=tuple(numbers[name] for name in args.aead),
        )
    )
    if isinstance(result, Failed):
        raise PeerError(f"{result.step}: {result.reason}", result.hint)
    now = Instant(time.time_ns())
    if args.json:
        print(json.dumps(_facts(result, now), indent=2))
    else:
        print("\n".join(f"{label:<12}{text}" for label, text in _lines(result, now)))
    return 0 if result.chain.good(now, now) else 1


def _lines(result: "Exchanged", now: Instant) -> list[tuple[str, str]]:
    algorithm = ALGORITHMS[result.algorithm].name
    lengths = sorted({len(cookie) for cookie in result.cookies})
    return [
        ("key server", str(result.ke_address)),
        ("certificate", f"by {result.chain.issuer}"),
        *(("valid", f"{iso(w.start)} to {iso(w.end)}") for w in result.chain.windows),
        ("verdict", _verdict(result.chain, now)),
        ("AEAD", algorithm),
        ("cookies", f"{len(result.cookies)} of {' or '.join(map(str, lengths))} octets"),
        ("NTP server", f"{result.server}: {', '.join(map(str, result.addresses))}"),
        ("timing", ", ".join(f"{step} {span(taken)}" for step, taken in result.timing)),
    ]


def _verdict(chain: Chain, now: Instant) -> str:
    window = chain.window(now)
    if window is None:
        return f"good but for the dates: the clock says {iso(now)}"
    return f"good now, and for {span(seconds(window.end - now))} more"


def _facts(result: "Exchanged", now: Instant) -> dict[str, Any]:
    chain = result.chain
    return {
        "ke_address": str(result.ke_address),
        "chain": {
            "issuer": chain.issuer,
            "windows": [{"start": iso(w.start), "end": iso(w.end)} for w in chain.windows],
            "good_now": chain.good(now, now),
            "clock": iso(now),
            "leaf_key": chain.leaf_key,
            "roots": list(chain.roots),
        },
        "aead": ALGORITHMS[result.algorithm].name,
        "cookies": [len(cookie) for cookie in result.cookies],
        "ntp_server": result.server,
        "ntp_addresses": [str(address) for address in result.addresses],
        "timing": {step: round(taken, 6) for step, taken in result.timing},
    }
