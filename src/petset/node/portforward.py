"""Port-forward: connections from a client to ports of a pod, over SPDY streams or WebSocket
channels."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from petset.base import spdy, websocket
from petset.node import pumps
from petset.node.network import namespace

TUNNEL = "SPDY/3.1+portforward.k8s.io"
SPDY_PROTOCOL = "portforward.k8s.io"
CHANNELS = "v4.channel.k8s.io"
BLOCK = 64 * 1024
ALONE_MAX = 100
PORT_MAX = 65535

Dial = Callable[[int], Awaitable[socket.socket]]
"""Connects to a port of the pod. Raises OSError."""


def dialer(netns: Path | None) -> Dial:
    """Connections to a pod's own localhost."""

    async def dial(port: int) -> socket.socket:
        made = namespace.make_socket(netns, socket.AF_INET, socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        except BaseException:
            made.close()
            raise
        return made

    return dial


def parse_port(text: str) -> int:
    """The port that `text` names, 0 if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PORT_MAX))):
        return 0
    return int(text) if int(text) <= PORT_MAX else 0


def refusal(port: int, error: OSError) -> str:
    """What the client is told of a port that nobody listens on."""
    words = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"failed to connect to localhost:{port} inside namespace: connect: {words}"


async def over_spdy(connection: spdy.Connection, dial: Dial) -> None:
    """Serve pairs of streams (error, data) until the client goes."""
    errors: dict[str, spdy.Stream] = {}
    jobs: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_run(connection))
        while (stream := await connection.accept()) is not None:
            request = stream.headers.get("requestid", "")
            if stream.headers.get("streamtype") == "error":
                errors[request] = stream
                _forget_alone(errors)
            elif request in errors:
                job = group.create_task(_forward(stream, errors.pop(request), dial))
                jobs.add(job)
                job.add_done_callback(jobs.discard)
            else:
                stream.reset()
        for job in jobs:
            job.cancel()
        running.cancel()


def _forget_alone(errors: dict[str, spdy.Stream]) -> None:
    """Let go of error streams that ended without a data stream, before they become many."""
    if len(errors) > ALONE_MAX:
        for request in [key for key, stream in errors.items() if stream.closed]:
            del errors[request]


async def _run(connection: spdy.Connection) -> None:
    with contextlib.suppress(spdy.SpdyError):
        await connection.run()


async def _forward(data: spdy.Stream, errors: spdy.Stream, dial: Dial) -> None:
    port = parse_port(data.headers.get("port", ""))
    try:
        if not port:
            errors.write(f"invalid port {data.headers.get('port', '')[:80]!r}".encode())
            return
        try:
            target = await dial(port)
        except OSError as error:
            errors.write(refusal(port, error).encode())
            return
        try:
            await _join(target, data.read, _writer(data))
        finally:
            target.close()
    finally:
        data.write_eof()
        errors.write_eof()


def _writer(stream: spdy.Stream) -> Callable[[bytes], Awaitable[None]]:
    async def write(data: bytes) -> None:
        stream.write(data)
        await stream.drain()

    return write


async def _join(
    target: socket.socket,
    read: Callable[[], Awaitable[bytes]],
    write: Callable[[bytes], Awaitable[None]],
) -> None:
    """Copy both ways until the pod's side has ended."""
    loop = asyncio.get_running_loop()

    async def inward() -> None:
        while data := await read():
            await loop.sock_sendall(target, data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    async def outward() -> None:
        while data := await loop.sock_recv(target, BLOCK):
            await write(data)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_quietly(inward))
        await _quietly(outward)
        task.cancel()


async def _quietly(work: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(OSError):
        await work()


class _Channels:
    """Ports of a pod on the channels of one WebSocket."""

    def __init__(self, peer: websocket.WebSocket, ports: list[int], dial: Dial) -> None:
        self._peer = peer
        self._ports = ports
        self._dial = dial
        self._queues: list[asyncio.Queue[bytes]] = [asyncio.Queue(64) for _ in ports]

    async def greet(self) -> None:
        """The first message on each channel names its port."""
        for index, port in enumerate(self._ports):
            for channel in (2 * index, 2 * index + 1):
                await self._peer.send(bytes([channel]) + struct.pack("<H", port))

    async def receive(self) -> None:
        """Sort what the client sends, until it goes."""
        with contextlib.suppress(websocket.WebSocketClosed):
            while True:
                _, message = await self._peer.recv()
                if message and message[0] % 2 == 0 and message[0] // 2 < len(self._queues):
                    await self._queues[message[0] // 2].put(message[1:])

    async def serve(self) -> None:
        """Serve every port until each one's connection has ended."""
        async with asyncio.TaskGroup() as group:
            for index, port in enumerate(self._ports):
                group.create_task(self._one(index, port))

    async def _one(self, index: int, port: int) -> None:
        async def write(data: bytes) -> None:
            await self._peer.send(bytes([2 * index]) + data)

        try:
            target = await self._dial(port)
        except OSError as error:
            await self._peer.send(bytes([2 * index + 1]) + refusal(port, error).encode())
            return
        try:
            await _join(target, self._queues[index].get, write)
        finally:
            target.close()


async def over_channels(peer: websocket.WebSocket, ports: list[int], dial: Dial) -> None:
    """Serve port i on channels 2i (data) and 2i+1 (error) until the client goes."""
    channels = _Channels(peer, ports, dial)
    await channels.greet()
    await pumps.first_of(channels.receive(), channels.serve())
    await peer.close(1000)
