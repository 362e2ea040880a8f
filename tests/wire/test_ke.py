"""Key establishment records, for both ends."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pints.errors import WireError
from pints.wire import ke
from pints.wire.aead import AES_128_GCM_SIV, AES_SIV_CMAC_256
from pints.wire.ke import Record, RecordStream, RecordType, RefusalError, Request, Response
from pints.wire.nts import MAX_COOKIE_LENGTH, MAX_COOKIES

COOKIE = bytes(range(100))

REQUEST_FOR_EITHER_AEAD = bytes.fromhex(
    "8001 0002 0000"  # next protocol: NTPv4
    "8004 0004 001e 000f"  # AES-128-GCM-SIV rather than AES-SIV-CMAC-256
    "0400 0000"  # exporting as the RFC says
    "8000 0000"  # end
)
REQUEST_FOR_SIV = bytes.fromhex("8001 0002 0000 8004 0002 000f 8000 0000")
RESPONSE_WITH_EVERYTHING = bytes.fromhex(
    "8001 0002 0000"
    "8004 0002 001e"
    "0400 0000"
    "8006 0010 6e74702e6578616d706c652e6f7267 2e"  # ntp.example.org.
    "8007 0002 10e1"  # 4321
    "0005 0004 11111111 0005 0004 22222222"
    "8000 0000"
)
ERROR_1 = bytes.fromhex("8002 0002 0001 8000 0000")

NEXT = Record(RecordType.NEXT_PROTOCOL, bytes(2), critical=True)
NEXT_EMPTY = Record(RecordType.NEXT_PROTOCOL, b"", critical=True)
AEAD_SIV = Record(RecordType.AEAD_ALGORITHM, bytes([0, 15]), critical=True)
NEW_COOKIE = Record(RecordType.NEW_COOKIE, COOKIE)
SERVER = Record(RecordType.NTPV4_SERVER, b"ntp.example.org")
PORT = Record(RecordType.NTPV4_PORT, (4321).to_bytes(2, "big"))
COMPLIANT = Record(RecordType.COMPLIANT_GCM_SIV_EXPORT)
UNKNOWN = Record(0x2345, b"whatever")
UNKNOWN_CRITICAL = Record(0x2345, b"whatever", critical=True)


def read(data: bytes) -> list[Record]:
    stream = RecordStream()
    assert stream.feed(data)
    return stream.records


def answer(*records: Record, offered: Sequence[int] = (30, 15)) -> Response:
    return ke.decode_response(records, offered)


def refusal(*records: Record) -> int:
    with pytest.raises(RefusalError) as error:
        ke.decode_request(records)
    return error.value.code


# Whole messages.


def test_the_octets_of_a_request() -> None:
    both = Request((AES_128_GCM_SIV, AES_SIV_CMAC_256))
    assert ke.encode_request(both) == REQUEST_FOR_EITHER_AEAD
    assert ke.decode_request(read(REQUEST_FOR_EITHER_AEAD)) == both


def test_who_does_not_offer_gcm_siv_says_nothing_of_its_export() -> None:
    assert ke.encode_request(Request((AES_SIV_CMAC_256,))) == REQUEST_FOR_SIV
    assert ke.decode_request(read(REQUEST_FOR_SIV)) == Request((15,), compliant_export=False)


def test_a_response_with_everything() -> None:
    assert answer(*read(RESPONSE_WITH_EVERYTHING)) == Response(
        algorithm=30,
        cookies=(b"\x11" * 4, b"\x22" * 4),
        server="ntp.example.org",
        port=4321,
        compliant_export=True,
    )


def test_the_octets_of_an_error() -> None:
    assert ke.encode_error(ke.BAD_REQUEST) == ERROR_1


def test_a_server_elsewhere_is_a_critical_record() -> None:
    data = ke.encode_response(Response(15, (COOKIE,), server="2001:db8::1", port=4321))
    critical = {record.type for record in read(data) if record.critical}
    assert critical == {
        RecordType.NEXT_PROTOCOL,
        RecordType.AEAD_ALGORITHM,
        RecordType.NTPV4_SERVER,
        RecordType.NTPV4_PORT,
    }


def test_the_usual_server_and_port_go_unsaid() -> None:
    types = [record.type for record in read(ke.encode_response(Response(15, (COOKIE,) * 8)))]
    assert types == [1, 4] + [5] * 8


def test_nothing_in_common() -> None:
    no_aead = ke.encode_nothing_in_common(Request((17,)))
    assert no_aead == bytes.fromhex("8001 0002 0000 8004 0000 8000 0000")
    with pytest.raises(WireError, match="supports none of our AEAD"):
        answer(*read(no_aead))
    no_protocol = ke.encode_nothing_in_common(Request((15,), ntpv4=False))
    assert no_protocol == bytes.fromhex("8001 0000 8000 0000")
    with pytest.raises(WireError, match="does not speak NTPv4"):
        answer(*read(no_protocol))


NUMBERS = st.integers(0, 0xFFFF)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,20}){0,5}", fullmatch=True)
COOKIES = st.integers(1, 64).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.booleans())
def test_a_request_survives(algorithms: list[int], compliant: bool) -> None:
    request = Request(tuple(algorithms), compliant and AES_128_GCM_SIV in algorithms)
    assert ke.decode_request(read(ke.encode_request(request))) == request


@given(
    st.builds(
        Response,
        algorithm=NUMBERS,
        cookies=st.lists(COOKIES, min_size=1, max_size=8).map(tuple),
        server=HOSTS | st.just(""),
        port=st.integers(1, 0xFFFF),
        compliant_export=st.booleans(),
    )
)
def test_a_response_survives(response: Response) -> None:
    data = ke.encode_response(response)
    assert answer(*read(data), offered=[response.algorithm]) == response


@given(NUMBERS)
def test_an_error_survives(code: int) -> None:
    with pytest.raises(WireError, match="server answers: "):
        answer(*read(ke.encode_error(code)))


# The stream.

RECORDS = st.builds(Record, st.integers(1, 0x7FFF), st.binary(max_size=40), critical=st.booleans())


@given(st.lists(RECORDS, max_size=8), st.lists(st.integers(0, 100), max_size=20))
def test_records_arrive_in_any_pieces(records: list[Record], sizes: list[int]) -> None:
    message = ke.encode(records)
    stream = RecordStream()
    at = 0
    for size in [*sizes, len(message)]:
        at += size
        assert stream.feed(message[at - size : at]) is stream.complete is (at >= len(message))
    assert stream.records == records


def test_records_arrive_octet_by_octet() -> None:
    stream = RecordStream()
    done = [stream.feed(bytes([octet])) for octet in RESPONSE_WITH_EVERYTHING]
    assert done == [False] * (len(done) - 1) + [True]
    assert stream.records == read(RESPONSE_WITH_EVERYTHING)


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_any_bytes_are_records_or_a_wire_error(data: bytes, more: bytes) -> None:
    stream = RecordStream()
    try:
        complete = stream.feed(data)
    except WireError:
        return
    assert complete is stream.complete
    if complete:
        assert data.startswith(ke.encode(stream.records))
        before = list(stream.records)
        assert stream.feed(more)
        assert stream.records == before
    else:
        # Whatever is still open, the records so far are the stream's beginning.
        assert data.startswith(ke.encode(stream.records)[:-4])


@given(st.lists(RECORDS, max_size=4), st.binary(max_size=40))
def test_what_follows_the_end_is_not_looked_at(records: list[Record], behind: bytes) -> None:
    assert read(ke.encode(records) + behind) == records


def test_what_follows_the_end_does_not_count_either() -> None:
    stream = RecordStream(limit=len(REQUEST_FOR_SIV))
    assert stream.feed(REQUEST_FOR_SIV + bytes(100))


@pytest.mark.parametrize(
    "end", ["0000 0000", "8000 0001 00", "0000 0004 00000000", "8000 0002 0000"]
)
def test_an_end_that_is_not_critical_or_not_empty(end: str) -> None:
    with pytest.raises(WireError, match="malformed end of message"):
        RecordStream().feed(bytes.fromhex(end))


@pytest.mark.parametrize("length", range(len(REQUEST_FOR_EITHER_AEAD)))
def test_a_message_cut_short_is_not_complete(length: int) -> None:
    assert not RecordStream().feed(REQUEST_FOR_EITHER_AEAD[:length])


@pytest.mark.parametrize("piece", [1, 7, 1000, 2000])
def test_a_stream_without_end_is_cut_off_at_the_limit(piece: int) -> None:
    endless = (bytes.fromhex("4001 0060") + bytes(96)) * 20
    stream = RecordStream(limit=1000)

    def drown() -> None:
        for at in range(0, len(endless), piece):
            stream.feed(endless[at : at + piece])

    with pytest.raises(WireError, match="too long"):
        drown()
    assert len(stream.records) == 10


def test_a_record_beyond_the_limit_is_refused_by_its_head() -> None:
    with pytest.raises(WireError, match="too long"):
        RecordStream(limit=1000).feed(bytes.fromhex("0005 ffff"))


def test_a_message_of_just_the_limit_is_taken() -> None:
    for limit, fits in ((len(REQUEST_FOR_SIV), True), (len(REQUEST_FOR_SIV) - 1, False)):
        stream = RecordStream(limit)
        if fits:
            assert stream.feed(REQUEST_FOR_SIV)
        else:
            with pytest.raises(WireError, match="too long"):
                stream.feed(REQUEST_FOR_SIV)


def test_as_much_is_accepted_as_section_4_asks_of_a_client() -> None:
    body = bytes(65536 - 8)
    assert read(ke.encode([Record(0x4001, body)])) == [Record(0x4001, body)]


# A client reads responses.


def test_the_least_response() -> None:
    assert answer(NEXT, AEAD_SIV, NEW_COOKIE) == Response(15, (COOKIE,))


@pytest.mark.parametrize("record", [UNKNOWN, Record(0x2345), Record(0x7FFF, bytes(300))])
def test_unknown_records_are_ignored(record: Record) -> None:
    assert answer(record, NEXT, record, AEAD_SIV, NEW_COOKIE, record).cookies == (COOKIE,)


def test_an_aead_record_need_not_be_critical_nor_come_in_order() -> None:
    aead = Record(RecordType.AEAD_ALGORITHM, bytes([0, 15]))
    assert answer(NEW_COOKIE, aead, NEXT).algorithm == 15


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([], "without next protocol or AEAD"),
        ([NEXT, NEW_COOKIE], "without next protocol or AEAD"),
        ([AEAD_SIV, NEW_COOKIE], "without next protocol or AEAD"),
        ([NEXT, AEAD_SIV], "without a usable cookie"),
        ([NEXT, NEXT, AEAD_SIV, NEW_COOKIE], "malformed next protocol"),
        ([Record(1, bytes(2)), AEAD_SIV, NEW_COOKIE], "malformed next protocol"),
        ([NEXT_EMPTY, AEAD_SIV, NEW_COOKIE], "does not speak NTPv4"),
        ([Record(1, b"\x80\x01", True), AEAD_SIV, NEW_COOKIE], "does not speak NTPv4"),
        ([Record(1, bytes(4), True), AEAD_SIV, NEW_COOKIE], "does not speak NTPv4"),
        ([Record(1, bytes(1), True), AEAD_SIV, NEW_COOKIE], "does not speak NTPv4"),
        ([NEXT, AEAD_SIV, AEAD_SIV, NEW_COOKIE], "two AEAD"),
        ([NEXT, Record(4, b"", True), NEW_COOKIE], "supports none of our AEAD"),
        ([NEXT, Record(4, b"\x0f", True), NEW_COOKIE], "body of 1 octets"),
        ([NEXT, Record(4, bytes([0, 15, 0, 30]), True), NEW_COOKIE], "body of 4 octets"),
        ([NEXT, Record(4, bytes([0, 17]), True), NEW_COOKIE], "AEAD 17, which was not offered"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, UNKNOWN_CRITICAL], "critical record 9029"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, SERVER, SERVER], "two NTP servers"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, PORT, PORT], "two NTP ports"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, Record(7, bytes(2))], "NTP port 0"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, Record(7, bytes(1))], "body of 1 octets"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, Record(3, bytes(2), True)], "server warns: 0"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, Record(3, b"", True)], "body of 0 octets"),
        ([UNKNOWN_CRITICAL, Record(2, bytes([0, 0]), True)], "unrecognized critical record$"),
        ([NEXT, AEAD_SIV, NEW_COOKIE, Record(2, bytes([0, 1]), True)], "answers: bad request"),
        ([Record(2, bytes([0, 2]), True)], "internal server error"),
        ([Record(2, bytes([0x80, 3]))], "answers: error 32771"),
        ([Record(2, b"")], "body of 0 octets"),
    ],
)
def test_responses_that_are_refused(records: list[Record], complaint: str) -> None:
    with pytest.raises(WireError, match=complaint) as error:
        answer(*records)
    assert not isinstance(error.value, RefusalError)


def test_an_aead_that_was_not_offered_is_refused_even_if_known() -> None:
    with pytest.raises(WireError, match="AEAD 15, which was not offered"):
        answer(NEXT, AEAD_SIV, NEW_COOKIE, offered=[30])


@pytest.mark.parametrize("length", [0, 1, 99, 101, MAX_COOKIE_LENGTH + 4, 60000])
def test_cookies_of_unusable_length_are_left(length: int) -> None:
    odd = Record(RecordType.NEW_COOKIE, bytes(length))
    assert answer(NEXT, AEAD_SIV, odd, NEW_COOKIE, odd).cookies == (COOKIE,)
    with pytest.raises(WireError, match="usable cookie"):
        answer(NEXT, AEAD_SIV, odd)


def test_cookies_beyond_the_eighth_are_left() -> None:
    many = [Record(RecordType.NEW_COOKIE, bytes([n] * 100)) for n in range(20)]
    cookies = answer(NEXT, AEAD_SIV, *many).cookies
    assert cookies == tuple(record.body for record in many[:MAX_COOKIES])


@pytest.mark.parametrize(
    ("body", "host"),
    [
        (b"time.example.org", "time.example.org"),
        (b"time.example.org.", "time.example.org"),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
        (b"192.0.2.1", "192.0.2.1"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"::1", "::1"),
        (b"a" * 255, "a" * 255),
    ],
)
def test_names_and_addresses_of_servers(body: bytes, host: str) -> None:
    assert answer(NEXT, AEAD_SIV, NEW_COOKIE, Record(6, body)).server == host


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b".",
        b"..",
        b"...",
        b"name..",
        b".hidden",
        b"-option",
        b"a" * 256,
        b"two names",
        b"name\n",
        b"name\0",
        b"../../etc/passwd",
        b"b\xc3\xbccher.example",
        b"[2001:db8::1]",
        b"fe80::1%eth0",
        b"name:1\x1b[2J",
    ],
)
def test_names_that_somebody_could_take_for_something_else(body: bytes) -> None:
    with pytest.raises(WireError, match="malformed NTP server name"):
        answer(NEXT, AEAD_SIV, NEW_COOKIE, Record(6, body))


# A server reads requests.


def test_the_least_request() -> None:
    assert ke.decode_request([NEXT, AEAD_SIV]) == Request((15,), compliant_export=False)


def test_a_request_may_hold_wishes_and_unknown_records() -> None:
    records = [UNKNOWN, SERVER, Record(6, b"\xff"), PORT, AEAD_SIV, NEXT, COMPLIANT, UNKNOWN]
    assert ke.decode_request(records) == Request((15,), compliant_export=True)


def test_the_clients_order_of_preference_is_kept() -> None:
    algorithms = Record(4, bytes([0, 17, 0, 15, 0, 30]))
    assert ke.decode_request([NEXT, algorithms]).algorithms == (17, 15, 30)


def test_ntpv4_among_other_protocols() -> None:
    protocols = Record(1, bytes.fromhex("8001 0000"), critical=True)
    assert ke.decode_request([protocols, AEAD_SIV]).ntpv4


@pytest.mark.parametrize("records", [[], [AEAD_SIV]])
def test_another_protocol_alone_is_no_error_and_needs_no_aead(records: list[Record]) -> None:
    protocols = Record(1, bytes.fromhex("8001"), critical=True)
    request = ke.decode_request([protocols, *records])
    assert not request.ntpv4
    assert ke.encode_nothing_in_common(request) == ke.encode([NEXT_EMPTY])


@pytest.mark.parametrize(
    "records",
    [
        [],
        [NEXT],
        [AEAD_SIV],
        [NEXT, NEXT, AEAD_SIV],
        [NEXT_EMPTY, AEAD_SIV],
        [Record(1, bytes(2)), AEAD_SIV],
        [Record(1, bytes(3), True), AEAD_SIV],
        [Record(1, bytes.fromhex("8001"), True), Record(4, b"", True)],
        [NEXT, AEAD_SIV, AEAD_SIV],
        [NEXT, Record(4, b"", True)],
        [NEXT, Record(4, b"\0\x0f\0", True)],
        [NEXT, AEAD_SIV, NEW_COOKIE],
        [NEXT, AEAD_SIV, Record(2, bytes(2), True)],
        [NEXT, AEAD_SIV, Record(3, bytes(2), True)],
    ],
)
def test_bad_requests(records: list[Record]) -> None:
    assert refusal(*records) == ke.BAD_REQUEST


def test_an_unknown_critical_record_is_named_as_such() -> None:
    assert refusal(NEXT, AEAD_SIV, UNKNOWN_CRITICAL) == ke.UNRECOGNIZED_CRITICAL
    assert refusal(UNKNOWN_CRITICAL) == ke.UNRECOGNIZED_CRITICAL


ANY_RECORDS = st.lists(
    st.one_of(
        RECORDS,
        st.sampled_from([NEXT, AEAD_SIV, NEW_COOKIE, SERVER, PORT, COMPLIANT, UNKNOWN]),
        st.builds(Record, st.integers(1, 8), st.binary(max_size=4), critical=st.booleans()),
    ),
    max_size=8,
)


@given(ANY_RECORDS)
def test_any_records_are_a_response_or_a_wire_error(records: list[Record]) -> None:
    try:
        response = answer(*records)
    except WireError:
        return
    assert response.algorithm in (15, 30)
    assert 0 < len(response.cookies) <= MAX_COOKIES
    assert 0 < response.port < 65536
    # Parse, write, parse.
    assert answer(*read(ke.encode_response(response))) == response


@given(ANY_RECORDS)
def test_any_records_are_a_request_or_a_refusal(records: list[Record]) -> None:
    try:
        request = ke.decode_request(records)
    except RefusalError as error:
        refused = error.code
    else:
        assert request.algorithms or not request.ntpv4
        return
    assert refused in (ke.UNRECOGNIZED_CRITICAL, ke.BAD_REQUEST)


# Exporting keys.


@pytest.mark.parametrize(
    ("algorithm", "server_to_client", "context"),
    [
        (15, False, "0000 000f 00"),
        (15, True, "0000 000f 01"),
        (30, False, "0000 001e 00"),
        (30, True, "0000 001e 01"),
    ],
)
def test_exporter_contexts(algorithm: int, server_to_client: bool, context: str) -> None:
    assert ke.exporter_context(algorithm, server_to_client) == bytes.fromhex(context)


@pytest.mark.parametrize(
    ("algorithm", "compliant", "contexts"),
    [(15, False, (15,)), (15, True, (15,)), (30, True, (30,)), (30, False, (15, 30))],
)
def test_what_old_chrony_exports(
    algorithm: int, compliant: bool, contexts: tuple[int, ...]
) -> None:
    assert ke.exporter_contexts(algorithm, compliant) == contexts


@pytest.mark.parametrize("decode", [ke.decode_request, lambda records: answer(*records)])
def test_nothing_is_used_of_a_message_without_substance(
    decode: Callable[[Sequence[Record]], object],
) -> None:
    with pytest.raises(WireError):
        decode(read(ke.encode([])))
