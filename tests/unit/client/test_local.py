import asyncio
from contextlib import aclosing

import pytest

from petset.base.http import (
    CutError,
    Duplex,
    Identity,
    Reply,
    Request,
    Response,
    Stream,
    Upgrade,
    Writer,
)
from petset.client import local
from petset.client.local import Local
from petset.client.transport import TransportError


def transport(reply: Reply) -> Local:
    async def dispatch(request: Request) -> Reply:
        return reply

    return Local(dispatch, Identity("tester"))


async def test_a_whole_answer_comes_as_it_is() -> None:
    response = Response(201, (("x", "y"),), (b"a", b"b"))
    assert await transport(response).request("GET", "/x") is response


async def test_a_request_shows_path_query_and_target() -> None:
    seen: list[Request] = []

    async def dispatch(request: Request) -> Reply:
        seen.append(request)
        return Response()

    await Local(dispatch, Identity("tester")).request("GET", "/a b", query=[("x", "1 2")])
    assert (seen[0].path, seen[0].param("x")) == ("/a b", "1 2")
    assert seen[0].raw_target == "/a%20b?x=1+2"


async def test_a_call_answered_by_a_stream_gets_all_of_it() -> None:
    async def run(writer: Writer) -> None:
        writer.write(b"one ")
        await asyncio.sleep(0)
        writer.write(b"two")

    response = await transport(Stream(run, 200, (("a", "b"),))).request("GET", "/logs")
    assert (response.body, response.headers) == (b"one two", (("a", "b"),))


async def test_closing_the_iterator_cancels_the_writer() -> None:
    ended = asyncio.Event()

    async def run(writer: Writer) -> None:
        try:
            writer.write(b"x")
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(transport(Stream(run)).stream("/watch")) as pieces:
        assert await anext(pieces) == b"x"
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_slow_reader_puts_pressure_on_the_writer() -> None:
    piece = b"x" * (local.BUFFER_MAX // 2)
    written = 0

    async def run(writer: Writer) -> None:
        nonlocal written
        for _ in range(10):
            writer.write(piece)
            written += 1
            if writer.pressure:
                await writer.drain()
        assert not writer.closed

    async with aclosing(transport(Stream(run)).stream("/watch")) as pieces:
        size = len(await anext(pieces))
        for _ in range(5):
            await asyncio.sleep(0)
        assert written < 10
        size += sum([len(data) async for data in pieces])
    assert size == 10 * len(piece)


async def test_a_writer_that_breaks_looks_like_a_cut_connection() -> None:
    async def run(writer: Writer) -> None:
        writer.write(b"x")
        raise ValueError("bug")

    pieces = transport(Stream(run)).stream("/watch")
    assert await anext(pieces) == b"x"
    with pytest.raises(TransportError, match="bug"):
        await anext(pieces)


async def test_a_connection_that_the_server_cuts_gives_no_answer() -> None:
    async def dispatch(request: Request) -> Reply:
        raise CutError

    cutting = Local(dispatch, Identity("tester"))
    with pytest.raises(TransportError, match="cut"):
        await cutting.request("GET", "/x")
    with pytest.raises(TransportError, match="cut"):
        await anext(cutting.stream("/x"))


async def test_a_writer_learns_that_its_reader_is_gone() -> None:
    gone = asyncio.Event()

    async def run(writer: Writer) -> None:
        writer.write(b"x")
        try:
            await asyncio.Event().wait()
        finally:
            assert writer.closed
            writer.write(b"dropped")
            await writer.wait_closed()
            gone.set()

    async with aclosing(transport(Stream(run)).stream("/watch")) as pieces:
        await anext(pieces)
    assert gone.is_set()


async def test_switching_protocols_is_refused() -> None:
    async def run(duplex: Duplex) -> None:
        raise AssertionError

    with pytest.raises(TransportError, match="switches protocols"):
        await transport(Upgrade(run)).request("GET", "/exec")
