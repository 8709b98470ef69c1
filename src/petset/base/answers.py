"""Answers to bytes: head, framing and body of each, written as fast as the peer takes them.

Invariant: a peer that leaves an answer untaken for too long is cut, so no answer waits for ever.
"""

import asyncio

from petset.base.duplex import PIECE_BYTES, Gate, StreamWriter, write_pieces
from petset.base.http import Response, Stream
from petset.base.intake import Incoming
from petset.base.wirehead import Heads, bodiless, length_of


class AnswerWriter:
    """Writes the answers of one connection to its transport.

    Args:
        gate: whether the peer takes more.
        stall_s: seconds that the peer may leave a whole answer untaken.
    """

    __slots__ = ("_gate", "_heads", "_stall_s", "_transport")

    def __init__(
        self, transport: asyncio.Transport, gate: Gate, heads: Heads, stall_s: float
    ) -> None:
        self._transport = transport
        self._gate = gate
        self._heads = heads
        self._stall_s = stall_s

    def whole(self, reply: Response, connection: str = "") -> bytes:
        """An answer of one piece, head and all; `connection` is its Connection line, if any.

        Raises HeaderError for a header that would break the head.
        """
        body = reply.body
        assert isinstance(body, bytes)
        return self._head(reply, f"{connection}Content-Length: {len(body)}\r\n") + body

    async def send(self, reply: Response, incoming: Incoming) -> None:
        """Write the answer to `incoming` and wait while the peer is slow. Raises HeaderError."""
        body = reply.body
        framing = _connection_line(incoming)
        if not bodiless(reply.status):
            framing += (
                f"Content-Length: {length_of(reply, head=incoming.request.method == 'HEAD')}\r\n"
            )
        head = self._head(reply, framing)
        if incoming.request.method == "HEAD" or bodiless(reply.status):
            body = b""
        if isinstance(body, bytes) and len(body) <= PIECE_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            pieces = [body] if isinstance(body, bytes) else body
            await write_pieces(self._transport, pieces, self.drain)
        if self._gate.paused:
            await self.drain()

    def open_stream(self, stream: Stream, incoming: Incoming) -> StreamWriter | None:
        """Write the head of a stream; what its pieces go to, None for an answer without a body.

        The end of a stream to an HTTP/1.0 peer is the end of the connection, which `incoming` is
        told. Raises HeaderError.
        """
        if incoming.request.method == "HEAD" or bodiless(stream.status):
            self._transport.write(self._head(stream, _connection_line(incoming)))
            return None
        chunked = incoming.chunked_ok
        incoming.keep_alive = incoming.keep_alive and chunked
        framing = _connection_line(incoming)
        if chunked:
            framing += "Transfer-Encoding: chunked\r\n"
        self._transport.write(self._head(stream, framing))
        return StreamWriter(self._transport, self._gate, chunked=chunked)

    async def drain(self) -> None:
        """Wait until the peer takes more; cut it when it does not in time."""
        if not self._gate.paused:
            return
        try:
            async with asyncio.timeout(self._stall_s):
                await self._gate.drain()
        except TimeoutError:
            self._transport.abort()

    def _head(self, reply: Response | Stream, framing: str) -> bytes:
        return self._heads.make(reply.status, reply.headers, framing)


def _connection_line(incoming: Incoming) -> str:
    if not incoming.keep_alive:
        return "Connection: close\r\n"
    return "" if incoming.chunked_ok else "Connection: keep-alive\r\n"
