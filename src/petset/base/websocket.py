"""WebSocket messages over a Duplex (websockets' sans-IO core underneath): server and client side.

Invariant: messages come whole and below a size limit; pings are answered inside `recv`, so a task
has to be waiting in it. Rules: RFC 6455.
"""

import asyncio
import base64
import binascii
import secrets
import ssl as tls
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side
from websockets.utils import accept_key

from petset.base.http import Duplex, Headers, Request

TEXT = int(Opcode.TEXT)
BINARY = int(Opcode.BINARY)
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
CLOSE_S = 5.0
"""How long `close` waits for the peer to say goodbye as well."""

_KEY_BYTES = 16
_HEAD_BYTES_MAX = 64 * 1024
_REFUSAL_BYTES_MAX = 1024 * 1024


class UpgradeError(Exception):
    """A handshake failed.

    Attributes:
        status: HTTP status of the refusal.
        body: body of the server's answer, on the client's side.
    """

    def __init__(self, status: int, reason: str, body: bytes = b"") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.body = body


class WebSocketClosed(Exception):  # noqa: N818 (an end, not always an error)
    """The connection has ended. `code` is the peer's close code, 1006 when it gave none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with code {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handshake that holds: the chosen subprotocol ("" for none) and the 101's headers."""

    protocol: str
    headers: Headers


def wanted(request: Request) -> bool:
    """Whether the request asks for a WebSocket."""
    return request.headers.get("upgrade", "").lower() == "websocket"


def accept(request: Request, protocols: Sequence[str]) -> Accepted:
    """Check a handshake and choose the first of `protocols` that the client offers.

    "" among `protocols` means that a client which offers none is served. Raises UpgradeError.
    """
    headers = request.headers
    if request.method != "GET":
        raise UpgradeError(405, "a WebSocket handshake is a GET")
    if not wanted(request):
        raise UpgradeError(400, "Upgrade request required")
    if headers.get("sec-websocket-version") != "13":
        raise UpgradeError(400, "only version 13 of WebSocket is spoken here")
    key = headers.get("sec-websocket-key", "")
    if not _sound_key(key):
        raise UpgradeError(400, "malformed Sec-WebSocket-Key")
    chosen = _choose(headers.get("sec-websocket-protocol", ""), protocols)
    answer = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept_key(key))]
    if chosen:
        answer.append(("Sec-WebSocket-Protocol", chosen))
    return Accepted(chosen, answer)


def _sound_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _choose(offer: str, protocols: Sequence[str]) -> str:
    offered = [part.strip() for part in offer.split(",") if part.strip()] or [""]
    for protocol in protocols:
        if protocol in offered:
            return protocol
    raise UpgradeError(400, f"unsupported subprotocols: {offer or 'none'}")


class WebSocket:
    """Messages over `duplex`, after the handshake.

    Args:
        client: whether this is the client's end, which masks what it sends.
        limit: bytes of one message; over it the connection is closed with 1009.
    """

    def __init__(
        self, duplex: Duplex, *, client: bool = False, limit: int = MESSAGE_BYTES_MAX
    ) -> None:
        self._duplex = duplex
        side = Side.CLIENT if client else Side.SERVER
        self._protocol = Protocol(side, state=OPEN, max_size=limit)
        self._messages: deque[tuple[int, bytes]] = deque()
        self._opcode = 0
        self._parts = bytearray()
        self._ended = False
        self._answered = False
        self._reading = asyncio.Lock()

    @property
    def closed(self) -> bool:
        """Whether messages sent are dropped by now."""
        return self._protocol.state is not OPEN or self._duplex.closed

    @property
    def pressure(self) -> bool:
        """Whether the peer takes less than it is sent."""
        return self._duplex.pressure

    async def recv(self) -> tuple[int, bytes]:
        """The next message: (TEXT or BINARY, content). Raises WebSocketClosed at the end."""
        while not self._messages:
            if self._ended:
                raise self._end()
            await self._pull()
        return self._messages.popleft()

    def write(self, data: bytes, *, text: bool = False) -> None:
        """Queue one message; dropped when the connection has ended."""
        if self.closed:
            return
        if text:
            self._protocol.send_text(data)
        else:
            self._protocol.send_binary(data)
        self._flush()

    async def drain(self) -> None:
        """Wait until the peer takes more, or is gone."""
        await self._duplex.drain()

    async def send(self, data: bytes, *, text: bool = False) -> None:
        """Send one message, waiting while the peer is behind."""
        self.write(data, text=text)
        await self.drain()

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; the answer is swallowed by `recv`."""
        if not self.closed:
            self._protocol.send_ping(data)
            self._flush()

    async def close(self, code: int = 1000, reason: str = "", *, wait_s: float = CLOSE_S) -> None:
        """Say goodbye, wait for the peer's own, close the connection."""
        if not self.closed:
            self._protocol.send_close(code, reason)
            self._flush()
        try:
            async with asyncio.timeout(wait_s):
                while not self._ended:
                    self._messages.clear()
                    await self._pull()
        except TimeoutError:
            pass
        finally:
            self._duplex.close()

    async def wait_closed(self) -> None:
        """Wait until the connection below is gone."""
        await self._duplex.wait_closed()

    async def _pull(self) -> None:
        async with self._reading:
            if not self._messages and not self._ended:
                self._receive(await self._duplex.read())
                if self._answered and self._duplex.pressure:
                    await self._duplex.drain()  # or pings would fill memory with their answers

    def _receive(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._answered = self._flush()
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            self._take(event)
        failed = self._protocol.parser_exc is not None
        if not data or failed or self._protocol.close_rcvd is not None:
            self._ended = True
            self._duplex.close()

    def _take(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._opcode = int(frame.opcode)
            if frame.fin and not self._parts:
                self._messages.append((self._opcode, bytes(frame.data)))
                return
            self._parts += frame.data
            if frame.fin:
                self._messages.append((self._opcode, bytes(self._parts)))
                self._parts = bytearray()

    def _flush(self) -> bool:
        """Send what the protocol has to say. Whether that was anything."""
        said = False
        for data in self._protocol.data_to_send():
            said = True
            if data:
                self._duplex.write(data)
            else:
                self._duplex.write_eof()
        return said

    def _end(self) -> WebSocketClosed:
        received = self._protocol.close_rcvd
        if received is not None:
            return WebSocketClosed(received.code, received.reason)
        sent = self._protocol.close_sent
        if sent is not None and self._protocol.parser_exc is not None:
            return WebSocketClosed(sent.code, sent.reason)
        return WebSocketClosed(1006, "the peer is gone")


class _StreamsDuplex:
    """A Duplex over asyncio's streams, for the client's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def closed(self) -> bool:
        return self._writer.is_closing()

    @property
    def pressure(self) -> bool:
        transport = self._writer.transport
        return transport.get_write_buffer_size() > transport.get_write_buffer_limits()[1]

    def write(self, data: bytes) -> None:
        if not self.closed:
            self._writer.write(data)

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            self._writer.close()

    async def wait_closed(self) -> None:
        try:
            await self._writer.wait_closed()
        except (ConnectionError, tls.SSLError):
            return

    async def read(self) -> bytes:
        try:
            return await self._reader.read(64 * 1024)
        except (ConnectionError, tls.SSLError):
            return b""

    def write_eof(self) -> None:
        if not self.closed and self._writer.can_write_eof():
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


async def connect(
    host: str,
    port: int,
    target: str,
    *,
    ssl: tls.SSLContext | None = None,
    headers: Headers = (),
    protocols: Sequence[str] = (),
) -> tuple[WebSocket, str]:
    """Open a WebSocket to `target` (path and query); returns it and the subprotocol chosen.

    Raises UpgradeError for any answer but 101, OSError when there is nobody to answer.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=ssl, limit=_HEAD_BYTES_MAX)
    try:
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        writer.write(_handshake(f"{host}:{port}", target, key, headers, protocols))
        status, answer = await _read_head(reader)
        if status != 101:
            raise await _refused(reader, status, answer)
        chosen = _checked(answer, key, protocols)
    except BaseException:
        writer.close()
        raise
    return WebSocket(_StreamsDuplex(reader, writer), client=True), chosen


def _handshake(
    host: str, target: str, key: str, headers: Headers, protocols: Sequence[str]
) -> bytes:
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    if protocols:
        lines.append("Sec-WebSocket-Protocol: " + ", ".join(protocols))
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode("latin-1").split("\r\n")[:-2]
        status = int(first.split(" ", 2)[1])
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
        raise UpgradeError(502, "the server's answer is no HTTP") from None
    pairs = (line.partition(":") for line in rest)
    return status, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _refused(
    reader: asyncio.StreamReader, status: int, headers: dict[str, str]
) -> UpgradeError:
    try:
        length = min(int(headers.get("content-length", "0")), _REFUSAL_BYTES_MAX)
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ValueError):
        body = b""
    return UpgradeError(status, f"the server answered {status}", body)


def _checked(answer: dict[str, str], key: str, protocols: Sequence[str]) -> str:
    chosen = answer.get("sec-websocket-protocol", "")
    if answer.get("sec-websocket-accept") != accept_key(key):
        raise UpgradeError(502, "the server's handshake does not fit ours")
    if chosen and chosen not in protocols:
        raise UpgradeError(502, f"the server chose {chosen!r}, which was not offered")
    return chosen
