"""`pints query`: measure servers once, with the daemon's own client code, and set nothing.

Guarantees: all hosts are asked at the same time, and each has its line within the time-out; no
clock is ever set; exit status 0 only if every host answered as it was asked to, which with NTS
means authentically, by a certificate that is good at the time that this machine's clock shows.
"""

import argparse
import json
import sys
import time
from functools import partial
from typing import Any

from pints.cli.client import positive_seconds
from pints.cli.measure import Measurement
from pints.errors import DeviceError
from pints.shell.clock import Clock
from pints.shell.loop import Loop
from pints.shell.software_clock import SoftwareClock
from pints.shell.system_clock import SystemClock
from pints.shell.udp import hold_stamps
from pints.shell.worker import Worker
from pints.timescale import Instant, after
from pints.wire import ke
from pints.worker.messages import Result
from pints.worker.resolve import is_numeric

MAX_SAMPLES = 16


def add(subparsers: Any) -> None:
    """The command's options."""
    parser = subparsers.add_parser(
        "query",
        help="measure servers once; sets nothing",
        description="Measure this machine's clock against servers, once, and set nothing.  Exit "
        "status 0 only if every HOST answered, and authentically where NTS was asked for.",
    )
    parser.add_argument("hosts", metavar="HOST", nargs="+", help="name or address")
    parser.add_argument(
        "--nts", action=argparse.BooleanOptionalAction,
        help="authenticate by NTS (default: only when --ca is given)",
    )  # fmt: skip
    parser.add_argument(
        "--ca", metavar="FILE", action="append", default=[],
        help="trusted certificates, PEM; may be repeated (default: the system's)",
    )  # fmt: skip
    parser.add_argument(
        "--relaxed-dates", action="store_true",
        help="put up with a certificate that is good but for its dates",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=int, default=0, metavar="P", help="NTP port (default: 123, or negotiated)"
    )
    parser.add_argument(
        "--ke-port", type=int, default=ke.PORT, metavar="P",
        help="NTS key exchange's TCP port (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--address", metavar="A", action="append", default=[],
        help="numeric address of the one HOST; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=int, default=4, metavar="N",
        help="requests to each, 2 s apart; the best counts (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=positive_seconds, default=10.0, metavar="S",
        help="seconds for everything together (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=partial(run, parser))


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Measure, and say what came of it."""
    _check(parser, args)
    measurements = measure(_clock(), args)
    if args.json:
        print(json.dumps({"hosts": [one.facts() for one in measurements]}, indent=2))
        return 1 if any(one.failure for one in measurements) else 0
    for one in measurements:
        if one.failure:
            print(f"pints: {one.failure}", file=sys.stderr)
            if one.hint:
                print(f"  {one.hint}", file=sys.stderr)
        else:
            # Flushed: in the order of the command line also where both go to one terminal.
            print("\n".join(one.lines()), flush=True)
    return 1 if any(one.failure for one in measurements) else 0


def measure(clock: Clock, args: argparse.Namespace) -> list[Measurement]:
    """Ask all hosts at once; over when each has its samples or its failure."""
    loop = Loop(clock)
    measurements = [
        Measurement(n, host, args, clock, loop) for n, host in enumerate(dict.fromkeys(args.hosts))
    ]

    def on_result(result: Result) -> None:
        measurements[result.id].on_result(result)

    def end_when_done() -> None:
        if all(one.done for one in measurements):
            loop.stop()

    def begin() -> None:
        for one in measurements:
            one.begin(worker.submit, end_when_done)

    worker = Worker(loop, on_result)
    # The kernel stamps packets while somebody holds such a socket.
    stamps = hold_stamps()
    try:
        loop.call_at(after(clock.boot(), args.timeout), loop.stop)
        loop.call_at(clock.boot(), begin)
        loop.run()
    finally:
        for one in measurements:
            one.finish()
        worker.close()
        loop.close()
        if stamps is not None:
            stamps.close()
    return measurements


def _clock() -> Clock:
    """This machine's, which is only ever read; a copy of it where a sandbox hides the rest."""
    try:
        return SystemClock()
    except DeviceError:
        return SoftwareClock(Instant(time.time_ns()))


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What argparse does not see; ends with exit status 2."""
    if args.ca and args.nts is False:
        parser.error("--ca and --no-nts exclude each other")
    if not 0 <= args.port <= 65535 or not 0 < args.ke_port <= 65535:
        parser.error("a port is a number up to 65535")
    if not 0 < args.samples <= MAX_SAMPLES:
        parser.error(f"--samples: 1 to {MAX_SAMPLES}")
    if args.address and len(set(args.hosts)) > 1:
        parser.error("--address goes with one HOST")
    for address in args.address:
        if not is_numeric(address):
            parser.error(f"--address {address}: not a numeric address")
