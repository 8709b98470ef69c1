"""The transport in process: requests go straight to the server's dispatch function.

Only socket, TLS and HTTP parsing are missing: the call carries its own identity and takes the same
way through authorization, admission and validation as any other.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote, urlencode

from petset.base.http import CutError, Handler, Identity, Reply, Request, Response, Stream
from petset.client.client import failure
from petset.client.transport import TransportError

BUFFER_MAX = 256 * 1024
"""Bytes that a stream may hold before its writer feels pressure."""

_log = logging.getLogger(__name__)


class _Pipe:
    """The writer's end and the reader's end of one answer in pieces."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._readable = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the reader is gone or the answer has ended."""
        return self._closed.is_set()

    @property
    def pressure(self) -> bool:
        """Whether the reader lags by more than `BUFFER_MAX` bytes."""
        return self._size > BUFFER_MAX

    def write(self, data: bytes) -> None:
        """Queue `data`; dropped when the reader is gone."""
        if self.closed or not data:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._readable.set()
        if self.pressure:
            self._drained.clear()

    async def drain(self) -> None:
        """Wait until the reader has caught up or is gone."""
        await self._drained.wait()

    async def wait_closed(self) -> None:
        """Wait until the reader is gone."""
        await self._closed.wait()

    def end(self) -> None:
        """No more will come: readers see the end after what is queued."""
        self._ended = True
        self._closed.set()
        self._drained.set()
        self._readable.set()

    async def read(self) -> bytes:
        """What has been written since the last call, joined; b"" at the end."""
        while not self._chunks and not self._ended:
            self._readable.clear()
            await self._readable.wait()
        joined = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._drained.set()
        return joined


class Local:
    """A transport to a server in the same process.

    Args:
        dispatch: the server's handler.
        identity: who the requests come from.
    """

    def __init__(self, dispatch: Handler, identity: Identity) -> None:
        self._dispatch = dispatch
        self._identity = identity

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
        headers = {"accept": accept}
        if content_type:
            headers["content-type"] = content_type
        reply = await self._ask(self._request(method, path, query, headers, body))
        if isinstance(reply, Response):
            return reply
        if not isinstance(reply, Stream):
            raise TransportError(f"{path} switches protocols, which an in-process call cannot")
        pieces = [piece async for piece in consume(reply)]
        return Response(reply.status, reply.headers, b"".join(pieces))

    async def stream(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        accept: str = "application/json, */*",
    ) -> AsyncGenerator[bytes, None]:
        """GET an answer in pieces, as they come. Closing the iterator cancels the answer."""
        reply = await self._ask(self._request("GET", path, query, {"accept": accept}, b""))
        if isinstance(reply, Response):
            raw = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
            if reply.status >= 300:
                raise failure(reply.status, raw)
            yield raw
            return
        if not isinstance(reply, Stream):
            raise TransportError(f"{path} switches protocols, which an in-process call cannot")
        pieces = consume(reply)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    async def close(self) -> None:
        """Nothing to close: streams end with their iterators."""

    async def _ask(self, request: Request) -> Reply:
        try:
            return await self._dispatch(request)
        except CutError as error:
            raise TransportError("the server cut the connection") from error

    def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: dict[str, str],
        body: bytes,
    ) -> Request:
        target = quote(path, safe="/:@") + (f"?{urlencode(query)}" if query else "")
        return Request(method, path, query, headers, body, target, identity=self._identity)


async def consume(stream: Stream) -> AsyncGenerator[bytes, None]:
    """Run the writing side of `stream` and give what it writes.

    Raises TransportError where the writing side breaks. Close the iterator to end it earlier.
    """
    pipe = _Pipe()
    writer = asyncio.ensure_future(stream.run(pipe))
    writer.add_done_callback(lambda _: pipe.end())
    try:
        while piece := await pipe.read():
            yield piece
        await _result(writer)
    finally:
        pipe.end()
        if not writer.done():
            writer.cancel()
            await asyncio.wait([writer])
        if not writer.cancelled() and writer.exception() is not None:
            _log.debug("a stream broke: %r", writer.exception())


async def _result(writer: "asyncio.Future[None]") -> None:
    """Raise TransportError if the writing side broke, as a cut connection would."""
    await asyncio.wait([writer])
    if writer.cancelled():
        raise TransportError("the server cancelled the answer")
    if (error := writer.exception()) is not None:
        raise TransportError(f"the server broke off the answer: {error!r}") from error
