"""Real certificates for the world's servers, judged by the code that judges real servers'.

    ca = Authority("a root", *days(world, -3000, 3000))
    show(server, ca.issue([server.name], *days(world, -10, 80)), ca)

What a client makes of it is the server's `chain`, or its `refusal`, from then on.  All dates
are days from the true present.
"""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from pints.demo.authority import Authority, Issued
from pints.errors import ChainError
from pints.timescale import DAY, NS, Instant, nanoseconds
from pints.values.chain import Chain
from pints.worker.anchors import Anchors
from pints.worker.verdict import judge
from tests.world.world import Server, World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def days(world: World, start: float, end: float) -> tuple[Instant, Instant]:
    """The lifetime from `start` to `end` days from now."""
    now = world.true_time()
    return Instant(now + nanoseconds(start * DAY)), Instant(now + nanoseconds(end * DAY))


def show(server: Server, issued: Issued, *trusted: Authority, host: str = "") -> Chain | None:
    """Let a server present this to clients that trust these; what they make of it."""
    anchors = Anchors(ca.certificate.public_bytes(Encoding.DER) for ca in trusted)
    server.refusal = ""
    try:
        server.chain = judge(issued.ders, host or server.name, anchors)
    except ChainError as e:
        server.refusal = str(e)
        return None
    return server.chain


def certify(world: World, servers: list[Server], start: float, end: float) -> list[Authority]:
    """Each by a CA of its own, from `start` to `end` days from now."""
    authorities = []
    for server in servers:
        ca = Authority(f"root of {server.name}", *days(world, -4000, 4000))
        show(server, ca.issue([server.name], *days(world, start, end)), ca)
        authorities.append(ca)
    return authorities


def cross_sign(
    authority: Authority, by: Authority, lifetime: tuple[Instant, Instant]
) -> x509.Certificate:
    """`authority`'s key and name, certified by another root: what a server sends besides."""
    own = authority.certificate
    start, end = lifetime
    builder = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(by.certificate.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EPOCH + timedelta(seconds=start // NS))
        .not_valid_after(EPOCH + timedelta(seconds=end // NS))
    )
    for extension in own.extensions:
        if extension.oid != x509.AuthorityKeyIdentifier.oid:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(by.key, SHA256())
