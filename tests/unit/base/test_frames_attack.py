"""What hostile peers try inside WebSocket and SPDY connections: nothing piles up for them."""

import asyncio

import pytest

from petset.base import spdy
from petset.base.spdycodec import Codec, Data, Goaway, Ping, Reset, SynStream
from petset.base.websocket import BINARY, WebSocket, WebSocketClosed
from tests.unit.base.pipes import PipeEnd, pipe

MASK = b"\x00\x00\x00\x00"
HEADERS = {"streamtype": "data"}


class Stuck(PipeEnd):
    """An end whose peer takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.relieved = asyncio.Event()

    async def drain(self) -> None:
        await self.relieved.wait()


def stuck_pipe() -> tuple[Stuck, PipeEnd]:
    ours, theirs = Stuck(), PipeEnd()
    ours.other, theirs.other = theirs, ours
    ours.pressure = True
    return ours, theirs


async def test_empty_fragments_are_not_kept() -> None:
    ours, theirs = pipe()
    socket = WebSocket(ours)
    theirs.write(b"\x02\x81" + MASK + b"a")
    for _ in range(100):
        theirs.write((b"\x00\x80" + MASK) * 1000)
    theirs.write(b"\x80\x81" + MASK + b"b")
    assert await socket.recv() == (BINARY, b"ab")
    assert len(socket._parts) == 0


async def test_pings_of_a_peer_that_takes_no_answers_are_not_answered_without_end() -> None:
    ours, theirs = stuck_pipe()
    socket = WebSocket(ours)
    for _ in range(1000):
        theirs.write((b"\x89\x81" + MASK + b"p") * 100)
    receiving = asyncio.ensure_future(socket.recv())
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(ours.written) < 1000
    ours.relieved.set()
    theirs.close()
    with pytest.raises(WebSocketClosed):
        await receiving
    assert len(ours.written) >= 100_000 * 3


async def test_spdy_pings_of_a_peer_that_takes_no_answers_wait() -> None:
    ours, theirs = stuck_pipe()
    connection, codec = spdy.Connection(ours), Codec()
    theirs.write(codec.encode(Ping(1)) * 5000)
    running = asyncio.ensure_future(connection.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(ours.written) <= 12
    ours.relieved.set()
    theirs.close()
    await running
    assert len(ours.written) == 12 * 5000


async def test_streams_that_nobody_accepts_do_not_pile_up() -> None:
    ours, theirs = pipe()
    connection, codec = spdy.Connection(ours), Codec()
    for number in range(1, 4001, 2):
        theirs.write(codec.encode(SynStream(number, HEADERS)) + codec.encode(Reset(number, 5)))
    theirs.close()
    await connection.run()
    assert connection._opened.qsize() <= spdy.UNTAKEN_MAX + 1


async def test_goodbyes_do_not_pile_up() -> None:
    ours, theirs = pipe()
    connection = spdy.Connection(ours)
    theirs.write(Codec().encode(Goaway(0, 0)) * 1000)
    theirs.close()
    await connection.run()
    assert connection._opened.qsize() <= 2


async def _size(stream: spdy.Stream) -> int:
    size = 0
    while data := await stream.read():
        size += len(data)
    return size


async def test_unread_streams_together_hold_the_connection_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spdy, "BUFFER_MAX", 100_000)
    ours, theirs = pipe()
    connection, codec = spdy.Connection(ours), Codec()
    running = asyncio.ensure_future(connection.run())
    streams = []
    for number in (1, 3, 5):
        theirs.write(codec.encode(SynStream(number, HEADERS)))
        stream = await connection.accept()
        assert stream is not None
        streams.append(stream)
    for _ in range(20):
        for stream in streams:
            theirs.write(codec.encode(Data(stream.id, bytes(10_000))))
    for _ in range(100):
        await asyncio.sleep(0)
    assert connection._unread <= 110_000
    theirs.close()
    assert await asyncio.gather(*map(_size, streams)) == [200_000] * 3
    await running
    assert connection._unread == 0


async def test_what_a_reset_stream_held_is_let_go() -> None:
    ours, theirs = pipe()
    connection, codec = spdy.Connection(ours), Codec()
    theirs.write(codec.encode(SynStream(1, HEADERS)) + codec.encode(Data(1, bytes(500_000))))
    theirs.write(codec.encode(Reset(1, 5)))
    running = asyncio.ensure_future(connection.run())
    while not theirs._received:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert connection._unread == 0
    theirs.close()
    await running
