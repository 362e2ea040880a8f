"""The KE server's certificate, its key, and the TLS that they are used with.

- TLS 1.3 only, ALPN "ntske/1" only; no key exchange is ever resumed.
- A certificate that was renewed is in use within a minute, or at once when told.  One that
  cannot be used is reported and the one before it stays: a renewal that went wrong, or that is
  half done, ends no service.
- At the start there is nothing to stay with: ConfigError, which names the file.

OpenSSL asks for the ALPN by a callback, which cffi makes at run time in memory that is writable
and executable: systemd's MemoryDenyWriteExecute= must be off for this process, hence also for
the one that starts it.
"""

import logging
import os
import stat
import time
from collections.abc import Callable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from OpenSSL import SSL

from pints.errors import ConfigError
from pints.wire import ke

log = logging.getLogger(__name__)

CHECK_INTERVAL = 60.0
"""Seconds between looks at the files' dates."""
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_Stamp = tuple[tuple[int, int, int] | None, ...]


class Credentials:
    """A TLS context made from two PEM files, made again when they change."""

    def __init__(
        self, certificate: str, key: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._monotonic = monotonic
        self._seen = self._stamp()
        self._checked = monotonic()
        self.context = _context(certificate, key)

    def refresh(self, force: bool = False) -> bool:
        """Look whether the files changed, at most once a minute unless forced.  True if they
        were read and are in use from now on."""
        now = self._monotonic()
        if not force and now - self._checked < CHECK_INTERVAL:
            return False
        self._checked = now
        stamp = self._stamp()
        if stamp == self._seen and not force:
            return False
        self._seen = stamp
        try:
            self.context = _context(self._certificate, self._key)
        except ConfigError as e:
            log.warning("%s; the certificate before it stays in use", e)
            return False
        log.info("read %s again", self._certificate)
        return True

    def _stamp(self) -> _Stamp:
        """What changes when somebody writes or replaces a file, or moves a link to it."""
        return tuple(_file_stamp(path) for path in (self._certificate, self._key))


class NoAlpnError(Exception):
    """The client offers other protocols than NTS-KE; makes the alert no_application_protocol."""


def _select_alpn(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    # Raised rather than NO_OVERLAPPING_PROTOCOLS returned: that would go on without ALPN.
    if ke.ALPN not in offered:
        raise NoAlpnError
    return ke.ALPN


def _context(certificate: str, key: str) -> SSL.Context:
    chain = _chain(certificate)
    private = _private_key(key)
    if private.public_key() != chain[0].public_key():
        raise ConfigError(
            f"{key} is not the key of the first certificate in {certificate}",
            "the server's own certificate comes first, then those that issued it",
        )
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # Neither stateless tickets nor stateful ones: those that OpenSSL sends nevertheless (how
    # many is not pyOpenSSL's to set) refer to a cache that is off, and open nothing.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    try:
        context.set_alpn_select_callback(_select_alpn)
    except MemoryError:
        raise ConfigError(
            "TLS needs memory that is writable and executable, which is denied here",
            "the unit that starts the NTS-KE server needs MemoryDenyWriteExecute=no",
        ) from None
    try:
        context.use_certificate(chain[0])
        for issuer in chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(private)
    except SSL.Error as e:
        raise ConfigError(f"TLS does not take {certificate} or {key}: {_reason(e)}") from None
    return context


def _chain(path: str) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(_read(path, "certificate"))
    except ValueError as e:
        raise ConfigError(
            f"{path} holds no usable certificate: {e}", "it must be the chain, in PEM form"
        ) from None
    leaf = chain[0]
    now = time.time()
    # This machine may be the one whose clock is wrong, so the server starts nevertheless.
    if not leaf.not_valid_before_utc.timestamp() <= now <= leaf.not_valid_after_utc.timestamp():
        log.warning(
            "%s is valid from %s to %s only, which is not now",
            path, leaf.not_valid_before_utc.date(), leaf.not_valid_after_utc.date(),
        )  # fmt: skip
    return chain


def _private_key(path: str) -> _Key:
    data = _read(path, "private key")
    try:
        private = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise ConfigError(
            f"{path} is encrypted, and nobody is there to type its password",
            f"openssl pkey -in {path} -out PLAIN, mode 0600",
        ) from None
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"{path} holds no usable private key in PEM form: {e}") from None
    if not isinstance(private, _Key):
        raise ConfigError(f"{path} holds a key that TLS 1.3 cannot sign with", "use EC or RSA")
    if os.stat(path).st_mode & stat.S_IROTH:
        log.warning("%s can be read by everyone on this machine: chmod o-r %s", path, path)
    return private


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as e:
        hint = ""
        if isinstance(e, PermissionError):
            hint = f"the user that pints runs as must be able to read it: ls -lL {path}"
        raise ConfigError(f"cannot read the {what} {path}: {e.strerror}", hint) from None


def _file_stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _reason(error: SSL.Error) -> str:
    rows = error.args[0] if error.args else ()
    return "; ".join(str(row[-1]) for row in rows) or "unknown error"
