"""What a client may send over exec and port-forward without harm to the agent."""

import asyncio
import socket

import pytest

from petset.base import spdy, websocket
from petset.base.spdycodec import Codec, SynStream
from petset.node import channels, portforward
from tests.unit.base.pipes import pipe


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (b'{"Width":80,"Height":24}', (80, 24)),
        (b'{"Width":1e999,"Height":24}', None),
        (b'{"Width":70000,"Height":24}', None),
        (b'{"Width":-1,"Height":24}', None),
        (b'{"Width":[],"Height":24}', None),
        (b"[" * 100_000, None),
        (b"[]", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_sizes_of_terminals_are_checked(said: bytes, size: tuple[int, int] | None) -> None:
    assert channels.parse_size(said) == size


@pytest.mark.parametrize(
    ("text", "port"),
    [("80", 80), ("65535", 65535), ("65536", 0), ("0", 0), ("²", 0), ("-1", 0), ("", 0),
     ("9" * 5000, 0), ("\u0661", 0)],
)  # fmt: skip
def test_ports_are_checked(text: str, port: int) -> None:
    assert portforward.parse_port(text) == port


async def test_sizes_that_nobody_reads_do_not_pile_up() -> None:
    ours, theirs = pipe()
    peer = channels.OverWebSocket(websocket.WebSocket(ours), "v4.channel.k8s.io")
    client = websocket.WebSocket(theirs, client=True)
    for i in range(1000):
        client.write(b'\x04{"Width":%d,"Height":1}' % i)
    running = asyncio.ensure_future(peer.run())
    while await peer.read_size() != (999, 1):
        assert peer._sizes.qsize() <= 1
    theirs.close()
    await running


async def test_a_message_that_is_not_base64_ends_the_session() -> None:
    ours, theirs = pipe()
    peer = channels.OverWebSocket(websocket.WebSocket(ours), "v4.base64.channel.k8s.io")
    client = websocket.WebSocket(theirs, client=True)
    client.write(b"0a", text=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(peer.run())
        with pytest.raises(websocket.WebSocketClosed) as caught:
            await client.recv()
    assert caught.value.code == 1007
    await peer.wait_gone()


async def test_a_forward_to_no_port_is_told_so_and_the_session_goes_on() -> None:
    dialled: list[int] = []

    async def dial(port: int) -> socket.socket:
        dialled.append(port)
        raise ConnectionRefusedError(111, "refused")

    ours, theirs = pipe()
    codec = Codec()
    for number, port in ((1, "²"), (5, "99999"), (9, "80")):
        pair = {"requestid": str(number), "port": port}
        theirs.write(codec.encode(SynStream(number, {**pair, "streamtype": "error"})))
        theirs.write(codec.encode(SynStream(number + 2, {**pair, "streamtype": "data"})))
    serving = asyncio.ensure_future(portforward.over_spdy(spdy.Connection(ours), dial))
    while b"refused" not in ours.written:
        await asyncio.sleep(0)
    assert ours.written.count(b"invalid port") == 2
    assert dialled == [80]
    theirs.close()
    await serving


async def test_error_streams_without_data_streams_are_let_go() -> None:
    errors: dict[str, spdy.Stream] = {}
    connection = spdy.Connection(pipe()[0])
    for number in range(1000):
        stream = spdy.Stream(connection, number, {})
        stream.end()
        errors[str(number)] = stream
        portforward._forget_alone(errors)
    assert len(errors) <= portforward.ALONE_MAX + 1
