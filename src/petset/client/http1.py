"""One HTTP/1.1 connection, seen from the client: a request out, its answer in.

Invariant: one request at a time. A connection on which anything went wrong is closed, not reused.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import httptools

from petset.base.http import Response
from petset.client.transport import TransportError

READ_SIZE = 64 * 1024
BODY_MAX = 512 * 1024 * 1024


class _Answer:
    """What the parser has told of one answer so far."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []
        self.begun = False
        self.complete = False
        self.keep = False

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.begun = self.status >= 200

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)

    def on_message_complete(self) -> None:
        self.complete = self.begun
        self.keep = self.parser.should_keep_alive()

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no length of its own."""
        names = {name for name, _ in self.headers}
        return not names & {"content-length", "transfer-encoding"}

    def take(self) -> list[bytes]:
        """The pieces of the body that came since the last call."""
        chunks, self.chunks = self.chunks, []
        return chunks


class Connection:
    """An open connection.

    Attributes:
        used: how many answers were read from it.
        idle_since: loop time at which the last answer was complete.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.used = 0
        self.idle_since = 0.0
        self.answering = False

    @property
    def alive(self) -> bool:
        """Whether neither side has closed it, as far as is known."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def request(self, head: bytes, body: bytes) -> tuple[Response, bool]:
        """Send a request and read the whole answer.

        Says also whether the connection may be used again. Raises TransportError; `answering`
        then tells whether any of the answer had come.
        """
        answer = await self._exchange(head, body)
        chunks = answer.take()
        size = sum(map(len, chunks))
        while not answer.complete:
            await self._feed(answer)
            fresh = answer.take()
            size += sum(map(len, fresh))
            if size > BODY_MAX:
                raise TransportError(f"the answer is larger than {BODY_MAX} bytes")
            chunks += fresh
        self.used += 1
        self.idle_since = asyncio.get_running_loop().time()
        keep = answer.keep and self.alive
        return Response(answer.status, answer.headers, b"".join(chunks)), keep

    async def stream(self, head: bytes) -> AsyncGenerator[bytes | int, None]:
        """Send a request; give the status of its answer, then the body as it comes."""
        answer = await self._exchange(head, b"")
        yield answer.status
        while True:
            chunks = answer.take()
            if chunks:
                yield b"".join(chunks)
            if answer.complete:
                return
            await self._feed(answer)

    def close(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the socket is let go of, after `close`."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _exchange(self, head: bytes, body: bytes) -> _Answer:
        answer = _Answer()
        self.answering = False
        # Not drained first: a server may answer (413) before it has read all, and the body is in
        # memory anyway. A connection that breaks shows itself in the reading.
        self._writer.write(head + body if body else head)
        while not answer.begun:
            await self._feed(answer)
        return answer

    async def _feed(self, answer: _Answer) -> None:
        """Read once from the socket into `answer`."""
        try:
            data = await self._reader.read(READ_SIZE)
            if data:
                self.answering = True
                answer.parser.feed_data(data)
        except OSError as error:
            raise TransportError(f"the connection broke: {error}") from error
        except httptools.HttpParserError as error:
            raise TransportError(f"the answer is no HTTP: {error}") from error
        if data:
            return
        if not (answer.begun and answer.ends_with_connection):
            raise TransportError("the server closed the connection before the answer was whole")
        answer.complete = True
