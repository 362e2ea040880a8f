"""A throw-away certificate authority, for the demo and the tests: any names, dates and defects.

    ca = Authority("test CA")
    site = ca.issue(["a.test", "127.0.0.1"], not_after=yesterday)
    chain, key = site.write(tmp_path)        # PEM files, for a server's configuration
    anchors = ca.write(tmp_path)             # PEM file, for a client's

Dates are `Instant`s; X.509 knows whole seconds, so the rest is cut off.  Keys are EC P-256,
fresh every time, and never leave the run that made them.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pints.lean import dataclass
from pints.timescale import NS, Instant

Y2000 = Instant(946_684_800 * NS)
Y2100 = Instant(4_102_444_800 * NS)


@dataclass(frozen=True)
class Issued:
    """A leaf certificate, its key, and the chain a server sends: leaf first, no root."""

    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def ders(self) -> tuple[bytes, ...]:
        """The chain as TLS carries it."""
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in self.chain)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, stem: str = "server") -> tuple[Path, Path]:
        """`stem`.crt with the chain and `stem`.key (0600); their paths."""
        chain, key = folder / f"{stem}.crt", folder / f"{stem}.key"
        chain.write_bytes(self.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return chain, key


class Authority:
    """A CA: a root of its own, or an intermediate of `parent`."""

    def __init__(
        self,
        name: str = "throw-away CA",
        not_before: Instant = Y2000,
        not_after: Instant = Y2100,
        *,
        parent: "Authority | None" = None,
        path_length: int | None = None,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.parent = parent
        self.certificate = _certificate(
            subject=_common_name(name),
            key=self.key,
            signer=parent,
            not_before=not_before,
            not_after=not_after,
            extensions=[
                (x509.BasicConstraints(ca=True, path_length=path_length), True),
                (_key_usage(ca=True), True),
            ],
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def write(self, folder: Path, stem: str = "ca") -> Path:
        """`stem`.pem with this CA's certificate: what a client trusts."""
        path = folder / f"{stem}.pem"
        path.write_bytes(self.pem)
        return path

    def intermediate(
        self,
        name: str = "throw-away intermediate CA",
        not_before: Instant = Y2000,
        not_after: Instant = Y2100,
    ) -> "Authority":
        """A CA below this one; its leaves' chains carry its certificate."""
        return Authority(name, not_before, not_after, parent=self, path_length=0)

    def issue(
        self,
        names: Sequence[str],
        not_before: Instant = Y2000,
        not_after: Instant = Y2100,
        *,
        server_auth: bool = True,
        key_usage: bool = True,
    ) -> Issued:
        """A leaf for DNS names and IP addresses.

        `server_auth=False` makes it one for TLS clients only; `key_usage=False` leaves the
        key usage out.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _leaf(names, key, self, not_before, not_after, server_auth, key_usage)
        chain = [leaf]
        above: Authority | None = self
        while above is not None and above.parent is not None:
            chain.append(above.certificate)
            above = above.parent
        return Issued(tuple(chain), key)


def self_signed(
    names: Sequence[str],
    not_before: Instant = Y2000,
    not_after: Instant = Y2100,
    *,
    server_auth: bool = True,
    key_usage: bool = True,
) -> Issued:
    """A leaf that signs itself: no CA, and its own anchor where one pins it."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _leaf(names, key, None, not_before, not_after, server_auth, key_usage)
    return Issued((leaf,), key)


def _leaf(
    names: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    signer: Authority | None,
    not_before: Instant,
    not_after: Instant,
    server_auth: bool,
    key_usage: bool,
) -> x509.Certificate:
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server_auth else ExtendedKeyUsageOID.CLIENT_AUTH
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
        (x509.ExtendedKeyUsage([purpose]), False),
    ]
    if key_usage:
        extensions.append((_key_usage(ca=False), True))
    return _certificate(_common_name(names[0]), key, signer, not_before, not_after, extensions)


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: Authority | None,
    not_before: Instant,
    not_after: Instant,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    """A certificate for `key`, signed by `signer` or by itself."""
    signing_key = key if signer is None else signer.key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_datetime(not_before))
        .not_valid_after(_datetime(not_after))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signing_key, SHA256())


def _datetime(instant: Instant) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant // NS)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
