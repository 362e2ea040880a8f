"""Key exchanges with real TLS servers on loopback, good and bad.

Every bad one has to end in one line, for the right step, long before the test's patience ends.
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from OpenSSL import SSL

from pints.demo.authority import Authority, Issued
from pints.timescale import NS, Instant
from pints.values.address import Address
from pints.values.worker_tasks import Exchanged, ExchangeTask, Failed, Resolved, ResolveTask
from pints.wire import ke
from pints.wire.aead import AES_128_GCM_SIV, AES_SIV_CMAC_256, ALGORITHMS
from pints.worker import exchange as exchange_module
from pints.worker.connect import ATTEMPT_DELAY
from pints.worker.exchange import exchange
from pints.worker.resolve import resolve
from tests.ke_server import COOKIES, GRANT, KeServer, Server, TlsServer

LOOPBACK = "127.0.0.1"
SHORT = 0.3
"""Seconds: what is expected to run out of time does so soon."""
LONG = 10.0
"""Seconds: what is expected to be over long before."""


@pytest.fixture
def site(ca: tuple[Authority, str]) -> Issued:
    return ca[0].issue(["ke.test", LOOPBACK])


@pytest.fixture
def ask(ca: tuple[Authority, str]) -> Callable[..., Exchanged | Failed]:
    def run(port: int, host: str = LOOPBACK, timeout: float = LONG, **more: object) -> object:
        task = ExchangeTask(id=7, host=host, port=port, timeout=timeout, ca=(ca[1],), **more)  # type: ignore[arg-type]
        began = time.monotonic()
        result = exchange(task)
        assert time.monotonic() - began < timeout + 1.0, "the deadline did not hold"
        assert result.id == 7
        return result

    return run  # type: ignore[return-value]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str] | int]:
    """The resolver's world: addresses of a name, or an EAI_* error."""
    world: dict[str, list[str] | int] = {}

    def getaddrinfo(host: str, *_: object, **__: object) -> list[object]:
        known = world.get(host, socket.EAI_NONAME)
        if isinstance(known, int):
            raise socket.gaierror(known, "pretended")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in known]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return world


@contextmanager
def unanswering(host: str = "127.0.0.2", port: int = 0) -> Iterator[int]:
    """A port on which a connection attempt gets no answer at all: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        address = listener.getsockname()
        while True:
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
            # On loopback a connection is made before connect() returns, or not for a second.
            if not select.select([], [sock], [], 0)[1]:
                break
        yield address[1]


def failed(result: Exchanged | Failed, step: str) -> Failed:
    """The failure, which has to be one line that tells what to look at."""
    assert isinstance(result, Failed), result
    assert result.step == step, result
    assert result.reason.isprintable()
    return result


def good(result: Exchanged | Failed) -> Exchanged:
    assert isinstance(result, Exchanged), result
    return result


# What works


def test_keys_and_cookies(ask: Callable[..., Exchanged | Failed], site: Issued) -> None:
    with KeServer(site) as server:
        result = good(ask(server.port))
    assert result.algorithm == AES_SIV_CMAC_256
    assert result.keys == (server.keys[AES_SIV_CMAC_256],)
    assert result.cookies == COOKIES
    assert result.addresses == (Address(LOOPBACK, 123),)
    assert result.server == LOOPBACK
    assert result.ke_address == Address(LOOPBACK, server.port)
    assert result.chain.leaf_not_before == Instant(946_684_800 * NS)
    assert [step for step, _ in result.timing] == ["resolve", "connect", "tls", "chain", "records"]
    assert server.requests[0].algorithms == tuple(ALGORITHMS)
    assert server.server_names == [None], "no SNI for an address"


@pytest.mark.skipif(AES_128_GCM_SIV not in ALGORITHMS, reason="library without AES-GCM-SIV")
@pytest.mark.parametrize("compliant", [True, False])
def test_gcm_siv_keys(
    ask: Callable[..., Exchanged | Failed], site: Issued, compliant: bool
) -> None:
    response = ke.Response(AES_128_GCM_SIV, COOKIES, compliant_export=compliant)
    with KeServer(site, response) as server:
        result = good(ask(server.port, algorithms=(AES_128_GCM_SIV, AES_SIV_CMAC_256)))
    assert result.algorithm == AES_128_GCM_SIV
    assert len(result.keys) == (1 if compliant else 2)
    assert result.keys[-1] == server.keys[AES_128_GCM_SIV]


def test_offered_algorithms_are_the_tasks(
    ask: Callable[..., Exchanged | Failed], site: Issued
) -> None:
    with KeServer(site) as server:
        good(ask(server.port, algorithms=(AES_SIV_CMAC_256,)))
    assert server.requests[0].algorithms == (AES_SIV_CMAC_256,)


def test_name_is_sent_and_all_its_addresses_returned(
    ask: Callable[..., Exchanged | Failed], site: Issued, names: dict[str, list[str] | int]
) -> None:
    names["ke.test"] = [LOOPBACK, "127.0.0.3"]
    with KeServer(site) as server:
        result = good(ask(server.port, "ke.test"))
    assert server.server_names == [b"ke.test"]
    assert result.addresses == (Address(LOOPBACK, 123), Address("127.0.0.3", 123))
    assert result.server == "ke.test"


def test_known_address_does_without_the_resolver(
    ask: Callable[..., Exchanged | Failed], site: Issued, names: dict[str, list[str] | int]
) -> None:
    names["ke.test"] = socket.EAI_AGAIN
    with KeServer(site) as server:
        assert good(ask(server.port, "ke.test", addresses=(LOOPBACK,))).ke_address.host == LOOPBACK


def test_known_address_does_not_wait_for_a_hanging_resolver(
    ask: Callable[..., Exchanged | Failed], site: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hanging_resolver(monkeypatch), KeServer(site) as server:
        result = good(ask(server.port, "ke.test", addresses=(LOOPBACK,)))
    assert result.addresses == (Address(LOOPBACK, 123),)


@contextmanager
def hanging_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    release = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        release.wait(LONG)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        yield
    finally:
        release.set()


def test_dead_address_costs_a_fraction_of_a_second(
    ask: Callable[..., Exchanged | Failed], site: Issued, names: dict[str, list[str] | int]
) -> None:
    with KeServer(site) as server, unanswering("127.0.0.2", server.port):
        names["ke.test"] = ["127.0.0.2", LOOPBACK]
        began = time.monotonic()
        result = good(ask(server.port, "ke.test"))
        assert ATTEMPT_DELAY <= time.monotonic() - began < 4 * ATTEMPT_DELAY
    assert result.addresses == (Address(LOOPBACK, 123), Address("127.0.0.2", 123))


def test_refusing_address_costs_nothing(
    ask: Callable[..., Exchanged | Failed], site: Issued, names: dict[str, list[str] | int]
) -> None:
    with KeServer(site) as server:
        names["ke.test"] = [LOOPBACK]
        began = time.monotonic()
        good(ask(server.port, "ke.test", addresses=("127.0.0.4", "127.0.0.5", "127.0.0.6")))
        assert time.monotonic() - began < 2 * ATTEMPT_DELAY


def test_redirection_to_another_server_and_port(
    ask: Callable[..., Exchanged | Failed], site: Issued, names: dict[str, list[str] | int]
) -> None:
    names["ntp.test"] = ["192.0.2.1", "192.0.2.2"]
    with KeServer(site, ke.Response(AES_SIV_CMAC_256, COOKIES, "ntp.test", 4123)) as server:
        result = good(ask(server.port))
        assert result.addresses == (Address("192.0.2.1", 4123), Address("192.0.2.2", 4123))
        assert result.server == "ntp.test"
        result = good(ask(server.port, ntp_port=5123))
        assert {address.port for address in result.addresses} == {5123}
    with KeServer(site, ke.Response(AES_SIV_CMAC_256, COOKIES, "2001:db8::1")) as server:
        result = good(ask(server.port))
        assert result.addresses == (Address("2001:db8::1", 123),)


def test_answer_in_single_octets(ask: Callable[..., Exchanged | Failed], site: Issued) -> None:
    def trickle(connection: SSL.Connection) -> None:
        connection.recv(4096)
        for octet in ke.encode_response(GRANT):
            connection.sendall(bytes([octet]))
        connection.recv(1)

    with TlsServer(site, trickle) as server:
        assert good(ask(server.port)).cookies == COOKIES


def test_without_threads(site: Issued, ca: tuple[Authority, str]) -> None:
    with KeServer(site) as server:
        task = ExchangeTask(1, LOOPBACK, server.port, LONG, ca=(ca[1],))
        threads = threading.active_count()
        good(exchange(task, threaded=False))
        assert threading.active_count() == threads


def test_expired_chain_is_left_to_the_daemon(
    ask: Callable[..., Exchanged | Failed], ca: tuple[Authority, str]
) -> None:
    year_2001 = Instant(978_307_200 * NS)
    with KeServer(ca[0].issue([LOOPBACK], not_after=year_2001)) as server:
        assert good(ask(server.port)).chain.end == year_2001


# What does not, step by step


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        (socket.EAI_NONAME, "no such name", "spelling"),
        (socket.EAI_NODATA, "no address", ""),
        (socket.EAI_AGAIN, "name servers", "addresses"),
        (socket.EAI_FAIL, "name servers", "addresses"),
        (socket.EAI_MEMORY, "look-up failed", "addresses"),
    ],
)
def test_unknown_host(
    ask: Callable[..., Exchanged | Failed],
    names: dict[str, list[str] | int],
    code: int,
    what: str,
    hint: str,
) -> None:
    names["ke.test"] = code
    result = failed(ask(1, "ke.test"), "resolve")
    assert result.reason.startswith("ke.test: ")
    assert what in result.reason
    assert hint in result.hint
    assert not result.sent_hello


def test_dnssec_is_named_where_resolved_runs(
    names: dict[str, list[str] | int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names["ntp.test"] = socket.EAI_AGAIN
    for folder, told in ((tmp_path, True), (tmp_path / "missing", False)):
        monkeypatch.setattr("pints.worker.resolve._RESOLVED", str(folder))
        result = resolve(ResolveTask(1, "ntp.test", 123, LONG))
        assert isinstance(result, Failed)
        assert ("SYSTEMD_NSS_RESOLVE_VALIDATE=0" in result.hint) == told


@pytest.mark.parametrize("host", ["a..test", "x" * 64 + ".test", "zeit.österreich"])
def test_impossible_name(ask: Callable[..., Exchanged | Failed], host: str) -> None:
    assert host in failed(ask(1, host), "resolve").reason


def test_hanging_resolver(
    ask: Callable[..., Exchanged | Failed], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hanging_resolver(monkeypatch):
        failed(ask(1, "ke.test", SHORT), "resolve")
        assert isinstance(resolve(ResolveTask(1, "ntp.test", 123, SHORT)), Failed)


def test_plain_look_up(names: dict[str, list[str] | int]) -> None:
    names["ntp.test"] = ["192.0.2.1", "2001:db8::1"]
    expected = (Address("192.0.2.1", 123), Address("2001:db8::1", 123))
    for threaded in (True, False):
        task = ResolveTask(3, "ntp.test", 123, LONG)
        assert resolve(task, threaded) == Resolved(3, expected)


def test_closed_port(ask: Callable[..., Exchanged | Failed]) -> None:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        result = failed(ask(bound.getsockname()[1]), "connect")
    assert "refused" in result.reason
    assert "4460" in result.hint
    assert not result.sent_hello


def test_port_that_never_answers(ask: Callable[..., Exchanged | Failed]) -> None:
    with unanswering() as port:
        result = failed(ask(port, "127.0.0.2", SHORT), "connect")
    assert "no answer" in result.reason
    assert "firewall" in result.hint
    assert not result.sent_hello


def test_missing_ca_file(ask: Callable[..., Exchanged | Failed]) -> None:
    result = exchange(ExchangeTask(7, LOOPBACK, 1, LONG, ca=("/nonexistent.pem",)))
    assert "/nonexistent.pem" in failed(result, "chain").reason


def listen(sock: socket.socket) -> None:
    """And say nothing."""
    while sock.recv(1 << 16):
        pass


def test_silent_port(ask: Callable[..., Exchanged | Failed]) -> None:
    with Server(listen) as server:
        result = failed(ask(server.port, timeout=SHORT), "tls")
    assert "no complete answer" in result.reason
    assert result.sent_hello


def test_step_does_not_get_all_the_time(
    ask: Callable[..., Exchanged | Failed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "STEP_LIMIT", SHORT)
    with Server(listen) as server:
        began = time.monotonic()
        failed(ask(server.port), "tls")
        assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\1\2\r\n", b"HTTP/1.1 400 "])
def test_plain_text_port(ask: Callable[..., Exchanged | Failed], banner: bytes) -> None:
    def greet(sock: socket.socket) -> None:
        sock.sendall(banner)
        sock.recv(1 << 16)

    with Server(greet) as server:
        result = failed(ask(server.port), "tls")
    assert "does not speak TLS" in result.reason
    assert result.sent_hello


@pytest.mark.parametrize(
    "garbage", [b"\x16" * 4000, b"\x15\x03\x03\x00\x02\x02\x46", b"\x16\x03\x03"]
)
def test_garbage_that_begins_like_tls(
    ask: Callable[..., Exchanged | Failed], garbage: bytes
) -> None:
    def answer(sock: socket.socket) -> None:
        sock.recv(1 << 16)
        sock.sendall(garbage)

    with Server(answer) as server:
        failed(ask(server.port), "tls")


def test_tls_1_2_only(ask: Callable[..., Exchanged | Failed], site: Issued) -> None:
    with TlsServer(site, lambda c: None, version=SSL.TLS1_2_VERSION) as server:
        result = failed(ask(server.port), "tls")
    assert "TLS 1.3" in result.reason


@pytest.mark.parametrize("alpn", [b"", b"h2"])
def test_no_ntske(ask: Callable[..., Exchanged | Failed], site: Issued, alpn: bytes) -> None:
    with KeServer(site, alpn=alpn) as server:
        result = failed(ask(server.port), "tls")
    assert "no NTS key exchange" in result.reason
    assert "4460" in result.hint
    assert not server.requests


def test_reset(ask: Callable[..., Exchanged | Failed]) -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(10)  # closing with octets unread makes a reset of it

    with Server(reset) as server:
        result = failed(ask(server.port), "tls")
    assert "reset" in result.reason


def test_early_end(ask: Callable[..., Exchanged | Failed], site: Issued) -> None:
    def hang_up(sock: socket.socket) -> None:
        sock.recv(1 << 16)

    with Server(hang_up) as server:
        assert "closed" in failed(ask(server.port), "tls").reason

    def break_off(connection: SSL.Connection) -> None:
        connection.recv(4096)
        connection.sendall(ke.encode_response(GRANT)[:50])
        connection.shutdown()

    with TlsServer(site, break_off) as server2:
        assert "closed" in failed(ask(server2.port), "records").reason


def test_wrong_name_is_known_before_anything_is_asked(
    ask: Callable[..., Exchanged | Failed], ca: tuple[Authority, str]
) -> None:
    with KeServer(ca[0].issue(["another.test"])) as server:
        result = failed(ask(server.port), "chain")
    assert result.reason == f"{LOOPBACK}: certificate is for another.test, not {LOOPBACK}"
    assert result.sent_hello
    assert not server.requests


def test_unknown_issuer(ask: Callable[..., Exchanged | Failed]) -> None:
    with KeServer(Authority("somebody").issue([LOOPBACK])) as server:
        result = failed(ask(server.port), "chain")
    assert "somebody" in result.reason
    assert "`ca`" in result.hint
    assert not server.requests


def test_endless_trickle(ask: Callable[..., Exchanged | Failed], site: Issued) -> None:
    def trickle(connection: SSL.Connection) -> None:
        connection.recv(4096)
        record = ke.encode([ke.Record(ke.RecordType.NEW_COOKIE, bytes(8000))])
        for octet in record:
            connection.sendall(bytes([octet]))
            if select.select([connection], [], [], 0.01)[0]:
                return

    with TlsServer(site, trickle) as server:
        assert "no complete answer" in failed(ask(server.port, timeout=SHORT), "records").reason


def test_endless_answer(ask: Callable[..., Exchanged | Failed], site: Issued) -> None:
    def flood(connection: SSL.Connection) -> None:
        connection.recv(4096)
        while True:
            connection.sendall(ke.encode([ke.Record(5, bytes(1000))])[:-4])

    with TlsServer(site, flood) as server:
        assert "too long" in failed(ask(server.port), "records").reason


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (ke.encode_error(ke.BAD_REQUEST), "bad request"),
        (ke.encode([]), "without next protocol"),
        (ke.encode_response(ke.Response(AES_SIV_CMAC_256, ())), "without a usable cookie"),
        (ke.encode_response(ke.Response(17, COOKIES)), "not offered"),
    ],
)
def test_refusals_and_nonsense(
    ask: Callable[..., Exchanged | Failed], site: Issued, answer: bytes, what: str
) -> None:
    with KeServer(site, answer) as server:
        assert what in failed(ask(server.port), "records").reason


def test_redirection_into_nowhere(
    ask: Callable[..., Exchanged | Failed], site: Issued, names: dict[str, list[str] | int]
) -> None:
    with KeServer(site, ke.Response(AES_SIV_CMAC_256, COOKIES, "gone.test")) as server:
        assert "gone.test" in failed(ask(server.port), "resolve-ntp").reason
