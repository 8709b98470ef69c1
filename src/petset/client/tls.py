"""The transport over TLS: HTTP/1.1 on asyncio streams with a pool of kept connections.

Invariant: a request is sent twice only when the server cannot have acted on the first, or when
acting twice is the same as once.
Invariant: every stream has a connection of its own, so a watch never blocks a call.
"""

import asyncio
from asyncio import sslproto
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from petset.base import tlsconfig
from petset.base.http import Response
from petset.client.client import failure
from petset.client.http1 import Connection
from petset.client.transport import TransportError

CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 60.0
IDLE_MAX_S = 30.0
"""A kept connection older than this is not trusted any more."""

CALLS_MAX = 8
"""Calls on the wire at a time; more wait for their turn. Streams are not counted."""

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})

# A quarter of asyncio's memory per TLS connection at the same speed (docs/adr/small-http-client).
sslproto.SSLProtocol.max_size = 32 * 1024


class Tls:
    """A transport to a server's HTTPS address.

    Args:
        url: `https://host:port`.
        ca_file: PEM file of the authority that signed the server's certificate.
        cert_file, key_file: the client's own certificate and key; both or neither.
        server_name: name to check the server's certificate for, if not the host of `url`.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | str,
        cert_file: Path | str | None = None,
        key_file: Path | str | None = None,
        server_name: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"not an https:// address: {url}")
        self._host = parts.hostname
        self._port = parts.port or 443
        self._prefix = parts.path.rstrip("/")
        self._authority = parts.netloc
        self._server_name = server_name or parts.hostname
        self._context = tlsconfig.client_context(
            Path(ca_file),
            None if cert_file is None else Path(cert_file),
            None if key_file is None else Path(key_file),
        )
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._calls = asyncio.Semaphore(CALLS_MAX)
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "",
        accept: str = "application/json",
    ) -> Response:
        """One request and its whole answer. Raises `TransportError` when none came."""
        head = self._head(method, path, query, accept, content_type, len(body))
        async with self._calls:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    return await self._send(head, body, again=method in IDEMPOTENT)
            except TimeoutError as error:
                raise TransportError(f"no answer in {REQUEST_TIMEOUT_S:.0f} s") from error

    async def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json, */*",
    ) -> AsyncGenerator[bytes, None]:
        """GET an answer in pieces, as they come, on a connection of its own."""
        head = self._head("GET", path, query, accept, "", 0)
        connection = await self._connect()
        pieces = connection.stream(head)
        try:
            status = await self._status(pieces)
            if status >= 300:
                raw = b"".join([piece async for piece in pieces if isinstance(piece, bytes)])
                raise failure(status, raw)
            async for piece in pieces:
                assert isinstance(piece, bytes)
                yield piece
        finally:
            self._drop(connection)
            await pieces.aclose()

    async def close(self) -> None:
        """Close every connection, those of running streams too."""
        self._closed = True
        self._idle.clear()
        for connection in tuple(self._open):
            self._drop(connection)
            await connection.wait_closed()

    async def _send(self, head: bytes, body: bytes, *, again: bool) -> Response:
        connection = self._kept() or await self._connect()
        reused = connection.used > 0
        try:
            return await self._call(connection, head, body)
        except TransportError:
            if not (again and reused and not connection.answering):
                raise
        return await self._call(await self._connect(), head, body)

    async def _call(self, connection: Connection, head: bytes, body: bytes) -> Response:
        keep = False
        try:
            response, keep = await connection.request(head, body)
        finally:
            if keep and not self._closed:
                self._keep(connection)
            else:
                self._drop(connection)
        return response

    def _kept(self) -> Connection | None:
        """The connection used last that still lives; dead and old ones are let go."""
        oldest = asyncio.get_running_loop().time() - IDLE_MAX_S
        while self._idle:
            connection = self._idle.pop()
            if connection.alive and connection.idle_since >= oldest:
                return connection
            self._drop(connection)
        return None

    def _keep(self, connection: Connection) -> None:
        oldest = connection.idle_since - IDLE_MAX_S
        while self._idle and self._idle[0].idle_since < oldest:
            self._drop(self._idle.pop(0))
        self._idle.append(connection)

    async def _connect(self) -> Connection:
        if self._closed:
            raise TransportError("the client is closed")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                streams = await asyncio.open_connection(
                    self._host, self._port, ssl=self._context, server_hostname=self._server_name
                )
        except TimeoutError as error:
            raise TransportError(f"{self._authority} does not answer") from error
        except OSError as error:
            raise TransportError(f"cannot reach {self._authority}: {error}") from error
        connection = Connection(*streams)
        self._open.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    async def _status(self, pieces: AsyncGenerator[bytes | int, None]) -> int:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                status = await anext(pieces)
        except TimeoutError as error:
            raise TransportError(f"no answer in {REQUEST_TIMEOUT_S:.0f} s") from error
        assert isinstance(status, int)
        return status

    def _head(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        accept: str,
        content_type: str,
        length: int,
    ) -> bytes:
        target = self._prefix + quote(path, safe="/:@")
        if query:
            target += "?" + urlencode(query, quote_via=quote)
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {self._authority}",
            "User-Agent: petset",
            f"Accept: {accept}",
        ]
        if length:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {length}"]
        elif method not in {"GET", "HEAD"}:
            lines.append("Content-Length: 0")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
