"""`pints query` against real servers, good and bad.

Every bad one has to end within the deadline in exit status 1 and one clear line, with a hint.
"""

import json
import socket
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL

from pints.cli import main
from pints.cli.query import measure
from pints.demo.authority import Authority, Issued
from pints.demo.world import free_port
from pints.shell.software_clock import SoftwareClock
from pints.timescale import DAY, NS, Instant, iso
from pints.wire import ke, ntp
from pints.wire.aead import AES_SIV_CMAC_256
from tests.chronyd import Chronyd, chronyd, host_now
from tests.cli.ntp_server import LOOPBACK, UdpServer, answering, kiss
from tests.ke_server import COOKIES, KeServer, Server, TlsServer

GRACE = 3.0
"""Seconds beyond the command's time-out, for a machine that is busy with other tests."""
Bad = Callable[..., str]


@pytest.fixture
def ca() -> Authority:
    return Authority("CA of the test")


@pytest.fixture
def ca_file(ca: Authority, tmp_path: Path) -> str:
    return str(ca.write(tmp_path))


@pytest.fixture
def site(ca: Authority) -> Issued:
    return ca.issue([LOOPBACK])


@pytest.fixture(scope="module")
def server(
    peer: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chronyd]:
    """A real NTS server with nothing wrong."""
    folder = tmp_path_factory.mktemp("good") / "chronyd"
    good = chronyd(peer("chronyd"), folder, LOOPBACK, host_now())
    good.start()
    yield good
    good.stop()


@pytest.fixture(scope="module")
def expired(
    peer: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chronyd]:
    """A real NTS server whose certificate ended ten days ago."""
    folder = tmp_path_factory.mktemp("expired") / "chronyd"
    late = chronyd(peer("chronyd"), folder, "127.0.0.2", host_now(), days=(-90.0, -10.0))
    late.start()
    yield late
    late.stop()


@pytest.fixture
def bad(capfd: pytest.CaptureFixture[str]) -> Bad:
    """Run a query that has to fail as promised; its line and hint."""

    def run(*words: object, timeout: float = 8.0) -> str:
        began = time.monotonic()
        status = main(["query", *map(str, words), "--timeout", str(timeout)])
        took = time.monotonic() - began
        out, err = capfd.readouterr()
        assert status == 1
        assert out == ""
        assert took < timeout + GRACE, "the deadline did not hold"
        line, hint, *more = err.splitlines()
        assert line.startswith("pints: ")
        assert hint.startswith("  ")
        assert not more
        assert err.replace("\n", "").isprintable()
        return err

    return run


def nts(server: Chronyd) -> tuple[object, ...]:
    return server.host, "--ca", server.ca, "--ke-port", server.ke_port


# Good servers


def test_plain(server: Chronyd, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["query", LOOPBACK, "--port", str(server.ntp_port), "--samples", "1"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("127.0.0.1: this clock is ")
    assert f"127.0.0.1:{server.ntp_port}, stratum 1" in out
    assert "authenticated  no: plain NTP" in out


def test_nts(server: Chronyd, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["query", *map(str, nts(server)), "--samples", "1"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "authenticated  by NTS, AES-" in out
    assert "issuer         CN=CA of 127.0.0.1" in out
    assert "certificate    good until " in out


def test_json(server: Chronyd, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["query", *map(str, nts(server)), "--samples", "2", "--json"]) == 0
    (host,) = json.loads(capfd.readouterr().out)["hosts"]
    assert host["good"]
    assert host["authenticated"]
    assert host["samples"] == 2
    assert host["stratum"] == 1
    # Both clocks are this machine's.
    assert abs(host["offset"]) <= host["error"] < 0.5
    assert host["certificate"]["good_now"]


def test_by_name_with_address(
    ca: Authority, tmp_path: Path, server: Chronyd, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["query", "ntp.test", "--no-nts", "--address", LOOPBACK, "--samples", "1"]
    assert main([*words, "--port", str(server.ntp_port)]) == 0
    assert capfd.readouterr().out.startswith("ntp.test: ")


def test_one_dead_host_delays_nobody(server: Chronyd, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.3", server.ntp_port))
        words = ["127.0.0.3", LOOPBACK, "127.0.0.4", "--port", str(server.ntp_port)]
        assert main(["query", *words, "--samples", "1", "--timeout", "1"]) == 1
    out, err = capfd.readouterr()
    assert out.startswith("127.0.0.1: this clock is ")
    failures = [line for line in err.splitlines() if line.startswith("pints: ")]
    assert "127.0.0.3: no answer" in failures[0]
    assert "127.0.0.4" in failures[1]
    assert "Connection refused" in failures[1]
    assert len(failures) == 2


# Certificates


def test_expired_certificate(expired: Chronyd, bad: Bad) -> None:
    said = bad(*nts(expired), "--samples", 1)
    assert "127.0.0.2: certificate is good " in said
    assert ", the clock says " in said
    assert "too: its operator must renew it" in said


def test_expired_certificate_is_no_authentication(
    expired: Chronyd, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", *map(str, nts(expired)), "--samples", "1", "--json"]) == 1
    (host,) = json.loads(capfd.readouterr().out)["hosts"]
    assert not host["good"]
    assert not host["authenticated"]
    assert not host["certificate"]["good_now"]


def test_dates_can_be_relaxed(expired: Chronyd, capfd: pytest.CaptureFixture[str]) -> None:
    words = [*map(str, nts(expired)), "--samples", "1", "--relaxed-dates"]
    assert main(["query", *words]) == 0
    assert "certificate    good but for the dates: good " in capfd.readouterr().out


@pytest.mark.parametrize("days", [-400, 400])
def test_own_clock_is_wrong(server: Chronyd, days: int) -> None:
    now = host_now()
    clock = SoftwareClock(Instant(now + round(days * DAY) * NS))
    args = Namespace(
        hosts=[LOOPBACK], nts=True, ca=[str(server.ca)], port=0, ke_port=server.ke_port,
        address=[], samples=1, timeout=8.0, relaxed_dates=False,
    )  # fmt: skip
    (one,) = measure(clock, args)
    assert "certificate is good " in one.failure
    assert f"the clock says {iso(clock.read().real)[:10]}" in one.failure
    assert f"the server says it is {iso(now)[:8]}" in one.hint
    assert "this machine's clock may be wrong" in one.hint
    assert one.facts()["offset"] == pytest.approx(days * DAY, abs=5.0)
    assert clock.steps == []


def test_wrong_name(server: Chronyd, bad: Bad) -> None:
    words = nts(server)[1:]
    said = bad("other.test", *words, "--address", LOOPBACK)
    assert "certificate is for 127.0.0.1, not other.test" in said


def test_unknown_ca(server: Chronyd, ca_file: str, bad: Bad) -> None:
    said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", server.ke_port)
    assert "'CN=CA of 127.0.0.1', which is not trusted here" in said
    assert "--ca" in said


def test_no_ca_file(bad: Bad, tmp_path: Path) -> None:
    said = bad(LOOPBACK, "--ca", tmp_path / "absent.pem")
    assert "absent.pem: No such file" in said
    assert "--ca has to name a PEM file" in said


# Key servers that are none


def test_ke_port_closed(ca_file: str, bad: Bad) -> None:
    said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", free_port(socket.SOCK_STREAM))
    assert "Connection refused" in said
    assert "nothing listens there" in said


def _hush(sock: socket.socket) -> None:
    """Takes everything, says nothing, until the other end has had enough."""
    while sock.recv(4096):
        pass


def test_ke_port_silent(ca_file: str, bad: Bad) -> None:
    with Server(_hush) as silent:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", silent.port, timeout=2.0)
    assert "no complete answer within" in said or "no key exchange within" in said


def test_ke_port_plain_text(ca_file: str, bad: Bad) -> None:
    def greet(sock: socket.socket) -> None:
        sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        _hush(sock)

    with Server(greet) as shell:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", shell.port)
    assert "does not speak TLS, it begins with 'SSH-2.0-OpenSSH_9.2" in said


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x03" + bytes(range(200)), b"\x15" * 300], ids=["hello", "alert"]
)
def test_ke_port_garbage(ca_file: str, bad: Bad, garbage: bytes) -> None:
    def babble(sock: socket.socket) -> None:
        sock.sendall(garbage)
        _hush(sock)

    with Server(babble) as noise:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", noise.port, timeout=3.0)
    assert said.startswith("pints: 127.0.0.1: ")


def test_web_server(ca_file: str, site: Issued, bad: Bad) -> None:
    with TlsServer(site, lambda tls: None, alpn=b"") as web:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", web.port)
    assert "speaks TLS but no NTS key exchange" in said


def test_tls_1_2(ca_file: str, site: Issued, bad: Bad) -> None:
    with TlsServer(site, lambda tls: None, version=SSL.TLS1_2_VERSION) as old:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", old.port)
    assert "does not offer TLS 1.3" in said


@pytest.mark.parametrize(
    "records", [b"\x80\x01\x00\x02\x00\x00", bytes(64)], ids=["short", "zeros"]
)
def test_garbage_instead_of_records(ca_file: str, site: Issued, bad: Bad, records: bytes) -> None:
    with KeServer(site, records) as server:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", server.port, timeout=3.0)
    assert said.startswith("pints: 127.0.0.1: ")


# NTP servers that give nothing, by NTS and without


def _granting(site: Issued, port: int) -> KeServer:
    return KeServer(site, ke.Response(AES_SIV_CMAC_256, COOKIES, port=port))


def test_no_answer_by_nts(ca_file: str, site: Issued, bad: Bad) -> None:
    with UdpServer(lambda _: None) as silent, _granting(site, silent.port) as server:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", server.port, "--samples", 1)
        assert silent.asked == 1
    assert f"no answer from 127.0.0.1:{silent.port} to a request" in said
    assert "the key exchange was good, but a firewall on the way may drop UDP port" in said


def test_answer_without_authenticator(ca_file: str, site: Issued, bad: Bad) -> None:
    with UdpServer(answering()) as plain, _granting(site, plain.port) as server:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", server.port, "--samples", 1)
    assert "answer refused: no authenticator" in said


def test_nts_nak(ca_file: str, site: Issued, bad: Bad) -> None:
    def nak(request: bytes) -> bytes:
        header = ntp.encode(kiss(request, b"NTSN"))
        return header + request[ntp.HEADER_LENGTH : ntp.HEADER_LENGTH + 36]

    with UdpServer(nak) as forgetful, _granting(site, forgetful.port) as server:
        said = bad(LOOPBACK, "--ca", ca_file, "--ke-port", server.port, "--samples", 1)
    assert "NTS NAK" in said
    assert "cookies" in said


TOO_FAR = "server's root distance is 20.000 s, not below 16 s"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (answering(leap=ntp.LEAP_UNKNOWN), "server says it is not synchronized"),
        (answering(stratum=16), "server says it is not synchronized"),
        (answering(receive=0), "answer without timestamps"),
        (
            answering(root_dispersion=20.0),
            TOO_FAR,
        ),
        (answering(root_delay=40.0), TOO_FAR),
        (answering(origin=1), "answers do not fit the requests"),
        (lambda request: ntp.encode(kiss(request, b"DENY")), "kiss 'DENY'"),
        (lambda request: b"hello", "answer refused: NTP packet of 5 octets"),
        (lambda request: b"\xff" * 48, "answer refused: NTP version 7"),
    ],
    ids=[
        "unsynchronized",
        "stratum 16",
        "no timestamps",
        "root dispersion",
        "root delay",
        "origin",
        "kiss",
        "short",
        "garbage",
    ],
)
def test_useless_answers(answer: Callable[[bytes], bytes], expected: str, bad: Bad) -> None:
    with UdpServer(answer) as server:
        said = bad(LOOPBACK, "--port", server.port, "--samples", 1, timeout=1.0)
    assert f"pints: 127.0.0.1: 127.0.0.1:{server.port}: {expected}\n" in said


def test_good_after_garbage(capfd: pytest.CaptureFixture[str]) -> None:
    """Anybody can send a bad packet: the good answer that follows still counts."""
    good = answering()

    def improving(request: bytes) -> bytes:
        return b"garbage" if shaky.asked == 1 else good(request)

    with UdpServer(improving) as shaky:
        words = ["query", LOOPBACK, "--port", str(shaky.port), "--samples", "2"]
        assert main([*words, "--timeout", "9"]) == 0
    assert "stratum 2" in capfd.readouterr().out


def test_ntp_port_closed(bad: Bad) -> None:
    port = free_port()
    said = bad(LOOPBACK, "--port", port)
    assert f"asking 127.0.0.1:{port}: Connection refused" in said
    assert "no NTP server listens there" in said


def test_noanswering(bad: Bad) -> None:
    with UdpServer(lambda _: None) as silent:
        said = bad(LOOPBACK, "--port", silent.port, timeout=0.8)
    assert f"127.0.0.1: no answer from 127.0.0.1:{silent.port} to a request" in said
    assert f"UDP port {silent.port}" in said


def test_unknown_host(bad: Bad) -> None:
    # Without any name server the resolver says that instead, or nothing in time.
    said = bad("nowhere.invalid", timeout=5.0)
    assert said.startswith("pints: nowhere.invalid: ")


def test_impossible_host(bad: Bad) -> None:
    assert "not a name" in bad("a" * 300)


# Usage


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a", "--ca", "x", "--no-nts"],
        ["a", "--port", "65536"],
        ["a", "--ke-port", "0"],
        ["a", "--samples", "0"],
        ["a", "b", "--address", LOOPBACK],
        ["a", "--address", "localhost"],
        ["a", "--timeout", "0"],
        ["a", "--timeout", "nan"],
    ],
)
def test_usage(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["query", *words])
    assert end.value.code == 2
    assert "usage: pints query" in capfd.readouterr().err
