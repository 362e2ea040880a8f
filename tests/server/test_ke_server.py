"""The real NTS-KE server, and the clients that it must survive."""

import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL

from pints.errors import WireError
from pints.server.cookies import RING, ROTATION
from pints.server.ke_server import MAX_SESSIONS
from pints.timescale import Instant
from pints.wire import ke
from pints.wire.aead import AES_128_GCM_SIV, ALGORITHMS, Aead
from tests.server.ke_client import connect, context, exchange, read_all, records, talk
from tests.server.ke_process import Running, Site, refusal, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Running]:
    with running(site) as server:
        yield server
        assert server.end() == "", "strangers' mistakes are not logged"


@pytest.fixture
def serving(server: Running, site: Site) -> Iterator[Running]:
    """The server, which must serve after the test as well."""
    yield server
    exchange(server.port, site.anchors)


# Good clients


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda a: a.name)
def test_eight_cookies_that_hold_the_keys_both_ends_exported(
    serving: Running, site: Site, algorithm: object
) -> None:
    number = next(id for id, known in ALGORITHMS.items() if known is algorithm)
    got = exchange(serving.port, site.anchors, ke.Request((number,)))
    assert len(set(got.response.cookies)) == 8
    assert (got.response.server, got.response.port) == ("", 123)
    assert got.response.compliant_export == (number == AES_128_GCM_SIV)
    nonce = bytes(ALGORITHMS[number].nonce_length)
    for cookie in got.response.cookies:
        session = site.ring.open(cookie)
        assert session is not None
        assert session.c2s.seal(nonce, b"x", b"") == Aead(session.c2s.algorithm, got.c2s).seal(
            nonce, b"x", b""
        )
        assert session.s2c.seal(nonce, b"x", b"") == Aead(session.s2c.algorithm, got.s2c).seal(
            nonce, b"x", b""
        )


@pytest.mark.skipif(AES_128_GCM_SIV not in ALGORITHMS, reason="no AES-128-GCM-SIV here")
def test_an_older_chrony_gets_the_keys_of_its_own_context(serving: Running, site: Site) -> None:
    """It does not ask for the RFC's, so its reply does not promise it."""
    request = ke.Request((AES_128_GCM_SIV,), compliant_export=False)
    got = exchange(serving.port, site.anchors, request)
    assert not got.response.compliant_export
    session = site.ring.open(got.response.cookies[0])
    assert session is not None
    # `exchange` exported as chrony does.
    assert session.c2s.seal(bytes(12), b"", b"") == Aead(session.c2s.algorithm, got.c2s).seal(
        bytes(12), b"", b""
    )


def test_the_first_algorithm_that_both_have_is_taken(serving: Running, site: Site) -> None:
    got = exchange(serving.port, site.anchors, ke.Request((9999, 15, 30)))
    assert got.response.algorithm == 15


def test_ntp_server_and_port_are_told(site: Site) -> None:
    with running(site, ntp_port=11123, ntp_server="ntp.test") as server:
        response = exchange(server.port, site.anchors).response
        assert (response.server, response.port) == ("ntp.test", 11123)


def test_a_client_slow_with_its_records_is_waited_for(serving: Running, site: Site) -> None:
    sock, tls = connect(serving.port, context(site.anchors))
    with sock:
        for octet in ke.encode_request(ke.Request((15,))):
            tls.sendall(bytes([octet]))
        assert len(ke.decode_response(records(read_all(tls)), (15,)).cookies) == 8


def test_a_session_is_never_resumed(serving: Running, site: Site) -> None:
    client = ssl.create_default_context(cafile=str(site.anchors))
    client.set_alpn_protocols([ke.ALPN.decode()])
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", serving.port), 10) as sock,
            client.wrap_socket(sock, server_hostname="127.0.0.1", session=session) as tls,
        ):
            assert tls.version() == "TLSv1.3"
            tls.sendall(ke.encode_request(ke.Request((15,))))
            while tls.recv(4096):
                pass
            assert not tls.session_reused
            session = tls.session


# Clients with nothing in common


def test_no_common_algorithm_is_an_empty_list(serving: Running, site: Site) -> None:
    answer = records(talk(serving.port, site.anchors, ke.encode_request(ke.Request((9999,)))))
    assert [(r.type, r.body) for r in answer] == [(1, b"\0\0"), (4, b"")]


def test_no_common_protocol_is_an_empty_list(serving: Running, site: Site) -> None:
    request = [
        ke.Record(ke.RecordType.NEXT_PROTOCOL, b"\x80\x01", critical=True),
        ke.Record(ke.RecordType.AEAD_ALGORITHM, b"\0\x0f", critical=True),
    ]
    answer = records(talk(serving.port, site.anchors, ke.encode(request)))
    assert [(r.type, r.body) for r in answer] == [(1, b"")]


# Clients that are wrong


NTPV4 = ke.Record(ke.RecordType.NEXT_PROTOCOL, b"\0\0", critical=True)
AEAD_SIV = ke.Record(ke.RecordType.AEAD_ALGORITHM, b"\0\x0f", critical=True)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (ke.encode([NTPV4, AEAD_SIV, ke.Record(999, b"", critical=True)]), 0),
        (ke.encode([NTPV4]), 1),
        (ke.encode([]), 1),
        (ke.encode([NTPV4, AEAD_SIV, ke.Record(ke.RecordType.NEW_COOKIE, b"mine")]), 1),
        (ke.encode([NTPV4, NTPV4, AEAD_SIV]), 1),
        (b"\x80\0\0\4oops", 1),
        (b"\x40\0\xff\xff" + bytes(5000), 1),
    ],
    ids=[
        "unknown critical record",
        "no AEAD",
        "empty",
        "cookie",
        "two protocol records",
        "malformed end",
        "oversize",
    ],
)
def test_a_bad_request_gets_its_error(
    serving: Running, site: Site, message: bytes, code: int
) -> None:
    answer = records(talk(serving.port, site.anchors, message))
    assert [(r.type, r.body, r.critical) for r in answer] == [(2, bytes([0, code]), True)]


def test_more_than_the_answer_leaves_room_for_is_thrown_away(serving: Running, site: Site) -> None:
    sock, tls = connect(serving.port, context(site.anchors))
    with sock:
        tls.sendall(ke.encode_request(ke.Request((15,))) + bytes(1000))
        assert len(ke.decode_response(records(read_all(tls)), (15,)).cookies) == 8


def alert(port: int, tls_context: SSL.Context) -> str:
    """The handshake's failure as the client sees it, at once or with the first octet."""
    try:
        sock, tls = connect(port, tls_context)
        with sock:
            tls.recv(1)
    except SSL.Error as e:
        return str(e)
    raise AssertionError("the server does not mind")


def test_another_alpn_gets_the_alert_for_it(serving: Running, site: Site) -> None:
    said = alert(serving.port, context(site.anchors, alpn=[b"h2", b"http/1.1"]))
    assert "no application protocol" in said.replace("_", " ")


def test_without_alpn_nothing_is_said(serving: Running, site: Site) -> None:
    sock, tls = connect(serving.port, context(site.anchors, alpn=[]))
    with sock:
        with contextlib.suppress(SSL.Error, OSError):
            tls.sendall(ke.encode_request(ke.Request((15,))))
        assert read_all(tls) == b""


def test_ntske_among_others_is_chosen(serving: Running, site: Site) -> None:
    sock, tls = connect(serving.port, context(site.anchors, alpn=[b"h2", ke.ALPN]))
    with sock:
        assert tls.get_alpn_proto_negotiated() == ke.ALPN


def test_tls_1_2_gets_the_alert_for_it(serving: Running, site: Site) -> None:
    old = context(site.anchors)
    old.set_max_proto_version(SSL.TLS1_2_VERSION)
    assert "protocol version" in alert(serving.port, old).replace("_", " ")


def garbage(sock: socket.socket) -> None:
    sock.sendall(bytes(range(256)) * 64)


def plain_text(sock: socket.socket) -> None:
    sock.sendall(b"GET / HTTP/1.1\r\nHost: pool.test\r\n\r\n")


def a_huge_hello(sock: socket.socket) -> None:
    """Handshake records that announce 16 MiB and begin to deliver."""
    sock.sendall(b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(16380))


def nothing(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def a_reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("say", [garbage, plain_text, a_huge_hello, nothing])
def test_who_speaks_no_tls_is_hung_up_on_without_a_reset(
    serving: Running, say: Callable[[socket.socket], None]
) -> None:
    """A reset would overtake the alert that explains it."""
    with socket.create_connection(("127.0.0.1", serving.port), 10) as sock:
        began = time.monotonic()
        say(sock)
        while sock.recv(4096):
            pass
        assert time.monotonic() - began < 3


def test_a_reset_after_half_a_hello_is_survived(serving: Running) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), 10) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        a_reset(sock)


def test_idle_connections_make_room_for_who_comes_to_the_point(server: Running, site: Site) -> None:
    with contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            for _ in range(MAX_SESSIONS + 40)
        ]
        # Half a ClientHello each: they look busy.
        for sock in idle[-30:]:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        for _ in range(3):
            exchange(server.port, site.anchors)
        assert idle[0].recv(1) == b"", "the oldest was hung up on"


@pytest.mark.slow
def test_who_trickles_or_says_nothing_is_hung_up_on_and_delays_nobody(
    server: Running, site: Site
) -> None:
    address = "127.0.0.1", server.port
    with (
        socket.create_connection(address, 10) as silent,
        socket.create_connection(address, 10) as trickling,
    ):
        trickling.settimeout(0.2)
        began = time.monotonic()
        for octet in b"\x16\x03\x01\x02\x00\x01" + bytes(500):
            try:
                trickling.sendall(bytes([octet]))
                if not trickling.recv(1):
                    break
            except TimeoutError:
                pass
            except ConnectionError:
                break
            if octet == 3:
                exchange(server.port, site.anchors)
        assert 4.5 < time.monotonic() - began < 7
        assert silent.recv(1) == b""
        assert time.monotonic() - began < 7


# What changes while it serves


def test_a_rotated_ring_seals_at_once(site: Site) -> None:
    with running(site) as server:
        ring = site.ring.rotated(Instant(ROTATION), os.urandom)
        assert ring is not None
        site.save_ring(ring)
        cookie = exchange(server.port, site.anchors).response.cookies[0]
        assert cookie[:4] == ring.keys[0].id.to_bytes(4, "big")
        assert site.ring.open(cookie) is None
        (site.keys / RING).write_bytes(b"torn")
        cookie = exchange(server.port, site.anchors).response.cookies[0]
        assert ring.open(cookie) is not None
        exchange(server.port, site.anchors)
        assert server.end().count("the keys before it stay in use") == 1
    site.save_ring(site.ring)


def serial(port: int, ca: Path) -> int:
    sock, tls = connect(port, context(ca))
    with sock:
        certificate = tls.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return certificate.serial_number


def test_sighup_reads_a_renewed_certificate_and_survives_a_bad_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with running(site) as server:
        first = serial(server.port, site.anchors)
        site.renew()
        server.process.send_signal(signal.SIGHUP)
        second = eventually_other(first, server.port, site.anchors)
        site.key.write_bytes(b"half a key")
        server.process.send_signal(signal.SIGHUP)
        assert serial(server.port, site.anchors) == second
        assert "the certificate before it stays in use" in server.end()


def eventually_other(first: int, port: int, ca: Path) -> int:
    for _ in range(100):
        now = serial(port, ca)
        if now != first:
            return now
        time.sleep(0.05)
    raise AssertionError("the certificate did not change")


# Start and end


def test_it_ends_with_its_parent(site: Site) -> None:
    with running(site) as server:
        server.parent.close()
        assert server.process.wait(timeout=5) == 0


def test_networks_that_are_not_allowed_are_hung_up_on(site: Site) -> None:
    with (
        running(site, allow="192.0.2.0/24") as server,
        socket.create_connection(("127.0.0.1", server.port), 10) as sock,
        contextlib.suppress(ConnectionError),
    ):
        assert sock.recv(1) == b""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"certificate": "/nonexistent.crt"}, "certificate /nonexistent.crt: No such file"),
        ({"key": "/nonexistent.key"}, "private key /nonexistent.key: No such file"),
        ({"keys": "/nonexistent"}, "/nonexistent"),
        ({"listen": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"allow": "lan"}, "no network"),
    ],
)
def test_what_it_cannot_start_with_is_named(site: Site, changed: dict[str, str], said: str) -> None:
    assert said in refusal(site, **changed)


def test_without_a_ring_it_says_who_writes_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (site.keys / RING).unlink()
    assert "start pints run first" in refusal(site)


def test_a_response_is_only_good_in_whole() -> None:
    """The client's side of it: what is cut off is no answer."""
    message = ke.encode_response(ke.Response(15, (bytes(104),)))
    stream = ke.RecordStream()
    assert not stream.feed(message[:-1])
    with pytest.raises(WireError):
        ke.decode_response(records(ke.encode([])), (15,))
