"""What hostile peers try at the front: limits, framing tricks, races, and peers that vanish."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from petset.base import edge
from petset.base.http import Duplex, Reply, Request, Response, Stream, Upgrade, Writer
from petset.base.intake import Intake, Limits, Refusal
from tests.unit.base.rawpeer import GET, Answer, Peer, echo, front, gated

SMALL = edge.Limits(body_bytes=1000, head_bytes=2000, linger_s=1)
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


async def flood(peer: Peer, start: bytes, more: bytes, rounds: int) -> Answer:
    """`start`, then `more` again and again, as long as the front takes it; its answer."""
    answer = asyncio.ensure_future(peer.answer())
    peer.send(start)
    for _ in range(rounds):
        if answer.done():
            break
        peer.send(more)
        await asyncio.sleep(0)
    return await answer


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"A: b\r\n"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X-%s: b\r\n" % (b"y" * 100)),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"y" * 100),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"y" * 100),
        (b"GET /", b"y" * 100),
        (CHUNKED + b"1;ext=", b"y" * 100),
        (CHUNKED, b"1;e=yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\na\r\n"),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"Trailer: yes\r\n"),
        (CHUNKED + b"1\r\na\r\n0\r\nT: ", b"y" * 100),
    ],
    ids=[
        "headers",
        "names",
        "one value",
        "one name",
        "target",
        "one chunk's extension",
        "extensions",
        "trailers",
        "one trailer",
    ],
)
async def test_what_comes_beside_bodies_is_bounded(start: bytes, more: bytes) -> None:
    async with front(echo, limits=SMALL) as f:
        answer = await flood(await f.connect(), start, more, 3000)
        assert answer.status == 431
        assert answer.headers["connection"] == "close"


def test_no_piece_of_an_endless_message_is_kept_for_long() -> None:
    intake = Intake(Limits(head_bytes=2000), None, "")
    intake.feed(CHUNKED + b"1\r\na\r\n0\r\nT: ")
    fed = 0
    while not intake.ready:
        intake.feed(b"y" * 100)
        fed += 100
        assert fed < 10_000
    refusal = intake.ready[0]
    assert isinstance(refusal, Refusal)


def test_bodies_in_tiny_chunks_are_taken_and_joined_on_the_way() -> None:
    intake = Intake(Limits(), None, "")
    intake.feed(CHUNKED)
    for _ in range(200):
        intake.feed(b"2\r\nab\r\n" * 1000)
    assert len(intake._message.body) < 5000
    intake.feed(b"0\r\n\r\n")
    incoming = intake.ready[0]
    assert not isinstance(incoming, Refusal)
    assert incoming.request.body == b"ab" * 200_000


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large() -> None:
    async with front(echo, limits=SMALL) as f:
        answer = await flood(await f.connect(), CHUNKED, b"10\r\n0123456789abcdef\r\n", 3000)
        assert answer.status == 413


async def test_a_chunk_that_says_it_is_too_large_brings_nothing_in() -> None:
    async with front(echo, limits=SMALL) as f:
        answer = await flood(await f.connect(), CHUNKED + b"7fffffff\r\n", b"y" * 500, 3000)
        assert answer.status == 413


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (POST + b"Transfer-Encoding : chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding\t: chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 0),
        (POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", 0),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n", 0),
        (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 0),
        (POST + b"Transfer-Encoding: chunked\x00\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n", 0),
        (POST + b"Transfer_Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n", 408),
        (POST + b"Content-Length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        (POST + b"Content-Length:\r\n\r\n", 400),
        (POST + b"Content-Length: \xb2\r\n\r\nab", 400),
        (CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\n0\r\n\r\n", 400),
        (CHUNKED + b"fffffffffffffffff\r\n", 400),
        (CHUNKED + b"3\r\nabc0\r\n\r\n", 400),
        (CHUNKED + b"3\r\nabc\n0\r\n\r\n", 400),
        (CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"0\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX\x00: b\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tfolded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.12\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 400),
        (b"GET / http/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET ftp://h/x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (POST + b"Expect: 100-continue, magic\r\nContent-Length: 1\r\n\r\na", 417),
        (POST + b"Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400),
    ],
)  # fmt: skip
async def test_messages_that_others_could_read_otherwise_end_the_connection(
    data: bytes, status: int
) -> None:
    """0 stands for 400 or 501: which of them depends on who finds out first."""
    handled: list[str] = []

    async def handler(request: Request) -> Reply:
        handled.append(request.path)
        return await echo(request)

    limits = edge.Limits(body_bytes=1000, head_bytes=2000, linger_s=0.05, body_s=0.05, head_s=0.05)
    async with front(handler, limits=limits) as f:
        peer = await f.connect()
        peer.send(data + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n" * (status != 408))
        answer = await peer.answer()
        assert answer.status in ((status,) if status else (400, 501))
        assert answer.headers["connection"] == "close"
        assert await peer.rest() == b""
        assert "/smuggled" not in handled


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "PATCH", "DELETE", "QUERY"])
async def test_other_methods_reach_the_handler_as_they_are(method: str) -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(f"{method} /a HTTP/1.1\r\nHost: h\r\nX-Secret: s\r\n\r\n".encode())
        answer = await peer.answer()
        assert answer.status == 200
        assert answer.body == f"{method} /a [] ".encode()


async def test_the_target_of_the_whole_server_is_a_path() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await peer.answer()).body == b"OPTIONS * [] "


async def test_head_gets_the_same_headers_as_get() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n")
        head = await peer.answer(head=True)
        peer.send(b"GET /abcd HTTP/1.1\r\nHost: h\r\n\r\n")
        full = await peer.answer()
        both = [{**answer.headers, "date": ""} for answer in (head, full)]
        assert both[0] == both[1]


async def test_no_continue_is_said_to_who_sends_the_body_at_once() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        answer = await peer.answer()
        assert (answer.status, answer.body) == (200, b"POST / [] hi")
        peer.send(POST + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n")
        assert (await peer.answer()).status == 200
        peer.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        assert (await peer.answer()).status == 200


# -- slow and silent peers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X: y\r\n"),
        (b"GET /", b"y"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"y"),
        (CHUNKED, b"1\r\ny\r\n"),
    ],
    ids=["head", "target", "body", "chunks"],
)
async def test_dripping_does_not_keep_a_request_open(start: bytes, drop: bytes) -> None:
    limits = edge.Limits(head_s=0.2, body_s=0.2, linger_s=0.02)
    async with front(echo, limits=limits) as f:
        peer = await f.connect()
        peer.send(start)

        async def drip() -> None:
            while not peer.writer.is_closing():
                peer.send(drop)
                await asyncio.sleep(0.01)

        task = asyncio.ensure_future(drip())
        assert (await peer.answer()).status == 408
        task.cancel()
        while f.edge.connections:
            await asyncio.sleep(0.01)


async def test_dripping_before_a_request_is_idling() -> None:
    async with front(echo, limits=edge.Limits(idle_s=0.5, head_s=0.5)) as f:
        peer = await f.connect()
        peer.send(GET)
        await peer.answer()
        while f.edge.connections:
            if not peer.writer.is_closing():
                peer.send(b"\r\n")
            await asyncio.sleep(0.01)


async def test_a_half_open_request_ends_with_the_peers_end() -> None:
    async with front(echo) as f:
        for start in (b"GET / HT", POST + b"Content-Length: 9\r\n\r\nabc", CHUNKED + b"5\r\nab"):
            peer = await f.connect()
            peer.send(start)
            peer.writer.write_eof()
            assert await peer.rest() == b""
        while f.edge.connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("size", [1000, 60_000, 5_000_000])
async def test_a_peer_that_takes_nothing_does_not_stay(size: int) -> None:
    """Also with answers that fit into the buffers: they must not be waited for without end."""

    async def handler(request: Request) -> Reply:
        return Response(200, (), bytes(size))

    limits = edge.Limits(stall_s=0.1, idle_s=0.1, head_s=0.1, linger_s=0.05)
    async with front(handler, limits=limits) as f:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", f.edge.port))
        for _ in range(2000):
            try:
                await asyncio.wait_for(loop.sock_sendall(sock, GET * 100), 0.2)
            except (TimeoutError, OSError):
                break
        async with asyncio.timeout(10):
            while f.edge.connections:
                await asyncio.sleep(0.01)
        sock.close()


async def test_a_stream_to_a_peer_that_takes_nothing_is_bounded_and_then_cut() -> None:
    sent: list[int] = []

    async def run(writer: Writer) -> None:
        while not writer.pressure:
            writer.write(bytes(10_000))
            sent.append(10_000)
            await asyncio.sleep(0)

    async def handler(request: Request) -> Reply:
        return Stream(run)

    limits = edge.Limits(stall_s=0.1, idle_s=0.1, linger_s=0.05)
    async with front(handler, limits=limits) as f:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", f.edge.port))
        await loop.sock_sendall(sock, GET)
        while not sent or f.edge.connections:
            await asyncio.sleep(0.01)
        assert sum(sent) < 20_000_000
        sock.close()


# -- peers that vanish ----------------------------------------------------------------------------


def reset(peer: Peer) -> None:
    """Have the peer's kernel end its connection with a reset."""
    sock = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


@pytest.mark.parametrize("way", ["reset", "close"])
async def test_a_peer_that_vanishes_while_it_is_answered_costs_nothing(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate, finished = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Reply:
        await gate.wait()
        finished.set()
        return Response(200, (), bytes(500_000))

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET * 5)
        while not any(c.task for c in f.edge.connections):
            await asyncio.sleep(0)
        if way == "reset":
            reset(peer)
        else:
            await peer.close()
        await asyncio.sleep(0.01)
        gate.set()
        await finished.wait()
        while f.edge.connections:
            await asyncio.sleep(0.01)
        other = await f.connect()
        other.send(GET)
        assert (await other.answer()).status == 200
    assert "ERROR" not in caplog.text


async def test_a_peer_that_vanishes_in_the_middle_of_an_answer_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: Request) -> Reply:
        return Response(200, (), [bytes(100_000)] * 300)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET)
        await peer.reader.readexactly(300_000)
        peer.writer.transport.abort()
        while f.edge.connections:
            await asyncio.sleep(0.01)
    assert "ERROR" not in caplog.text


# -- pipelining and upgrades ----------------------------------------------------------------------


def switching(run: Callable[[Duplex], Awaitable[None]]) -> Callable[[Request], Awaitable[Reply]]:
    async def handler(request: Request) -> Reply:
        if "upgrade" in request.headers:
            return Upgrade(run, headers=(("Upgrade", "echo"),))
        return await echo(request)

    return handler


async def shout(duplex: Duplex) -> None:
    while data := await duplex.read():
        duplex.write(data.upper())
        await duplex.drain()


async def test_an_upgrade_behind_other_requests_takes_its_turn() -> None:
    async with front(switching(shout)) as f:
        peer = await f.connect()
        peer.send(GET * 20 + UPGRADE + b"get / http/1.1\r\n\r\n")
        for _ in range(20):
            assert (await peer.answer()).status == 200
        assert (await peer.head())[0] == 101
        assert await peer.reader.readexactly(18) == b"GET / HTTP/1.1\r\n\r\n"


async def test_much_that_comes_while_an_upgrade_is_decided_is_held_back() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Reply:
        await gate.wait()
        return Upgrade(shout, headers=(("Upgrade", "echo"),))

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        total = 0
        while True:
            peer.send(b"y" * 100_000)
            total += 100_000
            assert total < 50_000_000
            try:
                await asyncio.wait_for(peer.writer.drain(), 0.2)
            except TimeoutError:
                break
        gate.set()
        assert (await peer.head())[0] == 101
        assert await peer.reader.readexactly(total) == b"Y" * total


async def test_tiny_pieces_while_an_upgrade_is_decided_are_cheap() -> None:
    """Each piece costs the same, however many have come before it."""
    gate = asyncio.Event()

    async def handler(request: Request) -> Reply:
        await gate.wait()
        return Upgrade(shout, headers=(("Upgrade", "echo"),))

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        while not any(c.task for c in f.edge.connections):
            await asyncio.sleep(0)
        (connection,) = f.edge.connections
        for _ in range(100_000):
            connection.data_received(b"y")
        gate.set()
        assert (await peer.head())[0] == 101
        assert await peer.reader.readexactly(100_000) == b"Y" * 100_000


async def test_a_peer_that_leaves_while_its_upgrade_is_decided() -> None:
    gate, ended = asyncio.Event(), asyncio.Event()

    async def run(duplex: Duplex) -> None:
        assert await duplex.read() == b""
        ended.set()

    async def handler(request: Request) -> Reply:
        await gate.wait()
        return Upgrade(run, headers=(("Upgrade", "echo"),))

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        peer.writer.write_eof()
        await asyncio.sleep(0.01)
        gate.set()
        assert (await peer.head())[0] == 101
        await ended.wait()
        assert await peer.rest() == b""


async def test_answers_keep_the_order_of_pipelined_requests_of_all_kinds() -> None:
    async def run(writer: Writer) -> None:
        for piece in (b"a", b"b"):
            writer.write(piece)
            await asyncio.sleep(0)

    async def handler(request: Request) -> Reply:
        if request.path == "/s":
            return Stream(run)
        await asyncio.sleep(0)
        return await echo(request)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(
            b"GET /s HTTP/1.1\r\nHost: h\r\n\r\nHEAD /h HTTP/1.1\r\nHost: h\r\n\r\n"
            + CHUNKED.replace(b"/", b"/c", 1)
            + b"1\r\nx\r\n0\r\n\r\n"
            + GET
            + b"GET /s HTTP/1.1\r\nHost: h\r\n\r\n"
        )
        assert (await peer.answer()).body == b"ab"
        assert (await peer.answer(head=True)).status == 200
        assert (await peer.answer()).body == b"POST /c [] x"
        assert (await peer.answer()).body == b"GET /a [] "
        assert (await peer.answer()).body == b"ab"


async def test_a_broken_request_behind_a_stream_waits_for_its_end() -> None:
    turn = asyncio.Event()

    async def run(writer: Writer) -> None:
        writer.write(b"one")
        await turn.wait()
        writer.write(b"two")

    async def handler(request: Request) -> Reply:
        return Stream(run)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET + b"nonsense\r\n\r\n")
        await peer.head()
        assert await peer.chunk() == b"one"
        turn.set()
        assert await peer.chunk() == b"two"
        assert await peer.chunk() == b""
        assert (await peer.answer()).status == 400


@pytest.mark.parametrize("quick", [True, False])
async def test_a_stream_to_a_peer_that_sends_no_more_ends_whole_and_the_connection_closes(
    quick: bool,
) -> None:
    async def run(writer: Writer) -> None:
        writer.write(b"one")
        while not (quick and writer.closed):
            await asyncio.sleep(0.001)

    async def handler(request: Request) -> Reply:
        return Stream(run)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET + b"nonsense\r\n\r\n")
        await peer.head()
        assert await peer.chunk() == b"one"
        peer.writer.write_eof()
        assert await peer.rest() == b"0\r\n\r\n"
        while f.edge.connections:
            await asyncio.sleep(0.01)


async def test_requests_behind_a_gone_peer_are_not_handled() -> None:
    gate = asyncio.Event()
    handled: list[str] = []

    async def handler(request: Request) -> Reply:
        handled.append(request.path)
        return await gated(gate)(request)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET * 10)
        while not handled:
            await asyncio.sleep(0)
        reset(peer)
        while f.edge.connections:
            await asyncio.sleep(0.01)
        gate.set()
        await asyncio.sleep(0.01)
        assert len(handled) == 1
