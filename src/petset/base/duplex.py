"""Sending in pieces, and raw connections after a 101 answer: the bodies of Writer and Duplex.

Invariant: a write never blocks, and never raises because the peer is gone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

HIGH_WATER = 256 * 1024
"""Bytes waiting in one direction before that direction is held back."""
PIECE_BYTES = 64 * 1024
"""Pieces of a body are joined up to this size before they are written."""


class Gate:
    """Flow control of one peer: whether it takes more, and whether it is still connected."""

    __slots__ = ("_resumed", "_waiters", "lost", "paused")

    def __init__(self) -> None:
        self.paused = False
        self.lost = False
        self._resumed: list[asyncio.Future[None]] = []
        self._waiters: list[asyncio.Future[None]] = []

    def pause(self) -> None:
        """The transport's buffer is full."""
        self.paused = True

    def resume(self) -> None:
        """The transport's buffer has room again."""
        self.paused = False
        _wake(self._resumed)

    def lose(self) -> None:
        """The peer is gone."""
        self.lost = True
        _wake(self._resumed)
        _wake(self._waiters)

    async def drain(self) -> None:
        """Wait until there is room, or the peer is gone."""
        while self.paused and not self.lost:
            await _wait(self._resumed)

    async def wait_lost(self) -> None:
        """Wait until the peer is gone."""
        while not self.lost:
            await _wait(self._waiters)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


async def _wait(waiters: list[asyncio.Future[None]]) -> None:
    waiter = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    finally:
        if waiter in waiters:
            waiters.remove(waiter)


def close_within(transport: asyncio.Transport, seconds: float) -> None:
    """Close once what was written is sent; cut a peer that has not taken it in `seconds`.

    Not for a connection that is lost: a TLS transport can then not tell what it holds, nor can
    one that is closed a second time.
    """
    if transport.is_closing():
        return
    transport.close()
    if transport.get_write_buffer_size():
        asyncio.get_running_loop().call_later(seconds, transport.abort)


async def write_pieces(
    transport: asyncio.Transport, pieces: Sequence[bytes], drain: Callable[[], Awaitable[None]]
) -> None:
    """Write a body in pieces of about `PIECE_BYTES`, each when `drain` has seen the last one off.

    Ends early where the transport closes.
    """
    batch: list[bytes | memoryview] = []
    size = 0
    for piece in pieces:
        for part in cut(piece, PIECE_BYTES):
            batch.append(part)
            size += len(part)
            if size >= PIECE_BYTES:
                transport.write(b"".join(batch))
                batch.clear()
                size = 0
                await drain()
                if transport.is_closing():
                    return
    if batch:
        transport.write(b"".join(batch))


def cut(data: bytes, size: int) -> Sequence[bytes | memoryview]:
    """Large data in views of `size` bytes, small data unchanged."""
    if len(data) <= 2 * size:
        return (data,)
    view = memoryview(data)
    return [view[i : i + size] for i in range(0, len(data), size)]


class StreamWriter:
    """The Writer of an answer in pieces. Each write leaves at once as one chunk.

    Args:
        chunked: False for HTTP/1.0 peers, which read until the end of the connection.
    """

    __slots__ = ("_chunked", "_ended", "_gate", "_transport")

    def __init__(self, transport: asyncio.Transport, gate: Gate, *, chunked: bool) -> None:
        self._transport = transport
        self._gate = gate
        self._chunked = chunked
        self._ended = False

    @property
    def closed(self) -> bool:
        """Whether writes are dropped by now."""
        return self._ended or self._gate.lost or self._transport.is_closing()

    @property
    def pressure(self) -> bool:
        """Whether the peer takes less than it is sent."""
        return self._gate.paused

    def write(self, data: bytes) -> None:
        """Send one piece."""
        if not data or self.closed:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the pressure is gone or the peer is."""
        await self._gate.drain()

    async def wait_closed(self) -> None:
        """Wait until the peer is gone."""
        await self._gate.wait_lost()

    def end(self) -> None:
        """Send the last chunk, also to a peer that only sends no more."""
        if self._ended or self._transport.is_closing():
            return
        self._ended = True
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")


class RawDuplex(asyncio.Protocol):
    """A Duplex on a transport taken over after a 101 answer.

    Args:
        gate: what the connection knew of the peer before.
        early: bytes that came behind the request.
        on_lost: called once when the connection is gone.
    """

    CLOSE_S = 60.0
    """How long a peer may take for what was written before the end."""

    def __init__(
        self, transport: asyncio.Transport, gate: Gate, early: bytes, on_lost: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._tls = transport.get_extra_info("ssl_object") is not None
        self._gate = gate
        self._on_lost = on_lost
        self._received: deque[bytes] = deque([early] if early else [])
        self._waiting = len(early)
        self._ended = False
        self._held = False
        self._readers: list[asyncio.Future[None]] = []

    @property
    def closed(self) -> bool:
        """Whether writes are dropped by now."""
        return self._gate.lost or self._transport.is_closing()

    @property
    def pressure(self) -> bool:
        """Whether the peer takes less than it is sent."""
        return self._gate.paused

    def write(self, data: bytes) -> None:
        """Queue `data`."""
        if data and not self.closed:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the pressure is gone or the peer is."""
        await self._gate.drain()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone in both directions."""
        await self._gate.wait_lost()

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        while not self._received:
            if self._ended:
                return b""
            await _wait(self._readers)
        data = self._received.popleft()
        self._waiting -= len(data)
        if self._held and self._waiting <= HIGH_WATER // 2:
            self._held = False
            if not self.closed:
                self._transport.resume_reading()
        return data

    def write_eof(self) -> None:
        """Half-close, on connections without TLS."""
        if not self.closed and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close after sending what is queued."""
        if self._held and not self.closed:
            self._held = False
            self._transport.resume_reading()
        if not self._gate.lost:
            close_within(self._transport, self.CLOSE_S)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """From the transport."""
        self._received.append(bytes(data))
        self._waiting += len(data)
        _wake(self._readers)
        if self._waiting > HIGH_WATER and not self._held and not self.closed:
            self._held = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """From the transport: plain connections stay open for writing."""
        self._ended = True
        _wake(self._readers)
        return not self._tls

    def pause_writing(self) -> None:
        """From the transport."""
        self._gate.pause()

    def resume_writing(self) -> None:
        """From the transport."""
        self._gate.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        """From the transport."""
        self._ended = True
        self._gate.lose()
        _wake(self._readers)
        self._on_lost()
