"""The DNS wire format (RFC 1035, RFC 6891): queries in, replies out. Pure.

Invariant: a query that cannot be read is answered or dropped, never guessed at.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
IN = 1

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

HEADER = struct.Struct("!HHHHHH")
UDP_MIN, UDP_MAX = 512, 1232

Name = tuple[str, ...]
"""Labels from left to right, lower case, bytes read as Latin-1."""


class WireError(Exception):
    """The bytes are no DNS message."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question as asked.

    Attributes:
        id: to be repeated in the reply.
        question: the question's own bytes (letter case kept), to be echoed.
        payload: bytes the client takes over UDP; 0 when the query has no EDNS record.
    """

    id: int
    flags: int
    name: Name
    type: int
    cls: int
    question: bytes
    payload: int = 0
    version: int = 0

    @property
    def opcode(self) -> int:
        """0 for a plain query."""
        return self.flags >> 11 & 15


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; `data` is encoded already (names in it uncompressed)."""

    name: Name
    type: int
    ttl: int
    data: bytes


def parse(data: bytes) -> Query:
    """The query in `data`. Raises WireError when there is not exactly one question to read."""
    if len(data) < 12:
        raise WireError("too short")
    ident, flags, questions, _, _, additional = HEADER.unpack_from(data)
    if questions != 1:
        raise WireError("not one question")
    name, at = read_name(data, 12)
    if len(data) < at + 4:
        raise WireError("the question is cut")
    kind, cls = struct.unpack_from("!HH", data, at)
    at += 4
    payload, version = _edns(data, at, additional)
    return Query(ident, flags, name, kind, cls, data[12:at], payload, version)


def read_name(data: bytes, at: int) -> tuple[Name, int]:
    """The name at offset `at`, and the offset behind it. Follows compression."""
    labels: list[str] = []
    end, jumps, total = 0, 0, 0
    while True:
        if at >= len(data):
            raise WireError("a name is cut")
        length = data[at]
        if length & 0xC0 == 0xC0:
            if at + 1 >= len(data) or jumps > 32:
                raise WireError("a bad pointer")
            end = end or at + 2
            at = (length & 0x3F) << 8 | data[at + 1]
            jumps += 1
            continue
        if length > 63:
            raise WireError("a bad label")
        at += 1
        if not length:
            return tuple(labels), end or at
        total += length + 1
        if at + length > len(data) or total > 254:
            raise WireError("a name is cut or too long")
        labels.append(data[at : at + length].decode("latin-1").lower())
        at += length


def _edns(data: bytes, at: int, additional: int) -> tuple[int, int]:
    """Payload size and version of the OPT record; (0, 0) when there is none."""
    for _ in range(additional):
        name, at = read_name(data, at)
        if len(data) < at + 10:
            raise WireError("a record is cut")
        kind, size, ttl, length = struct.unpack_from("!HHIH", data, at)
        at += 10 + length
        if kind == OPT and not name:
            return max(UDP_MIN, size), ttl >> 16 & 255
    return 0, 0


def encode_name(name: Name) -> bytes:
    """A name without compression. Raises WireError for one that cannot be sent."""
    parts = []
    for label in name:
        raw = label.encode("latin-1")
        if not 0 < len(raw) < 64:
            raise WireError("a bad label")
        parts.append(bytes((len(raw),)) + raw)
    encoded = b"".join(parts) + b"\0"
    if len(encoded) > 255:
        raise WireError("a name is too long")
    return encoded


def name_of(text: str) -> Name:
    """The labels of a dotted name."""
    return tuple(label for label in text.lower().strip(".").split(".") if label)


def srv_data(port: int, target: Name, weight: int = 100) -> bytes:
    """The data of an SRV record."""
    return struct.pack("!HHH", 0, weight, port) + encode_name(target)


def soa_data(zone: Name, serial: int, negative_ttl: int) -> bytes:
    """The data of a SOA record; `negative_ttl` is how long a missing name may be remembered."""
    timers = struct.pack("!IIIII", serial, 7200, 1800, 86400, negative_ttl)
    return encode_name(("ns", "dns", *zone)) + encode_name(("hostmaster", *zone)) + timers


def txt_data(text: str) -> bytes:
    """The data of a TXT record of one short string."""
    raw = text.encode()
    return bytes((len(raw),)) + raw


@dataclass(frozen=True, slots=True)
class Sections:
    """The records of a reply."""

    answers: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()


def encode(query: Query, rcode: int, sections: Sections, *, limit: int) -> bytes:
    """A reply of at most `limit` bytes: additional records are dropped first, then, with the
    truncation bit set, answers."""
    names: dict[Name, int] = {query.name: 12} if query.name else {}
    body = bytearray(HEADER.size)
    body += query.question
    opt = _opt(rcode) if query.payload else b""
    room = limit - len(opt)
    counts = [0, 0, 0]
    truncated = False
    groups = (sections.answers, sections.authority, sections.additional)
    for index, records in enumerate(groups):
        for record in records:
            size, known = len(body), dict(names)
            _append(body, record, names)
            if len(body) > room:
                del body[size:]
                names = known
                truncated = truncated or index == 0
                break
            counts[index] += 1
        if truncated:
            break
    flags = 0x8400 | (query.flags & 0x7910) | 0x80 | (rcode & 15) | (0x200 if truncated else 0)
    HEADER.pack_into(body, 0, query.id, flags, 1, counts[0], counts[1], counts[2] + bool(opt))
    return bytes(body + opt)


def _opt(rcode: int) -> bytes:
    return b"\0" + struct.pack("!HHIH", OPT, UDP_MAX, (rcode >> 4) << 24, 0)


def _append(body: bytearray, record: Record, names: dict[Name, int]) -> None:
    """Add a record, its own name compressed against those written before."""
    name = record.name
    for skip in range(len(name) + 1):
        rest = name[skip:]
        if not rest:
            body.append(0)
        elif (at := names.get(rest)) is not None:
            body += struct.pack("!H", 0xC000 | at)
            break
        else:
            if len(body) < 0x3FFF:
                names[rest] = len(body)
            raw = rest[0].encode("latin-1")
            body += bytes((len(raw),)) + raw
    body += struct.pack("!HHIH", record.type, IN, record.ttl, len(record.data)) + record.data


def error(data: bytes, rcode: int) -> bytes:
    """A reply without question to a message that could not be read."""
    ident, flags = struct.unpack_from("!HH", data)
    return HEADER.pack(ident, 0x8000 | (flags & 0x7900) | rcode, 0, 0, 0, 0)


def question(name: Name, kind: int) -> bytes:
    """A question's bytes."""
    return encode_name(name) + struct.pack("!HH", kind, IN)


def answers_of(data: bytes) -> list[Record]:
    """The address, alias and text records in the answer section of a reply.

    Raises WireError for a reply that cannot be read.
    """
    if len(data) < 12:
        raise WireError("too short")
    _, _, questions, answers, _, _ = HEADER.unpack_from(data)
    at = 12
    for _ in range(questions):
        at = read_name(data, at)[1] + 4
    found: list[Record] = []
    for _ in range(answers):
        name, at = read_name(data, at)
        if len(data) < at + 10:
            raise WireError("a record is cut")
        kind, _, ttl, length = struct.unpack_from("!HHIH", data, at)
        at += 10
        raw = data[at : at + length]
        if len(raw) < length:
            raise WireError("a record is cut")
        if kind == CNAME:
            found.append(Record(name, kind, ttl, encode_name(read_name(data, at)[0])))
        elif kind in (A, AAAA, TXT):
            found.append(Record(name, kind, ttl, raw))
        at += length
    return found
