"""The NTP server on real sockets, and chrony as its client."""

import logging
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pints.config.tables import ServerConfig
from pints.errors import ConfigError, DeviceError
from pints.server import supervisor
from pints.server.access import RateLimit, Verdict
from pints.server.cookies import ROTATION, Entropy, KeyRing, MasterKey, Session
from pints.server.ntp_server import NtpServer
from pints.server.responder import LOCAL, ServerState, local
from pints.shell.loop import Loop
from pints.shell.system_clock import SystemClock
from pints.storage.store import Store
from pints.timescale import NS, Boot, Instant
from pints.wire import ntp, nts
from pints.wire.aead import AES_128_GCM_SIV, AES_SIV_CMAC_256, ALGORITHMS, Aead
from tests.server.ke_client import exchange
from tests.server.ke_process import Site
from tests.server.test_supervisor import run_until

RING = "server-keys/ring"
HERE = ServerConfig(listen=("127.0.0.1",), port=0, allow=("127.0.0.0/8",), ke_port=0)
log = logging.getLogger("test")


def synchronized(clock: SystemClock) -> ServerState:
    return ServerState(
        leap=ntp.LEAP_NONE,
        stratum=1,
        precision=-23,
        root_delay=0.0,
        root_dispersion=1e-6,
        reference_id=b"TEST",
        reference=Instant(clock.read().real - NS),
        synchronized=True,
    )


class World:
    """A server, its loop, its state folder."""

    def __init__(self, folder: Path, config: ServerConfig, limit: RateLimit | None = None) -> None:
        self.clock = SystemClock()
        self.loop = Loop(self.clock)
        self.store = Store(str(folder / "state"))
        self.server = NtpServer(self.loop, self.clock, config, self.store, log, limit)

    def synchronize(self) -> None:
        self.server.update(synchronized(self.clock))

    def ask(self, data: bytes, patience: float = 5.0) -> bytes | None:
        """A reply, if one comes while the loop turns."""
        replies: list[bytes] = []
        address = self.server.addresses[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(patience)
            client.connect((address.host, address.port))
            client.send(data)
            seen = self.server.counters.requests
            run_until(self.loop, lambda: self.server.counters.requests > seen)
            if select.select([client], [], [], 0.05)[0]:
                replies.append(client.recv(4096))
        return replies[0] if replies else None


@contextmanager
def world(
    folder: Path, config: ServerConfig = HERE, limit: RateLimit | None = None
) -> Iterator[World]:
    made = World(folder, config, limit)
    made.server.start()
    try:
        yield made
    finally:
        made.server.stop()
        made.loop.close()


def plain() -> bytes:
    return ntp.encode(ntp.Packet(mode=ntp.MODE_CLIENT, transmit=1234567))


def test_it_serves_the_time_between_arrival_and_departure(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        w.synchronize()
        before = w.clock.read().real
        reply = w.ask(plain())
        now = w.clock.read().real
        assert reply is not None
        packet = ntp.decode(reply)
        assert (packet.stratum, packet.reference_id, packet.origin) == (1, b"TEST", 1234567)
        received, sent = ntp.unfold(packet.receive, now), ntp.unfold(packet.transmit, now)
        assert before <= received <= sent <= now


def test_until_told_better_it_says_that_it_has_no_time(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        reply = w.ask(plain())
        assert reply is not None
        assert ntp.decode(reply).leap == ntp.LEAP_UNKNOWN


def test_networks_that_are_not_allowed_get_nothing(tmp_path: Path) -> None:
    with world(tmp_path, replace(HERE, allow=("192.0.2.0/24",))) as w:
        assert w.ask(plain()) is None
        assert (w.server.counters.requests, w.server.counters.dropped) == (1, 1)


def test_a_local_stratum_is_served_without_a_source(tmp_path: Path) -> None:
    with world(tmp_path, replace(HERE, local_stratum=10)) as w:
        reply = w.ask(plain())
        assert reply is not None
        packet = ntp.decode(reply)
        assert (packet.leap, packet.stratum, packet.reference_id) == (0, 10, LOCAL)
        assert packet.reference < packet.receive
        w.synchronize()
        reply = w.ask(plain())
        assert reply is not None
        assert ntp.decode(reply).stratum == 1


def test_a_local_reference_is_never_old_nor_in_the_future(tmp_path: Path) -> None:
    with world(tmp_path) as w:
        for age in (-100, 0, 100):
            now = w.clock.read().real
            w.server.update(local(10, -20, Instant(now - age * NS)))
            reply = w.ask(plain())
            assert reply is not None
            packet = ntp.decode(reply)
            now = w.clock.read().real
            assert 1 <= (now - ntp.unfold(packet.reference, now)) / NS <= 64
            assert packet.stratum == 10


def test_who_is_too_fast_is_told_or_dropped_before_any_work(tmp_path: Path) -> None:
    class Strict(RateLimit):
        def judge(self, packed: bytes, now: Boot, entropy: Entropy) -> Verdict:
            assert packed == bytes((127, 0, 0, 1))
            return verdicts.pop(0)

    verdicts = [Verdict.ANSWER, Verdict.SLOW_DOWN, Verdict.DROP]
    with world(tmp_path, limit=Strict()) as w:
        w.synchronize()
        answer, slow_down, drop = (w.ask(plain()) for _ in range(3))
        assert answer is not None
        assert ntp.decode(answer).stratum == 1
        assert slow_down is not None
        assert ntp.decode(slow_down).kiss_code == "RATE"
        assert drop is None
        counters = w.server.counters
        assert (counters.requests, counters.kods, counters.dropped) == (3, 1, 1)


def test_an_address_that_cannot_be_had_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with world(tmp_path) as taken:
        port = taken.server.addresses[0].port
        both = replace(HERE, listen=("127.0.0.1", "127.0.0.2"), port=port)
        with world(tmp_path / "other", both) as w:
            assert [str(address) for address in w.server.addresses] == [f"127.0.0.2:{port}"]
            assert "cannot listen on 127.0.0.1" in caplog.text
        with pytest.raises(DeviceError), world(tmp_path / "third", replace(HERE, port=port)):
            pass


def test_networks_are_checked_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        World(tmp_path, replace(HERE, allow=("lan",)))


def test_nothing_is_listened_on_by_default(tmp_path: Path) -> None:
    with world(tmp_path, ServerConfig()) as w:
        assert w.server.addresses == ()
        assert w.server.ke is None


# With NTS


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def nts_config(site: Site) -> ServerConfig:
    return replace(HERE, certificate=str(site.certificate), key=str(site.key))


def ke_port(w: World) -> int:
    child = w.server.ke
    assert child is not None
    run_until(w.loop, lambda: child.line != "")
    return int(child.line)


def test_a_key_exchange_and_a_request_under_its_keys(tmp_path: Path, site: Site) -> None:
    with world(tmp_path, nts_config(site)) as w:
        w.synchronize()
        got = exchange(ke_port(w), site.anchors)
        assert got.response.port == w.server.addresses[0].port
        algorithm = ALGORITHMS[got.response.algorithm]
        c2s, s2c = Aead(algorithm, got.c2s), Aead(algorithm, got.s2c)
        unique = os.urandom(32)
        nonce = bytes(algorithm.nonce_length)
        request = nts.seal_request(plain(), unique, got.response.cookies[0], 2, c2s, nonce)
        reply = w.ask(request)
        assert reply is not None
        assert len(nts.open_response(reply, unique, s2c).cookies) == 3
        assert w.server.counters.nts == 1


def test_the_ring_survives_a_restart_and_nobody_else_reads_it(tmp_path: Path, site: Site) -> None:
    rings = []
    for _ in range(2):
        with world(tmp_path, nts_config(site)) as w:
            rings.append(w.store.read(RING))
    assert rings[0] == rings[1]
    assert (tmp_path / "state" / RING).stat().st_mode & 0o777 == 0o600


def test_a_torn_ring_is_set_aside_and_replaced(tmp_path: Path, site: Site) -> None:
    Store(str(tmp_path / "state")).write(RING, b"torn")
    with world(tmp_path, nts_config(site)) as w:
        data = w.store.read(RING)
        assert data is not None
        assert len(KeyRing.decode(data).keys) == 1
        assert w.store.read(RING + ".bad") == b"torn"


def test_keys_rotate_only_once_the_time_is_known(tmp_path: Path, site: Site) -> None:
    now = SystemClock().read().real
    old = KeyRing((MasterKey(1, bytes(32), Instant(now - ROTATION)),))
    Store(str(tmp_path / "state")).write(RING, old.encode())
    with world(tmp_path, nts_config(site)) as w:
        assert w.store.read(RING) == old.encode()
        w.synchronize()
        data = w.store.read(RING)
        assert data is not None
        new = KeyRing.decode(data)
        assert new.keys[1:] == old.keys
        w.synchronize()
        assert w.store.read(RING) == data


def test_the_child_is_gone_after_the_stop(tmp_path: Path, site: Site) -> None:
    with world(tmp_path, nts_config(site)) as w:
        port = ke_port(w)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_bad_certificate_ends_nts_but_not_ntp(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 60.0)
    config = replace(nts_config(site), certificate=str(tmp_path / "missing"))
    with world(tmp_path, config) as w:
        run_until(w.loop, lambda: "exited with 2" in caplog.text)
        assert w.ask(plain()) is not None


# chrony as the client


def chrony(
    program: Path,
    folder: Path,
    loop: Loop,
    options: str,
    directives: str = "",
    patience: int = 10,
) -> str:
    """What `chronyd -Q`, which measures once and sets nothing, has to say."""
    folder.mkdir(exist_ok=True)
    words = [str(program), "-Q", "-x", "-U", "-t", str(patience)]
    words += ["port 0", "cmdport 0", "bindcmdaddress /", f"pidfile {folder}/pid"]
    words += [*directives.splitlines(), f"server 127.0.0.1 iburst maxsamples 1 {options}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(process.communicate(timeout=20)[0]))
    reader.start()
    try:
        run_until(loop, lambda: not reader.is_alive(), patience=25)
    finally:
        process.kill()
        reader.join()
    return said[0]


def assert_measured(said: str) -> None:
    """chrony believes us, and our clock is its own clock."""
    line = next((line for line in said.splitlines() if "System clock wrong by" in line), None)
    assert line is not None, said
    assert abs(float(line.split("wrong by")[1].split()[0])) < 0.005


@pytest.mark.parametrize("version", [3, 4])
def test_chrony_takes_plain_time(tmp_path: Path, peer: Callable[[str], Path], version: int) -> None:
    with world(tmp_path) as w:
        w.synchronize()
        port = w.server.addresses[0].port
        said = chrony(
            peer("chronyd"), tmp_path / "chrony", w.loop, f"port {port} version {version}"
        )
        assert_measured(said)


def test_chrony_takes_no_time_from_a_server_without(
    tmp_path: Path, peer: Callable[[str], Path]
) -> None:
    with world(tmp_path) as w:
        port = w.server.addresses[0].port
        said = chrony(peer("chronyd"), tmp_path / "chrony", w.loop, f"port {port}", patience=3)
        assert "wrong by" not in said
        assert w.server.counters.replies > 0


@pytest.mark.parametrize(
    ("program", "algorithm"),
    [
        ("chronyd", AES_SIV_CMAC_256),
        ("chronyd-4.6", AES_SIV_CMAC_256),
        ("chronyd-4.6", AES_128_GCM_SIV),
    ],
)
def test_chrony_takes_authentic_time(
    tmp_path: Path,
    site: Site,
    peer: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    algorithm: int,
) -> None:
    if algorithm not in ALGORITHMS:
        pytest.skip("this machine's library does not have the algorithm")
    directives = f"ntstrustedcerts {site.anchors}\nntsdumpdir {tmp_path}/chrony"
    if program != "chronyd":
        directives += f"\nntsaeads {algorithm}"
    used = set()
    keys = KeyRing.open

    def spy(ring: KeyRing, cookie: bytes) -> Session | None:
        session = keys(ring, cookie)
        used.add(session and session.c2s.algorithm.id)
        return session

    monkeypatch.setattr(KeyRing, "open", spy)
    with world(tmp_path, nts_config(site)) as w:
        w.synchronize()
        said = chrony(
            peer(program), tmp_path / "chrony", w.loop, f"nts ntsport {ke_port(w)}", directives
        )
        assert_measured(said)
        counters = w.server.counters
        assert counters.nts == counters.requests > 0
        assert used == {algorithm}


NEVER_RESIDENT = (
    "OpenSSL asyncio cryptography.x509 hashlib hmac importlib.metadata pathlib random secrets ssl "
    "subprocess tempfile"
).split()


def test_what_the_daemon_imports_stays_light() -> None:
    program = "import sys, pints.server.ntp_server; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not set(NEVER_RESIDENT) & set(done.stdout.split())
