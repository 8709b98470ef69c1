"""Bytes to requests: HTTP/1.1 parsing with limits, without sockets (httptools underneath).

Invariant: a message whose framing can be read in two ways is refused, and nothing behind it is
looked at (request smuggling).
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

import httptools
from httptools import HttpParserError, HttpParserUpgrade

from petset.base.http import PeerCertificate, Request
from petset.base.wirehead import TargetError, split_target

CHUNK_BYTES = 24
"""Bytes around each chunk of a body that are the framing's own and count for nothing."""
PIECES_MAX = 4096
"""Pieces of a body that are kept apart before they are joined."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a front. Times in seconds, sizes in bytes.

    Attributes:
        body_bytes: of one request's body; over it 413.
        head_bytes: of request line and headers; over it 431.
        head_s: for a whole head, from its first byte (or from the connection's start); then 408.
        body_s: for a whole body, from the end of its head; then 408.
        idle_s: between requests; then the connection is closed.
        stall_s: that a peer may leave a whole answer untaken; then the connection is cut.
        linger_s: that a refused peer's further bytes are thrown away before closing.
        pipelined: requests waiting behind the one being answered before reading stops.
        handshakes: TLS handshakes at a time.
        handshake_s: for one TLS handshake.
    """

    body_bytes: int = 3 * 1024 * 1024
    head_bytes: int = 64 * 1024
    head_s: float = 30.0
    body_s: float = 60.0
    idle_s: float = 180.0
    stall_s: float = 60.0
    linger_s: float = 2.0
    pipelined: int = 16
    handshakes: int = 4
    handshake_s: float = 10.0


class Refusal(Exception):  # noqa: N818 (an answer, not an error of ours)
    """A request that the edge itself refuses, with HTTP status and words for people."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Stage(Enum):
    """What the next byte belongs to."""

    IDLE = "between messages"
    HEAD = "head"
    BODY = "body"
    ENDED = "nothing: refused, last message read, or switched to another protocol"


@dataclass(slots=True)
class Incoming:
    """A request as it came, with what the answer has to respect.

    Attributes:
        keep_alive: whether the connection may serve another request.
        chunked_ok: whether the peer knows chunked answers (HTTP/1.1).
        upgrade: whether it asks for another protocol.
    """

    request: Request
    keep_alive: bool = True
    chunked_ok: bool = True
    upgrade: bool = False


@dataclass(slots=True)
class _Message:
    target: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    head_bytes: int = 0
    fed_bytes: int = 0
    body: list[bytes] = field(default_factory=list)
    body_bytes: int = 0
    chunks: int = 0
    incoming: Incoming | None = None


class Intake:
    """Parses the byte stream of one connection.

    Attributes:
        stage: what the next byte belongs to.
        ready: whole requests, in order; a Refusal is always the last.
        wants_continue: the peer waits for `100 Continue` before it sends the body.
        early: bytes behind an upgrade request.
    """

    def __init__(self, limits: Limits, peer: PeerCertificate | None, remote: str) -> None:
        self.stage = Stage.IDLE
        self.ready: deque[Incoming | Refusal] = deque()
        self.wants_continue = False
        self.early = b""
        self._limits = limits
        self._peer = peer
        self._remote = remote
        self._message = _Message()
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take in bytes; `ready` and `stage` tell what came of them."""
        before = self._message
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as switch:
            self.early = bytes(data[switch.args[0] :])
            self.stage = Stage.ENDED
        except HttpParserError as error:
            self._fail(error)
        else:
            if self._message is before and self.stage in (Stage.HEAD, Stage.BODY):
                self._count_fed(len(data))

    def _count_fed(self, count: int) -> None:
        # A header, trailer or chunk's extension that is still arriving is not reported by the
        # parser: count what was fed since the message began (the read in which it began may hold
        # other messages before it).
        message = self._message
        message.fed_bytes += count
        if self.stage is Stage.HEAD:
            if message.fed_bytes > self._limits.head_bytes:
                self.refuse(Refusal(431, "the request's head is too large"))
            return
        beside = message.fed_bytes - message.body_bytes - CHUNK_BYTES * message.chunks
        if beside > 2 * self._limits.head_bytes:
            self.refuse(Refusal(431, "the chunks of the body carry too much beside it"))

    def refuse(self, refusal: Refusal) -> None:
        """Stop reading: `refusal` is the last thing this connection answers."""
        self.stage = Stage.ENDED
        self.wants_continue = False
        self.ready.append(refusal)

    def _fail(self, error: HttpParserError) -> None:
        if self.stage is Stage.ENDED:
            return
        cause = error.__context__
        if isinstance(cause, Refusal):
            self.refuse(cause)
        elif cause is not None:
            raise cause
        else:
            self.refuse(Refusal(400, f"malformed HTTP request: {error}"))

    # Called by httptools.

    def on_message_begin(self) -> None:
        """A message starts."""
        self._message = _Message()
        self.stage = Stage.HEAD

    def on_url(self, data: bytes) -> None:
        """A piece of the request target."""
        self._count_head(len(data))
        self._message.target += data

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """A header, or a trailer (which is counted and dropped)."""
        value = value or b""
        self._count_head(len(name) + len(value) + 32)
        if self.stage is not Stage.HEAD:
            return
        headers = self._message.headers
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").rstrip()
        before = headers.get(key)
        if before is None:
            headers[key] = text
        elif key == "host":
            raise Refusal(400, "more than one Host header")
        else:
            headers[key] = f"{before}, {text}"

    def on_headers_complete(self) -> None:
        """The head is whole: decide whether to go on."""
        message = self._message
        headers = message.headers
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refusal(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        newer = version == "1.1"
        if newer and "host" not in headers:
            raise Refusal(400, "missing required Host header")
        length = self._body_length(newer=newer)
        upgrade = self._parser.should_upgrade()
        method = self._parser.get_method().decode("latin-1")
        if upgrade and (length or method == "CONNECT"):
            raise Refusal(400, "cannot switch protocols on a request with a body or on CONNECT")
        message.incoming = Incoming(
            self._request(method),
            keep_alive=self._parser.should_keep_alive() and not upgrade,
            chunked_ok=newer,
            upgrade=upgrade,
        )
        self._expect(length, newer=newer)
        self.stage = Stage.BODY

    def _body_length(self, *, newer: bool) -> int:
        """The body's length in bytes; -1 for a chunked one."""
        headers = self._message.headers
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked" or not newer:
                raise Refusal(501, f"transfer encoding {coding!r} is not supported")
            return -1
        text = headers.get("content-length", "0")
        if not text.isdecimal() or not text.isascii():
            raise Refusal(400, "malformed Content-Length")
        length = int(text)
        if length > self._limits.body_bytes:
            raise self._too_large()
        return length

    def _expect(self, length: int, *, newer: bool) -> None:
        expect = self._message.headers.get("expect")
        if expect is None or not newer:
            return
        if expect.lower() != "100-continue":
            raise Refusal(417, f"expectation {expect!r} cannot be met")
        self.wants_continue = length != 0

    def _request(self, method: str) -> Request:
        message = self._message
        try:
            path, query, target = split_target(message.target.decode("latin-1"))
        except TargetError as error:
            raise Refusal(400, str(error)) from None
        return Request(
            method,
            path,
            query,
            message.headers,
            raw_target=target,
            peer=self._peer,
            remote=self._remote,
        )

    def on_chunk_header(self) -> None:
        """A chunk of a chunked body starts."""
        self._message.chunks += 1

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        message = self._message
        message.body_bytes += len(data)
        if message.body_bytes > self._limits.body_bytes:
            raise self._too_large()
        message.body.append(data)
        if len(message.body) >= PIECES_MAX:  # tiny pieces cost many times their size
            message.body = [b"".join(message.body)]
        self.wants_continue = False

    def on_message_complete(self) -> None:
        """The request is whole."""
        message = self._message
        incoming = message.incoming
        assert incoming is not None
        if message.body:
            body = message.body
            incoming.request.body = body[0] if len(body) == 1 else b"".join(body)
            message.body = []
        self.wants_continue = False
        self.ready.append(incoming)
        self.stage = Stage.IDLE if incoming.keep_alive else Stage.ENDED

    def _count_head(self, count: int) -> None:
        self._message.head_bytes += count
        if self._message.head_bytes > self._limits.head_bytes:
            raise Refusal(431, "the request's head is too large")

    def _too_large(self) -> Refusal:
        return Refusal(413, f"Request entity too large: limit is {self._limits.body_bytes}")
