"""The client's TLS transport against petset's own HTTP front."""

import asyncio
from contextlib import aclosing
from pathlib import Path

from petset.base import edge, tlsconfig
from petset.base.http import Reply, Request, Response, Stream, Writer
from petset.client.tls import Tls
from tests.unit.client import authority


async def test_both_ends_understand_each_other(tmp_path: Path) -> None:
    files = authority.make(tmp_path)
    gone = asyncio.Event()
    peers: list[str] = []

    async def run(writer: Writer) -> None:
        writer.write(b"first")
        try:
            await writer.wait_closed()
        finally:
            gone.set()

    async def handler(request: Request) -> Reply:
        assert request.peer is not None
        peers.append(request.peer.common_name)
        if request.path == "/watch":
            return Stream(run)
        return Response(200, (), request.body + request.param("q").encode())

    context = tlsconfig.server_context(files.cert, files.key, files.ca)
    front = await edge.serve(handler, ssl=context)
    client = Tls(
        f"https://127.0.0.1:{front.port}",
        ca_file=files.ca,
        cert_file=files.cert,
        key_file=files.key,
    )
    body = b"x" * 100_000
    for _ in range(3):
        answer = await client.request(
            "POST", "/a", query=[("q", "ü&=")], body=body, content_type="text/plain"
        )
        assert answer.body == body + "ü&=".encode()
    async with aclosing(client.stream("/watch")) as pieces:
        assert await anext(pieces) == b"first"
    await asyncio.wait_for(gone.wait(), 5)
    assert set(peers) == {"leaf"}
    await client.close()
    await front.close(1)
