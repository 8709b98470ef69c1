import asyncio
from collections.abc import Awaitable, Callable

import pytest

from petset.base.http import CutError, Duplex, Reply, Request, Response, Stream, Upgrade, Writer
from tests.unit.base.rawpeer import GET, front

Run = Callable[[Writer], Awaitable[None]]


def streaming(run: Run) -> Callable[[Request], Awaitable[Reply]]:
    async def handler(request: Request) -> Reply:
        if request.path == "/plain":
            return Response(200, (), b"plain")
        return Stream(run, headers=(("Content-Type", "text/x"),))

    return handler


async def test_each_write_of_a_stream_arrives_at_once() -> None:
    turn = asyncio.Event()

    async def run(writer: Writer) -> None:
        writer.write(b"one")
        writer.write(b"")
        await turn.wait()
        writer.write(b"two")

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET + b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n")
        status, headers, _ = await peer.head()
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert await peer.chunk() == b"one"
        turn.set()
        assert await peer.chunk() == b"two"
        assert await peer.chunk() == b""
        assert (await peer.answer()).body == b"plain"


async def test_old_clients_get_a_stream_up_to_the_end_of_the_connection() -> None:
    async def run(writer: Writer) -> None:
        writer.write(b"one")
        writer.write(b"two")

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        _, headers, _ = await peer.head()
        assert "transfer-encoding" not in headers
        assert await peer.rest() == b"onetwo"


async def test_head_of_a_stream_does_not_run_it() -> None:
    async def run(writer: Writer) -> None:
        raise AssertionError

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /plain HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await peer.answer(head=True)).headers["content-type"] == "text/x"
        assert (await peer.answer()).body == b"plain"


@pytest.mark.parametrize("way", ["close", "half close", "reset"])
async def test_a_stream_is_cancelled_when_the_peer_goes(way: str) -> None:
    cancelled = asyncio.Event()

    async def run(writer: Writer) -> None:
        writer.write(b"one")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        await peer.head()
        await peer.chunk()
        match way:
            case "close":
                await peer.close()
            case "half close":
                peer.writer.write_eof()
            case _:
                peer.writer.transport.abort()
        await cancelled.wait()


async def test_the_cleaning_up_of_a_stream_is_not_cancelled_again() -> None:
    cleaned = asyncio.Event()

    async def run(writer: Writer) -> None:
        writer.write(b"one")
        try:
            await asyncio.Event().wait()
        finally:
            await writer.wait_closed()
            await asyncio.sleep(0)
            cleaned.set()

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        await peer.head()
        peer.writer.write_eof()
        await peer.chunk()
        await peer.close()
        await f.edge.close(5)
        assert cleaned.is_set()


async def test_a_stream_can_be_cut_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def run(writer: Writer) -> None:
        writer.write(b"one")
        raise CutError

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        await peer.head()
        assert not (await peer.rest()).endswith(b"0\r\n\r\n")
    assert not caplog.records


async def test_an_answer_can_be_withheld(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Reply:
        raise CutError

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(GET)
        assert await peer.rest() == b""
    assert not caplog.records


async def test_a_stream_that_raises_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def run(writer: Writer) -> None:
        writer.write(b"one")
        raise KeyError("oops")

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        assert b"0\r\n\r\n" not in await peer.rest()
    assert "a stream failed" in caplog.text


async def test_closing_ends_streams_with_their_last_chunk() -> None:
    started = asyncio.Event()

    async def run(writer: Writer) -> None:
        writer.write(b"one")
        started.set()
        await asyncio.Event().wait()

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        await started.wait()
        await f.edge.close(5)
        assert (await peer.answer()).body == b"one"
        assert await peer.rest() == b""


async def test_a_slow_reader_is_felt_as_pressure() -> None:
    seen: list[bool] = []

    async def run(writer: Writer) -> None:
        while not writer.pressure:
            writer.write(bytes(100_000))
        seen.append(writer.pressure)
        await writer.drain()
        seen.append(writer.pressure)
        writer.write(b"end")

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        answer = await peer.answer()
        assert answer.body.endswith(b"end")
        assert seen == [True, False]


async def test_drain_and_wait_closed_end_when_the_peer_goes() -> None:
    done = asyncio.Event()
    writers: list[Writer] = []

    async def run(writer: Writer) -> None:
        writers.append(writer)
        while not writer.pressure:
            writer.write(bytes(100_000))
        try:
            await asyncio.shield(asyncio.gather(writer.drain(), writer.wait_closed()))
        except asyncio.CancelledError:
            await writer.drain()
            await writer.wait_closed()
            writer.write(b"dropped")
            done.set()
            raise

    async with front(streaming(run)) as f:
        peer = await f.connect()
        peer.send(GET)
        await peer.head()
        peer.writer.transport.abort()
        await done.wait()
        assert writers[0].closed


UPGRADE = b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


async def echo_back(duplex: Duplex) -> None:
    while data := await duplex.read():
        duplex.write(data.upper())
        await duplex.drain()
    duplex.write(b".")


def upgrading(run: Callable[[Duplex], Awaitable[None]]) -> Callable[[Request], Awaitable[Reply]]:
    async def handler(request: Request) -> Reply:
        if request.path == "/refuse":
            return Response(403, (), b"no")
        return Upgrade(run, headers=(("Upgrade", "echo"), ("X-P", "v4")))

    return handler


async def test_upgrade_hands_over_the_connection_with_early_bytes() -> None:
    async with front(upgrading(echo_back)) as f:
        peer = await f.connect()
        peer.send(UPGRADE + b"early ")
        status, headers, lines = await peer.head()
        assert status == 101
        assert lines[0] == "HTTP/1.1 101 Switching Protocols"
        assert (headers["connection"], headers["upgrade"], headers["x-p"]) == (
            "Upgrade",
            "echo",
            "v4",
        )
        assert await peer.reader.readexactly(6) == b"EARLY "
        peer.send(b"late")
        assert await peer.reader.readexactly(4) == b"LATE"
        peer.writer.write_eof()
        assert await peer.rest() == b"."
        assert f.edge.connections == set() or await peer.rest() == b""


async def test_bytes_between_request_and_takeover_are_kept() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Reply:
        await gate.wait()
        return Upgrade(echo_back, head=b"HTTP/1.1 101 Mine\r\n\r\n")

    async with front(handler) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        for i in range(10):
            peer.send(b"%d" % i)
            await peer.writer.drain()
            await asyncio.sleep(0)
        peer.writer.write_eof()
        gate.set()
        assert await peer.rest() == b"HTTP/1.1 101 Mine\r\n\r\n0123456789."


async def test_a_refused_upgrade_gets_its_answer_and_the_end() -> None:
    async with front(upgrading(echo_back)) as f:
        peer = await f.connect()
        peer.send(UPGRADE.replace(b"/x", b"/refuse") + b"GET /smuggled HTTP/1.1\r\n\r\n")
        answer = await peer.answer()
        assert (answer.status, answer.body) == (403, b"no")
        assert answer.headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_nobody_is_upgraded_without_asking(caplog: pytest.LogCaptureFixture) -> None:
    async with front(upgrading(echo_back)) as f:
        peer = await f.connect()
        peer.send(GET)
        assert (await peer.answer()).status == 500
    assert "without asking" in caplog.text


async def test_much_data_flows_both_ways_after_an_upgrade() -> None:
    size = 5_000_000
    async with front(upgrading(echo_back)) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        await peer.head()

        async def feed() -> None:
            for _ in range(size // 50_000):
                peer.send(b"x" * 50_000)
                await peer.writer.drain()
            peer.writer.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            body = await peer.rest()
        assert body == b"X" * size + b"."


async def test_a_reader_that_lags_holds_the_peer_back() -> None:
    turn = asyncio.Event()
    got: list[int] = []

    async def run(duplex: Duplex) -> None:
        await turn.wait()
        while data := await duplex.read():
            got.append(len(data))

    async with front(upgrading(run)) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        await peer.head()
        sent, held = 0, False
        while not held:
            peer.send(bytes(100_000))
            sent += 100_000
            assert sent < 100_000_000
            try:
                await asyncio.wait_for(peer.writer.drain(), 0.2)
            except TimeoutError:
                held = True
        turn.set()
        await peer.writer.drain()
        peer.writer.write_eof()
        assert await peer.rest() == b""
        assert sum(got) == sent


async def test_closing_ends_upgraded_connections() -> None:
    ended = asyncio.Event()

    async def run(duplex: Duplex) -> None:
        try:
            await duplex.read()
        finally:
            ended.set()

    async with front(upgrading(run)) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        await peer.head()
        await f.edge.close(5)
        assert ended.is_set()
        assert await peer.rest() == b""
        assert not f.edge.connections


async def test_a_switched_connection_that_fails_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def run(duplex: Duplex) -> None:
        raise KeyError("oops")

    async with front(upgrading(run)) as f:
        peer = await f.connect()
        peer.send(UPGRADE)
        await peer.rest()
    assert "a switched connection failed" in caplog.text
