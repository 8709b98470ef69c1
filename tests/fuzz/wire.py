"""Targets at the wire: the front's bytes, WebSocket frames, SPDY frames."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from random import Random

from websockets.frames import Frame, Opcode

from petset.base import edge, spdy, websocket
from petset.base.http import Duplex, Later, Reply, Request, Response, Upgrade
from petset.base.intake import Incoming, Intake, Limits, Refusal
from petset.base.spdycodec import Codec, Data, Goaway, Ping, Reset, SynReply, SynStream
from petset.base.websocket import WebSocket, WebSocketClosed
from tests.fuzz import mutate
from tests.fuzz.api import ADMIN
from tests.fuzz.harness import Round
from tests.unit.apiserver.harness import serving
from tests.unit.base.pipes import PipeEnd, pipe

PARTS = (
    b"GET /api/v1/configmaps HTTP/1.1\r\n",
    b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\n",
    b"GET /api/v1/pods?watch=1&timeoutSeconds=1 HTTP/1.1\r\n", b"HEAD /version HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n", b"GET http://h/readyz?verbose HTTP/1.1\r\n", b"Host: h\r\n",
    b"GET /up HTTP/1.1\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Trailer: x\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n",
    b"Connection: Upgrade\r\n", b"Connection: keep-alive, Upgrade\r\n", b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n", b"Accept-Encoding: gzip\r\n", b"Accept: application/yaml\r\n",
    b"\r\n", b"\r\n\r\n", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n",
    b"ffffff\r\n",    b"3;x=y\r\nabc\r\n", b": :\r\n", b" folded\r\n",
    b"X:" + b"y" * 3000, b"X: y\r\n" * 60,
    b'Content-Type: application/json\r\nContent-Length: 30\r\n\r\n{"metadata":{"name":"a"}}     ',
)  # fmt: skip
WHOLE = (
    b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n",
    b"POST /api/v1/namespaces/default/configmaps?dryRun=All HTTP/1.1\r\nHost: h\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n19\r\n" + b'{"metadata":{"name":"b"}}\r\n0\r\n\r\n',
    b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly",
)
_HEAD = re.compile(
    rb"HTTP/1\.1 ([1-5][0-9][0-9]) [A-Za-z -]+\r\n((?:[!-9;-~]+: [^\r\n]*\r\n)*)\r\n"
)


def requests(rng: Random) -> bytes:
    """A stream of requests, more or less."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(400))
    pieces = rng.choices((*WHOLE, *WHOLE, *WHOLE, *PARTS), k=rng.randrange(1, 12))
    data = b"".join(pieces)
    return mutate.mutated(rng, data, extra=PARTS) if rng.random() < 0.7 else data


def check_answers(data: bytes, sent: bytes) -> list[int]:
    """The statuses of an answer stream, which has to be whole. Raises AssertionError."""
    statuses = []
    could_head = b"HEAD" in sent
    while data:
        head = _HEAD.match(data)
        assert head is not None, f"no head: {data[:300]!r} for {sent!r}"
        status, rest = int(head[1]), data[head.end() :]
        headers = head[2].lower()
        assert status != 500, f"{data[:500]!r} for {sent!r}"
        statuses.append(status)
        if status == 101:
            return statuses
        length = re.search(rb"content-length: ([0-9]+)\r\n", headers)
        if b"transfer-encoding: chunked" in headers:
            rest = _unchunked(rest, sent)
        elif length is not None and not ((could_head and _HEAD.match(rest)) or not rest):
            assert len(rest) >= int(length[1]), f"cut short: {data[:300]!r} for {sent!r}"
            rest = rest[int(length[1]) :]
        data = rest
    return statuses


def _unchunked(data: bytes, sent: bytes) -> bytes:
    while True:
        size, mark, data = data.partition(b"\r\n")
        if not size and not mark:
            return b""  # cut: the peer had gone
        assert re.fullmatch(rb"[0-9a-f]+", size), f"{size!r} for {sent!r}"
        data = data[int(size, 16) + 2 :]
        if int(size, 16) == 0:
            return data


def _seen(item: Incoming | Refusal) -> object:
    return item.status if isinstance(item, Refusal) else (item.request, item.keep_alive)


def same_however_split(rng: Random, data: bytes) -> None:
    """The parser makes the same of bytes however they are cut."""
    whole, pieces = (Intake(Limits(), None, "") for _ in range(2))
    whole.feed(data)
    for piece in mutate.split(rng, data):
        if pieces.stage.name != "ENDED":
            pieces.feed(piece)
    outcomes = [[_seen(item) for item in intake.ready] for intake in (whole, pieces)]
    assert outcomes[0] == outcomes[1], f"{data!r}: {outcomes}"


@asynccontextmanager
async def edge_bytes() -> AsyncIterator[Round]:
    """Request streams of all sorts in random pieces, at the front of a whole server."""
    limits = edge.Limits(
        head_bytes=8000, body_bytes=20_000, head_s=0.5, body_s=0.5, idle_s=0.5, linger_s=0.02
    )
    async with serving() as server:

        async def shout(duplex: Duplex) -> None:
            while data := await duplex.read():
                duplex.write(data.upper())

        async def handler(request: Request) -> Reply:
            if request.wants_upgrade:
                return Upgrade(shout)
            return await server.app.dispatch(replace(request, peer=ADMIN))

        def at_once(request: Request) -> Response | Later | None:
            return server.app.at_once(replace(request, peer=ADMIN))

        served = await edge.serve(handler, limits=limits, at_once=at_once)
        try:

            async def ask(pieces: list[bytes]) -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
                try:
                    for piece in pieces:
                        writer.write(piece)
                        await asyncio.sleep(0)
                    writer.write_eof()
                    return await reader.read()
                except OSError:
                    return b""
                finally:
                    writer.close()

            async def play(rng: Random) -> None:
                data = requests(rng)
                same_however_split(rng, data)
                check_answers(await ask(mutate.split(rng, data)), data)
                again = check_answers(await ask([WHOLE[0]]), WHOLE[0])
                assert again == [200], again
                while served.connections:
                    await asyncio.sleep(0.001)

            yield play
        finally:
            await served.close(1)


# -- WebSocket ------------------------------------------------------------------------------------


SAID = (
    b'\x04{"Width":80,"Height":24}', b'\x04{"Width":1e999,"Height":1}', b"\x04" + b"[" * 5000,
    b'\x04{"Width":-1,"Height":70000}', b'\x04{"Width":[],"Height":{}}', b"\xff\x00", b"\x00hello",
    b"0aGVsbG8=", b"0a", b"4eyJXaWR0aCI6MSwiSGVpZ2h0IjoxfQ==", b"\x040" * 40,
)  # fmt: skip
"""Messages that exec understands, or nearly."""


def frames(rng: Random) -> bytes:
    """What a client might send, frame by frame: whole messages, or anything at all."""
    wild = rng.random() < 0.4
    out = b""
    for _ in range(rng.randrange(1, 12)):
        out += _anything(rng) if wild else _message(rng)
    return mutate.mutated(rng, out, most=3) if rng.random() < 0.3 else out


def _message(rng: Random) -> bytes:
    """A whole message in one frame or two, perhaps with a ping between them."""
    data = rng.choice(
        (*SAID, bytes([rng.choice((0, 3, 4, 255))]) + b"x" * rng.choice((0, 5, 9000)))
    )
    opcode = rng.choice((Opcode.BINARY, Opcode.TEXT))
    if rng.random() < 0.7:
        return _bytes(opcode, data, fin=True)
    cut = rng.randrange(len(data) + 1)
    between = _bytes(Opcode.PING, b"p", fin=True) if rng.random() < 0.5 else b""
    return (
        _bytes(opcode, data[:cut], fin=False) + between + _bytes(Opcode.CONT, data[cut:], fin=True)
    )


def _anything(rng: Random) -> bytes:
    opcode = rng.choice(list(Opcode))
    size = rng.choice((0, 1, 2, 20, 125, 126, 70_000))
    fin = rng.random() < 0.7
    if opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
        size, fin = min(size, 125), True
    return _bytes(opcode, rng.randbytes(size), fin=fin)


def _bytes(opcode: Opcode, data: bytes, *, fin: bool) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


async def feed(rng: Random, end: PipeEnd, data: bytes) -> None:
    """Write `data` in random pieces, then go."""
    for piece in mutate.split(rng, data):
        end.write(piece)
        await asyncio.sleep(0)
    end.close()


@asynccontextmanager
async def websocket_frames() -> AsyncIterator[Round]:
    """Frames at the server's end of a WebSocket, received to the end."""

    async def play(rng: Random) -> None:
        ours, theirs = pipe()
        socket = WebSocket(ours, limit=65_536)
        data = frames(rng)
        async with asyncio.TaskGroup() as group:
            group.create_task(feed(rng, theirs, data))
            size = 0
            try:
                while True:
                    kind, message = await socket.recv()
                    assert kind in (websocket.TEXT, websocket.BINARY)
                    assert len(message) <= 65_536
                    size += len(message)
                    socket.write(b"ok")
            except WebSocketClosed as closed:
                code = closed.code
            assert 1000 <= code <= 4999
            assert size <= len(data)
        await socket.close(wait_s=0.1)
        assert socket.closed

    yield play


# -- SPDY -----------------------------------------------------------------------------------------

NAMES = ("streamtype", "port", "requestid", "x", "", "ü")
VALUES = (
    "error",
    "stdin",
    "stdout",
    "stderr",
    "data",
    "resize",
    "80",
    "0",
    "²",
    "99999",
    "x" * 5000,
)


OPENINGS = (
    (),
    ("error", "data"),
    ("error", "stdin", "stdout", "resize"),
    ("error", "error", "data"),
)


def spdy_frames(rng: Random) -> bytes:
    """What a client might send on a SPDY connection."""
    codec, out, number = Codec(), b"", 1
    for kind in rng.choice(OPENINGS):
        pair = {"streamtype": kind, "requestid": "1", "port": rng.choice(("80", "81", "²", "0"))}
        out += codec.encode(SynStream(number, pair))
        number += 2
    for _ in range(rng.randrange(1, 20)):
        headers = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randrange(4))}
        stream = rng.choice((1, 3, 5, 7, number, 2, 0))
        match rng.randrange(8):
            case 0 | 1 | 2:
                out += codec.encode(SynStream(number, headers, rng.random() < 0.2))
                number += 2
            case 3 | 4:
                size = rng.choice((0, 1, 10, 70_000))
                said = rng.choice((b"x" * size, rng.choice(SAID)[1:] + b"\n"))
                out += codec.encode(Data(stream, said, rng.random() < 0.3))
            case 5:
                out += codec.encode(Reset(stream, 5))
            case 6:
                out += codec.encode(Ping(rng.randrange(9)))
            case _:
                out += codec.encode(rng.choice((Goaway(0, 0), SynReply(stream, headers))))
    return mutate.mutated(rng, out, most=2) if rng.random() < 0.3 else out


@asynccontextmanager
async def spdy_sessions() -> AsyncIterator[Round]:
    """Frames at the server's end of a SPDY connection, whose streams are served or left alone."""

    async def play(rng: Random) -> None:
        ours, theirs = pipe()
        connection = spdy.Connection(ours)
        deaf = rng.random() < 0.3

        async def serve(stream: spdy.Stream) -> None:
            while data := await stream.read():
                stream.write(data)
            stream.write_eof()

        async def accept(group: asyncio.TaskGroup) -> None:
            while not deaf and (stream := await connection.accept()) is not None:
                group.create_task(serve(stream))

        async with asyncio.TaskGroup() as group:
            group.create_task(feed(rng, theirs, spdy_frames(rng)))
            group.create_task(accept(group))
            with suppress(spdy.SpdyError):
                await connection.run()
        assert connection.closed
        assert not connection._streams
        assert connection._unread == 0, connection._unread
        left = Codec()
        written = b"".join(theirs._received)
        assert len(list(left.feed(written))) >= 0  # what the server wrote can be read

    yield play
