"""A raw HTTP peer for the tests of the front: bytes out, bytes in, nothing hidden."""

import asyncio
import contextlib
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from petset.base import edge
from petset.base.http import AtOnce, Handler, Reply, Request, Response


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    lines: list[str] = field(default_factory=list)


class Ears(asyncio.StreamReader):
    """Hears what came before a reset, too: a reset is an end like any other.

    A front that refused may reset the connection before a held-up test has read why.
    """

    def set_exception(self, exc: Exception) -> None:
        if isinstance(exc, ConnectionError):
            self.feed_eof()
        else:
            super().set_exception(exc)


class Peer:
    """One connection to a front."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str], list[str]]:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode().split("\r\n")[:-2]
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return int(lines[0].split()[1]), headers, lines

    async def chunk(self) -> bytes:
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        data = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def answer(self, *, head: bool = False) -> Answer:
        status, headers, lines = await self.head()
        body = b""
        if headers.get("transfer-encoding") == "chunked" and not head:
            while piece := await self.chunk():
                body += piece
        elif "content-length" in headers and not head:
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(status, headers, body, lines)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection; a reset counts as the end."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, tls.SSLError):
            await self.writer.wait_closed()


class Front:
    """A front under test and its peers."""

    def __init__(self, edge_: edge.Edge) -> None:
        self.edge = edge_
        self.peers: list[Peer] = []

    async def connect(self, context: tls.SSLContext | None = None) -> Peer:
        name = "localhost" if context is not None else None
        loop = asyncio.get_running_loop()
        reader = Ears(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(
            lambda: protocol, "127.0.0.1", self.edge.port, ssl=context, server_hostname=name
        )
        peer = Peer(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        self.peers.append(peer)
        return peer


@contextlib.asynccontextmanager
async def front(
    handler: Handler,
    *,
    limits: edge.Limits | None = None,
    ssl: tls.SSLContext | None = None,
    on_refuse: Callable[[int, str], Response] = edge.plain_refusal,
    at_once: AtOnce | None = None,
    within_s: float = 20,
) -> AsyncIterator[Front]:
    served = await edge.serve(handler, limits=limits, ssl=ssl, on_refuse=on_refuse, at_once=at_once)
    made = Front(served)
    try:
        async with asyncio.timeout(within_s):
            yield made
    finally:
        for peer in made.peers:
            await peer.close()
        await served.close(2)


async def echo(request: Request) -> Reply:
    """Answers what it was asked."""
    text = f"{request.method} {request.path} {list(request.query)} "
    return Response(200, (("X-Echo", "yes"),), text.encode() + request.body)


def gated(gate: asyncio.Event) -> Callable[[Request], Awaitable[Reply]]:
    """A handler that holds back its answers until `gate` is set."""

    async def handler(request: Request) -> Reply:
        await gate.wait()
        return await echo(request)

    return handler


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
