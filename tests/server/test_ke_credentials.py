"""Certificates and keys that are good, bad, renewed, and half renewed."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL import SSL

from pints.demo.authority import Authority, Issued, self_signed
from pints.errors import ConfigError
from pints.server.ke_credentials import CHECK_INTERVAL, Credentials
from pints.timescale import NS, Instant


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Files:
    """A certificate and a key on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = Authority()
        self.clock = Clock()
        self.write(self.ca.issue(["ke.test"]))

    def write(self, leaf: Issued) -> None:
        self.certificate, self.key = leaf.write(self.folder)

    def load(self) -> Credentials:
        return Credentials(str(self.certificate), str(self.key), self.clock)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_chain_with_an_intermediate_a_self_signed_one_and_a_warning_for_neither(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.write(files.ca.intermediate().issue(["ke.test"]))
    files.load()
    files.write(self_signed(["ke.test"]))
    files.load()
    assert caplog.messages == []


def test_a_renewed_certificate_is_used_within_a_minute_and_looked_for_no_oftener(
    files: Files,
) -> None:
    credentials = files.load()
    first = credentials.context
    files.write(files.ca.issue(["ke.test"]))
    files.clock.now += CHECK_INTERVAL - 1
    assert not credentials.refresh()
    assert credentials.context is first
    files.clock.now += 1
    assert credentials.refresh()
    assert credentials.context is not first
    files.clock.now += CHECK_INTERVAL
    assert not credentials.refresh()


def test_a_half_renewed_pair_leaves_the_old_one_in_use_until_it_is_whole(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    credentials = files.load()
    first = credentials.context
    new = files.ca.issue(["ke.test"])
    files.certificate.write_bytes(new.chain_pem)
    for _ in range(3):
        files.clock.now += CHECK_INTERVAL
        assert not credentials.refresh()
    assert credentials.context is first
    assert len(caplog.messages) == 1
    assert "is not the key of" in caplog.text
    files.key.write_bytes(new.key_pem)
    files.clock.now += CHECK_INTERVAL
    assert credentials.refresh()


def test_a_pair_that_vanishes_leaves_the_old_one_in_use(files: Files) -> None:
    credentials = files.load()
    first = credentials.context
    files.key.unlink()
    assert not credentials.refresh(force=True)
    assert credentials.context is first


def test_a_moved_link_is_a_renewal(files: Files) -> None:
    """What certbot does: its `live` folder holds links."""
    links = files.folder / "live"
    links.mkdir()
    for name in ("server.crt", "server.key"):
        (links / name).symlink_to(files.folder / name)
    credentials = Credentials(str(links / "server.crt"), str(links / "server.key"), files.clock)
    renewed = files.folder / "renewed"
    renewed.mkdir()
    files.ca.issue(["ke.test"]).write(renewed)
    for name in ("server.crt", "server.key"):
        (links / name).unlink()
        (links / name).symlink_to(renewed / name)
    files.clock.now += CHECK_INTERVAL
    assert credentials.refresh()


def pem(key: x25519.X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: f.certificate.unlink(), "cannot read the certificate"),
        (lambda f: f.key.unlink(), "cannot read the private key"),
        (lambda f: f.certificate.write_bytes(b""), "holds no usable certificate"),
        (lambda f: f.certificate.write_bytes(f.key.read_bytes()), "holds no usable certificate"),
        (lambda f: f.key.write_bytes(f.certificate.read_bytes()), "no usable private key"),
        (lambda f: f.key.write_bytes(b"\xff" * 100), "no usable private key"),
        (lambda f: f.key.write_bytes(f.ca.issue(["x.test"]).key_pem), "is not the key of"),
        (
            lambda f: f.key.write_bytes(pem(x25519.X25519PrivateKey.generate())),
            "TLS 1.3 cannot sign with",
        ),
        (
            lambda f: f.key.write_bytes(
                f.ca.key.private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
                )
            ),
            "is encrypted",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(files: Files, spoil: object, said: str) -> None:
    assert callable(spoil)
    spoil(files)
    with pytest.raises(ConfigError, match=said) as e:
        files.load()
    assert str(files.folder) in str(e.value)


def test_a_key_that_everyone_can_read_is_warned_of(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.key.chmod(0o644)
    files.load()
    assert "can be read by everyone" in caplog.text


def test_an_expired_certificate_is_warned_of_and_used(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the clock that is wrong."""
    files.write(files.ca.issue(["ke.test"], not_after=Instant(1_000_000_000 * NS)))
    files.load()
    assert "which is not now" in caplog.text


def test_where_no_callback_can_be_made_the_unit_is_named(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(context: SSL.Context, callback: object) -> None:
        raise MemoryError

    monkeypatch.setattr(SSL.Context, "set_alpn_select_callback", denied)
    with pytest.raises(ConfigError) as e:
        files.load()
    assert "MemoryDenyWriteExecute=no" in e.value.hint
