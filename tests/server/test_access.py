"""Who is served, and how much of it."""

from collections.abc import Callable

import pytest

from pints.errors import ConfigError
from pints.server.access import AllowList, RateLimit, Verdict, pack
from pints.timescale import NS, Boot


def always(octet: int) -> Callable[[int], bytes]:
    return lambda n: bytes([octet]) * n


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.168.0.0/16", "192.168.255.255", "192.169.0.0"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("10.1.2.3/32", "10.1.2.3", "10.1.2.2"),
        ("128.0.0.0/1", "255.255.255.255", "127.255.255.255"),
        ("fe80::/10", "fe80::1%eth0", "fec0::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("::1", "::1", "::2"),
        ("192.168.0.0/16", "::ffff:192.168.1.1", "::ffff:10.0.0.1"),
        ("0.0.0.0/0", "1.2.3.4", "2001:db8::1"),
        ("::/0", "2001:db8::1", "1.2.3.4"),
    ],
)
def test_a_network_is_served_and_its_neighbours_are_not(
    network: str, inside: str, outside: str
) -> None:
    allow = AllowList([network])
    assert allow.allows(pack(inside))
    assert not allow.allows(pack(outside))


def test_an_empty_list_serves_nobody() -> None:
    assert not AllowList([]).allows(pack("127.0.0.1"))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("lan", "no network"),
        ("", "no network"),
        ("192.168.0.0/", "no network"),
        ("192.168.0.0/x", "no network"),
        ("192.168.0/16", "no network"),
        ("192.168.0.0/33", "prefix length"),
        ("192.168.0.0/-1", "prefix length"),
        ("fe80::/129", "prefix length"),
        ("192.168.1.7/16", "bits set below"),
    ],
)
def test_what_is_no_network_is_a_config_error(network: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AllowList([network])


def test_the_error_names_the_network_that_was_meant() -> None:
    with pytest.raises(ConfigError) as e:
        AllowList(["192.168.1.7/16"])
    assert '"192.168.0.0/16"' in e.value.hint


CLIENT = pack("192.0.2.1")


def test_a_burst_is_answered_then_the_steady_rate() -> None:
    limit = RateLimit(interval=NS, burst=4)
    now = Boot(1000 * NS)
    verdicts = [limit.judge(CLIENT, now, always(255)) for _ in range(6)]
    assert verdicts == [Verdict.ANSWER] * 4 + [Verdict.DROP] * 2
    for second in range(1, 100):
        later = Boot(now + second * NS)
        assert limit.judge(CLIENT, later, always(255)) is Verdict.ANSWER
        assert limit.judge(CLIENT, later, always(255)) is Verdict.DROP


def test_a_flood_does_not_prolong_itself() -> None:
    """Requests that are dropped do not count, so a client recovers as soon as it slows down,
    and the owner of a forged address has its share again at once."""
    limit = RateLimit(interval=NS, burst=4)
    for _ in range(10_000):
        limit.judge(CLIENT, Boot(0), always(255))
    assert limit.judge(CLIENT, Boot(NS), always(255)) is Verdict.ANSWER


@pytest.mark.parametrize(
    ("chance", "verdict"),
    [(0, Verdict.ANSWER), (63, Verdict.ANSWER), (64, Verdict.SLOW_DOWN), (80, Verdict.DROP)],
)
def test_chance_decides_beyond_the_limit(chance: int, verdict: Verdict) -> None:
    limit = RateLimit(interval=NS, burst=1)
    limit.judge(CLIENT, Boot(0), always(255))
    assert limit.judge(CLIENT, Boot(0), always(chance)) is verdict


def test_one_client_costs_another_nothing() -> None:
    limit = RateLimit(interval=NS, burst=1)
    limit.judge(CLIENT, Boot(0), always(255))
    assert limit.judge(pack("192.0.2.2"), Boot(0), always(255)) is Verdict.ANSWER


def test_an_ipv6_host_cannot_multiply_within_its_network() -> None:
    limit = RateLimit(interval=NS, burst=1)
    limit.judge(pack("2001:db8::1"), Boot(0), always(255))
    assert limit.judge(pack("2001:db8::2"), Boot(0), always(255)) is Verdict.DROP
    assert limit.judge(pack("2001:db8:0:1::1"), Boot(0), always(255)) is Verdict.ANSWER


def test_the_table_is_bounded_and_forgets_the_one_longest_unheard() -> None:
    limit = RateLimit(interval=NS, burst=1, size=2)
    a, b, c = (pack(f"192.0.2.{n}") for n in (1, 2, 3))
    for client in (a, b, a, c):  # a was heard again: b is the one to go
        limit.judge(client, Boot(0), always(255))
    assert limit.judge(a, Boot(0), always(255)) is Verdict.DROP
    assert limit.judge(b, Boot(0), always(255)) is Verdict.ANSWER


def test_this_machine_is_never_limited() -> None:
    limit = RateLimit(interval=NS, burst=1)
    for host in ("127.0.0.1", "127.255.0.1", "::1"):
        for _ in range(3):
            assert limit.judge(pack(host), Boot(0), always(255)) is Verdict.ANSWER


def test_an_ipv6_address_that_begins_with_127_is_not_this_machine() -> None:
    limit = RateLimit(interval=NS, burst=1)
    limit.judge(pack("7f00::1"), Boot(0), always(255))
    assert limit.judge(pack("7f00::1"), Boot(0), always(255)) is Verdict.DROP
