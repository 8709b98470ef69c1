import asyncio

import pytest

from petset.base import websocket
from petset.base.http import Duplex, Reply, Request, Response, Upgrade
from petset.base.websocket import BINARY, TEXT, UpgradeError, WebSocket, WebSocketClosed
from tests.unit.base.pipes import PipeEnd, pipe
from tests.unit.base.rawpeer import front

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


def handshake(**changes: str) -> Request:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return Request("GET", "/", headers={k: v for k, v in headers.items() if v})


def test_accepts_with_the_key_of_the_standard_and_the_servers_first_choice() -> None:
    accepted = websocket.accept(handshake(sec_websocket_protocol="v3, v5"), ["v5", "v4", "v3"])
    assert accepted.protocol == "v5"
    assert dict(accepted.headers) == {
        "Upgrade": "websocket",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol": "v5",
    }


def test_no_offer_is_served_only_where_that_is_said() -> None:
    accepted = websocket.accept(handshake(), ["v4", ""])
    assert accepted.protocol == ""
    assert "Sec-WebSocket-Protocol" not in dict(accepted.headers)
    with pytest.raises(UpgradeError, match="unsupported subprotocols: none"):
        websocket.accept(handshake(), ["v4"])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("POST", "/", headers=HEADERS), 405),
        (handshake(upgrade="SPDY/3.1"), 400),
        (handshake(sec_websocket_version="8"), 400),
        (handshake(sec_websocket_key="short"), 400),
        (handshake(sec_websocket_key=""), 400),
        (handshake(sec_websocket_protocol="v9"), 400),
    ],
)
def test_refuses_handshakes_that_do_not_hold(request_: Request, status: int) -> None:
    with pytest.raises(UpgradeError) as caught:
        websocket.accept(request_, ["v4", ""])
    assert caught.value.status == status


def pair(limit: int = 1000) -> tuple[WebSocket, WebSocket, PipeEnd]:
    a, b = pipe()
    return WebSocket(a, limit=limit), WebSocket(b, client=True), b


async def test_messages_go_both_ways_with_their_kind() -> None:
    server, client, _ = pair()
    await client.send(b"\x00hi")
    await client.send(b"text", text=True)
    assert await server.recv() == (BINARY, b"\x00hi")
    assert await server.recv() == (TEXT, b"text")
    await server.send(b"")
    assert await client.recv() == (BINARY, b"")


async def test_fragments_are_joined_even_around_a_ping() -> None:
    server, _, end = pair()
    zero = b"\x00\x00\x00\x00"
    end.write(b"\x02\x82" + zero + b"ab" + b"\x89\x81" + zero + b"p")
    end.write(b"\x80\x81" + zero + b"c")
    assert await server.recv() == (BINARY, b"abc")


async def _code(socket: WebSocket) -> int:
    try:
        while True:
            await socket.recv()
    except WebSocketClosed as end:
        return end.code


async def test_pings_are_answered_by_whoever_receives() -> None:
    server, client, end = pair()
    client.ping(b"1")
    await client.send(b"x")
    assert await server.recv() == (BINARY, b"x")
    assert await end.read() == b"\x8a\x011"


async def test_messages_over_the_limit_end_the_connection() -> None:
    server, client, _ = pair(limit=10)
    await client.send(bytes(11))
    assert await _code(server) == 1009
    assert await _code(client) == 1009


async def test_unmasked_frames_of_a_client_end_the_connection() -> None:
    server, _, end = pair()
    end.write(b"\x82\x01a")
    assert await _code(server) == 1002


async def test_closing_is_a_handshake() -> None:
    server, client, _ = pair()
    async with asyncio.TaskGroup() as group:
        code = group.create_task(_code(client))
        group.create_task(server.close(1000, "done"))
    assert code.result() == 1000
    assert server.closed
    assert client.closed
    await client.send(b"dropped")
    assert await _code(server) == 1000


async def test_closing_while_somebody_receives() -> None:
    server, client, _ = pair()
    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(_code(server))
        other = group.create_task(_code(client))
        await asyncio.sleep(0)
        group.create_task(server.close(1001))
    assert receiving.result() == 1001
    assert other.result() == 1001


async def test_closing_does_not_wait_for_ever() -> None:
    server, _, end = pair()
    await server.close(wait_s=0.01)
    assert end.other.closed


async def test_a_peer_that_vanishes_is_1006() -> None:
    server, _, end = pair()
    end.close()
    assert await _code(server) == 1006


async def test_client_and_front_speak_to_each_other() -> None:
    async def run(duplex: Duplex) -> None:
        socket = WebSocket(duplex)
        kind, data = await socket.recv()
        await socket.send(data.upper(), text=kind == TEXT)
        await socket.close(1000, "bye")

    async def handler(request: Request) -> Reply:
        try:
            accepted = websocket.accept(request, ["v5", "v4"])
        except UpgradeError as error:
            return Response(error.status, (), error.reason.encode())
        return Upgrade(run, accepted.headers)

    async with front(handler) as f:
        socket, chosen = await websocket.connect(
            "127.0.0.1", f.edge.port, "/exec?x=1", protocols=["v4"], headers=[("X-A", "b")]
        )
        assert chosen == "v4"
        await socket.send(b"hello" * 20_000)
        assert await socket.recv() == (BINARY, b"HELLO" * 20_000)
        assert await _code(socket) == 1000
        await socket.wait_closed()
        with pytest.raises(UpgradeError) as caught:
            await websocket.connect("127.0.0.1", f.edge.port, "/", protocols=["v9"])
        assert caught.value.status == 400
        assert caught.value.body == b"unsupported subprotocols: v9"
