"""Chains: what verifies, when exactly, and what is said of the rest."""

import json
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from pints.demo.authority import Authority, Issued, self_signed
from pints.errors import ChainError, ConfigError
from pints.timescale import NS, Instant, iso
from pints.values.chain import Window
from pints.worker.anchors import Anchors, load_anchors, names
from pints.worker.verdict import judge

HOST = "ke.test"
Y2024 = 1_704_067_200
DAY = 86400


def at(second: float) -> Instant:
    return Instant(round(second * NS))


def day(number: float) -> Instant:
    """Days from the start of 2024."""
    return at(Y2024 + number * DAY)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def trusting(*certificates: x509.Certificate) -> Anchors:
    return Anchors(map(der, certificates))


def certify(
    subject: str,
    key: CertificatePublicKeyTypes,
    issuer: str,
    signer: CertificateIssuerPrivateKeyTypes,
    *extensions: x509.ExtensionType,
    start: Instant = day(0),
    end: Instant = day(100),
    ca: bool = False,
) -> x509.Certificate:
    """A certificate with any defect, which `Authority` would not make."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(epoch + timedelta(seconds=start // NS))
        .not_valid_after(epoch + timedelta(seconds=end // NS))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    eddsa = isinstance(signer, ed25519.Ed25519PrivateKey)
    return builder.sign(signer, None if eddsa else SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


SAN = x509.SubjectAlternativeName([x509.DNSName(HOST)])


def refused(chain: Sequence[bytes], anchors: Anchors, host: str = HOST) -> ChainError:
    """The refusal, which has to be one line."""
    with pytest.raises(ChainError) as caught:
        judge(chain, host, anchors)
    assert "\n" not in str(caught.value)
    return caught.value


# What verifies, and when


def test_window_is_the_intersection_of_all_lifetimes_to_the_second() -> None:
    root = Authority("root", day(-50), day(60))
    middle = root.intermediate("middle", day(3), day(500))
    site = middle.issue([HOST], day(0), day(90))
    chain = judge(site.ders, HOST, trusting(root.certificate))
    assert chain.windows == (Window(day(3), day(60)),)
    assert chain.good(day(3), day(60))
    assert not chain.good(Instant(day(3) - 1), day(4))
    assert not chain.good(day(59), Instant(day(60) + 1))
    assert chain.leaf_not_before == day(0)
    assert chain.issuer == "CN=middle"


def test_window_agrees_with_openssl_on_both_sides_of_its_edges() -> None:
    root = Authority("root", day(-50), day(60))
    site = root.issue([HOST], day(3), day(90))
    (window,) = judge(site.ders, HOST, trusting(root.certificate)).windows
    first, last = window.start // NS, window.end // NS
    # At notAfter itself OpenSSL 3 says expired, RFC 5280 (and OpenSSL 4) valid.
    verdicts = [openssl_verifies(site.ders, [root.certificate], t) for t in edges(first, last)]
    assert verdicts == [False, True, True, False]


def edges(first: int, last: int) -> tuple[int, ...]:
    return first - 1, first, last - 1, last + 1


def openssl_verifies(
    chain: Sequence[bytes], anchors: Sequence[x509.Certificate], second: int
) -> bool:
    """What OpenSSL's own search for a path finds at one instant."""
    store = crypto.X509Store()
    for anchor in anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(datetime.fromtimestamp(second, UTC))
    leaf, *rest = (crypto.load_certificate(crypto.FILETYPE_ASN1, c) for c in chain)
    try:
        crypto.X509StoreContext(store, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_windows_against_openssl_and_arithmetic(data: st.DataObject) -> None:
    """Many roots and intermediates of one name and key each: the windows hold exactly those
    instants at which some root, some intermediate and the leaf are all alive, and none that
    OpenSSL accepts is missing."""

    def lifetime() -> tuple[int, int]:
        start = data.draw(st.integers(0, 20))
        return start, start + data.draw(st.integers(1, 20))

    root_key, middle_key, leaf_key = new_key(), new_key(), new_key()
    lives = [[lifetime() for _ in range(data.draw(st.integers(1, 3)))] for _ in range(2)]
    roots = [
        certify("R", root_key.public_key(), "R", root_key, start=day(a), end=day(b), ca=True)
        for a, b in lives[0]
    ]
    middles = [
        certify("M", middle_key.public_key(), "R", root_key, start=day(a), end=day(b), ca=True)
        for a, b in lives[1]
    ]
    start, end = lifetime()
    leaf = certify(
        HOST, leaf_key.public_key(), "M", middle_key, SAN, start=day(start), end=day(end)
    )
    chain = [der(leaf), *map(der, middles)]
    windows: tuple[Window, ...] = ()
    with suppress(ChainError):
        windows = judge(chain, HOST, trusting(*roots)).windows
    assert all(a.end < b.start for a, b in pairwise(windows))
    for half in range(82):
        instant = day(half / 2)
        paths = [
            (max(start, *(s for s, _ in pair)), min(end, *(e for _, e in pair)))
            for pair in ((r, m) for r in lives[0] for m in lives[1])
        ]
        # A path that lives for no more than a second is none; OpenSSL 4 would have it so.
        alive = any(day(s) <= instant <= day(e) for s, e in paths if s < e)
        moment = any(instant == day(s) == day(e) for s, e in paths)
        good = any(window.contains(instant, instant) for window in windows)
        assert good == alive
        if openssl_verifies(chain, roots, instant // NS):
            assert good or moment


def test_expired_and_not_yet_valid_are_no_refusals() -> None:
    root = Authority("root")
    for start, end in ((-4000, -3990), (20000, 20010)):
        site = root.issue([HOST], day(start), day(end))
        assert judge(site.ders, HOST, trusting(root.certificate)).windows == (
            Window(day(start), day(end)),
        )


def test_expired_intermediate_narrows_the_window() -> None:
    root = Authority("root")
    site = root.intermediate("old", day(-10), day(5)).issue([HOST], day(0), day(90))
    assert judge(site.ders, HOST, trusting(root.certificate)).windows == (Window(day(0), day(5)),)


def test_lifetimes_that_never_meet() -> None:
    root = Authority("root")
    site = root.intermediate("old", day(-10), day(-5)).issue([HOST], day(0), day(90))
    error = refused(site.ders, trusting(root.certificate))
    assert "never valid" in str(error)
    assert iso(day(0)) in str(error)
    assert iso(day(-5)) in str(error)


def cross_signed() -> tuple[x509.Certificate, x509.Certificate, list[bytes]]:
    """An old root (until day 10), a new one (from day 5), and a chain that carries the new
    one's key as certified by the old."""
    old, new, key = new_key(), new_key(), new_key()
    old_root = certify("old", old.public_key(), "old", old, end=day(10), ca=True)
    new_root = certify("new", new.public_key(), "new", new, start=day(5), ca=True)
    cross = certify("new", new.public_key(), "old", old, end=day(90), ca=True)
    leaf = certify(HOST, key.public_key(), "new", new, SAN, end=day(90))
    return old_root, new_root, [der(leaf), der(cross)]


def test_cross_signed_chain_verifies_by_either_root() -> None:
    old, new, chain = cross_signed()
    verdict = judge(chain, HOST, trusting(old, new))
    assert verdict.windows == (Window(day(0), day(90)),)
    assert len(verdict.roots) == 2
    assert judge(chain, HOST, trusting(new)).windows == (Window(day(5), day(90)),)
    assert judge(chain, HOST, trusting(old)).windows == (Window(day(0), day(10)),)


def test_two_windows_with_a_gap() -> None:
    key, leaf_key = new_key(), new_key()
    first = certify("root", key.public_key(), "root", key, start=day(0), end=day(10), ca=True)
    again = certify("root", key.public_key(), "root", key, start=day(20), end=day(30), ca=True)
    leaf = certify(HOST, leaf_key.public_key(), "root", key, SAN, start=day(1), end=day(90))
    verdict = judge([der(leaf)], HOST, trusting(first, again))
    assert verdict.windows == (Window(day(1), day(10)), Window(day(20), day(30)))
    assert verdict.end == day(30)
    assert not verdict.good(day(9), day(21))
    assert len(verdict.roots) == 1, "the same key"


def test_windows_of_adjacent_seconds_are_one() -> None:
    key, leaf_key = new_key(), new_key()
    first = certify("root", key.public_key(), "root", key, end=at(Y2024 + 999), ca=True)
    again = certify("root", key.public_key(), "root", key, start=at(Y2024 + 1000), ca=True)
    leaf = certify(HOST, leaf_key.public_key(), "root", key, SAN, end=day(90))
    verdict = judge([der(leaf)], HOST, trusting(first, again))
    assert verdict.windows == (Window(day(0), day(90)),)


def test_dates_beyond_2038_and_to_the_end_of_days() -> None:
    root = Authority("root", day(0), at(253_402_300_799))
    site = root.issue([HOST], at(1 << 32), at(253_402_300_799))
    verdict = judge(site.ders, HOST, trusting(root.certificate))
    assert verdict.windows == (Window(at(1 << 32), at(253_402_300_799)),)


@pytest.mark.parametrize("host", [HOST, "KE.test", "ke.test.", "192.0.2.7", "2001:db8::7"])
def test_names_that_match(host: str) -> None:
    root = Authority("root")
    site = root.issue([HOST, "192.0.2.7", "2001:db8::7"])
    assert judge(site.ders, host, trusting(root.certificate)).windows


def test_wildcard_covers_one_label() -> None:
    root = Authority("root")
    site = root.issue(["*.example.test"])
    assert judge(site.ders, "a.example.test", trusting(root.certificate)).windows
    refused(site.ders, trusting(root.certificate), "a.b.example.test")
    refused(site.ders, trusting(root.certificate), "example.test")


def test_self_signed_server_certificate_is_its_own_anchor() -> None:
    site = self_signed([HOST], day(0), day(9))
    verdict = judge(site.ders, HOST, trusting(site.certificate))
    assert verdict.windows == (Window(day(0), day(9)),)
    assert verdict.roots == (verdict.leaf_key,)


def test_server_certificate_of_a_ca_can_be_pinned_alone() -> None:
    site = Authority("root").issue([HOST], day(0), day(9))
    assert judge(site.ders, HOST, trusting(site.certificate)).windows == (Window(day(0), day(9)),)


def test_intermediate_as_anchor_needs_no_root() -> None:
    middle = Authority("root").intermediate("middle", day(1), day(9))
    site = middle.issue([HOST], day(0), day(90))
    verdict = judge(site.ders, HOST, trusting(middle.certificate))
    assert verdict.windows == (Window(day(1), day(9)),)


def test_root_that_is_presented_too_and_disorder_do_no_harm() -> None:
    root = Authority("root")
    middle = root.intermediate()
    leaf, between = middle.issue([HOST]).ders
    stray = der(Authority("stray").certificate)
    chain = [leaf, der(root.certificate), stray, between, between]
    assert judge(chain, HOST, trusting(root.certificate)).windows


def test_ed25519_and_rsa() -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    rivest = rsa.generate_private_key(65537, 2048)
    root = certify("root", edwards.public_key(), "root", edwards, ca=True)
    leaf = certify(HOST, rivest.public_key(), "root", edwards, SAN)
    assert judge([der(leaf)], HOST, trusting(root)).windows


# What is refused, and how


def test_nothing_presented() -> None:
    assert "no certificate" in str(refused([], trusting()))


def test_too_many_presented() -> None:
    site = Authority("root").issue([HOST])
    assert "11 certificates" in str(refused(site.ders * 11, trusting()))


def test_wrong_name_says_which_names_there_are() -> None:
    root = Authority("root")
    site = root.issue(["a.test", "b.test", "192.0.2.7"])
    message = str(refused(site.ders, trusting(root.certificate)))
    assert message == "certificate is for a.test, b.test, 192.0.2.7, not ke.test"
    assert "not 192.0.2.8" in str(refused(site.ders, trusting(root.certificate), "192.0.2.8"))
    many = root.issue([f"{i}.test" for i in range(9)])
    assert "and 4 more" in str(refused(many.ders, trusting(root.certificate)))


def test_common_name_is_no_name() -> None:
    key = new_key()
    root = Authority("root")
    leaf = certify(HOST, key.public_key(), "root", root.key)
    error = refused([der(leaf)], trusting(root.certificate))
    assert "subjectAltName" in error.hint


def test_unknown_issuer_names_it_and_the_remedy() -> None:
    site = Authority("a CA of ours").intermediate("middle").issue([HOST])
    error = refused(site.ders, trusting(Authority("another").certificate))
    assert "'CN=middle' is by 'CN=a CA of ours'" in str(error)
    assert "`ca`" in error.hint


def test_self_signed_stranger() -> None:
    error = refused(self_signed([HOST]).ders, trusting(Authority("another").certificate))
    assert "self-signed" in str(error)
    assert "`ca`" in error.hint


def test_namesake_of_the_trusted_ca() -> None:
    site = Authority("root").issue([HOST])
    assert "another key" in str(refused(site.ders, trusting(Authority("root").certificate)))


def test_bad_signature() -> None:
    root = Authority("root")
    leaf = bytearray(root.issue([HOST]).ders[0])
    leaf[-1] ^= 1
    assert "bad signature" in str(refused([bytes(leaf)], trusting(root.certificate)))


def test_client_certificate() -> None:
    root = Authority("root")
    site = root.issue([HOST], server_auth=False)
    assert "serverAuth" in str(refused(site.ders, trusting(root.certificate)))


def test_any_extended_key_usage_or_none_will_do() -> None:
    root, key = Authority("root"), new_key()
    anything = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    for usage in ([], [anything]):
        leaf = certify(HOST, key.public_key(), "root", root.key, SAN, *usage)
        assert judge([der(leaf)], HOST, trusting(root.certificate)).windows


def test_key_usage_without_signature() -> None:
    root, key = Authority("root"), new_key()
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    leaf = certify(HOST, key.public_key(), "root", root.key, SAN, usage)
    assert "digitalSignature" in str(refused([der(leaf)], trusting(root.certificate)))


def test_leaf_that_plays_ca() -> None:
    root, key = Authority("root"), new_key()
    site = root.issue(["other.test"])
    leaf = certify(HOST, key.public_key(), "other.test", site.key, SAN)
    refused([der(leaf), *site.ders], trusting(root.certificate))
    plain = certify("sub", key.public_key(), "root", root.key)
    leaf = certify(HOST, new_key().public_key(), "sub", key, SAN)
    error = refused([der(leaf), der(plain)], trusting(root.certificate))
    assert "no CA" in str(error)


def test_ca_for_other_purposes() -> None:
    root, key = Authority("root"), new_key()
    mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    middle = certify("mail CA", key.public_key(), "root", root.key, mail, ca=True)
    leaf = certify(HOST, new_key().public_key(), "mail CA", key, SAN)
    error = refused([der(leaf), der(middle)], trusting(root.certificate))
    assert "may not certify servers" in str(error)


def test_path_length() -> None:
    root = Authority("root", path_length=0)
    site = root.intermediate().issue([HOST])
    assert "path length" in str(refused(site.ders, trusting(root.certificate)))


def test_name_constraints_of_a_private_ca() -> None:
    key = new_key()
    only = x509.NameConstraints([x509.DNSName("example.test")], None)
    root = certify("root", key.public_key(), "root", key, only, ca=True)
    leaf = certify(HOST, new_key().public_key(), "root", key, SAN)
    assert "permitted" in str(refused([der(leaf)], trusting(root)))


def test_weak_key() -> None:
    root = Authority("root")
    weak = rsa.generate_private_key(65537, 1024)
    leaf = certify(HOST, weak.public_key(), "root", root.key, SAN)
    assert "too weak a key: 1024 bits" in str(refused([der(leaf)], trusting(root.certificate)))


def test_broken_hash_is_refused_except_in_an_anchors_own_signature() -> None:
    key, leaf_key = rsa.generate_private_key(65537, 2048), new_key()
    root = certify("root", key.public_key(), "root", key, ca=True)
    good = certify(HOST, leaf_key.public_key(), "root", key, SAN)
    assert judge([der(good)], HOST, Anchors([sha1(der(root))])).windows
    error = refused([sha1(der(good))], trusting(root))
    assert "broken sha1" in str(error)


def sha1(certificate: bytes) -> bytes:
    """The certificate, its signature said to be by SHA-1, which libraries make no more."""
    arc = bytes.fromhex("06092a864886f70d0101")
    sha256_with_rsa, sha1_with_rsa = arc + b"\x0b", arc + b"\x05"
    assert certificate.count(sha256_with_rsa) == 2
    return certificate.replace(sha256_with_rsa, sha1_with_rsa)


@given(
    garbage=st.binary(max_size=300),
    flips=st.lists(st.tuples(st.integers(0, 10000), st.integers(1, 255)), max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_any_octets_give_a_verdict_or_a_refusal(
    garbage: bytes, flips: list[tuple[int, int]]
) -> None:
    mangled = bytearray(_SITE.ders[0])
    for position, mask in flips:
        mangled[position % len(mangled)] ^= mask
    for chain in ([bytes(mangled)], [garbage], [_SITE.ders[0], garbage]):
        try:
            verdict = judge(chain, HOST, trusting(_ROOT.certificate))
        except ChainError as e:
            text = str(e)
        else:
            text = verdict.issuer
            assert chain[0] == _SITE.ders[0]
        assert text.isprintable()


_ROOT = Authority("root")
_SITE: Issued = _ROOT.issue([HOST])


def test_hostile_chain_costs_little() -> None:
    """Ten certificates of one name with the largest keys allowed, each of which may have
    signed each other; more paths than can be counted."""
    key = new_key()
    # A modulus is only ever verified against: nobody needs to know its factors.
    huge = rsa.RSAPublicNumbers(65537, (1 << 16384) - 159).public_key()
    strangers = [certify("X", huge, "X", key, ca=True) for _ in range(9)]
    leaf = certify(HOST, key.public_key(), "X", key, SAN)
    anchor = certify("X", huge, "X", key, ca=True)
    chain = [der(leaf), *map(der, strangers)]
    began = time.process_time()
    refused(chain, trusting(anchor))
    refused(chain, trusting(Authority("root").certificate))
    assert time.process_time() - began < 1.0


def test_key_that_is_too_long() -> None:
    key = new_key()
    huge = rsa.RSAPublicNumbers(65537, (1 << 16400) - 159).public_key()
    root = certify("root", key.public_key(), "root", key, ca=True)
    leaf = certify(HOST, huge, "root", key, SAN)
    refused([der(leaf)], trusting(root))


# Real chains


def test_real_chains(real_data: Path) -> None:
    facts = {
        row["file"]: row
        for row in json.loads((real_data / "certs/facts.json").read_text())["certificates"]
    }
    files = sorted((real_data / "certs/x509_limbo_online").glob("*.json"))
    assert files
    for file in files:
        case = json.loads(file.read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of the real roots has an odd serial number
            roots = Anchors(_ders(case["trusted_certs"]))
            chain = _ders([case["peer_certificate"], *case["untrusted_intermediates"]])
            verdict = judge(chain, case["expected_peer_name"]["value"], roots)
        known = datetime.fromisoformat(case["validation_time"])
        instant = at(known.timestamp())
        assert verdict.good(instant, instant), file.name
        leaf = facts[f"x509_limbo_online/{file.name}#leaf"]
        start, end = (
            at(datetime.fromisoformat(leaf[edge]).timestamp())
            for edge in ("not_before", "not_after")
        )
        # The leaf is the shortest-lived of every one of them.
        assert verdict.windows == (Window(start, end),), file.name
        assert verdict.leaf_not_before == start


def _ders(pems: Sequence[str]) -> list[bytes]:
    return [der(x509.load_pem_x509_certificate(pem.encode())) for pem in pems]


# Anchors


def test_anchors_from_files(tmp_path: Path) -> None:
    one, two = Authority("one"), Authority("two")
    both = tmp_path / "both.pem"
    both.write_bytes(b"a comment\n" + one.pem + b"\n" + two.pem + one.pem)
    assert len(load_anchors([str(both)])) == 2
    assert len(load_anchors([str(both), str(one.write(tmp_path))])) == 2
    assert len(load_anchors([str(tmp_path)])) == 2, "a folder"
    site = two.issue([HOST])
    assert judge(site.ders, HOST, load_anchors([str(both)])).windows


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No such file"),
        (b"", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "malformed"),
        (b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "malformed"),
    ],
)
def test_anchor_file_that_is_none(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "odd.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=what) as caught:
        load_anchors([str(path)])
    assert str(path) in str(caught.value)


def test_system_store_can_be_chosen_and_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Authority("ours").write(tmp_path)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert len(load_anchors([])) == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="missing"):
        load_anchors([])


def test_names_are_found_as_the_library_finds_them() -> None:
    for certificate in (_ROOT.certificate, _SITE.certificate):
        expected = certificate.issuer.public_bytes(), certificate.subject.public_bytes()
        assert names(der(certificate)) == expected


@given(st.binary(max_size=200))
def test_names_of_any_octets(data: bytes) -> None:
    try:
        names(data)
    except ValueError:
        return
    pytest.fail("random octets are no certificate")
