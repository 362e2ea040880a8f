"""`pints query`: measure servers once, with the daemon's own client code, and set nothing.

Guarantees: all hosts are asked at the same time, and each has its line within the time-out; no
clock is ever set; exit status 0 only if every host answered as it was asked to, which with NTS
means authentically, by a certificate that is good at the time that this machine's clock shows.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from pints.cli.measure import Measurement, headline
from pints.cli.options import (
    MAX_PORT,
    add_addresses,
    add_json,
    add_timeout,
    add_trusted,
    port_from,
)
from pints.config.options import decode_key
from pints.errors import ConfigError, DeviceError, PeerError
from pints.shell.clock import Clock
from pints.shell.loop import Loop
from pints.shell.software_clock import SoftwareClock
from pints.shell.system_clock import SystemClock
from pints.shell.udp import hold_stamps
from pints.shell.worker import Worker
from pints.timescale import Instant, after, iso, nanoseconds, seconds, span
from pints.values.worker_tasks import Result, RoughtimeServer
from pints.wire import ke, roughtime
from pints.worker.deadline import Deadline
from pints.worker.resolve import Lookup, is_numeric
from pints.worker.roughtime import Reply, ask

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
    add_trusted(parser)
    parser.add_argument(
        "--relaxed-dates", action="store_true",
        help="put up with a certificate that is good but for its dates",
    )  # fmt: skip
    parser.add_argument(
        "--roughtime", action="store_true",
        help="ask the one HOST[:PORT] by Roughtime (RFC 10049); goes with --key",
    )  # fmt: skip
    parser.add_argument(
        "--key", metavar="K", default="",
        help="the Roughtime server's long-term public key, base64 or hex",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=port_from(0), default=0, metavar="P",
        help="NTP port (default: 123, or negotiated), or Roughtime's (default: 2002)",
    )  # fmt: skip
    parser.add_argument(
        "--ke-port", type=port_from(1), default=ke.PORT, metavar="P",
        help="NTS key exchange's TCP port (default: %(default)s)",
    )  # fmt: skip
    add_addresses(parser, "numeric address of the one HOST")
    parser.add_argument(
        "--samples", type=int, default=4, metavar="N",
        help="requests to each, 2 s apart; the best counts (default: %(default)s)",
    )  # fmt: skip
    add_timeout(parser, 10.0)
    add_json(parser)
    parser.set_defaults(run=partial(run, parser))


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Measure, and say what came of it."""
    _check(parser, args)
    measurements: Sequence[Measurement | RoughtimeMeasurement]
    if args.roughtime:
        measurements = [RoughtimeMeasurement(args, _clock())]
    else:
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


class RoughtimeMeasurement:
    """One Roughtime server asked once, when this is made."""

    def __init__(self, args: argparse.Namespace, clock: Clock) -> None:
        host, port = split_port(args.hosts[0])
        self.failure = ""
        """Why there is nothing to rely on, in one line; '' if all is well."""
        self.hint = ""
        self._server = RoughtimeServer(
            host, args.port or port or roughtime.PORT, decode_key(args.key) or b"", operator=""
        )
        self._reply: Reply | None = None
        self._offset = 0.0
        """This clock less the server's, seconds."""
        try:
            deadline = Deadline(args.timeout)
            hosts = args.address or Lookup(host).wait(deadline)
            reply = ask(self._server, hosts, os.urandom(roughtime.NONCE_LENGTH), deadline)
        except PeerError as e:
            self.failure, self.hint = str(e), e.hint.replace("the key", "--key")
            self.hint = self.hint.replace("`addresses` beside the name", "its --address")
            return
        self._reply = reply
        heard = clock.read().real - nanoseconds(time.monotonic() - reply.received)
        self._offset = seconds(heard - reply.answer.midpoint) - reply.round_trip / 2

    @property
    def _error(self) -> float:
        """Of the offset, seconds, if the server is honest."""
        assert self._reply is not None
        return self._reply.answer.radius + self._reply.round_trip / 2

    def lines(self) -> list[str]:
        """For people; of a host that answered."""
        assert self._reply is not None
        answer = self._reply.answer
        return [
            headline(self._server.host, self._offset, self._error),
            f"  server         {self._reply.address}, Roughtime version {answer.version.name}",
            f"  midpoint       {iso(answer.midpoint)}, radius {span(answer.radius)}",
            f"  delay          {span(self._reply.round_trip)}",
            "  authenticated  by signatures of its key and of the one delegated",
            f"  delegation     good {iso(answer.mint)} to {iso(answer.maxt)}",
        ]

    def facts(self) -> dict[str, Any]:
        """For programs.  Seconds; `null` for what is not known."""
        reply = self._reply
        return {
            "host": self._server.host,
            "good": not self.failure,
            "failure": self.failure or None,
            "hint": self.hint or None,
            "address": str(reply.address) if reply else None,
            "offset": self._offset if reply else None,
            "error": self._error if reply else None,
            "delay": reply.round_trip if reply else None,
            "authenticated": reply is not None,
            "roughtime": reply
            and {
                "version": reply.answer.version.number,
                "midpoint": iso(reply.answer.midpoint),
                "radius": reply.answer.radius,
                "delegation": [iso(reply.answer.mint), iso(reply.answer.maxt)],
            },
        }


def split_port(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT, or either with an address in brackets; 0 for no port."""
    host, colon, port = text.rpartition(":")
    if not colon or is_numeric(text) or text.endswith("]"):
        host, port = text, "0"
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise ConfigError(f"{text}: a port is a number up to {MAX_PORT}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _clock() -> Clock:
    """This machine's, which is only ever read; a copy of it where a sandbox hides the rest."""
    try:
        return SystemClock()
    except DeviceError:
        return SoftwareClock(Instant(time.time_ns()))


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What argparse does not see; ends with exit status 2."""
    if args.roughtime:
        if args.nts or args.ca or args.relaxed_dates:
            parser.error("--roughtime goes with no option of NTS")
        if len(args.hosts) != 1:
            parser.error("--roughtime asks one HOST")
        if decode_key(args.key) is None:
            parser.error("--roughtime needs --key: 32 octets in base64 or hex")
        split_port(args.hosts[0])
    elif args.key:
        parser.error("--key goes with --roughtime")
    if args.ca and args.nts is False:
        parser.error("--ca and --no-nts exclude each other")
    if not 0 < args.samples <= MAX_SAMPLES:
        parser.error(f"--samples: 1 to {MAX_SAMPLES}")
    if args.address and len(set(args.hosts)) > 1:
        parser.error("--address goes with one HOST")
    for address in args.address:
        if not is_numeric(address):
            parser.error(f"--address {address}: not a numeric address")
