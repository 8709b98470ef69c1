import asyncio
import socket

import pytest

from petset.base import edge
from petset.base.http import Reply, Request, Response
from tests.unit.base.rawpeer import GET, echo, front, gated

SMALL = edge.Limits(body_bytes=1000, head_bytes=2000, linger_s=0.05)


async def test_serves_one_request_after_another_on_a_connection() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        for name in (b"one", b"two"):
            peer.send(b"GET /" + name + b"?x=1&x=2&y HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = await peer.answer()
            assert answer.status == 200
            assert answer.body == b"GET /%b [('x', '1'), ('x', '2'), ('y', '')] " % name
            assert answer.headers["x-echo"] == "yes"
            assert answer.headers["date"].endswith("GMT")


async def test_decodes_the_path_and_keeps_the_raw_target() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Reply:
        seen.append(request)
        return Response()

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(b"GET /a%20b/%C3%A9?q=%26+z HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2 \r\n\r\n")
        await peer.answer()
    request = seen[0]
    assert request.path == "/a b/é"
    assert request.raw_target == "/a%20b/%C3%A9?q=%26+z"
    assert request.query == [("q", "& z")]
    assert request.headers["x-a"] == "1, 2"
    assert request.remote.startswith("127.0.0.1:")
    assert request.peer is None


async def test_takes_absolute_targets() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"GET http://h:1/p?q=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await peer.answer()).body == b"GET /p [('q', '1')] "


async def test_answers_pipelined_requests_in_order() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Reply:
        if request.path == "/0":
            await gate.wait()
        return await echo(request)

    async with front(handler) as f:
        peer = await f.connect()
        for i in range(100):
            peer.send(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i)
        gate.set()
        for i in range(100):
            assert (await peer.answer()).body == b"GET /%d [] " % i


async def test_stops_reading_from_a_peer_that_runs_ahead() -> None:
    gate = asyncio.Event()
    async with front(gated(gate), limits=edge.Limits(pipelined=2)) as f:
        peer = await f.connect()
        total = 0
        long = (
            GET.removesuffix(b"\r\n") + b"X: " + b"y" * 2000 + b"\r\n\r\n"
        )  # few fill the buffers
        while True:
            peer.send(long * 50)
            total += 50
            try:
                await asyncio.wait_for(peer.writer.drain(), 0.3)
            except TimeoutError:
                break
            assert total < 10_000_000
        gate.set()
        for _ in range(total):
            assert (await peer.answer()).status == 200


async def test_takes_sized_and_chunked_bodies() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        assert (await peer.answer()).body == b"POST /s [] abc"
        peer.send(b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"2\r\nab\r\n1;ext=1\r\nc\r\n0\r\nTrailer: x\r\n\r\n")
        assert (await peer.answer()).body == b"POST /c [] abc"
        peer.send(GET)
        assert (await peer.answer()).body == b"GET /a [] "


async def test_takes_a_body_of_three_mebibytes() -> None:
    body = bytes(3 * 1024 * 1024)
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert (await peer.answer()).body == b"POST / [] " + body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3145729\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n300001\r\n"
        + bytes(3145729),
    ],
    ids=["sized", "chunked"],
)
async def test_refuses_larger_bodies_with_the_hooks_answer(request_bytes: bytes) -> None:
    def on_refuse(status: int, reason: str) -> Response:
        return Response(status, (("Content-Type", "text/x"),), reason.encode())

    async with front(echo, on_refuse=on_refuse, limits=edge.Limits(linger_s=0.05)) as f:
        peer = await f.connect()
        peer.send(request_bytes)
        answer = await peer.answer()
        assert answer.status == 413
        assert answer.body == b"Request entity too large: limit is 3145728"
        assert answer.headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_head_gets_the_head_only() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" + GET)
        first = await peer.answer(head=True)
        assert first.headers["content-length"] == str(len(b"HEAD /a [] "))
        assert (await peer.answer()).body == b"GET /a [] "


async def test_no_body_with_204_and_304() -> None:
    async def handler(request: Request) -> Reply:
        return Response(int(request.path[1:]), (), b"dropped")

    async with front(handler) as f:
        peer = await f.connect()
        for status in (204, 304):
            peer.send(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % status)
            answer = await peer.answer()
            assert answer.status == status
            assert "content-length" not in answer.headers


async def test_says_continue_when_asked() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(
            b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"hi")
        assert (await peer.answer()).body == b"POST / [] hi"


async def test_says_continue_only_after_the_answers_before() -> None:
    gate = asyncio.Event()
    async with front(gated(gate)) as f:
        peer = await f.connect()
        peer.send(GET)
        peer.send(
            b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        gate.set()
        assert (await peer.answer()).body == b"GET /a [] "
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"hi")
        assert (await peer.answer()).body == b"POST / [] hi"


async def test_does_not_invite_a_body_that_is_too_large() -> None:
    async with front(echo, limits=SMALL) as f:
        peer = await f.connect()
        peer.send(
            b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n"
        )
        assert (await peer.answer()).status == 413


POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: +3\r\n\r\nabc", 400),
        (POST + b"Content-Length : 3\r\n\r\nabc", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (CHUNKED + b"zz\r\nabc\r\n", 400),
        (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400),
        (CHUNKED + b"-1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (POST + b"Expect: magic\r\nContent-Length: 1\r\n\r\na", 417),
        (POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
)  # fmt: skip
async def test_refuses_what_could_be_read_in_two_ways(data: bytes, status: int) -> None:
    async with front(echo, limits=SMALL) as f:
        peer = await f.connect()
        peer.send(data + GET)
        answer = await peer.answer()
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_a_refusal_comes_after_the_answers_before() -> None:
    gate = asyncio.Event()
    async with front(gated(gate), limits=SMALL) as f:
        peer = await f.connect()
        peer.send(GET + b"nonsense\r\n\r\n")
        gate.set()
        assert (await peer.answer()).status == 200
        assert (await peer.answer()).status == 400
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 3000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 1_000_000,
    ],
    ids=["target", "value", "many", "endless"],
)
async def test_refuses_large_heads(head: bytes) -> None:
    async with front(echo, limits=SMALL) as f:
        peer = await f.connect()
        for start in range(0, len(head), 50_000):
            peer.send(head[start : start + 50_000])
            await peer.writer.drain()
        assert (await peer.answer()).status == 431


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
        CHUNKED + b"5\r\na",
    ],
)
async def test_refuses_requests_that_do_not_arrive(start: bytes) -> None:
    async with front(echo, limits=edge.Limits(head_s=0.05, body_s=0.05, linger_s=0.05)) as f:
        peer = await f.connect()
        peer.send(start)
        assert (await peer.answer()).status == 408
        assert await peer.rest() == b""


async def test_closes_idle_connections() -> None:
    async with front(echo, limits=edge.Limits(idle_s=0.5, head_s=0.5)) as f:
        silent, used = await f.connect(), await f.connect()
        used.send(GET)
        await used.answer()
        assert await silent.rest() == b""
        assert await used.rest() == b""
        newlines = await f.connect()
        newlines.send(b"\r\n")
        await newlines.rest()


async def test_a_slow_handler_is_not_an_idle_connection() -> None:
    gate = asyncio.Event()
    async with front(gated(gate), limits=edge.Limits(idle_s=0.4, head_s=0.4)) as f:
        peer = await f.connect()
        peer.send(GET)
        asyncio.get_running_loop().call_later(1, gate.set)
        assert (await peer.answer()).status == 200


async def test_old_clients() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await peer.answer()
        assert answer.headers["connection"] == "keep-alive"
        peer.send(b"GET /b HTTP/1.0\r\n\r\n")
        answer = await peer.answer()
        assert answer.headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_closes_when_the_client_wants_it_and_reads_no_further() -> None:
    async with front(echo) as f:
        peer = await f.connect()
        peer.send(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + GET)
        assert (await peer.answer()).headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_answers_after_a_half_close() -> None:
    gate = asyncio.Event()
    async with front(gated(gate)) as f:
        peer = await f.connect()
        peer.send(GET)
        peer.writer.write_eof()
        asyncio.get_running_loop().call_later(0.02, gate.set)
        assert (await peer.answer()).body == b"GET /a [] "
        assert await peer.rest() == b""


async def test_pieces_are_sent_with_their_total_length() -> None:
    pieces = [b"a" * 300, b"b" * 700_000, b"", b"c" * 10]

    async def handler(request: Request) -> Reply:
        return Response(200, (), pieces)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET)
        answer = await peer.answer()
        assert answer.headers["content-length"] == "700310"
        assert answer.body == b"".join(pieces)


async def test_cuts_a_peer_that_does_not_take_its_answer() -> None:
    async def handler(request: Request) -> Reply:
        return Response(200, (), bytes(50_000_000))

    async with front(handler, limits=edge.Limits(stall_s=0.1)) as f:
        peer = await f.connect()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(GET)
        while f.edge.connections or peer.writer.transport.get_write_buffer_size() != 0:
            await asyncio.sleep(0.01)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await peer.rest()) < 50_000_000


async def test_a_bug_in_a_handler_costs_one_request(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Reply:
        if request.path == "/bug":
            raise KeyError("oops")
        return await echo(request)

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(b"GET /bug HTTP/1.1\r\nHost: h\r\n\r\n" + GET)
        answer = await peer.answer()
        assert (answer.status, answer.body) == (500, b"internal error\n")
        assert (await peer.answer()).status == 200
    assert "GET /bug failed" in caplog.text


async def test_headers_cannot_split_an_answer() -> None:
    async def handler(request: Request) -> Reply:
        return Response(200, (("X", "a\r\nSet-Cookie: b"),))

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET)
        answer = await peer.answer()
        assert answer.status == 500
        assert "set-cookie" not in answer.headers


async def test_the_framing_is_the_edges_own() -> None:
    async def handler(request: Request) -> Reply:
        headers = (("Content-Length", "1"), ("Transfer-Encoding", "chunked"), ("Date", "never"))
        return Response(200, headers, b"four")

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET)
        answer = await peer.answer()
        assert answer.body == b"four"
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["date"] != "never"


async def test_closing_lets_a_request_in_flight_have_its_answer() -> None:
    gate = asyncio.Event()
    started = asyncio.Event()

    async def handler(request: Request) -> Reply:
        started.set()
        await gate.wait()
        return await echo(request)

    async with front(handler) as f:
        idle, busy = await f.connect(), await f.connect()
        idle.send(b"GET")
        busy.send(GET)
        await started.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(f.edge.close(5))
            assert await idle.rest() == b""
            gate.set()
            answer = await busy.answer()
        assert answer.body == b"GET /a [] "
        assert answer.headers["connection"] == "close"
        with pytest.raises(OSError):  # noqa: PT011 (refused, by whatever name)
            await f.connect()


async def test_closing_cuts_what_outlasts_the_grace() -> None:
    started = asyncio.Event()

    async def handler(request: Request) -> Reply:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET)
        await started.wait()
        await f.edge.close(0.01)
        assert await peer.rest() == b""
        assert not f.edge.connections


async def test_several_listeners_share_a_handler_and_a_given_socket_is_used() -> None:
    given = socket.create_server(("127.0.0.1", 0))
    first = await edge.serve(echo, sock=given)
    second = await edge.serve(echo)
    assert first.sockets[0] is given
    assert first.port != second.port
    for one in (first, second):
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"GET /a [] ")
        writer.close()
        await writer.wait_closed()
        await one.close(1)
