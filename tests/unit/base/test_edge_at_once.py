"""Answers at once: the short way for requests like the one before."""

import asyncio

import pytest

from petset.base import edge
from petset.base.http import Reply, Request, Response
from tests.unit.base.rawpeer import GET, Answer, Peer, echo, front

AGAIN = b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"


async def ask(peer: Peer, data: bytes) -> Answer:
    peer.send(data)
    return await peer.answer(head=data.startswith(b"HEAD"))


class Quick:
    """Answers at once what it is told to, and notes who was asked for what."""

    def __init__(self, answer: Response | None) -> None:
        self.answer = answer
        self.at_once: list[str] = []
        self.handled: list[str] = []

    def glance(self, request: Request) -> Response | None:
        self.at_once.append(request.path)
        return self.answer

    async def handler(self, request: Request) -> Reply:
        self.handled.append(request.path)
        return await echo(request)


async def test_the_second_request_with_the_same_lines_is_answered_at_once() -> None:
    quick = Quick(Response(200, (("X-Quick", "yes"),), b"quick"))
    async with front(quick.handler, at_once=quick.glance) as f:
        peer = await f.connect()
        assert (await ask(peer, GET)).body == b"GET /a [] "
        answer = await ask(peer, AGAIN)
        assert (answer.status, answer.body) == (200, b"quick")
        assert answer.headers["x-quick"] == "yes"
        assert "date" in answer.headers
    assert (quick.handled, quick.at_once) == (["/a"], ["/b"])


async def test_queries_may_differ_too() -> None:
    seen: list[Request] = []

    def glance(request: Request) -> None:
        seen.append(request)

    async with front(echo, at_once=glance) as f:
        peer = await f.connect()
        await ask(peer, GET)
        answer = await ask(peer, b"GET /b?x=1&y=%41+b&z HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.body == b"GET /b [('x', '1'), ('y', 'A b'), ('z', '')] "
    (request,) = seen
    assert list(request.query) == [("x", "1"), ("y", "A b"), ("z", "")]
    assert (request.path, request.raw_target) == ("/b", "/b?x=1&y=%41+b&z")


@pytest.mark.parametrize(
    "data",
    [
        b"HEAD /b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"GET /b?x[]=1 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /%62 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /b HTTP/1.1\r\nHost: h\r\nAccept: x\r\n\r\n",
        b"GET /b HTTP/1.0\r\nHost: h\r\n\r\n",
    ],
)
async def test_other_requests_go_to_the_handler(data: bytes) -> None:
    quick = Quick(Response(200, (), b"quick"))
    async with front(quick.handler, at_once=quick.glance) as f:
        peer = await f.connect()
        await ask(peer, GET)
        assert (await ask(peer, data)).status == 200
    assert (quick.handled, quick.at_once) == (["/a", "/b"], [])


async def test_requests_that_come_together_are_answered_in_order_by_the_handler() -> None:
    quick = Quick(Response(200, (), b"quick"))
    async with front(quick.handler, at_once=quick.glance) as f:
        peer = await f.connect()
        await ask(peer, GET)
        peer.send(AGAIN + GET)
        assert [(await peer.answer()).body for _ in range(2)] == [b"GET /b [] ", b"GET /a [] "]
    assert quick.at_once == []


async def test_a_request_behind_one_that_is_being_answered_waits() -> None:
    gate, quick = asyncio.Event(), Quick(Response(200, (), b"quick"))

    async def handler(request: Request) -> Reply:
        if request.path == "/slow":
            await gate.wait()
        return await echo(request)

    async with front(handler, at_once=quick.glance) as f:
        peer = await f.connect()
        await ask(peer, GET)
        peer.send(b"GET /slow HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n")
        await asyncio.sleep(0.02)
        peer.send(AGAIN)
        await asyncio.sleep(0.02)
        gate.set()
        assert [(await peer.answer()).body for _ in range(2)] == [b"GET /slow [] ", b"GET /b [] "]


async def test_where_there_is_no_answer_at_once_the_handler_is_asked() -> None:
    quick = Quick(None)
    async with front(quick.handler, at_once=quick.glance) as f:
        peer = await f.connect()
        await ask(peer, GET)
        assert (await ask(peer, AGAIN)).body == b"GET /b [] "
    assert (quick.handled, quick.at_once) == (["/a", "/b"], ["/b"])


@pytest.mark.parametrize("bad", ["raises", "splits"])
async def test_a_bug_on_the_short_way_costs_nothing(
    bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    def glance(request: Request) -> Response | None:
        if bad == "raises":
            raise ValueError(request.path)
        return Response(200, (("X", "a\r\nY: b"),), b"quick")

    async with front(echo, at_once=glance) as f:
        peer = await f.connect()
        await ask(peer, GET)
        assert (await ask(peer, AGAIN)).body == b"GET /b [] "
    assert "GET /b failed at once" in caplog.text


async def test_a_peer_that_does_not_take_its_answers_is_cut() -> None:
    quick = Quick(Response(200, (), b"x" * 100_000))
    async with front(quick.handler, at_once=quick.glance, limits=edge.Limits(stall_s=0.5)) as f:
        peer = await f.connect()
        await ask(peer, GET)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while f.edge.connections:
            peer.send(AGAIN)
            sent += 1
            await asyncio.sleep(0.001)
        assert 0 < len(quick.at_once) <= sent


async def test_a_connection_that_was_answered_at_once_ends_when_idle() -> None:
    quick = Quick(Response(200, (), b"quick"))
    async with front(quick.handler, at_once=quick.glance, limits=edge.Limits(idle_s=0.5)) as f:
        peer = await f.connect()
        await ask(peer, GET)
        assert (await ask(peer, AGAIN)).body == b"quick"
        assert await peer.rest() == b""
