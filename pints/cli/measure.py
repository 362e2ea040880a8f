"""One host measured once: its requests, its answers, and what they come to.

The daemon's own client does the work (`Association`, `RequestSocket`, `Worker`).  Every
measurement ends in a sample or in one line that says what was wrong; no clock is ever set.
"""

import argparse
import errno
import logging
import os
import select
from collections.abc import Callable
from typing import Any

from pints.client.association import Association, Remark
from pints.client.session import Session
from pints.config.tables import SourceConfig
from pints.restore import build_epoch
from pints.shell.clock import Clock
from pints.shell.loop import Alarm, Loop
from pints.shell.udp import NetError, RequestSocket, Stamp
from pints.timescale import Instant, iso, seconds, span
from pints.values.address import Address
from pints.values.chain import Chain
from pints.values.sample import Sample
from pints.values.worker_tasks import (
    Exchanged,
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    Task,
)
from pints.wire.aead import ALGORITHMS
from pints.wire.ntp import NTP_PORT
from pints.worker.resolve import is_numeric

TASK_SHARE = 0.7
"""Of the time-out, for look-up and key exchange: its failure, which says what is wrong, comes
before ours, which can only say that it is late."""
POLL = 1
"""Log2 seconds between two requests: no faster than the daemon (RFC 8633)."""
_REFUSALS = {
    errno.ECONNREFUSED: "no NTP server listens there: is it running, and on that port?",
    errno.ENETUNREACH: "no route to it: is the network up?",
    errno.EHOSTUNREACH: "no route to it: is the network up?",
    errno.EACCES: "this machine's own firewall forbids it",
    errno.EPERM: "this machine's own firewall forbids it",
}
_STEPS = {
    "resolve": "give its --address to do without name servers",
    "connect": "is the network up, and the port right?",
    "tls": "is it an NTS key server, on that port (4460)?  Does something on the way interfere?",
    "chain": "HOST has to be the name its certificate is for; all else is its operator's to mend",
    "records": "its key server does not keep to RFC 8915: its operator must see to it",
    "resolve-ntp": "its key server sends clients there: its operator must see to it",
}
"""By the worker's step, where the worker has no better hint."""
_BAD_CA = "--ca has to name a PEM file with the trusted certificates"
_OPTIONS = {"`ca`": "--ca", "`addresses`": "--address"}
"""What the keys that the worker's hints name are called on the command line."""


class Measurement:
    """One host.  `args` are those of `pints query`."""

    def __init__(
        self, number: int, host: str, args: argparse.Namespace, clock: Clock, loop: Loop
    ) -> None:
        self.host = host
        self.nts = bool(args.ca) if args.nts is None else bool(args.nts)
        self.done = False
        self.failure = ""
        """Why there is nothing to rely on, in one line; '' if all is well."""
        self.hint = ""
        self._number = number
        self._args = args
        self._clock = clock
        self._loop = loop
        self._client = Association(
            SourceConfig(
                server=host, nts=self.nts, port=args.port, ke_port=args.ke_port, minpoll=POLL
            ),
            os.urandom,
        )
        self._on_done: Callable[[], None] = lambda: None
        self._next = Alarm(loop)
        self._socket: RequestSocket | None = None
        self._sent: Stamp | None = None
        self._chain: Chain | None = None
        self._judged = Instant(0)
        """What this machine's clock said when the certificate was had."""
        self._aead = ""
        self._best: Sample | None = None
        self._offset = 0.0
        """This clock less the best sample's time, seconds."""
        self._address: Address | None = None
        """Where the last request went."""
        self._samples = 0
        self._remark = self._meaning = ""
        self._refusal: NetError | None = None
        self._refusals = 0

    # --- the course of it ----------------------------------------------------------------

    def begin(self, submit: Callable[[Task], None], on_done: Callable[[], None]) -> None:
        """Ask for keys or addresses; a numeric address needs neither."""
        args = self._args
        self._on_done = on_done
        now = self._clock.boot()
        self._client.begin(now)
        self._client.wants_task(now)
        timeout = TASK_SHARE * args.timeout
        if self.nts:
            submit(
                ExchangeTask(
                    self._number, self.host, args.ke_port, timeout, tuple(args.address),
                    tuple(args.ca), tuple(ALGORITHMS), args.port,
                )
            )  # fmt: skip
            return
        port = args.port or NTP_PORT
        numeric = args.address or ([self.host] if is_numeric(self.host) else [])
        if numeric:
            self._client.found_addresses(tuple(Address(a, port) for a in numeric), now)
            self._turn()
        else:
            submit(ResolveTask(self._number, self.host, port, timeout))

    def on_result(self, result: Result) -> None:
        """The worker has what was asked for, or says why not."""
        if self.done:
            return
        now = self._clock.read()
        if isinstance(result, Failed):
            no_anchors = result.step == "chain" and not result.sent_hello
            usual = _BAD_CA if no_anchors else _STEPS.get(result.step, "")
            self._fail(result.reason, result.hint or usual)
        elif isinstance(result, Exchanged):
            algorithm = ALGORITHMS[result.algorithm]
            self._chain, self._judged, self._aead = result.chain, now.real, algorithm.name
            session = Session(
                algorithm, list(result.keys), result.addresses, result.chain,
                list(result.cookies), result.server,
            )  # fmt: skip
            self._client.found_keys(session, now.boot)
            self._turn()
        elif isinstance(result, Resolved):
            self._client.found_addresses(result.addresses, now.boot)
            self._turn()

    def finish(self) -> None:
        """Time is up, or there is nothing more to wait for: judge what there is."""
        if self.done:
            return
        if self._best is None:
            self._explain()
        elif self._chain is not None and not self._in_date() and not self._args.relaxed_dates:
            self._blame_dates(self._chain, self._best)
        self._end()

    def _turn(self) -> None:
        """The next request, or the end: after the last one an interval was waited, too."""
        client = self._client
        request = None
        if client.counters.requests < self._args.samples:
            request = client.poll_request(self._clock.boot())
            due = client.schedule.due
            if request is None and due is not None and due > self._clock.boot():
                # An answer has put off what was to be a repetition.
                self._next.set_at(due, self._turn)
                return
        if request is None:
            self.finish()
            return
        self._close()
        self._address = request.address
        self._socket = RequestSocket(self._clock, request.address)
        sent = self._socket.send(request.packet)
        if isinstance(sent, NetError):
            self._note(sent)
        else:
            self._sent = sent
            self._loop.register(
                self._socket.fileno(), select.POLLIN | select.POLLPRI, self._on_socket
            )
        due = client.due()
        if not self.done and due is not None:
            self._next.set_at(due, self._turn)

    def _on_socket(self, events: int) -> None:
        assert self._socket is not None
        assert self._sent is not None
        if events & (select.POLLERR | select.POLLPRI):
            stamp = self._socket.on_error_queue()
            if isinstance(stamp, Stamp):
                self._sent = stamp
            elif stamp is not None:
                self._close()
                self._note(stamp)
                return
        if not events & select.POLLIN:
            return
        got = self._socket.on_readable()
        if isinstance(got, NetError):
            self._close()
            self._note(got)
        elif got is not None:
            self._take(got[0], self._sent, got[1])

    def _take(self, data: bytes, sent: Stamp, received: Stamp) -> None:
        """An answer: the tightest one counts."""
        leaving, coming = sent.reading, received.reading
        # A clock that woke up in 1970 must not put the server's time into the wrong era.
        near = Instant(max(coming.real, build_epoch()))
        outcome = self._client.receive(data, leaving, coming, sent.error + received.error, near)
        if isinstance(outcome, Remark):
            self._remark = outcome.text.removeprefix(f"{self._client.id}: ")
            self._meaning = outcome.hint
            if outcome.level > logging.DEBUG and not self._client.counters.naks:
                self.finish()  # the server's own word: asking again would change nothing
        elif outcome is None:
            self._remark = self._remark or "answers do not fit the requests"
            self._meaning = self._meaning or "somebody else answers: is this the way to the server?"
        else:
            self._samples += 1
            if self._best is None or outcome.distance < self._best.distance:
                here = Instant((leaving.real + coming.real) // 2)
                self._best, self._offset = outcome, seconds(here - outcome.time)
            if self._samples >= self._args.samples:
                self.finish()

    def _note(self, refusal: NetError) -> None:
        """The network refused a packet: hopeless once it did so for every address."""
        self._refusal = refusal
        self._refusals += 1
        if self._refusals >= len(self._client.addresses) and self._best is None:
            self.finish()

    def _close(self) -> None:
        if self._socket is not None:
            if self._sent is not None:
                self._loop.unregister(self._socket.fileno())
            self._socket.close()
        self._socket = self._sent = None

    def _end(self) -> None:
        self._next.stop()
        self._close()
        self.done = True
        self._on_done()

    # --- what it comes to ----------------------------------------------------------------

    def _fail(self, reason: str, hint: str = "") -> None:
        self.failure = reason
        for key, option in _OPTIONS.items():
            hint = hint.replace(key, option)
        self.hint = hint
        self._end()

    def _explain(self) -> None:
        """No sample: why?"""
        if self._address is None:
            what = "key exchange" if self.nts else "address"
            self.failure = f"{self.host}: no {what} within {self._args.timeout:.3g} s"
            self.hint = "on a slow machine, --timeout gives it longer"
        elif self._refusal is not None and not self._remark:
            self.failure = f"{self.host}: asking {self._address}: {self._refusal}"
            self.hint = _REFUSALS.get(self._refusal.errno, "")
        elif self._remark:
            remark = self._remark.removeprefix("R11: ").partition(";")[0]
            self.failure = f"{self.host}: {self._address}: {remark}"
            self.hint = self._meaning
        else:
            asked = self._client.counters.requests
            count = f"{asked} requests" if asked > 1 else "a request"
            self.failure = f"{self.host}: no answer from {self._address} to {count}"
            self.hint = f"a firewall on the way may drop UDP port {self._address.port}"
            if self._chain is not None and not self._in_date():
                self.hint += f"; and the certificate is {_dates(self._chain)}"
            elif self.nts:
                self.hint = f"the key exchange was good, but {self.hint}"

    def _in_date(self) -> bool:
        return self._chain is None or self._chain.good(self._judged, self._judged)

    def _blame_dates(self, chain: Chain, sample: Sample) -> None:
        self.failure = f"{self.host}: certificate is {_dates(chain)}, {_shown(self._judged)}"
        said = f"the server says it is {iso(sample.time)}"
        if chain.good(sample.time, sample.time):
            self.hint = f"{said}: this machine's clock may be wrong; see --relaxed-dates"
        else:
            self.hint = f"{said}, too: its operator must renew it; see --relaxed-dates"

    def lines(self) -> list[str]:
        """For people; of a host that answered."""
        sample = self._best
        assert sample is not None
        best = f", best of {self._samples} samples" if self._samples > 1 else ""
        found = [
            headline(self.host, self._offset, sample.distance),
            f"  server         {self._address}, stratum {sample.stratum}",
            f"  delay          {span(sample.delay)}{best}",
        ]
        if self._chain is None:
            return [*found, "  authenticated  no: plain NTP, which anybody on the way can forge"]
        return [
            *found,
            f"  authenticated  by NTS, {self._aead}",
            f"  certificate    {self._verdict(self._chain)}",
            f"  issuer         {self._chain.issuer}",
        ]

    def _verdict(self, chain: Chain) -> str:
        window = chain.window(self._judged)
        if window is None:
            return f"good but for the dates: {_dates(chain)}, {_shown(self._judged)}"
        return f"good until {iso(window.end)}"

    def facts(self) -> dict[str, Any]:
        """For programs.  Seconds; `null` for what is not known."""
        sample, chain = self._best, self._chain
        return {
            "host": self.host,
            "good": not self.failure,
            "failure": self.failure or None,
            "hint": self.hint or None,
            "address": str(self._address) if self._address else None,
            "offset": self._offset if sample else None,
            "error": sample.distance if sample else None,
            "delay": sample.delay if sample else None,
            "stratum": sample.stratum if sample else None,
            "samples": self._samples,
            "authenticated": bool(sample and sample.authenticated and self._in_date()),
            "aead": self._aead or None,
            "certificate": chain
            and {
                "issuer": chain.issuer,
                "windows": [[iso(w.start), iso(w.end)] for w in chain.windows],
                "good_now": self._in_date(),
                "clock": iso(self._judged),
            },
        }


def headline(host: str, offset: float, error: float) -> str:
    """First line for people: this clock less the host's, and the offset's error, in seconds."""
    way = "fast" if offset > 0 else "slow"
    return f"{host}: this clock is {span(abs(offset))} {way} of it, within {span(error)}"


def _dates(chain: Chain) -> str:
    return "good " + " and ".join(f"{iso(w.start)} to {iso(w.end)}" for w in chain.windows)


def _shown(clock: Instant) -> str:
    return f"the clock says {iso(clock)}"
