"""The addresses that names had: few, numeric, the newest first, the dead forgotten."""

import json
import socket
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pints.client.names import MISSES, MOST, MOST_SOURCES, Names, is_plain
from pints.errors import StateError


def learned(*lists: str) -> Names:
    """What one source taught; each list is the last octets of its addresses."""
    names = Names()
    for octets in lists:
        names.learned("ntp.a.test", [f"192.0.2.{octet}" for octet in octets])
    return names


def octets(names: Names) -> str:
    return "".join(host[-1] for host in names.known("ntp.a.test"))


def test_nobody_is_known_at_first() -> None:
    names = Names()
    assert names.known("ntp.a.test") == ()
    assert not names.changed


def test_the_newest_first_and_four_at_most() -> None:
    assert octets(learned("12", "3")) == "312"
    assert octets(learned("12", "21")) == "21"
    assert octets(learned("123456")) == "1234"
    assert octets(learned("1234", "567")) == "5671"


def test_a_dead_one_drops_out_when_others_work() -> None:
    assert octets(learned("12", *["2"] * (MISSES - 1))) == "21"
    assert octets(learned("12", *["2"] * MISSES)) == "2"
    assert octets(learned("12", "2", "2", "12", "2")) == "21", "it came back in between"


def test_nothing_found_changes_nothing() -> None:
    names = learned("12", "")
    names.learned("ntp.a.test", ["ntp.a.test", "fe80::1%eth0", "127.1", ""])
    assert octets(names) == "12"


def test_only_what_matters_is_worth_a_write() -> None:
    names = learned("12")
    assert names.changed
    names.encode()
    assert not names.changed
    names.learned("ntp.a.test", ["192.0.2.2", "192.0.2.1"])
    assert not names.changed, "round robin"
    names.learned("ntp.a.test", ["192.0.2.3"])
    assert names.changed


def test_it_outlasts_the_daemon() -> None:
    names = learned("12", "2", "3")
    names.learned("ntp.b.test", ["2001:db8::1"])
    again = Names.decode(names.encode())
    assert again.encode() == names.encode()
    assert octets(again) == "321"
    assert again.known("ntp.b.test") == ("2001:db8::1",)
    assert not again.changed


def test_sources_are_bounded() -> None:
    names = Names()
    for n in range(MOST_SOURCES + 5):
        names.learned(str(n), ["192.0.2.1"])
    assert not names.known("4")
    assert names.known("5")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"\xff", b"null", b'{"pints-names": 2, "sources": {}}',
        b'{"pints-names": 1}', b'{"pints-names": 1, "sources": []}',
        b'{"pints-names": 1, "sources": {"a": [["ntp.a.test", 0]]}}',
        b'{"pints-names": 1, "sources": {"a": [["192.0.2.1", 3]]}}',
        b'{"pints-names": 1, "sources": {"a": [["192.0.2.1", true]]}}',
        b'{"pints-names": 1, "sources": {"a": [["192.0.2.1"]]}}',
        b'{"pints-names": 1, "sources": {"a": 1}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_torn_or_foreign(data: bytes) -> None:
    with pytest.raises(StateError):
        Names.decode(data)


@given(st.binary(max_size=40))
def test_no_bytes_make_it_fall_over(tail: bytes) -> None:
    good = learned("12").encode()
    for data in (tail, good[: len(tail)] + tail, good[: -len(tail)] + tail):
        with suppress(StateError):
            Names.decode(data)


def test_more_than_there_may_be_is_cut() -> None:
    rows = [[f"192.0.2.{n}", 0] for n in range(50)]
    data = json.dumps({"pints-names": 1, "sources": {"a": rows}}).encode()
    assert len(Names.decode(data).known("a")) == MOST


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.lists(st.sampled_from(["", "0", "7", "1f", "abcd", "12345", "g", "1.2.3.4", "::"]),
                 max_size=9).map(":".join),
        st.lists(st.sampled_from(["", "0", "01", "255", "256", "-1", "\u0661"]),
                 max_size=5).map(".".join),
    )
)  # fmt: skip
@example("1:2:3:4:5:6:7::")
@example("::")
@example("1.2.3.4::")
@example("::1.2.3.4")
@example("1:2:3:4:5:6:1.2.3.4")
def test_what_an_address_is(text: str) -> None:
    """As the C library has it."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text)
        good = True
    except (OSError, UnicodeError):
        good = False
    assert is_plain(text) == good
