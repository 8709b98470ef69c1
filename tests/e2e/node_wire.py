"""Two ends of a connection in memory, and requests as the API server makes them to an agent."""

import asyncio
from urllib.parse import urlencode

from petset.base import websocket
from petset.base.http import PeerCertificate, Reply, Request, Response, Stream, Upgrade
from petset.node.agent import Agent

MASTER = PeerCertificate("petset-apiserver", ("system:masters",))
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class End:
    """One end; a Duplex."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.other: End | None = None
        self.gone = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self.gone.is_set()

    @property
    def pressure(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        assert self.other is not None
        if not self.closed:
            self.other.inbox.put_nowait(bytes(data))

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await self.gone.wait()

    async def read(self) -> bytes:
        return await self.inbox.get()

    def write_eof(self) -> None:
        return

    def close(self) -> None:
        assert self.other is not None
        for end in (self, self.other):
            end.gone.set()
            end.inbox.put_nowait(b"")


def pair() -> tuple[End, End]:
    left, right = End(), End()
    left.other, right.other = right, left
    return left, right


class Sink:
    """A Writer that keeps what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.grown = asyncio.Event()
        self.gone = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self.gone.is_set()

    @property
    def pressure(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.data += data
        self.grown.set()

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        await self.gone.wait()

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(20):
            while words not in self.data:
                self.grown.clear()
                await self.grown.wait()


async def ask(
    agent: Agent,
    path: str,
    query: list[tuple[str, str]] | None = None,
    *,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    peer: PeerCertificate | None = MASTER,
) -> Reply:
    query = query or []
    raw = f"{path}?{urlencode(query)}" if query else path
    request = Request(method, path, query=query, headers=headers or {}, raw_target=raw, peer=peer)
    return await agent.server.handle(request)


async def text(agent: Agent, path: str, query: list[tuple[str, str]] | None = None) -> bytes:
    """The whole of a text answer."""
    reply = await ask(agent, path, query)
    if isinstance(reply, Response):
        return reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
    assert isinstance(reply, Stream)
    sink = Sink()
    await reply.run(sink)
    return sink.data


class Session:
    """A WebSocket to an upgraded request; messages are (channel, bytes)."""

    def __init__(self, socket: websocket.WebSocket, work: "asyncio.Task[None]") -> None:
        self.socket = socket
        self.work = work

    async def receive(self) -> tuple[int, bytes]:
        async with asyncio.timeout(20):
            _, data = await self.socket.recv()
        return data[0], data[1:]

    async def send(self, channel: int, data: bytes) -> None:
        await self.socket.send(bytes([channel]) + data)

    async def everything(self) -> dict[int, bytes]:
        """All that comes until the agent closes, by channel."""
        found: dict[int, bytes] = {}
        code = 0
        while not code:
            try:
                channel, data = await self.receive()
            except websocket.WebSocketClosed as end:
                code = end.code
            else:
                found[channel] = found.get(channel, b"") + data
        assert code == 1000
        await self.work
        return found


async def open_session(
    agent: Agent, path: str, query: list[tuple[str, str]], protocol: str = "v5.channel.k8s.io"
) -> Session:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
        "sec-websocket-protocol": protocol,
    }
    reply = await ask(agent, path, query, headers=headers)
    assert isinstance(reply, Upgrade), reply
    near, far = pair()
    work = asyncio.ensure_future(reply.run(far))
    return Session(websocket.WebSocket(near, client=True), work)
