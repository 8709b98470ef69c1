"""A SPDY/3.1 connection: streams over a Duplex, or over the messages of a WebSocket.

Invariant: there is no flow control on the wire; a stream that is not read holds back the whole
connection once it has buffered its share.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from petset.base import spdycodec, websocket
from petset.base.spdycodec import Data, Goaway, Ping, Reset, SpdyError, SynReply, SynStream

__all__ = ["Connection", "OverWebSocket", "SpdyError", "Stream"]

STREAM_BUFFER_MAX = 1024 * 1024
BUFFER_MAX = 16 * 1024 * 1024
"""Unread bytes of all streams of a connection before it is held back."""
STREAMS_MAX = 1000
UNTAKEN_MAX = 128
"""Streams that the peer may have opened and that nobody has accepted yet."""
CANCEL = 5
_REFUSED = 3
_PROTOCOL_ERROR = 1


class Pipe(Protocol):
    """The bytes below: the part of a Duplex that is needed here."""

    @property
    def closed(self) -> bool:
        """Whether writes are dropped."""
        ...

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        ...

    async def drain(self) -> None:
        """Wait while the peer is behind."""
        ...

    def close(self) -> None:
        """Close after sending what is queued."""
        ...


class OverWebSocket:
    """A Pipe made of the binary messages of a WebSocket (kubectl's port-forward tunnels so)."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket

    @property
    def closed(self) -> bool:
        """Whether writes are dropped."""
        return self._socket.closed

    async def read(self) -> bytes:
        """The next bytes; empty messages are skipped."""
        try:
            while True:
                _, data = await self._socket.recv()
                if data:
                    return data
        except websocket.WebSocketClosed:
            return b""

    def write(self, data: bytes) -> None:
        """Send bytes as one message."""
        self._socket.write(data)

    async def drain(self) -> None:
        """Wait while the peer is behind."""
        await self._socket.drain()

    def close(self) -> None:
        """Nothing: whoever owns the WebSocket says goodbye on it."""


class Stream:
    """One stream of a connection.

    Attributes:
        id: its number; odd ones were opened by the client.
        headers: what it was opened with.
    """

    def __init__(self, connection: "Connection", number: int, headers: Mapping[str, str]) -> None:
        self.id = number
        self.headers = headers
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._their_end = False
        self._our_end = False
        self._counted = True
        self.taken = False

    @property
    def closed(self) -> bool:
        """Whether writes are dropped."""
        return self._our_end or self._connection.closed

    async def read(self) -> bytes:
        """The next bytes; b"" when the peer has finished, reset the stream, or is gone."""
        while not self._chunks:
            if self._their_end:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = self._chunks.popleft()
        self._size -= len(data)
        if self._size < STREAM_BUFFER_MAX:
            self._room.set()
        if self._counted:
            self._connection.count(-len(data))
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        if data and not self.closed:
            self._connection.send(Data(self.id, data))

    async def drain(self) -> None:
        """Wait while the peer is behind."""
        await self._connection.drain()

    def write_eof(self) -> None:
        """Say that nothing more will be written."""
        if not self.closed:
            self._connection.send(Data(self.id, b"", fin=True))
        self._our_end = True
        self._connection.forget_if_done(self)

    def reset(self, status: int = CANCEL) -> None:
        """End both directions at once."""
        if not self.done:
            self._connection.send(Reset(self.id, status))
        self.end()

    # From the connection.

    @property
    def done(self) -> bool:
        """Whether both sides have finished."""
        return self._their_end and self._our_end

    def take(self, data: bytes, *, fin: bool) -> None:
        """Bytes from the peer."""
        if self._their_end:
            return
        if data:
            self._chunks.append(data)
            self._size += len(data)
            self._connection.count(len(data))
            if self._size >= STREAM_BUFFER_MAX:
                self._room.clear()
        self._their_end = fin
        self._changed.set()

    def end(self) -> None:
        """The stream is over in both directions; what was received can still be read.

        Unless nobody has accepted it yet: then nobody will miss it.
        """
        self._their_end = self._our_end = True
        if not self.taken:
            self._chunks.clear()
        self._room.set()
        self._changed.set()
        self._connection.forget_if_done(self)

    async def wait_room(self) -> None:
        """Wait until the reader has caught up."""
        await self._room.wait()

    def uncount(self) -> None:
        """What is unread here is no longer the connection's."""
        if self._counted:
            self._counted = False
            self._connection.count(-self._size)


class Connection:
    """Streams over `pipe`. `run` has to be running for anything to arrive."""

    def __init__(self, pipe: Pipe, *, client: bool = False) -> None:
        self._pipe = pipe
        self._client = client
        self._codec = spdycodec.Codec()
        self._streams: dict[int, Stream] = {}
        self._opened: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._next = 1 if client else 2
        self._last = 0
        self._ended = False
        self._parting = False
        self._unread = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._ended or self._pipe.closed

    async def run(self) -> None:
        """Handle what arrives until the peer goes. Raises SpdyError when it misbehaves."""
        try:
            while data := await self._pipe.read():
                for frame in self._codec.feed(data):
                    await self._handle(frame)
        except SpdyError:
            self.send(Goaway(self._last, _PROTOCOL_ERROR))
            raise
        finally:
            self._finish()

    async def accept(self) -> Stream | None:
        """The next stream that the peer opens; None when there will be none."""
        if self._ended and self._opened.empty():
            return None
        stream = await self._opened.get()
        if stream is not None:
            stream.taken = True
        return stream

    def open(self, headers: Mapping[str, str], *, fin: bool = False) -> Stream:
        """Open a stream; with `fin` nothing will be written on it."""
        stream = Stream(self, self._next, headers)
        stream.taken = True
        self._next += 2
        self._streams[stream.id] = stream
        self.send(SynStream(stream.id, headers, fin))
        if fin:
            stream._our_end = True  # the frame that opened it said so
        return stream

    def close(self) -> None:
        """Say goodbye and close the pipe."""
        self.send(Goaway(self._last, 0))
        self._pipe.close()

    # From streams.

    def send(self, frame: spdycodec.Frame) -> None:
        """Send one frame."""
        if not self.closed:
            self._pipe.write(self._codec.encode(frame))

    async def drain(self) -> None:
        """Wait while the peer is behind."""
        await self._pipe.drain()

    def forget_if_done(self, stream: Stream) -> None:
        """Drop a stream that both sides have finished."""
        if stream.done:
            self._streams.pop(stream.id, None)
            stream.uncount()

    def count(self, size: int) -> None:
        """So many bytes more wait for their readers; less if negative."""
        self._unread += size
        if self._unread < BUFFER_MAX:
            self._room.set()
        else:
            self._room.clear()

    # Inside.

    async def _handle(self, frame: spdycodec.Frame) -> None:
        match frame:
            case SynStream():
                self._take_stream(frame)
                await self._pipe.drain()
                await asyncio.sleep(0)  # whoever accepts gets a turn before the next one
            case SynReply(number, _, fin):
                self._deliver(number, b"", fin=fin)
            case Data():
                await self._take_data(frame)
            case Reset(number, _):
                if number in self._streams:
                    self._streams[number].end()
            case Ping(number):
                if (number % 2 == 1) is not self._client:
                    self.send(frame)
                    await self._pipe.drain()  # or pings would fill memory with their answers
            case Goaway():
                if not self._parting:
                    self._parting = True
                    self._opened.put_nowait(None)

    def _take_stream(self, frame: SynStream) -> None:
        if frame.stream <= self._last or (frame.stream % 2 == 1) is self._client:
            raise SpdyError(f"stream {frame.stream} cannot be opened")
        self._last = frame.stream
        if len(self._streams) >= STREAMS_MAX or self._opened.qsize() >= UNTAKEN_MAX:
            self.send(Reset(frame.stream, _REFUSED))
            return
        stream = Stream(self, frame.stream, frame.headers)
        self._streams[stream.id] = stream
        self.send(SynReply(stream.id))
        stream.take(b"", fin=frame.fin)
        self._opened.put_nowait(stream)

    async def _take_data(self, frame: Data) -> None:
        stream = self._deliver(frame.stream, frame.data, fin=frame.fin)
        if stream is not None:
            await stream.wait_room()
            await self._room.wait()

    def _deliver(self, number: int, data: bytes, *, fin: bool) -> Stream | None:
        stream = self._streams.get(number)
        if stream is not None:
            stream.take(data, fin=fin)
            self.forget_if_done(stream)
        return stream

    def _finish(self) -> None:
        self._ended = True
        for stream in list(self._streams.values()):
            stream.taken = True  # what came before the end can still be accepted and read
            stream.end()
        self._opened.put_nowait(None)
