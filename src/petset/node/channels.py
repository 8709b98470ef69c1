"""The streams of exec and attach over one connection: WebSocket messages or SPDY streams.

Framing and order follow the wire reference, section 5: channels 0 to 4 (stdin, stdout, stderr,
error, resize), 255 to half-close in v5; the status goes out before anything is closed.
"""

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from petset.base import spdy, websocket

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
WEBSOCKET_PROTOCOLS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
)
SPDY_PROTOCOL = "v4.channel.k8s.io"
STREAMS_S = 30.0
NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
STDIN_QUEUE_MAX = 8
SIZE_MAX = 0xFFFF
"""Columns and rows that a terminal can have."""

SUCCESS: Mapping[str, Any] = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Success",
}


def exit_status(code: int) -> Mapping[str, Any]:
    """The status that tells of a command's exit code."""
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> Mapping[str, Any]:
    """The status of a command that could not be run."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


class Channels(Protocol):
    """What exec and attach need of a connection."""

    async def read_stdin(self) -> bytes:
        """The next input; b"" at its end, also when the peer is gone."""
        ...

    async def read_size(self) -> tuple[int, int] | None:
        """The next (columns, rows) of the peer's terminal; None when no more will come."""
        ...

    async def write(self, channel: int, data: bytes) -> None:
        """Send output, waiting while the peer is behind."""
        ...

    async def finish(self, status: Mapping[str, Any]) -> None:
        """Send the status and close."""
        ...

    async def wait_gone(self) -> None:
        """Wait until the peer is gone."""
        ...


def parse_size(data: bytes) -> tuple[int, int] | None:
    """(columns, rows) of a resize message; None for anything malformed."""
    try:
        raw = orjson.loads(data)
        size = int(raw["Width"]), int(raw["Height"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return size if all(0 <= n <= SIZE_MAX for n in size) else None


class OverWebSocket:
    """Channels as messages. `run` has to be running for anything to arrive."""

    def __init__(self, socket: websocket.WebSocket, protocol: str) -> None:
        self._socket = socket
        self._base64 = "base64" in protocol
        self._half_close = protocol.startswith("v5.")
        self._json_status = protocol.startswith(("v4.", "v5."))
        self._input: asyncio.Queue[bytes] = asyncio.Queue(STDIN_QUEUE_MAX)
        self._sizes: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Sort what arrives, until the peer is gone."""
        try:
            while True:
                _, message = await self._socket.recv()
                await self._take(*self._decoded(message))
        except websocket.WebSocketClosed:
            pass
        except binascii.Error:
            await self._socket.close(1007, "a message is not base64")
        finally:
            self._gone.set()
            self._sizes.put_nowait(None)

    def _decoded(self, message: bytes) -> tuple[int, bytes]:
        if not message:
            return ERROR, b""
        if self._base64:
            return message[0] - ord("0"), base64.b64decode(message[1:])
        return message[0], message[1:]

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == STDIN and data:
            await self._input.put(data)
        elif channel == RESIZE:
            size = parse_size(data)
            if size is not None:
                while not self._sizes.empty():  # only the last one counts
                    self._sizes.get_nowait()
                self._sizes.put_nowait(size)
        elif channel == CLOSE and self._half_close and data[:1] == bytes([STDIN]):
            await self._input.put(b"")

    async def read_stdin(self) -> bytes:
        """The next input; b"" at its end."""
        getter = asyncio.ensure_future(self._input.get())
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({getter, gone}, return_when=asyncio.FIRST_COMPLETED)
            return getter.result() if getter.done() else b""
        finally:
            getter.cancel()
            gone.cancel()

    async def read_size(self) -> tuple[int, int] | None:
        """The next size of the peer's terminal."""
        return await self._sizes.get()

    async def write(self, channel: int, data: bytes) -> None:
        """Send output."""
        if self._base64:
            text = str(channel).encode() + base64.b64encode(data)
            await self._socket.send(text, text=True)
        else:
            await self._socket.send(bytes([channel]) + data)

    async def finish(self, status: Mapping[str, Any]) -> None:
        """Send the status, then the Close frame: kubectl waits for both."""
        if self._json_status:
            await self.write(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            await self.write(ERROR, str(status.get("message")).encode())
        await self._socket.close(1000)

    async def wait_gone(self) -> None:
        """Wait until the peer is gone."""
        await self._gone.wait()


class OverSpdy:
    """Channels as streams; `gather` waits until the peer has opened those expected."""

    def __init__(self, connection: spdy.Connection) -> None:
        self._connection = connection
        self._streams: dict[int, spdy.Stream] = {}
        self._sizes: deque[bytes] = deque()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Handle what arrives, until the peer is gone."""
        try:
            await self._connection.run()
        except spdy.SpdyError:
            pass
        finally:
            self._gone.set()

    async def gather(self, expected: set[int]) -> bool:
        """Wait for the streams of `expected`. False: they did not come in time."""
        try:
            async with asyncio.timeout(STREAMS_S):
                while not expected <= self._streams.keys():
                    stream = await self._connection.accept()
                    if stream is None:
                        return False
                    kind = NAMES.get(stream.headers.get("streamtype", ""))
                    if kind is None:
                        stream.reset()
                    else:
                        self._streams[kind] = stream
        except TimeoutError:
            return False
        return True

    async def read_stdin(self) -> bytes:
        """The next input; b"" at its end."""
        stream = self._streams.get(STDIN)
        return b"" if stream is None else await stream.read()

    async def read_size(self) -> tuple[int, int] | None:
        """The next size of the peer's terminal; sizes come one JSON object a line."""
        stream = self._streams.get(RESIZE)
        while stream is not None:
            while self._sizes:
                size = parse_size(self._sizes.popleft())
                if size is not None:
                    return size
            data = await stream.read()
            if not data:
                return None
            self._sizes.extend(line for line in data.splitlines() if line.strip())
        return None

    async def write(self, channel: int, data: bytes) -> None:
        """Send output."""
        stream = self._streams.get(channel)
        if stream is not None:
            stream.write(data)
            await stream.drain()

    async def finish(self, status: Mapping[str, Any]) -> None:
        """Send the status, end every stream, and let the peer go first."""
        await self.write(ERROR, json.dumps(status).encode())
        for channel in (STDOUT, STDERR, ERROR):
            if channel in self._streams:
                self._streams[channel].write_eof()
        try:
            async with asyncio.timeout(5):
                await self._gone.wait()
        except TimeoutError:
            pass
        self._connection.close()

    async def wait_gone(self) -> None:
        """Wait until the peer is gone."""
        await self._gone.wait()
