"""HTTP/1.1 towards a node's agent, on a raw connection: head, body, or a relay after a 101.

Only what the proxying subresources need: one request per connection, answers read as they come.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from petset.base.http import Duplex

HEAD_MAX = 64 * 1024
PIECE = 64 * 1024


class AgentError(Exception):
    """The agent could not be reached, or did not speak HTTP."""


@dataclass(slots=True)
class AgentAnswer:
    """The head of an agent's answer, and the connection behind it.

    Attributes:
        raw: the head as it came, for passing on.
        headers: lower-case names; of repeated ones the last.
    """

    status: int
    raw: bytes
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises AgentError when it breaks off."""
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                async for piece in _chunks(self.reader):
                    yield piece
            elif "content-length" in self.headers:
                async for piece in _counted(self.reader, int(self.headers["content-length"])):
                    yield piece
            else:
                while piece := await self.reader.read(PIECE):
                    yield piece
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise AgentError(f"the agent's answer broke off: {error}") from error

    async def body(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes of it."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.pieces():
            parts.append(piece)
            size += len(piece)
            if size >= limit:
                break
        return b"".join(parts)[:limit]

    async def close(self) -> None:
        """Close the connection."""
        await close(self.writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever state it is in."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        return


async def _counted(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length > 0:
        piece = await reader.read(min(PIECE, length))
        if not piece:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        size = int((await reader.readuntil(b"\n")).partition(b";")[0].strip() or b"0", 16)
        if size == 0:
            return
        async for piece in _counted(reader, size):
            yield piece
        await reader.readexactly(2)


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
) -> AgentAnswer:
    """Send a request without a body and read the head of the answer. Raises AgentError."""
    try:
        writer.write(head)
        await writer.drain()
        raw = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise AgentError(f"no answer from the agent: {error}") from error
    lines = raw.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdigit():
        raise AgentError(f"the agent does not speak HTTP: {lines[0]!r}")
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return AgentAnswer(int(status), raw, headers, reader, writer)


async def relay(duplex: Duplex, answer: AgentAnswer) -> None:
    """Carry bytes both ways until one side ends, then close both."""
    tasks: list[asyncio.Task[None]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks.append(group.create_task(_up(duplex, answer.writer)))
            tasks.append(group.create_task(_down(duplex, answer.reader)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
    finally:
        duplex.close()
        await answer.close()


async def _up(duplex: Duplex, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await duplex.read():
            writer.write(data)
            await writer.drain()
    except OSError:
        return


async def _down(duplex: Duplex, reader: asyncio.StreamReader) -> None:
    try:
        while data := await reader.read(PIECE):
            duplex.write(data)
            if duplex.pressure:
                await duplex.drain()
    except OSError:
        return
