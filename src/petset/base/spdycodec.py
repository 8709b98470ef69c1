"""SPDY/3.1 frames, as far as exec, attach and port-forward use them: bytes in, frames out.

Invariant: header blocks of one direction share one zlib stream, so every block that comes is
inflated, wanted or not. Layout and dictionary: SPDY protocol draft 3.1, sections 2.6.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

FIN = 0x01
HEAD_BYTES = 8
FRAME_BYTES_MAX = 4 * 1024 * 1024
HEADER_BYTES_MAX = 256 * 1024

_SYN_STREAM, _SYN_REPLY, _RST, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_VERSION = 3
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date "
    "etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate "
    "proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, "
    "GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,"
    "text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    words = [*_WORDS.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie"]
    words += ["keep-alive", "origin"]
    return b"".join(struct.pack(">I", len(w)) + w.encode() for w in words) + _TAIL.encode()


DICTIONARY = _dictionary()


class SpdyError(Exception):
    """The peer does not speak SPDY/3.1 as it should; the connection cannot go on."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """The peer opens a stream."""

    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    """The peer takes a stream that we opened."""

    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream."""

    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """A stream ends at once. Status 5 is "cancel", 3 "refused"."""

    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To be echoed unchanged by the side that did not start it."""

    id: int


@dataclass(frozen=True, slots=True)
class Goaway:
    """No new streams; `last` is the last one that was taken."""

    last: int
    status: int


Frame = SynStream | SynReply | Data | Reset | Ping | Goaway


class Codec:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = bytearray()

    def encode(self, frame: Frame) -> bytes:
        """The bytes of one frame."""
        match frame:
            case Data(stream, data, fin):
                return struct.pack(">II", stream, _length(fin, len(data))) + data
            case SynStream(stream, headers, fin):
                body = struct.pack(">IIH", stream, 0, 0) + self._pack(headers)
                return _control(_SYN_STREAM, body, fin=fin)
            case SynReply(stream, headers, fin):
                body = struct.pack(">I", stream) + self._pack(headers)
                return _control(_SYN_REPLY, body, fin=fin)
            case Reset(stream, status):
                return _control(_RST, struct.pack(">II", stream, status))
            case Ping(number):
                return _control(_PING, struct.pack(">I", number))
            case Goaway(last, status):
                return _control(_GOAWAY, struct.pack(">II", last, status))

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes. Raises SpdyError."""
        self._buffer += data
        while len(self._buffer) >= HEAD_BYTES:
            first, second = struct.unpack_from(">II", self._buffer)
            flags, size = second >> 24, second & 0xFFFFFF
            if size > FRAME_BYTES_MAX:
                raise SpdyError(f"a frame of {size} bytes is too large")
            end = HEAD_BYTES + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEAD_BYTES:end])
            del self._buffer[:end]
            frame = self._decode(first, body, fin=bool(flags & FIN))
            if frame is not None:
                yield frame

    def _decode(self, first: int, body: bytes, *, fin: bool) -> Frame | None:
        if not first & 0x80000000:
            return Data(first, body, fin)
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != _VERSION:
            raise SpdyError(f"SPDY version {version} is not supported")
        try:
            return self._decode_control(kind, body, fin=fin)
        except struct.error:
            raise SpdyError(f"a frame of type {kind} is too short") from None

    def _decode_control(self, kind: int, body: bytes, *, fin: bool) -> Frame | None:
        if kind == _SYN_STREAM:
            stream, _, _ = struct.unpack_from(">IIH", body)
            return SynStream(stream & 0x7FFFFFFF, self._unpack(body[10:]), fin)
        if kind in (_SYN_REPLY, _HEADERS):
            (stream,) = struct.unpack_from(">I", body)
            headers = self._unpack(body[4:])
            return SynReply(stream & 0x7FFFFFFF, headers, fin) if kind == _SYN_REPLY else None
        if kind == _RST:
            stream, status = struct.unpack_from(">II", body)
            return Reset(stream & 0x7FFFFFFF, status)
        if kind == _PING:
            return Ping(struct.unpack_from(">I", body)[0])
        if kind == _GOAWAY:
            return Goaway(*struct.unpack_from(">II", body))
        return None

    def _pack(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts += [struct.pack(">I", len(text)), text]
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def _unpack(self, block: bytes) -> dict[str, str]:
        if not block:
            return {}
        try:
            raw = self._inflate.decompress(block, HEADER_BYTES_MAX)
        except zlib.error as error:
            raise SpdyError(f"a header block cannot be read: {error}") from None
        if self._inflate.unconsumed_tail:
            raise SpdyError("a header block is too large")
        return _pairs(raw)


def _pairs(raw: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from(">I", raw)
    at, headers = 4, {}
    for _ in range(count):
        texts = []
        for _ in range(2):
            (size,) = struct.unpack_from(">I", raw, at)
            texts.append(raw[at + 4 : at + 4 + size].decode("utf-8", "replace"))
            at += 4 + size
        if at > len(raw):
            raise SpdyError("a header block ends too early")
        headers[texts[0].lower()] = texts[1]
    return headers


def _length(fin: bool, size: int) -> int:
    return (FIN if fin else 0) << 24 | size


def _control(kind: int, body: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, _length(fin, len(body))) + body
