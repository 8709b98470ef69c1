"""TLS between a socket's transport and a protocol, record by record."""

import asyncio
import contextlib
import ssl
from typing import Any

import pytest

from petset.base import tlsconfig, tlswire
from petset.base.tlswire import Buffers, Secured
from tests.unit.base.certs import Authority

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    ca = Authority(tmp_path_factory.mktemp("ca"))
    server = ca.issue("server")
    return (
        tlsconfig.server_context(server.cert, server.key),
        tlsconfig.client_context(ca.pair.cert),
    )


class Above(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.told.append("lost")


class Socket(asyncio.Transport):
    """A socket's transport whose peer is in the test's hands."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.sent: list[bytes] = []
        self.reading = True
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Pair:
    """A server's connection and its client."""

    def __init__(self, contexts: Contexts) -> None:
        self.above, self.socket = Above(), Socket()
        self.shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.secured = Secured(contexts[0], self.above, Buffers(), self.shaken)
        self.secured.connection_made(self.socket)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = contexts[1].wrap_bio(self._in, self._out, server_hostname="localhost")

    def pull(self) -> bytes:
        """What the client has sent."""
        return self._out.read()

    def push(self, data: bytes, size: int = 60_000) -> None:
        """Let the server's side read `data` in pieces."""
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self.secured.get_buffer(-1)[: len(piece)] = piece
            self.secured.buffer_updated(len(piece))

    def shake(self, size: int = 60_000) -> None:
        """Shake hands."""
        while not self.shaken.done():
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.do_handshake()
            self.push(self.pull(), size)
            self.take()

    def take(self) -> None:
        """Let the client have what the server sent."""
        for data in self.socket.sent:
            self._in.write(data)
        self.socket.sent.clear()

    def read(self) -> bytes:
        """All that the client reads; b"" behind a goodbye."""
        self.take()
        found = b""
        while True:
            try:
                data = self.client.read(1 << 20)
            except ssl.SSLWantReadError:
                return found
            if not data:
                return found
            found += data


@pytest.fixture
async def pair(contexts: Contexts) -> Pair:
    made = Pair(contexts)
    made.shake()
    return made


@pytest.mark.parametrize("size", [1, 7, 60_000])
async def test_the_protocol_sees_the_connection_and_its_data_in_order(
    contexts: Contexts, size: int
) -> None:
    pair = Pair(contexts)
    assert pair.above.told == []
    pair.shake(size)
    assert pair.above.told == ["made"]
    for text in (b"one", b"two"):
        pair.client.write(text)
    pair.push(pair.pull(), size)
    assert pair.above.told == ["made", b"one", b"two"]
    assert pair.secured.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert pair.secured.get_extra_info("peername") == ("127.0.0.1", 1)


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 300_000])
async def test_data_of_any_size_goes_both_ways(pair: Pair, size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    pair.secured.write(data)
    pair.secured.write(b"")
    assert pair.read() == data
    pair.client.write(data)
    pair.push(pair.pull())
    assert b"".join(pair.above.told[1:]) == data


async def test_an_answer_is_one_call_of_the_kernel(pair: Pair) -> None:
    pair.secured.write(b"x" * 2000)
    assert len(pair.socket.sent) == 1


async def test_what_comes_while_reading_is_paused_is_handed_up_later(pair: Pair) -> None:
    pair.secured.pause_reading()
    assert not pair.secured.is_reading()
    states = [pair.socket.reading]
    pair.client.write(b"late")
    pair.push(pair.pull())
    assert pair.above.told == ["made"]
    pair.secured.resume_reading()
    assert [*states, pair.socket.reading] == [False, True]
    await asyncio.sleep(0)
    assert pair.above.told == ["made", b"late"]


async def test_both_sides_say_goodbye(pair: Pair) -> None:
    pair.secured.write(b"last words")
    pair.secured.close()
    pair.secured.close()
    pair.secured.write(b"too late")
    assert pair.secured.is_closing()
    assert pair.socket.ended == ""
    assert pair.read() == b"last words"
    pair.client.write(b"not heard")
    pair.client.unwrap()
    pair.push(pair.pull())
    assert pair.above.told == ["made"]
    assert pair.socket.ended == "closed"
    pair.secured.connection_lost(None)
    assert pair.above.told == ["made", "lost"]


async def test_a_peer_that_says_goodbye_first_is_answered_in_kind(pair: Pair) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.push(pair.pull())
    assert pair.above.told == ["made", "eof"]
    assert pair.socket.ended == "closed"
    pair.take()
    pair.client.unwrap()


async def test_a_peer_that_never_says_goodbye_is_cut(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tlswire, "FAREWELL_S", 0.001)
    pair.secured.close()
    async with asyncio.timeout(5):
        while not pair.socket.ended:
            await asyncio.sleep(0.001)
    assert pair.socket.ended == "aborted"


async def test_goodbyes_that_came_while_reading_was_paused_are_seen(pair: Pair) -> None:
    pair.secured.pause_reading()
    pair.client.write(b"not heard")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.push(pair.pull())
    pair.secured.close()
    await asyncio.sleep(0)
    assert pair.above.told == ["made"]
    assert pair.socket.ended == "closed"


async def test_the_end_of_the_socket_is_told_once(pair: Pair) -> None:
    assert pair.secured.eof_received() is False
    pair.secured.write(b"too late")
    pair.secured.connection_lost(None)
    assert pair.above.told == ["made", "eof", "lost"]
    assert pair.read() == b""


async def test_records_that_nobody_sealed_cut_the_connection(pair: Pair) -> None:
    pair.push(b"\x17\x03\x03\x00\x40" + b"x" * 64)
    assert pair.socket.ended == "aborted"
    assert pair.above.told == ["made"]


async def test_a_handshake_that_fails_is_told_with_its_reason(contexts: Contexts) -> None:
    pair = Pair(contexts)
    pair.push(b"\x16\x03\x01\x00\x05nonsense")
    with pytest.raises(ssl.SSLError):
        await pair.shaken
    assert pair.socket.sent
    assert pair.socket.ended == "closed"
    pair.push(b"more")
    pair.secured.connection_lost(None)
    assert pair.above.told == []


async def test_a_peer_that_is_gone_during_the_handshake_is_told(contexts: Contexts) -> None:
    pair = Pair(contexts)
    assert pair.secured.eof_received() is False
    pair.secured.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await pair.shaken
    assert pair.above.told == []
