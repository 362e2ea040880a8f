"""Trusted certificates, by name.

Loading reads every file and parses next to nothing: of each certificate only the subject is
found, by walking the DER to it.  The system's trust store holds some 140 roots, of which one
chain asks for one or two; a Pi Zero would be busy for a noticeable time parsing them all.

Names are compared octet for octet, as GnuTLS does: RFC 5280 sections 4.1.2.4 and 4.1.2.6
oblige a CA to encode its name in one way only.
"""

import binascii
import os
import re
from collections.abc import Iterable, Sequence

from pints.errors import ConfigError

_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
)
_PEM = re.compile(rb"-----BEGIN (X509 )?CERTIFICATE-----(.+?)-----END \1?CERTIFICATE-----", re.S)
_INTEGER = 0x02
_SEQUENCE = 0x30
_VERSION = 0xA0


class Anchors:
    """A set of trusted certificates, each as DER."""

    def __init__(self, certificates: Iterable[bytes]) -> None:
        """ValueError when something is no certificate."""
        self._by_subject: dict[bytes, list[bytes]] = {}
        for der in dict.fromkeys(certificates):
            self._by_subject.setdefault(names(der)[1], []).append(der)

    def __len__(self) -> int:
        return sum(map(len, self._by_subject.values()))

    def named(self, subject: bytes) -> Sequence[bytes]:
        """Those of one subject, a DER Name."""
        return self._by_subject.get(subject, ())


def load_anchors(paths: Sequence[str]) -> Anchors:
    """What PEM files (or folders of them) hold; no path means the system's trust store, for
    which OpenSSL's SSL_CERT_FILE and SSL_CERT_DIR are honoured.  ConfigError names the file."""
    if not paths:
        return _system_store()
    certificates: list[bytes] = []
    for path in paths:
        try:
            found = _read(path)
            Anchors(found)
        except OSError as e:
            raise ConfigError(f"ca file {path}: {e.strerror}") from None
        except ValueError:
            raise ConfigError(f"ca file {path}: malformed certificate") from None
        if not found:
            raise ConfigError(
                f"ca file {path}: holds no certificate",
                "it has to be PEM: -----BEGIN CERTIFICATE----- and so on",
            )
        certificates += found
    return Anchors(certificates)


def names(der: bytes) -> tuple[bytes, bytes]:
    """The DER Names of a certificate's issuer and subject.  ValueError for other octets."""
    position, _ = _enter(der, 0, _SEQUENCE)  # Certificate
    position, _ = _enter(der, position, _SEQUENCE)  # TBSCertificate
    if der[position : position + 1] == bytes([_VERSION]):
        position = _enter(der, position, _VERSION)[1]
    position = _enter(der, position, _INTEGER)[1]  # serialNumber
    position = _enter(der, position, _SEQUENCE)[1]  # signature
    issuer_end = _enter(der, position, _SEQUENCE)[1]
    validity_end = _enter(der, issuer_end, _SEQUENCE)[1]
    subject_end = _enter(der, validity_end, _SEQUENCE)[1]
    return der[position:issuer_end], der[validity_end:subject_end]


def _enter(der: bytes, position: int, tag: int) -> tuple[int, int]:
    """Where the content of the DER value at `position` starts and ends."""
    head = der[position : position + 2]
    if len(head) < 2 or head[0] != tag:
        raise ValueError("not a certificate")
    start, length = position + 2, head[1]
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[position + 2 : start], "big")
    if start + length > len(der):
        raise ValueError("truncated certificate")
    return start, start + length


def _system_store() -> Anchors:
    chosen = [os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    paths = [path for path in chosen if path] or _SYSTEM
    for path in paths:
        try:
            found = _read(path)
        except OSError:
            continue
        if found:
            # One odd root among the many must not cost the rest.
            return Anchors(der for der in found if _is_certificate(der))
    raise ConfigError(
        f"no trusted certificates in {paths[0]}", "install them: apt-get install ca-certificates"
    )


def _read(path: str) -> list[bytes]:
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            return [binascii.a2b_base64(m[2]) for m in _PEM.finditer(file.read())]
    files = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    return [der for file in files if os.path.isfile(file) for der in _read(file)]


def _is_certificate(der: bytes) -> bool:
    try:
        names(der)
    except ValueError:
        return False
    return True
