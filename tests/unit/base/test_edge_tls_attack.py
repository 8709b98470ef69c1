"""TLS handshakes that go wrong, are dragged out, or are none."""

import asyncio
import os
import socket
import ssl

import pytest

from petset.base import edge, tlsconfig
from tests.unit.base.certs import Authority
from tests.unit.base.rawpeer import GET, Front, echo, front

HELLO_BEGINS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ca = Authority(tmp_path_factory.mktemp("ca"))
    server = ca.issue("server")
    return (
        tlsconfig.server_context(server.cert, server.key),
        tlsconfig.client_context(ca.pair.cert),
    )


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def is_well(f: Front, context: ssl.SSLContext) -> None:
    peer = await f.connect(context)
    peer.send(GET)
    assert (await peer.answer()).status == 200


@pytest.mark.parametrize("line", [b"GET /api", b"HEAD /", b"POST /api/v1", b"DELETE /x"])
async def test_plain_http_is_told_that_this_is_tls(contexts: Contexts, line: bytes) -> None:
    async with front(echo, ssl=contexts[0]) as f:
        peer = await f.connect()
        peer.send(line + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        said = await peer.rest()
        assert said.startswith(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        assert said.endswith(b"Client sent an HTTP request to an HTTPS server.\n")
        await is_well(f, contexts[1])


@pytest.mark.parametrize(
    "noise",
    [b"\x00" * 50, b"SSH-2.0-x\r\n", HELLO_BEGINS + b"\xff" * 600, b"\x16\x03\x01\x00\x00" * 20],
)
async def test_noise_ends_its_own_connection_only(contexts: Contexts, noise: bytes) -> None:
    async with front(echo, ssl=contexts[0], limits=edge.Limits(handshake_s=1)) as f:
        peers = [await f.connect() for _ in range(5)]
        for peer in peers:
            peer.send(noise)
        for peer in peers:
            await peer.rest()
        await is_well(f, contexts[1])
        assert len(f.edge.connections) == 1


async def test_many_handshakes_that_stand_still_do_not_keep_others_out(contexts: Contexts) -> None:
    async with front(echo, ssl=contexts[0], limits=edge.Limits(handshakes=1)) as f:
        stuck = [socket.create_connection(("127.0.0.1", f.edge.port)) for _ in range(60)]
        for one in stuck:
            one.sendall(HELLO_BEGINS)
        await asyncio.sleep(0)
        await is_well(f, contexts[1])
        for one in stuck:
            one.close()


async def test_peers_that_leave_during_the_handshake_leave_nothing(contexts: Contexts) -> None:
    async with front(echo, ssl=contexts[0], limits=edge.Limits(handshake_s=2)) as f:
        for start in (b"", b"\x16", HELLO_BEGINS):
            gone = socket.create_connection(("127.0.0.1", f.edge.port))
            gone.sendall(start)
            gone.close()
        await is_well(f, contexts[1])
        while f.edge._handshakes:
            await asyncio.sleep(0.01)
        assert len(f.edge.connections) == 1


async def test_a_peer_that_breaks_the_record_layer_is_cut(contexts: Contexts) -> None:
    async with front(echo, ssl=contexts[0]) as f:
        peer = await f.connect(contexts[1])
        peer.send(GET)
        assert (await peer.answer()).status == 200
        raw = peer.writer.get_extra_info("socket")
        os.write(raw.fileno(), b"\x17\x03\x03\x00\x40" + b"x" * 64)  # a record that nobody sealed
        while f.edge.connections:
            await asyncio.sleep(0.01)
        await is_well(f, contexts[1])


async def test_a_peer_that_ends_without_a_goodbye(contexts: Contexts) -> None:
    async with front(echo, ssl=contexts[0]) as f:
        peer = await f.connect(contexts[1])
        peer.send(GET[:-2])
        await asyncio.sleep(0.01)
        peer.writer.transport.abort()
        while f.edge.connections:
            await asyncio.sleep(0.01)
        await is_well(f, contexts[1])
