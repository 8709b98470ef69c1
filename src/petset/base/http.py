"""The HTTP seam: the only HTTP types that the rest of petset sees.

Invariant: no type of an HTTP library leaves the adapter modules (`base/edge.py`, the client's
transport, the image puller). Handlers, in-process callers and tests meet here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request: user name, groups, uid and extra, as authentication found them."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """Subject of a verified client certificate: common name and every organization."""

    common_name: str
    organizations: tuple[str, ...] = ()


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        method: upper-case HTTP method.
        path: the path, percent-decoded, without query.
        query: decoded (name, value) pairs in the order they came.
        headers: lower-case names; repeated headers are joined with ", ".
        body: the whole body (the edge refuses bodies over its limit with 413).
        raw_target: path and query as they came on the wire, for proxying.
        peer: subject of the client's certificate, if one was given and verified.
        identity: set by in-process callers that carry their own identity, and by authentication.
        remote: the peer's address as text, "" in process.
        notes: what a handler found out about `headers` and `peer`, for it alone to read and write:
            later requests of the connection that share both come with the same dict. None where
            nothing is kept.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw_target: str = ""
    peer: PeerCertificate | None = None
    identity: Identity | None = None
    remote: str = ""
    notes: dict[str, object] | None = None

    def param(self, name: str, default: str = "") -> str:
        """The first value of query parameter `name`, or `default`."""
        for key, value in self.query:
            if key == name:
                return value
        return default

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asks for another protocol on this connection."""
        words = self.headers.get("connection", "").lower().split(",")
        return "upgrade" in self.headers and "upgrade" in (word.strip() for word in words)

    def params(self, name: str) -> list[str]:
        """All values of query parameter `name`."""
        return [value for key, value in self.query if key == name]


Headers = Sequence[tuple[str, str]]


@dataclass(slots=True)
class Response:
    """A whole answer. `body` is encoded already; a sequence of pieces is sent without joining."""

    status: int = 200
    headers: Headers = ()
    body: bytes | Sequence[bytes] = b""


class Writer(Protocol):
    """The sending side of an answer that comes in pieces."""

    @property
    def closed(self) -> bool:
        """Whether the peer is gone or the answer has ended; writes are then dropped."""
        ...

    @property
    def pressure(self) -> bool:
        """Whether more is buffered than the peer takes; the caller should stop writing."""
        ...

    def write(self, data: bytes) -> None:
        """Queue `data` for sending. Never blocks and never raises for a peer that is gone."""
        ...

    async def drain(self) -> None:
        """Wait until the pressure is gone or the peer is."""
        ...

    async def wait_closed(self) -> None:
        """Wait until the peer is gone."""
        ...


@dataclass(slots=True)
class Stream:
    """An answer in pieces (watch, followed log). Headers go out at once, then `run` writes.

    The answer ends normally when `run` returns; it is cut when `run` raises. `run` is cancelled
    when the peer goes away.
    """

    run: Callable[[Writer], Awaitable[None]]
    status: int = 200
    headers: Headers = ()


class Duplex(Writer, Protocol):
    """A raw connection in both directions, after a 101 answer."""

    async def read(self) -> bytes:
        """The next bytes from the peer; b"" at the end."""
        ...

    def write_eof(self) -> None:
        """Say that nothing more will be written, where the connection can (TLS cannot)."""
        ...

    def close(self) -> None:
        """Close both directions once what was written has been sent."""
        ...


@dataclass(slots=True)
class Upgrade:
    """Switching protocols: a 101 answer with `headers`, then `run` owns the connection.

    `head` is sent instead of a made 101 answer when not empty (used when proxying).
    """

    run: Callable[[Duplex], Awaitable[None]]
    headers: Headers = ()
    head: bytes = b""


class CutError(Exception):
    """Raised by a handler or a stream that wants its connection cut without another word.

    The peer sees a connection that broke, which is how fault injection loses answers.
    """


Reply = Response | Stream | Upgrade
Handler = Callable[[Request], Awaitable[Reply]]
"""Answers one request. Raising (but `CutError`) is a bug: the edge then answers 500 and logs."""


class Later:
    """An answer that will come without a task of its own.

    Attributes:
        take: told the answer, once, in a later turn of the loop; who gets a Later sets it.
    """

    __slots__ = ("take",)
    take: Callable[[Response], None]


AtOnce = Callable[[Request], Response | Later | None]
"""Answers a GET or POST with notes, now or later, without a task; None: ask the `Handler`."""
