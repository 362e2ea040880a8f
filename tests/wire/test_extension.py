"""Extension fields, and what only looks like one."""

from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.wire import extension
from pints.wire.extension import Field

HEADER = bytes(48)
FIELD_OF_28 = bytes.fromhex("0104 001c") + bytes(range(24))
LENGTH_ZERO_THAT_WOULD_LOOP = bytes.fromhex("0104 0000") + bytes(28)
LENGTH_OF_THE_BODY_ALONE = bytes.fromhex("0104 0018") + bytes(24)
LENGTH_BELOW_THE_LEAST = bytes.fromhex("0104 000c") + bytes(28)
LENGTH_NOT_OF_WHOLE_WORDS = bytes.fromhex("0104 001e") + bytes(28)
LENGTH_BEYOND_THE_END = bytes.fromhex("0104 0024") + bytes(28)
LENGTH_OF_64_KIB = bytes.fromhex("0104 fffc") + bytes(28)
CRYPTO_NAK = bytes(4)
MAC_OF_MD5 = bytes.fromhex("00000001") + bytes(16)
MAC_OF_SHA1 = bytes.fromhex("00000001") + bytes(20)
FIELD_OF_16_WHERE_A_MAC_COULD_STAND = bytes.fromhex("0104 0010") + bytes(12)
FIELD_OF_24_WHERE_A_MAC_COULD_STAND = bytes.fromhex("0104 0018") + bytes(20)
EMPTY_HIDDEN_FIELD = bytes.fromhex("0204 0004")
HIDDEN_FIELD_OF_ONE_WORD = bytes.fromhex("0204 0008 01020304")


def fields(rest: bytes) -> list[Field]:
    return list(extension.decode(HEADER + rest, len(HEADER)))


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        (b"", "0104 0010" + "00" * 12),
        (b"\xff", "0104 0010 ff" + "00" * 11),
        (b"\xff" * 12, "0104 0010" + "ff" * 12),
        (b"\xff" * 13, "0104 0014" + "ff" * 13 + "00" * 3),
        (b"\xff" * 16, "0104 0014" + "ff" * 16),
    ],
)
def test_a_body_is_padded_with_zeros_to_whole_words_and_the_least_length(
    body: bytes, encoded: str
) -> None:
    assert extension.encode(0x0104, body) == bytes.fromhex(encoded)


def test_a_field_says_where_it_starts() -> None:
    assert fields(FIELD_OF_28 * 2) == [
        Field(0x0104, bytes(range(24)), 48),
        Field(0x0104, bytes(range(24)), 76),
    ]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        LENGTH_ZERO_THAT_WOULD_LOOP,
        LENGTH_NOT_OF_WHOLE_WORDS,
        LENGTH_BEYOND_THE_END,
        LENGTH_OF_64_KIB,
    ],
)
def test_lengths_that_lie_are_refused(data: bytes, hidden: bool) -> None:
    with pytest.raises(WireError, match="0x0104 of length"):
        list(extension.decode(data, 0, hidden))


def test_a_field_below_the_least_length_is_refused_in_a_packet() -> None:
    with pytest.raises(WireError, match="of length 12, 32 left"):
        fields(LENGTH_BELOW_THE_LEAST)


def test_a_length_that_counts_the_body_alone_leaves_a_rest() -> None:
    assert fields(LENGTH_OF_THE_BODY_ALONE) == [Field(0x0104, bytes(20), 48)]
    with pytest.raises(WireError, match="of length 0"):
        list(extension.decode(LENGTH_OF_THE_BODY_ALONE, 0, hidden=True))


@pytest.mark.parametrize(
    "mac",
    [
        CRYPTO_NAK,
        MAC_OF_MD5,
        MAC_OF_SHA1,
        FIELD_OF_16_WHERE_A_MAC_COULD_STAND,
        FIELD_OF_24_WHERE_A_MAC_COULD_STAND,
    ],
)
def test_a_short_rest_of_a_packet_is_a_mac(mac: bytes) -> None:
    assert fields(mac) == []
    assert fields(FIELD_OF_28 + mac) == [Field(0x0104, bytes(range(24)), 48)]


def test_28_octets_are_no_mac() -> None:
    assert len(fields(FIELD_OF_28)) == 1


@pytest.mark.parametrize(
    "data", [FIELD_OF_16_WHERE_A_MAC_COULD_STAND, EMPTY_HIDDEN_FIELD, HIDDEN_FIELD_OF_ONE_WORD]
)
def test_hidden_fields_may_be_arbitrarily_short(data: bytes) -> None:
    type = int.from_bytes(data[:2], "big")
    twice = list(extension.decode(data * 2, 0, hidden=True))
    assert twice == [Field(type, data[4:], 0), Field(type, data[4:], len(data))]


@pytest.mark.parametrize("rest", [1, 2, 3])
def test_hidden_fields_leave_no_rest(rest: int) -> None:
    with pytest.raises(WireError, match=f"cut short after {rest} octets"):
        list(extension.decode(HIDDEN_FIELD_OF_ONE_WORD + bytes(rest), 0, hidden=True))


def test_what_stands_behind_is_not_looked_at_before_its_turn() -> None:
    reader = extension.decode(HEADER + FIELD_OF_28 + LENGTH_ZERO_THAT_WOULD_LOOP, len(HEADER))
    assert next(reader).start == 48
    with pytest.raises(WireError):
        next(reader)


TYPES = st.integers(0, 0xFFFF)
PAIRS = st.lists(st.tuples(TYPES, st.binary(max_size=100)), max_size=6)


@given(PAIRS)
def test_what_was_written_is_read_alike(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(extension.encode(type, body) for type, body in pairs)
    read = list(extension.decode(data, 0, hidden=True))
    assert [f.type for f in read] == [type for type, _ in pairs]
    for field, (_, body) in zip(read, pairs, strict=True):
        assert field.body == body + bytes(len(field.body) - len(body))
        assert len(field.body) - len(body) < max(4, 13 - len(body))


@given(PAIRS)
def test_in_a_packet_only_a_short_end_is_lost(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(extension.encode(type, body) for type, body in pairs)
    whole = list(extension.decode(data, 0, hidden=True))
    far = takewhile(lambda f: len(data) - f.start > extension.MAX_MAC_LENGTH, whole)
    assert list(extension.decode(data, 0)) == list(far)


MOSTLY_FIELDS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(extension.encode, TYPES, st.binary(max_size=40)),
    ),
    max_size=6,
).map(b"".join)


@given(MOSTLY_FIELDS, st.integers(0, 60), st.booleans())
def test_any_bytes_are_fields_or_a_wire_error(data: bytes, start: int, hidden: bool) -> None:
    read: list[Field] = []
    end = start
    try:
        for field in extension.decode(data, start, hidden):
            assert field.start == end
            end += 4 + len(field.body)
            read.append(field)
    except WireError:
        assert end < len(data)
    else:
        left = max(0, len(data) - max(start, end))
        assert left <= (0 if hidden else extension.MAX_MAC_LENGTH)
    # They tile the data.
    again = b"".join(
        f.type.to_bytes(2, "big") + (4 + len(f.body)).to_bytes(2, "big") + f.body for f in read
    )
    assert data[start:end] == again
