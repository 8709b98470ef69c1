import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from petset.base import edge, tlsconfig
from petset.base.http import PeerCertificate, Reply, Request, Response, Upgrade
from tests.unit.base.certs import Authority
from tests.unit.base.rawpeer import GET, Front, front
from tests.unit.base.test_edge_stream import UPGRADE, echo_back

REFUSED = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


async def ask(f: Front, context: ssl.SSLContext) -> None:
    peer = await f.connect(context)
    peer.send(GET)
    await peer.answer()


async def who(request: Request) -> Reply:
    if "upgrade" in request.headers:
        return Upgrade(echo_back)
    return Response(200, (), repr(request.peer).encode())


async def test_the_subject_of_a_verified_certificate_reaches_the_handler(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server")
    client = ca.issue("system:node:n1", ("system:nodes", "more"))
    context = tlsconfig.server_context(server.cert, server.key, ca.pair.cert)
    async with front(who, ssl=context) as f:
        peer = await f.connect(tlsconfig.client_context(ca.pair.cert, client.cert, client.key))
        peer.send(GET)
        expected = PeerCertificate("system:node:n1", ("system:nodes", "more"))
        assert (await peer.answer()).body == repr(expected).encode()
        assert peer.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        nobody = await f.connect(tlsconfig.client_context(ca.pair.cert))
        nobody.send(GET)
        assert (await nobody.answer()).body == b"None"


@pytest.mark.parametrize("require", [True, False])
async def test_a_certificate_of_another_ca_is_refused(tmp_path: Path, require: bool) -> None:
    (tmp_path / "other").mkdir()
    ca, other = Authority(tmp_path), Authority(tmp_path / "other")
    server, client = ca.issue("server"), other.issue("mallory")
    context = tlsconfig.server_context(server.cert, server.key, ca.pair.cert, require=require)
    async with front(who, ssl=context) as f:
        with pytest.raises(REFUSED):
            await ask(f, tlsconfig.client_context(ca.pair.cert, client.cert, client.key))
        assert not f.edge.connections


async def test_a_required_certificate_is_required(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server")
    context = tlsconfig.server_context(server.cert, server.key, ca.pair.cert, require=True)
    with pytest.raises(ValueError, match="without a CA"):
        tlsconfig.server_context(server.cert, server.key, require=True)
    async with front(who, ssl=context) as f:
        with pytest.raises(REFUSED):
            await ask(f, tlsconfig.client_context(ca.pair.cert))


async def test_clients_check_the_server_unless_told_not_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ca, other = Authority(tmp_path), Authority(tmp_path / "other")
    server = ca.issue("server")
    async with front(who, ssl=tlsconfig.server_context(server.cert, server.key)) as f:
        for wrong in (tlsconfig.client_context(other.pair.cert), tlsconfig.client_context()):
            with pytest.raises(ssl.SSLCertVerificationError):
                await f.connect(wrong)
        peer = await f.connect(tlsconfig.client_context(verify=False))
        peer.send(GET)
        assert (await peer.answer()).status == 200


async def test_upgrade_over_tls_with_early_bytes(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server")
    async with front(who, ssl=tlsconfig.server_context(server.cert, server.key)) as f:
        peer = await f.connect(tlsconfig.client_context(ca.pair.cert))
        peer.send(UPGRADE + b"early ")
        assert (await peer.head())[0] == 101
        assert await peer.reader.readexactly(6) == b"EARLY "
        for _ in range(50):
            peer.send(b"y" * 20_000)
            assert await peer.reader.readexactly(20_000) == b"Y" * 20_000


async def test_silent_and_broken_peers_do_not_keep_others_out(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server")
    limits = edge.Limits(handshakes=1)
    context = tlsconfig.server_context(server.cert, server.key)
    async with front(who, ssl=context, limits=limits) as f:
        silent = [socket.create_connection(("127.0.0.1", f.edge.port)) for _ in range(5)]
        for broken in silent[:2]:
            broken.sendall(b"GET / HTTP/1.1\r\n\r\n")
        silent[2].sendall(b"\x16\x03\x01\x02\x00")  # the beginning of a hello
        peers = await asyncio.gather(
            *(f.connect(tlsconfig.client_context(ca.pair.cert)) for _ in range(5))
        )
        for peer in peers:
            peer.send(GET)
            assert (await peer.answer()).status == 200
        for one in silent:
            one.close()


async def test_a_handshake_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    server = ca.issue("server")
    limits = edge.Limits(handshake_s=0.05)
    context = tlsconfig.server_context(server.cert, server.key)
    async with front(who, ssl=context, limits=limits) as f:
        for start in (b"", b"\x16\x03\x01\x02\x00"):
            reader, writer = await asyncio.open_connection("127.0.0.1", f.edge.port)
            writer.write(start)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
