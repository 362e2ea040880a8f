"""What daemon and worker say to each other survives the journey; anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.timescale import Instant
from pints.values.address import Address
from pints.values.chain import Chain, Window
from pints.values.worker_tasks import (
    Exchanged,
    ExchangeTask,
    Failed,
    Resolved,
    ResolveTask,
    Result,
    Task,
    decode,
    encode,
)

integers = st.integers(0, 1 << 62)
seconds = st.floats(0, 1e6)
texts = st.text(max_size=20)
octets = st.binary(max_size=64)
addresses = st.builds(Address, texts, st.integers(0, 65535))
instants = st.integers(-(1 << 70), 1 << 70).map(Instant)


def tuples(elements: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(elements, max_size=3).map(tuple)


chains = st.builds(
    Chain, tuples(st.builds(Window, instants, instants)), instants, texts, tuples(texts), texts
)
messages = st.one_of(
    st.builds(ResolveTask, integers, texts, integers, seconds),
    st.builds(
        ExchangeTask,
        *(integers, texts, integers, seconds),
        *(tuples(texts), tuples(texts), tuples(integers), integers),
    ),
    st.builds(Resolved, integers, tuples(addresses)),
    st.builds(
        Exchanged,
        *(integers, integers, tuples(st.tuples(octets, octets)), tuples(octets)),
        *(tuples(addresses), texts, chains, addresses),
        tuples(st.tuples(texts, seconds)),
    ),
    st.builds(Failed, integers, texts, texts, texts, st.booleans()),
)


@given(messages)
def test_journey(message: Task | Result) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    try:
        decode(data)
    except WireError as e:
        text = str(e)
        assert text.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind": "Resolved", "id": [], "addresses": []}',
        b'{"kind": "Resolved", "id": true, "addresses": []}',
        b'{"kind": "Resolved", "id": 1, "addresses": [{"host": "::1", "port": "1"}]}',
        b'{"kind": "Resolved", "id": 1, "addresses": "::1"}',
        b'{"kind": "Resolved", "id": 1}',
        b'{"kind": "Resolved", "id": 1, "addresses": [], "more": 1}',
        b'{"kind": "Address", "host": "::1", "port": 1}',
        b'{"kind": []}',
        b"[" * 100_000,
        b"",
    ],
)
def test_what_is_no_message(line: bytes) -> None:
    with pytest.raises(WireError):
        decode(line)


@given(messages, st.integers(0, 1000), st.binary(min_size=1, max_size=3))
def test_a_message_that_was_damaged(message: Task | Result, position: int, noise: bytes) -> None:
    line = encode(message)
    start = position % len(line)
    try:
        decoded = decode(line[:start] + noise + line[start + len(noise) :])
    except WireError:
        return
    # What still makes sense can be sent on.
    assert decode(encode(decoded)) == decoded
