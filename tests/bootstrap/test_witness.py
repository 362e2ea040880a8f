"""Who is a witness, which sources are one, and how many must agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.bootstrap.rules import r2_quorum as quorum
from pints.bootstrap.rules import r6_single_issuer as single_issuer
from pints.bootstrap.witness import (
    Identity,
    groups,
    identity,
    is_local,
    is_witness,
    registrable_domain,
)
from pints.config.load import DEFAULT_SOURCES
from pints.config.tables import Config, SourceConfig
from pints.values.address import Address


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("time.cloudflare.com", "cloudflare.com"),
        ("cloudflare.com", "cloudflare.com"),
        ("Time.CloudFlare.COM.", "cloudflare.com"),
        ("a.b.ntp.org.uk", "ntp.org.uk"),
        ("ntp1.bbc.co.uk", "bbc.co.uk"),
        ("time.example.com.au", "example.com.au"),
        ("ntp.nict.go.jp", "nict.go.jp"),
        ("ptbtime1.ptb.de", "ptb.de"),
        ("x.co.de", "x.co.de"),  # kept too much: two customers of one seller stay apart
        ("a.b.city.kawasaki.jp", "kawasaki.jp"),  # kept too little: they are merged, which is safe
        ("localhost", "localhost"),
        ("192.0.2.1", ""),
        ("2001:db8::1", ""),
        ("fe80::1%eth0", ""),
    ],
)
def test_registrable_domain(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


A = Identity("", "a.test")
B = Identity("", "b.test")


def test_strangers_are_two() -> None:
    assert groups({"a": A, "b": B}) == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Identity("acme", "a.test"), Identity("acme", "b.test")),
        (Identity("", "a.test"), Identity("", "a.test")),
        (Identity("x", "a.test"), Identity("y", "a.test")),
        (Identity("", "a.test", "key"), Identity("", "b.test", "key")),
        (
            Identity("", "a.test", "", frozenset({Address("192.0.2.1", 123)})),
            Identity("", "b.test", "", frozenset({Address("192.0.2.1", 123)})),
        ),
    ],
    ids=["operator", "domain", "domain, for all that operators say", "leaf key", "address"],
)
def test_what_gives_two_sources_away_as_one(one: Identity, other: Identity) -> None:
    assert len(set(groups({"a": one, "b": other}).values())) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Identity("", ""), Identity("", "")),  # two numeric addresses
        (Identity("", "a.test", ""), Identity("", "b.test", "")),
        (
            Identity("", "a.test", "", frozenset({Address("192.0.2.1", 123)})),
            Identity("", "b.test", "", frozenset({Address("192.0.2.1", 124)})),
        ),
    ],
    ids=["nothing known", "no keys yet", "another port"],
)
def test_what_does_not(one: Identity, other: Identity) -> None:
    assert len(set(groups({"a": one, "b": other}).values())) == 2


def test_friends_of_friends_are_one() -> None:
    three = {
        "a": Identity("acme", "a.test"),
        "b": Identity("acme", "b.test", "key"),
        "c": Identity("", "c.test", "key"),
        "d": Identity("", "d.test"),
    }
    assert groups(three) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_operators_are_compared_as_people_write_them() -> None:
    assert identity(SourceConfig("x.test", operator="ACME")).shares(
        identity(SourceConfig("y.test", operator="acme"))
    )


@pytest.mark.parametrize(
    ("witnesses", "least", "fixed", "needed"),
    [
        (1, 2, False, 2),
        (1, 1, False, 1),
        (2, 2, False, 2),
        (3, 2, False, 2),
        (4, 2, False, 3),
        (5, 2, False, 3),
        (5, 4, False, 4),
        (5, 1, False, 3),
        (7, 2, False, 4),
        (7, 2, True, 2),
        (7, 1, True, 1),
    ],
)
def test_quorum(witnesses: int, least: int, fixed: bool, needed: int) -> None:
    assert quorum(witnesses, least, fixed) == needed


@given(st.integers(0, 100), st.integers(1, 10))
def test_two_quorums_always_share_a_witness(witnesses: int, least: int) -> None:
    assert 2 * quorum(witnesses, least, False) > witnesses


def test_who_is_a_witness() -> None:
    sources = (
        SourceConfig("good.test"),
        SourceConfig("plain.test", nts=False),
        SourceConfig("watched.test", noselect=True),
        SourceConfig("dhcp.test"),
    )
    config = Config(sources, network=frozenset({"dhcp.test"}))
    assert [is_witness(s, config) for s in sources] == [True, False, False, False]


def test_default_sources_are_five_witnesses() -> None:
    assert len(set(groups({s.id: identity(s) for s in DEFAULT_SOURCES}).values())) >= 5


@pytest.mark.parametrize(
    ("roots", "single"),
    [
        ([], False),
        ([("r",)], True),
        ([("r",), ("r",)], True),
        ([("r",), ("s",)], False),
        ([("r", "s"), ("s", "t")], True),  # cross-signed: whoever owns s owns both
        ([("r", "s"), ("s", "t"), ("t", "r")], False),
        ([("r",), ()], False),
    ],
)
def test_single_issuer(roots: list[tuple[str, ...]], single: bool) -> None:
    assert single_issuer(roots) is single


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("192.168.1.5", True),
        ("172.16.0.1", True),
        ("172.32.0.1", False),
        ("10.0.0.1", True),
        ("fd12::1", True),
        ("fe80::1%eth0", True),
        ("2606:4700:f1::1", False),
        ("192.0.2.1", False),
        ("127.0.0.1", False),
        ("pi", True),
        ("pi.local", True),
        ("clock.home.arpa", True),
        ("ntp.fdroid.org", False),
        ("fc.example.net", False),
    ],
)
def test_own_network(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_servers_of_ones_own_network_are_one_witness() -> None:
    """They may take their time from each other; an operator tells them apart."""
    sources = [SourceConfig(host) for host in ("192.168.1.5", "192.168.1.6", "pi.lan", "a.test")]
    merged = groups({s.id: identity(s) for s in sources})
    assert len(set(merged.values())) == 2
    told = [SourceConfig("192.168.1.5", operator="A"), SourceConfig("192.168.1.6", operator="B")]
    assert len(set(groups({s.id: identity(s) for s in told}).values())) == 2
