"""Who counts as a witness, and which sources are really one.

Sources that share an operator, a registrable domain, a leaf key or an NTP address are one
witness: who owns one of them owns the other.  So are those of one's own network that name no
operator: they may well take their time from each other.
"""

from collections.abc import Mapping

from pints.config.tables import Config, SourceConfig
from pints.lean import dataclass
from pints.values.address import Address

SECOND_LEVEL = frozenset("ac co com edu gob gov go gv mil ne net nom or org sch".split())
"""Labels under a country code that sell names to strangers.  A short list in place of the
public suffix list's 300 KB: an error here merges witnesses (safe) for domains it does not
know, and `operator` tells the ones it should."""


OWN_NETWORK = "own network"
"""Operator of whoever has a private address or a local name, and no other operator."""
PRIVATE = ("10.", "192.168.", "169.254.", *(f"172.{n}." for n in range(16, 32)), "fc", "fd", "fe8")
"""How the numeric addresses of networks begin that nobody else can reach (RFC 1918, 3927,
4193, 4291).  Not loopback: what runs here is its administrator's affair."""
LOCAL = frozenset("arpa home internal intranet lan local localdomain".split())
"""Top-level names that no registry gives out."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What may reveal that two sources are one."""

    operator: str
    domain: str
    leaf_key: str = ""
    addresses: frozenset[Address] = frozenset()
    """NTP addresses with their ports: two daemons behind one address and port are one."""

    def shares(self, other: "Identity") -> bool:
        """Whether anything gives them away as one."""
        return bool(
            (self.operator and self.operator == other.operator)
            or (self.domain and self.domain == other.domain)
            or (self.leaf_key and self.leaf_key == other.leaf_key)
            or self.addresses & other.addresses
        )


def is_witness(source: SourceConfig, config: Config) -> bool:
    """Authenticated, in the administrator's own configuration, and meant to be used."""
    return source.nts and not source.noselect and source.id not in config.network


def identity(source: SourceConfig) -> Identity:
    """What the configuration alone tells."""
    operator = source.operator.casefold()
    if not operator and is_local(source.server):
        operator = OWN_NETWORK
    return Identity(operator, registrable_domain(source.server))


def is_local(host: str) -> bool:
    """Whether a server is in one's own network: a private address, or a name that only it
    knows."""
    name = host.rstrip(".").casefold()
    if not registrable_domain(name):
        return name.startswith(PRIVATE)
    return "." not in name or name.rpartition(".")[2] in LOCAL


def registrable_domain(host: str) -> str:
    """The part of a name that somebody registered: `ntp.org.uk` of `a.b.ntp.org.uk`; '' for a
    numeric address."""
    labels = host.rstrip(".").casefold().split(".")
    if ":" in host or labels[-1].isdigit():
        return ""
    country = len(labels[-1]) == 2
    keep = 3 if country and len(labels) > 2 and labels[-2] in SECOND_LEVEL else 2
    return ".".join(labels[-keep:])


def groups(identities: Mapping[str, Identity]) -> dict[str, str]:
    """Each source's witness, named by the alphabetically first source in it."""
    witness = {source: source for source in sorted(identities)}

    def root(source: str) -> str:
        while witness[source] != source:
            source = witness[source]
        return source

    names = list(witness)
    for n, one in enumerate(names):
        for other in names[n + 1 :]:
            if identities[one].shares(identities[other]):
                a, b = sorted((root(one), root(other)))
                witness[b] = a
    return {source: root(source) for source in names}
