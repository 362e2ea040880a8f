"""Judges a certificate chain for all instants at once: a pure function, no clock is read.

What comes back verifies for the right name, key usage and anchor at every instant of its
windows and at no other; whatever is wrong besides the dates raises `ChainError` (rule R5).

A *path* leads from the leaf over presented certificates to an anchor.  Time enters its
verification only through the lifetimes of its members, so a path verifies during the whole
intersection of these, or never: one verification by OpenSSL, at an instant inside, settles
it.  The chain's windows are the union over all paths; that is how a chain that is signed by
an expired root and by another one verifies by the other.

Bounds are exact to X.509's second.  Both ends of a lifetime belong to it (RFC 5280 section
4.1.2.5); the fraction of a second after notAfter is left out, so a window ends at notAfter.
(OpenSSL before 4.0 leaves the whole last second out, and so takes a lifetime of one second
for none at all; to be independent of its version, so does this.)

Whatever stands among the anchors is one, also an intermediate CA or a server's own
certificate, as in GnuTLS and so in chrony.  An anchor's dates count like all others.
"""

import ipaddress
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)

from pints.errors import ChainError
from pints.lean import dataclass
from pints.timescale import NS, Instant, iso
from pints.values.chain import Chain, Window
from pints.worker.anchors import Anchors, names

# A server chooses what it presents; these bound what it can make us compute.
MAX_PRESENTED = 10
MAX_PATH_LENGTH = 8
MAX_PATHS = 16
"""Verified at most, the shortest first.  Real chains have one to four."""
MAX_STEPS = 256
MIN_RSA_BITS = 2048
"""OpenSSL's security level 2, 112 bits, as is the next."""
MIN_EC_BITS = 224
MAX_RSA_BITS = 16384

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_WRONG_SIGNATURE = (4, 7)
_MALFORMED = (
    *(ValueError, TypeError, KeyError, OverflowError, crypto.Error),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What the libraries, old and new, were seen to raise on damaged certificates."""
_ADD_CA = "if you trust its CA, name the CA's certificate file with `ca`"


@dataclass(frozen=True, eq=False)
class _Certificate:
    """One certificate, parsed when and as far as somebody asks."""

    der: bytes
    issuer: bytes
    subject: bytes
    """DER Names."""

    @cached_property
    def parsed(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @cached_property
    def openssl(self) -> crypto.X509:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, self.der)

    @cached_property
    def lifetime(self) -> tuple[int, int]:
        """First and last second, since the Unix epoch."""
        second = timedelta(seconds=1)
        return (
            (self.parsed.not_valid_before_utc - _EPOCH) // second,
            (self.parsed.not_valid_after_utc - _EPOCH) // second,
        )

    @cached_property
    def key_hash(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo, hex."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(
            self.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return digest.finalize().hex()

    def __str__(self) -> str:
        return f"'{_name(self.parsed.subject)}'"


def judge(chain: Sequence[bytes], host: str, anchors: Anchors) -> Chain:
    """The verdict on a presented chain (DER, leaf first, the rest in any order) for the DNS
    name or address `host`.  ChainError says in one line what is wrong besides the dates."""
    if not chain:
        raise ChainError("the server presents no certificate")
    if len(chain) > MAX_PRESENTED:
        raise ChainError(f"the server presents {len(chain)} certificates")
    try:
        presented = [_Certificate(der, *names(der)) for der in dict.fromkeys(chain)]
        leaf = presented[0]
        _check_name(leaf.parsed, host)
        _check_server_usage(leaf.parsed)
        good, roots = _windows(presented, anchors)
        return Chain(
            windows=good,
            leaf_not_before=Instant(leaf.lifetime[0] * NS),
            leaf_key=leaf.key_hash,
            roots=tuple(sorted(roots)),
            issuer=_name(leaf.parsed.issuer),
        )
    except _MALFORMED as e:
        raise ChainError(f"malformed certificate: {_printable(str(e))}") from None
    except UnsupportedAlgorithm as e:
        raise ChainError(f"certificate of an unknown kind: {_printable(str(e))}") from None


def _windows(
    presented: Sequence[_Certificate], anchors: Anchors
) -> tuple[tuple[Window, ...], set[str]]:
    """When the chain verifies, and the keys of the anchors by which it does."""
    lifetimes: list[tuple[int, int]] = []
    roots: set[str] = set()
    never: list[_Certificate] = []
    wrong: ChainError | None = None
    for number, path in enumerate(_paths(presented, anchors)):
        if number == MAX_PATHS:
            break
        start = max(member.lifetime[0] for member in path)
        end = min(member.lifetime[1] for member in path)
        if start >= end:
            never = never or path
            continue
        try:
            _verify(path, start)
        except ChainError as e:
            wrong = wrong or e
        else:
            lifetimes.append((start, end))
            roots.add(path[-1].key_hash)
    if not lifetimes:
        raise wrong or (_never(never) if never else _unknown_issuer(presented))
    united = [min(lifetimes)]
    for start, end in sorted(lifetimes):
        if start <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return tuple(Window(Instant(s * NS), Instant(e * NS)) for s, e in united), roots


def _paths(presented: Sequence[_Certificate], anchors: Anchors) -> Iterator[list[_Certificate]]:
    """Every way by name from the leaf to an anchor, the shortest first.  One that meets an
    anchor ends there: to go on could only shorten its lifetime."""
    known = {certificate.der: certificate for certificate in presented}
    queue = deque([[presented[0]]])
    for _ in range(MAX_STEPS):
        if not queue:
            return
        path = queue.popleft()
        last = path[-1]
        if last.der in anchors.named(last.subject):
            yield path
        elif len(path) < MAX_PATH_LENGTH:
            above = [known.setdefault(d, _trusted(d)) for d in anchors.named(last.issuer)]
            above += [c for c in presented if c.subject == last.issuer and c not in above]
            queue.extend([*path, issuer] for issuer in above if issuer not in path)


def _trusted(der: bytes) -> _Certificate:
    return _Certificate(der, *names(der))


def _verify(path: Sequence[_Certificate], second: int) -> None:
    """Whether a path holds at an instant inside all its members' lifetimes."""
    for certificate in path:
        _check_strength(certificate, signature=certificate is not path[-1])
    for certificate in path[1:-1]:
        _check_ca_usage(certificate)
    store = crypto.X509Store()
    store.add_cert(path[-1].openssl)
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(_EPOCH + timedelta(seconds=second))
    context = crypto.X509StoreContext(store, path[0].openssl, [c.openssl for c in path[1:-1]])
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as e:
        code, depth, text = e.errors
        culprit = path[min(depth, len(path) - 1)]
        if code in _UNKNOWN_ISSUER:
            raise ChainError(
                f"certificate of {culprit} is by a namesake of the trusted"
                f" '{_name(culprit.parsed.issuer)}': same name, another key",
                _ADD_CA,
            ) from None
        if code in _WRONG_SIGNATURE:
            raise ChainError(f"certificate of {culprit} has a bad signature") from None
        raise ChainError(f"certificate of {culprit}: {text}") from None


def _check_name(leaf: x509.Certificate, host: str) -> None:
    """RFC 9525: names come from subjectAltName.  A common name is none, where GnuTLS would take
    it if there is no subjectAltName."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ChainError(
            f"certificate names no server, so not {host}",
            "it needs a subjectAltName; the common name is not read",
        ) from None
    address = host.partition("%")[0]
    try:
        if _is_address(address):
            verify_certificate_ip_address(leaf, address)
        else:
            verify_certificate_hostname(leaf, host.rstrip("."))
    except (VerificationError, CertificateError):
        held = [*found.get_values_for_type(x509.DNSName)]
        held += map(str, found.get_values_for_type(x509.IPAddress))
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        raise ChainError(
            f"certificate is for {_printable(', '.join(held[:5])) or 'no server'}{more}, not {host}"
        ) from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_server_usage(leaf: x509.Certificate) -> None:
    if not _serves(leaf):
        raise ChainError("certificate is not for servers: extended key usage lacks serverAuth")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.digital_signature:
        raise ChainError("certificate is not for TLS 1.3: key usage lacks digitalSignature")


def _check_ca_usage(issuer: _Certificate) -> None:
    """What OpenSSL leaves unchecked, for want of a purpose, in a CA that is no anchor."""
    if not _serves(issuer.parsed):
        raise ChainError(f"CA {issuer} may not certify servers: its extended key usage")
    try:
        constraints = issuer.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca:
        raise ChainError(f"certificate of {issuer} signs others but is no CA's")


def _serves(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return (
        ExtendedKeyUsageOID.SERVER_AUTH in usage
        or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
    )


def _check_strength(certificate: _Certificate, signature: bool) -> None:
    """Keys that can be broken, or whose use costs seconds; and, except on anchors, whose own
    signature proves nothing, broken hashes."""
    key = certificate.parsed.public_key()
    least, most = 0, MAX_RSA_BITS
    bits = 0
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        bits, least = key.key_size, MIN_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        bits, least = key.key_size, MIN_EC_BITS
    if not least <= bits <= most:
        how = "weak" if bits < least else "long"
        raise ChainError(f"certificate of {certificate} has too {how} a key: {bits} bits")
    used = certificate.parsed.signature_hash_algorithm if signature else None
    if isinstance(used, hashes.MD5 | hashes.SHA1):
        raise ChainError(f"certificate of {certificate} is signed with broken {used.name}")


def _unknown_issuer(presented: Sequence[_Certificate]) -> ChainError:
    """Names the first issuer, upwards from the leaf, that was not presented."""
    last = presented[0]
    for _ in presented:
        above = next((c for c in presented if c.subject == last.issuer), None)
        if above is None or above is last:
            break
        last = above
    if last.issuer == last.subject:
        return ChainError(
            f"certificate of {last} is self-signed and not among the trusted ones",
            "to trust it, name its file with `ca`" if last is presented[0] else _ADD_CA,
        )
    return ChainError(
        f"certificate of {last} is by '{_name(last.parsed.issuer)}', which is not trusted here",
        _ADD_CA,
    )


def _never(path: Sequence[_Certificate]) -> ChainError:
    """Lifetimes that do not meet."""
    late = max(path, key=lambda member: member.lifetime[0])
    early = min(path, key=lambda member: member.lifetime[1])
    start, end = (iso(Instant(s * NS)) for s in (late.lifetime[0], early.lifetime[1]))
    return ChainError(f"never valid: {late} begins {start}, {early} ends {end}")


def _name(name: x509.Name) -> str:
    """For people, the usual order: most specific first."""
    return _printable(name.rfc4514_string())


def _printable(text: str) -> str:
    """What a stranger wrote, fit for one line of a log."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
