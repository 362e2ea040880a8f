"""Known addresses beside the resolver's: whoever is dead, the other one is connected to."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pints.demo.authority import Authority, Issued
from pints.errors import PeerError
from pints.values.address import Address
from pints.values.worker_tasks import Exchanged, ExchangeTask, Failed, ResolveTask
from pints.wire import ke
from pints.wire.aead import AES_SIV_CMAC_256
from pints.worker.connect import ATTEMPT_DELAY, Race
from pints.worker.deadline import Deadline
from pints.worker.exchange import exchange
from pints.worker.resolve import Lookup, resolve
from tests.ke_server import COOKIES, KeServer

LOOPBACK = "127.0.0.1"
DEAD = "127.0.0.2"
LATE = 0.1
"""Seconds that the resolver takes."""
LONG = 10.0
SOON = 4 * ATTEMPT_DELAY


class Resolver:
    """Stands in for getaddrinfo: after `delay` seconds (None: never) addresses, or an error."""

    def __init__(self) -> None:
        self.names: dict[str, list[str] | int] = {}
        self.delay: float | None = 0.0
        self.asked: list[str] = []
        self.over = threading.Event()

    def __call__(self, host: str, *_: object, **__: object) -> list[object]:
        self.asked.append(host)
        self.over.wait(LONG if self.delay is None else self.delay)
        found = self.names.get(host, socket.EAI_NONAME)
        if isinstance(found, int):
            raise socket.gaierror(found, "pretended")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    fake = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", fake)
    yield fake
    fake.over.set()


@contextmanager
def listening(host: str = LOOPBACK, port: int = 0) -> Iterator[int]:
    with socket.create_server((host, port)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def silent(port: int, *hosts: str) -> Iterator[None]:
    """Addresses that do not even refuse: their queues are full."""
    with ExitStack() as stack:
        for host in hosts:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(0)
            connected = True
            while connected:
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex((host, port))
                connected = bool(select.select([], [sock], [], 0)[1])
        yield


def raced(port: int, *known: str, within: float = LONG) -> tuple[str, float, Race]:
    """Who won, after how many seconds."""
    began = time.monotonic()
    race = Race(known, Lookup("ke.test"), port)
    sock, address = race.run(Deadline(within))
    sock.close()
    return address.host, time.monotonic() - began, race


@pytest.mark.parametrize("delay", [0.3, None])
def test_a_known_address_does_not_wait_for_the_resolver(
    resolver: Resolver, delay: float | None
) -> None:
    resolver.delay = delay
    with listening() as port:
        host, took, race = raced(port, LOOPBACK)
    assert host == LOOPBACK
    assert took < ATTEMPT_DELAY
    assert not race.resolver_works


@pytest.mark.parametrize("dead", [(DEAD,), (DEAD, "127.0.0.3", "127.0.0.4", "127.0.0.5")])
def test_dead_known_addresses_cost_a_quarter_of_a_second(
    resolver: Resolver, dead: tuple[str, ...]
) -> None:
    """However many there are."""
    resolver.names["ke.test"] = [LOOPBACK]
    resolver.delay = LATE
    with listening() as port, silent(port, *dead):
        host, took, race = raced(port, *dead)
        assert host == LOOPBACK
        assert ATTEMPT_DELAY <= took < 2 * ATTEMPT_DELAY
    assert race.alive(LOOPBACK) == (LOOPBACK, *dead[1:]), "who had its chance is dropped"


def test_dead_addresses_of_the_resolver_do_not_hide_a_known_one(resolver: Resolver) -> None:
    resolver.names["ke.test"] = [DEAD, "127.0.0.3"]
    with listening() as port, silent(port, DEAD, "127.0.0.3", "127.0.0.4"):
        host, took, race = raced(port, "127.0.0.4", LOOPBACK)
        assert host == LOOPBACK
        assert took < SOON
    assert race.alive(LOOPBACK) == (LOOPBACK, DEAD, "127.0.0.3")


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME])
def test_a_known_address_does_where_the_resolver_fails(resolver: Resolver, error: int) -> None:
    resolver.names["ke.test"] = error
    with listening() as port, silent(port, DEAD):
        assert raced(port, DEAD, LOOPBACK)[0] == LOOPBACK


def test_both_failures_are_told(resolver: Resolver) -> None:
    resolver.names["ke.test"] = socket.EAI_AGAIN
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        with pytest.raises(PeerError, match=r"refused.*name servers") as refused:
            raced(bound.getsockname()[1], LOOPBACK)
    assert "is the network up" in refused.value.hint
    unanswered = pytest.raises(PeerError, match=r"no answer from.*name servers")
    with listening() as port, silent(port, DEAD), unanswered as late:
        raced(port, DEAD, within=0.5)
    assert "firewall" in late.value.hint
    assert "`addresses`" in late.value.hint


# --- the NTP server's name --------------------------------------------------------------------


@pytest.fixture
def site(ca: tuple[Authority, str]) -> Issued:
    return ca[0].issue(["ke.test"])


Ask = Callable[..., Exchanged | Failed]


@pytest.fixture
def ask(ca: tuple[Authority, str], site: Issued) -> Ask:
    def run(ntp_server: str, *known: str, timeout: float = LONG) -> Exchanged | Failed:
        with KeServer(site, ke.Response(AES_SIV_CMAC_256, COOKIES, ntp_server)) as server:
            return exchange(ExchangeTask(1, "ke.test", server.port, timeout, known, ca=(ca[1],)))

    return run


@pytest.mark.parametrize("name", ["ke.test", "KE.test.", ""])
def test_the_same_host_is_not_looked_up_again(resolver: Resolver, ask: Ask, name: str) -> None:
    resolver.names["ke.test"] = [LOOPBACK, DEAD]
    result = ask(name)
    assert isinstance(result, Exchanged)
    assert [address.host for address in result.addresses] == [LOOPBACK, DEAD]
    assert resolver.asked == ["ke.test"]


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME])
def test_keys_are_not_thrown_away_for_a_dead_resolver(
    resolver: Resolver, ask: Ask, error: int
) -> None:
    resolver.names["ke.test"] = resolver.names["ntp.test"] = error
    result = ask("ntp.test", LOOPBACK, DEAD)
    assert isinstance(result, Exchanged)
    assert result.addresses == (Address(LOOPBACK, 123), Address(DEAD, 123))
    assert result.server == "ntp.test"


def test_nor_for_one_that_hangs(
    resolver: Resolver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pints.worker.exchange.STEP_LIMIT", 0.5)
    resolver.delay = None
    result = ask("ntp.test", LOOPBACK)
    assert isinstance(result, Exchanged)
    assert result.addresses == (Address(LOOPBACK, 123),)


def test_a_resolver_that_works_is_believed(resolver: Resolver, ask: Ask) -> None:
    resolver.names["ke.test"] = [LOOPBACK]
    result = ask("gone.test")
    assert isinstance(result, Failed)
    assert result.step == "resolve-ntp"
    assert "gone.test" in result.reason


# --- what helps -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME])
def test_a_resolver_that_validates_is_named(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: int
) -> None:
    """SERVFAIL over DNS; its NSS module says that there is no such name."""
    resolver.names["ntp.test"] = error
    for folder, told in ((tmp_path, True), (tmp_path / "missing", False)):
        monkeypatch.setattr("pints.worker.resolve._RESOLVED", str(folder))
        result = resolve(ResolveTask(1, "ntp.test", 123, LONG))
        assert isinstance(result, Failed)
        for word in ("resolvectl", "SYSTEMD_NSS_RESOLVE_VALIDATE=0", "libnss-resolve"):
            assert (word in result.hint) == told
