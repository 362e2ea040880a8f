"""NTS key establishment records (RFC 8915 section 4), for both ends.

The stream is untrusted until its last record: it is limited in size, read as it comes, and
nothing of it is used before "End of Message".

chrony before 4.6.1 exports AEAD_AES_128_GCM_SIV keys under the context of
AEAD_AES_SIV_CMAC_256.  Since then its two ends tell each other by the record
`COMPLIANT_GCM_SIV_EXPORT`, which both ends of pints send and heed too; who does not send it
is an older chrony or somebody who follows the RFC, and `exporter_contexts` says what to try.
"""

import struct
from collections.abc import Iterable, Sequence

from pints.errors import WireError
from pints.lean import dataclass
from pints.wire.aead import AES_128_GCM_SIV, AES_SIV_CMAC_256
from pints.wire.ntp import NTP_PORT as NTP_PORT
from pints.wire.nts import MAX_COOKIE_LENGTH, MAX_COOKIES

PORT = 4460
ALPN = b"ntske/1"
EXPORTER_LABEL = b"EXPORTER-network-time-security"
NTPV4 = 0


class RecordType:
    """RFC 8915 section 7.6; the last is chrony's, the first beyond the IETF's own range."""

    END_OF_MESSAGE = 0
    NEXT_PROTOCOL = 1
    ERROR = 2
    WARNING = 3
    AEAD_ALGORITHM = 4
    NEW_COOKIE = 5
    NTPV4_SERVER = 6
    NTPV4_PORT = 7
    COMPLIANT_GCM_SIV_EXPORT = 1024


# Error codes (section 4.1.3).
UNRECOGNIZED_CRITICAL = 0
BAD_REQUEST = 1
INTERNAL_ERROR = 2
ERROR_NAMES = {
    UNRECOGNIZED_CRITICAL: "unrecognized critical record",
    BAD_REQUEST: "bad request",
    INTERNAL_ERROR: "internal server error",
}

MAX_MESSAGE_LENGTH = 65536
"""Octets of all records together: what section 4 asks of a client; of a server it asks 1024.
Eight cookies of 256 octets need 2 KiB."""
_CRITICAL = 0x8000
_HEAD = struct.Struct(">HH")


@dataclass(frozen=True, slots=True)
class Record:
    """One record.  The critical bit says that who does not know the type must give up."""

    type: int
    body: bytes = b""
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a client offers, in its order of preference."""

    algorithms: tuple[int, ...]
    """May be empty only where `ntpv4` is false."""
    compliant_export: bool = True
    ntpv4: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """What a server granted."""

    algorithm: int
    cookies: tuple[bytes, ...]
    server: str = ""
    """Name or address of the NTP server; '' is the key server's own."""
    port: int = NTP_PORT
    compliant_export: bool = False


class RefusalError(WireError):
    """A request that gets an error record for its answer, with that code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class RecordStream:
    """Collects records from pieces of a stream, up to "End of Message"."""

    def __init__(self, limit: int = MAX_MESSAGE_LENGTH) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self.records: list[Record] = []
        self.complete = False

    def feed(self, data: bytes) -> bool:
        """Take the next piece; True once the message is complete.  What follows its end is
        the peer's mistake and not looked at."""
        if self.complete:
            return True
        self._buffer += data
        start = 0
        while not self.complete and len(self._buffer) - start >= _HEAD.size:
            type, length = _HEAD.unpack_from(self._buffer, start)
            end = start + _HEAD.size + length
            if end > self._limit:
                raise WireError("NTS-KE message too long")
            if end > len(self._buffer):
                break
            body = bytes(self._buffer[start + _HEAD.size : end])
            record = Record(type & ~_CRITICAL, body, bool(type & _CRITICAL))
            start = end
            if record.type == RecordType.END_OF_MESSAGE:
                if body or not record.critical:
                    raise WireError("malformed end of message")
                self.complete = True
            else:
                self.records.append(record)
        del self._buffer[:start]
        self._limit -= start
        return self.complete


def encode(records: Iterable[Record]) -> bytes:
    """The records and the "End of Message" that closes them."""
    return b"".join(
        _HEAD.pack(r.type | (_CRITICAL if r.critical else 0), len(r.body)) + r.body
        for r in (*records, Record(RecordType.END_OF_MESSAGE, critical=True))
    )


def encode_request(request: Request) -> bytes:
    """The client's whole message."""
    records = [
        Record(RecordType.NEXT_PROTOCOL, _numbers([NTPV4]), critical=True),
        Record(RecordType.AEAD_ALGORITHM, _numbers(request.algorithms), critical=True),
    ]
    if request.compliant_export and AES_128_GCM_SIV in request.algorithms:
        records.append(Record(RecordType.COMPLIANT_GCM_SIV_EXPORT))
    return encode(records)


def decode_response(records: Sequence[Record], offered: Iterable[int]) -> Response:
    """What the server granted, or WireError.  Errors first: they explain all the rest."""
    for record in records:
        if record.type == RecordType.ERROR:
            code = _number(record)
            raise WireError(f"server answers: {ERROR_NAMES.get(code, f'error {code}')}")
    cookies = []
    algorithm = protocol = port = None
    server, compliant = "", False
    for record in records:
        match record.type:
            case RecordType.NEXT_PROTOCOL:
                if protocol is not None or not record.critical:
                    raise WireError("malformed next protocol record")
                if record.body != _numbers([NTPV4]):
                    raise WireError("server does not speak NTPv4 under NTS")
                protocol = NTPV4
            case RecordType.AEAD_ALGORITHM:
                if algorithm is not None:
                    raise WireError("two AEAD records")
                if not record.body:
                    raise WireError("server supports none of our AEAD algorithms")
                algorithm = _number(record)
                if algorithm not in tuple(offered):
                    raise WireError(f"server chose AEAD {algorithm}, which was not offered")
            case RecordType.NEW_COOKIE:
                if 0 < len(record.body) <= MAX_COOKIE_LENGTH and len(record.body) % 4 == 0:
                    cookies.append(record.body)
            case RecordType.NTPV4_SERVER:
                if server:
                    raise WireError("two NTP servers")
                server = _host(record.body)
            case RecordType.NTPV4_PORT:
                if port is not None:
                    raise WireError("two NTP ports")
                port = _number(record)
                if port == 0:
                    raise WireError("NTP port 0")
            case RecordType.COMPLIANT_GCM_SIV_EXPORT:
                compliant = True
            case RecordType.WARNING:
                # No warning is defined; one not understood is an error (section 4.1.4).
                raise WireError(f"server warns: {_number(record)}")
            case _:
                if record.critical:
                    raise WireError(f"unrecognized critical record {record.type}")
    if protocol is None or algorithm is None:
        raise WireError("response without next protocol or AEAD")
    if not cookies:
        raise WireError("response without a usable cookie")
    return Response(algorithm, tuple(cookies[:MAX_COOKIES]), server, port or NTP_PORT, compliant)


def decode_request(records: Sequence[Record]) -> Request:
    """What a client offers, or RefusalError with the code that it is owed."""
    protocols: list[int] | None = None
    algorithms: list[int] | None = None
    compliant = False
    for record in records:
        match record.type:
            case RecordType.NEXT_PROTOCOL:
                if protocols is not None or not record.critical:
                    raise RefusalError(BAD_REQUEST, "malformed next protocol record")
                protocols = _list(record)
            case RecordType.AEAD_ALGORITHM:
                if algorithms is not None:
                    raise RefusalError(BAD_REQUEST, "two AEAD records")
                algorithms = _list(record)
            case RecordType.COMPLIANT_GCM_SIV_EXPORT:
                compliant = True
            case RecordType.ERROR | RecordType.WARNING | RecordType.NEW_COOKIE:
                raise RefusalError(BAD_REQUEST, f"record {record.type} in a request")
            case RecordType.NTPV4_SERVER | RecordType.NTPV4_PORT:
                pass  # a wish that a server is free not to grant (section 4.1.7)
            case _:
                if record.critical:
                    raise RefusalError(UNRECOGNIZED_CRITICAL, f"critical record {record.type}")
    if not protocols or (NTPV4 in protocols and not algorithms):
        raise RefusalError(BAD_REQUEST, "request without next protocol or AEAD")
    return Request(tuple(algorithms or ()), compliant, NTPV4 in protocols)


def encode_nothing_in_common(request: Request) -> bytes:
    """The server's whole message when it shares no protocol or no AEAD with the client: an
    empty list, which is no error (sections 4.1.2 and 4.1.5)."""
    protocols = _numbers([NTPV4]) if request.ntpv4 else b""
    records = [Record(RecordType.NEXT_PROTOCOL, protocols, critical=True)]
    if request.ntpv4:
        records.append(Record(RecordType.AEAD_ALGORITHM, critical=True))
    return encode(records)


def encode_response(response: Response) -> bytes:
    """The server's whole message to a request that it grants."""
    records = [Record(RecordType.NEXT_PROTOCOL, _numbers([NTPV4]), critical=True)]
    records.append(Record(RecordType.AEAD_ALGORITHM, _numbers([response.algorithm]), critical=True))
    if response.compliant_export:
        records.append(Record(RecordType.COMPLIANT_GCM_SIV_EXPORT))
    if response.server:
        records.append(
            Record(RecordType.NTPV4_SERVER, response.server.encode("ascii"), critical=True)
        )
    if response.port != NTP_PORT:
        records.append(Record(RecordType.NTPV4_PORT, _numbers([response.port]), critical=True))
    return encode(
        [*records, *(Record(RecordType.NEW_COOKIE, cookie) for cookie in response.cookies)]
    )


def encode_error(code: int) -> bytes:
    """The server's whole message to a request it refuses."""
    return encode([Record(RecordType.ERROR, _numbers([code]), critical=True)])


def exporter_context(algorithm: int, server_to_client: bool) -> bytes:
    """The context value of the TLS exporter (section 5.1)."""
    return struct.pack(">HHB", NTPV4, algorithm, server_to_client)


def exporter_contexts(algorithm: int, compliant_export: bool) -> tuple[int, ...]:
    """The algorithm numbers to put into the exporter's context, the likeliest first.

    A peer that said nothing of `COMPLIANT_GCM_SIV_EXPORT` and answers the first with a NAK
    meant the second.
    """
    if algorithm != AES_128_GCM_SIV or compliant_export:
        return (algorithm,)
    return (AES_SIV_CMAC_256, AES_128_GCM_SIV)


def _numbers(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def _number(record: Record) -> int:
    if len(record.body) != 2:
        raise WireError(f"record {record.type} with a body of {len(record.body)} octets")
    return int.from_bytes(record.body, "big")


def _list(record: Record) -> list[int]:
    if not record.body or len(record.body) % 2:
        raise RefusalError(BAD_REQUEST, f"record {record.type} with a malformed list")
    return list(struct.unpack(f">{len(record.body) // 2}H", record.body))


def _host(body: bytes) -> str:
    """A name or address as section 4.1.7 wants it: ASCII, nothing that a resolver, a log or a
    file name could take for something else.  A name is a full one, its last dot left out."""
    allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:"
    if not 0 < len(body) <= 255 or any(c not in allowed for c in body):
        raise WireError("malformed NTP server name")
    name = body.decode("ascii").removesuffix(".")
    if not name or name[0] in "-." or name[-1] == ".":
        raise WireError("malformed NTP server name")
    return name
