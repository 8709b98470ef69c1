import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from petset.base import spdy
from petset.base.spdycodec import (
    DICTIONARY,
    Codec,
    Data,
    Frame,
    Goaway,
    Ping,
    Reset,
    SpdyError,
    SynReply,
    SynStream,
)
from petset.base.websocket import WebSocket
from tests.unit.base.pipes import PipeEnd, pipe

# What kubectl 1.32 sent for `exec -i` over SPDY, in order.
RECORDED = bytes.fromhex(
    "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
    "800300010000001700000003000000000000c22e555c92929907000000ffff"
    "800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff"
    "800300010000001500000007000000000000c229975a5404000000ffff"
    "000000030000000368690a"
    "0000000301000000"
    "800300060000000400000001"
    "80030003000000080000000500000005"
    "80030007000000080000000000000000"
)
MEANING: list[Frame] = [
    SynStream(1, {"streamtype": "error"}),
    SynStream(3, {"streamtype": "stdin"}),
    SynStream(5, {"streamtype": "stdout"}),
    SynStream(7, {"streamtype": "stderr"}),
    Data(3, b"hi\n"),
    Data(3, b"", fin=True),
    Ping(1),
    Reset(5, 5),
    Goaway(0, 0),
]


def test_the_dictionary_is_the_standards() -> None:
    digest = "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02"
    assert hashlib.sha256(DICTIONARY).hexdigest() == digest


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_decodes_what_kubectl_sent(size: int) -> None:
    codec = Codec()
    frames: list[Frame] = []
    for at in range(0, len(RECORDED), size):
        frames += codec.feed(RECORDED[at : at + size])
    assert frames == MEANING


def test_encodes_what_it_decodes() -> None:
    out, back = Codec(), Codec()
    frames = [*MEANING, SynReply(1), SynReply(3, {"a": "ü" * 500}, fin=True)]
    encoded = b"".join(out.encode(frame) for frame in frames)
    assert list(back.feed(encoded)) == frames


def test_ignores_unknown_frames_but_inflates_headers_frames() -> None:
    out, back = Codec(), Codec()
    encoded = bytearray(out.encode(SynReply(1, {"late": "header"})))
    encoded[3] = 8  # HEADERS: the same layout
    settings = b"\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x00\x00"
    after = out.encode(SynStream(3, {"streamtype": "data"}))
    assert list(back.feed(bytes(encoded) + settings + after)) == [
        SynStream(3, {"streamtype": "data"})
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02\x00\x01\x00\x00\x00\x00",
        b"\x80\x03\x00\x03\x00\x00\x00\x01\x00",
        b"\x80\x03\x00\x01\x00\x00\x00\x0c" + bytes(10) + b"\xff\xff",
        b"\x00\x00\x00\x01\x00\xff\xff\xff",
    ],
    ids=["version", "short", "zlib", "huge"],
)
def test_refuses_broken_frames(data: bytes) -> None:
    with pytest.raises(SpdyError):
        list(Codec().feed(data))


def test_noise_never_raises_anything_else() -> None:
    rng = random.Random(1)
    for _ in range(500):
        noise = bytearray(RECORDED)
        for _ in range(rng.randrange(1, 6)):
            noise[rng.randrange(len(noise))] = rng.randrange(256)
        try:
            list(Codec().feed(bytes(noise)))
        except SpdyError:
            continue


@asynccontextmanager
async def running(*connections: spdy.Connection) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [group.create_task(c.run()) for c in connections]
        yield
        for task in tasks:
            task.cancel()


async def opened(connection: spdy.Connection) -> spdy.Stream:
    stream = await connection.accept()
    assert stream is not None
    return stream


HEADERS: Mapping[str, str] = {"streamtype": "data", "port": "80"}


async def test_streams_carry_data_both_ways_and_end_separately() -> None:
    a, b = pipe()
    server, client = spdy.Connection(a), spdy.Connection(b, client=True)
    async with running(server, client):
        ours = client.open(HEADERS)
        theirs = await opened(server)
        assert (theirs.id, theirs.headers) == (1, HEADERS)
        ours.write(b"ping")
        ours.write_eof()
        assert await theirs.read() == b"ping"
        assert await theirs.read() == b""
        theirs.write(b"pong")
        theirs.write_eof()
        assert await ours.read() == b"pong"
        assert await ours.read() == b""
        assert ours.done
        assert theirs.done


async def test_a_stream_opened_with_fin_is_at_its_end() -> None:
    a, b = pipe()
    server, client = spdy.Connection(a), spdy.Connection(b, client=True)
    async with running(server, client):
        ours = client.open({"streamtype": "error"}, fin=True)
        theirs = await opened(server)
        assert await theirs.read() == b""
        theirs.write(b"no")
        theirs.write_eof()
        assert await ours.read() == b"no"


async def test_a_reset_ends_both_directions() -> None:
    a, b = pipe()
    server, client = spdy.Connection(a), spdy.Connection(b, client=True)
    async with running(server, client):
        ours = client.open(HEADERS)
        theirs = await opened(server)
        ours.write(b"x")
        ours.reset()
        assert await theirs.read() == b"x"
        assert await theirs.read() == b""
        assert theirs.closed


async def test_pings_are_echoed() -> None:
    a, b = pipe()
    server = spdy.Connection(a)
    async with running(server):
        b.write(RECORDED[-44:-32])
        assert list(Codec().feed(await b.read())) == [Ping(1)]


async def test_a_goaway_or_the_end_of_the_pipe_ends_accepting() -> None:
    for end in ("goaway", "pipe"):
        a, b = pipe()
        server = spdy.Connection(a)
        async with running(server):
            stream = asyncio.ensure_future(server.accept())
            if end == "goaway":
                spdy.Connection(b, client=True).close()
            b.close()
            assert await stream is None
            assert await server.accept() is None


async def test_an_unread_stream_holds_the_peer_back_without_losing_anything() -> None:
    a, b = pipe()
    server, client = spdy.Connection(a), spdy.Connection(b, client=True)
    total = 5 * spdy.STREAM_BUFFER_MAX
    async with running(server, client):
        first, second = client.open(HEADERS), client.open(HEADERS)
        for _ in range(total // 65536):
            first.write(bytes(65536))
        second.write(b"behind")
        slow, other = await opened(server), await opened(server)
        got = 0
        while got < total:
            got += len(await slow.read())
        assert await other.read() == b"behind"


async def test_streams_with_wrong_numbers_end_the_connection() -> None:
    for number in (2, 0):
        a, b = pipe()
        server = spdy.Connection(a)
        b.write(Codec().encode(SynStream(number, HEADERS)))
        with pytest.raises(SpdyError):
            await server.run()
        assert list(Codec().feed(await b.read())) == [Goaway(0, 1)]


async def test_too_many_streams_are_refused_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spdy, "STREAMS_MAX", 1)
    a, b = pipe()
    server, client = spdy.Connection(a), spdy.Connection(b, client=True)
    async with running(server, client):
        client.open(HEADERS)
        refused = client.open(HEADERS)
        assert await refused.read() == b""
        assert refused.closed


async def test_frames_travel_in_pieces_inside_websocket_messages() -> None:
    a, b = pipe()
    inner, outer = WebSocket(a), WebSocket(b, client=True)
    server = spdy.Connection(spdy.OverWebSocket(inner))
    async with running(server):
        for byte in RECORDED[:49]:
            outer.write(b"")
            outer.write(bytes([byte]))
        stream = await opened(server)
        assert stream.headers == {"streamtype": "error"}
        _, reply = await outer.recv()
        assert list(Codec().feed(reply)) == [SynReply(1)]
        stream.write(b"text")
        _, data = await outer.recv()
        assert list(Codec().feed(data)) == [Data(1, b"text")]


async def test_the_pipe_is_closed_with_a_goaway() -> None:
    a, b = pipe()
    connection = spdy.Connection(a)
    connection.close()
    assert a.closed
    assert list(Codec().feed(await b.read())) == [Goaway(0, 0)]
    assert isinstance(b, PipeEnd)
