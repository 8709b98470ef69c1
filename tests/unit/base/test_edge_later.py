"""Answers that come later, without a task: in order, once, whatever happens meanwhile."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from petset.base import edge
from petset.base.http import Later, Request, Response
from tests.unit.base.rawpeer import Front, Peer, echo, front

POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
AGAIN = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz"
OTHER = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"


class Slow:
    """Promises answers."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.promised: asyncio.Queue[Later] = asyncio.Queue()

    def glance(self, request: Request) -> Later:
        self.asked.append(request.body)
        later = Later()
        self.promised.put_nowait(later)
        return later


@asynccontextmanager
async def promised(limits: edge.Limits | None = None) -> AsyncIterator[tuple[Front, Peer, Later]]:
    """A peer that waits for a promised answer."""
    slow = Slow()
    async with front(echo, at_once=slow.glance, limits=limits) as f:
        peer = await f.connect()
        peer.send(POST)
        assert (await peer.answer()).body == b"POST /a [] abc"
        peer.send(AGAIN)
        later = await slow.promised.get()
        assert slow.asked == [b"xyz"]
        yield f, peer, later


async def test_the_answer_is_sent_when_it_is_there_and_the_connection_goes_on() -> None:
    async with promised() as (_, peer, later):
        later.take(Response(201, (("X-Quick", "yes"),), b"made"))
        answer = await peer.answer()
        assert (answer.status, answer.body) == (201, b"made")
        assert answer.headers["x-quick"] == "yes"
        peer.send(OTHER)
        assert (await peer.answer()).body == b"GET /c [] "


async def test_requests_behind_it_wait_for_their_turn() -> None:
    async with promised() as (_, peer, later):
        peer.send(OTHER + OTHER[:10])
        await asyncio.sleep(0.02)
        peer.send(OTHER[10:])
        await asyncio.sleep(0.02)
        later.take(Response(201, (), b"made"))
        wanted = [b"made", b"GET /c [] ", b"GET /c [] "]
        assert [(await peer.answer()).body for _ in wanted] == wanted


async def test_what_is_refused_behind_it_is_refused_after_it() -> None:
    async with promised() as (_, peer, later):
        peer.send(b"nonsense\r\n\r\n")
        await asyncio.sleep(0.02)
        later.take(Response(201, (), b"made"))
        assert [(await peer.answer()).status for _ in range(2)] == [201, 400]


async def test_a_peer_that_waits_for_it_is_not_idle() -> None:
    limits = edge.Limits(idle_s=0.4, head_s=0.4, body_s=0.4)
    async with promised(limits) as (_, peer, later):
        await asyncio.sleep(1)
        later.take(Response(201, (), b"made"))
        assert (await peer.answer()).body == b"made"
        assert await peer.rest() == b""


async def test_a_peer_that_went_away_gets_nothing() -> None:
    async with promised() as (f, peer, later):
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets
        peer.writer.transport.abort()
        while f.edge.connections:
            await asyncio.sleep(0.001)
        later.take(Response(201, (), b"made"))


async def test_a_peer_that_says_no_more_gets_its_answer_and_the_end() -> None:
    async with promised() as (f, peer, later):
        peer.writer.write_eof()
        await asyncio.sleep(0.02)
        later.take(Response(201, (), b"made"))
        assert (await peer.answer()).body == b"made"
        assert await peer.rest() == b""
        assert not f.edge.connections


async def test_closing_waits_for_it() -> None:
    async with promised() as (f, peer, later):
        closing = asyncio.ensure_future(f.edge.close(5))
        await asyncio.sleep(0.02)
        later.take(Response(201, (), b"made"))
        answer = await peer.answer()
        assert (answer.body, answer.headers["connection"]) == (b"made", "close")
        assert await peer.rest() == b""
        await closing


async def test_a_broken_head_is_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with promised() as (_, peer, later):
        later.take(Response(201, (("X", "a\r\nY: b"),), b"made"))
        assert (await peer.answer()).status == 500
    assert "an answer that came later" in caplog.text
