import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from petset.api import errors
from petset.client.tls import Tls
from petset.client.transport import TransportError
from tests.unit.client import authority
from tests.unit.client.authority import Files

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return authority.make(tmp_path_factory.mktemp("pki"))


class Server:
    """A TLS server that hands each connection to a script and counts."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.peers: list[str] = []
        self.port = 0


class Peer:
    """One connection as a script sees it."""

    def __init__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.number = server.connections

    async def hear(self) -> bytes:
        """Read one request; its head."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                await self.reader.readexactly(int(line.split(b":")[1]))
        self.server.heads.append(head)
        return head

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serving(files: Files, script: Script) -> AsyncIterator[tuple[Server, Tls]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(Peer(server, reader, writer))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    client = tls(files, server.port)
    try:
        yield server, client
    finally:
        await client.close()
        listener.close()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)


def tls(files: Files, port: int) -> Tls:
    return Tls(
        f"https://127.0.0.1:{port}", ca_file=files.ca, cert_file=files.cert, key_file=files.key
    )


async def echo_ok(peer: Peer) -> None:
    while True:
        await peer.hear()
        await peer.say(OK)


async def test_calls_one_after_the_other_share_a_connection(files: Files) -> None:
    async with serving(files, echo_ok) as (server, client):
        for _ in range(3):
            response = await client.request("GET", "/x")
            assert (response.status, response.body) == (200, b"ok")
        assert server.connections == 1


async def test_calls_at_the_same_time_have_their_own_connections(files: Files) -> None:
    waiting = 0
    both = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal waiting
        await peer.hear()
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        await peer.say(OK)

    async with serving(files, script) as (server, client):
        await asyncio.gather(client.request("GET", "/a"), client.request("GET", "/b"))
        assert server.connections == 2


async def test_the_request_on_the_wire(files: Files) -> None:
    async with serving(files, echo_ok) as (server, client):
        await client.request(
            "POST",
            "/a b/ü",
            query=[("labelSelector", "a=b,c")],
            body=b"{}",
            content_type="application/json",
        )
        lines = server.heads[0].decode().split("\r\n")
        assert lines[0] == "POST /a%20b/%C3%BC?labelSelector=a%3Db%2Cc HTTP/1.1"
        assert f"Host: 127.0.0.1:{server.port}" in lines
        assert "Content-Length: 2" in lines
        assert "Content-Type: application/json" in lines


async def test_chunked_answers_are_joined(files: Files) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.say(b"3\r\nabc\r\n")
        await peer.say(b"2\r\nde\r\n0\r\n\r\n")
        await echo_ok(peer)

    async with serving(files, script) as (server, client):
        assert (await client.request("GET", "/x")).body == b"abcde"
        assert (await client.request("GET", "/x")).body == b"ok"
        assert server.connections == 1


async def test_an_answer_that_ends_with_the_connection(files: Files) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        peer.writer.close()
        await peer.writer.wait_closed()

    async with serving(files, script) as (server, client):
        assert (await client.request("GET", "/x")).body == b"all of it"
        assert (await client.request("GET", "/x")).body == b"all of it"
        assert server.connections == 2


async def test_an_interim_answer_is_skipped(files: Files) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)

    async with serving(files, script) as (_, client):
        response = await client.request("GET", "/x")
        assert (response.status, response.body) == (200, b"ok")


async def dies_on_second(peer: Peer) -> None:
    """Answers once per connection, then hangs up on the next request without an answer."""
    await peer.hear()
    await peer.say(OK)
    await peer.hear()


async def test_an_idempotent_call_on_a_stale_connection_is_sent_again(files: Files) -> None:
    async with serving(files, dies_on_second) as (server, client):
        await client.request("GET", "/x")
        assert (await client.request("DELETE", "/x")).status == 200
        assert server.connections == 2
        assert len(server.heads) == 3


async def test_a_post_that_may_have_been_acted_on_is_not_sent_again(files: Files) -> None:
    async with serving(files, dies_on_second) as (server, client):
        await client.request("GET", "/x")
        with pytest.raises(TransportError):
            await client.request("POST", "/x", body=b"{}", content_type="application/json")
        assert len(server.heads) == 2


async def test_a_connection_the_server_closed_while_idle_is_not_used(files: Files) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(OK)
        peer.writer.close()
        await peer.writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()
    async with serving(files, script) as (server, client):
        await client.request("GET", "/x")
        await hung_up.wait()
        await asyncio.sleep(0.05)  # lets the end of the connection cross the loopback
        response = await client.request("POST", "/x", body=b"{}", content_type="text/plain")
        assert response.status == 200
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
async def test_an_answer_cut_short_is_no_answer(files: Files, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(answer)

    async with serving(files, script) as (server, client):
        with pytest.raises(TransportError):
            await client.request("GET", "/x")
        assert server.connections == 1


async def test_nobody_listening_is_a_transport_error(files: Files) -> None:
    async with serving(files, echo_ok) as (server, _):
        port = server.port
    client = tls(files, port)
    with pytest.raises(TransportError, match="cannot reach"):
        await client.request("GET", "/x")


async def test_a_server_of_another_name_is_not_trusted(files: Files) -> None:
    async with serving(files, echo_ok) as (server, _):
        url = f"https://127.0.0.1:{server.port}"
        wrong = Tls(url, ca_file=files.ca, server_name="other.test")
        with pytest.raises(TransportError, match="certificate verify failed"):
            await wrong.request("GET", "/x")
        right = Tls(
            url,
            ca_file=files.ca,
            cert_file=files.cert,
            key_file=files.key,
            server_name="petset.test",
        )
        assert (await right.request("GET", "/x")).status == 200
        await right.close()


def test_only_https_addresses_are_taken(files: Files) -> None:
    with pytest.raises(ValueError, match="not an https:// address"):
        Tls("http://127.0.0.1:80", ca_file=files.ca)


async def test_a_stream_comes_as_it_is_written_beside_calls(files: Files) -> None:
    gate = asyncio.Event()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        head = await peer.hear()
        if b"GET /watch" not in head:
            await peer.say(OK)
            return
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await gate.wait()
        await peer.say(b"3\r\ntwo\r\n")
        await peer.reader.read()
        gone.set()

    async with serving(files, script) as (_, client):
        async with aclosing(client.stream("/watch")) as pieces:
            assert await anext(pieces) == b"one"
            assert (await client.request("GET", "/x")).body == b"ok"
            gate.set()
            assert await anext(pieces) == b"two"
            assert not gone.is_set()
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_stream_ends_or_breaks_as_the_server_ends_or_breaks_it(files: Files) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        if b"/whole" in head:
            await peer.say(b"0\r\n\r\n")

    async with serving(files, script) as (_, client):
        assert [piece async for piece in client.stream("/whole")] == [b"one"]
        broken = client.stream("/broken")
        assert await anext(broken) == b"one"
        with pytest.raises(TransportError):
            await anext(broken)


async def test_a_refused_stream_raises_the_servers_status(files: Files) -> None:
    body = b'{"kind":"Status","message":"too old","reason":"Expired","code":410}'

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(b"HTTP/1.1 410 Gone\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(files, script) as (_, client):
        with pytest.raises(errors.StatusError, match="too old") as caught:
            await anext(client.stream("/watch"))
        assert (caught.value.code, caught.value.reason) == (410, "Expired")


async def test_a_silent_server_is_given_up(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.reader.read()

    monkeypatch.setattr("petset.client.tls.REQUEST_TIMEOUT_S", 0.05)
    async with serving(files, script) as (_, client):
        with pytest.raises(TransportError, match="no answer"):
            await client.request("GET", "/x")
        with pytest.raises(TransportError, match="no answer"):
            await anext(client.stream("/watch"))


async def test_closing_ends_running_streams(files: Files) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await peer.reader.read()

    async with serving(files, script) as (_, client):
        pieces = client.stream("/watch")
        assert await anext(pieces) == b"one"
        await client.close()
        with pytest.raises(TransportError):
            await anext(pieces)
        with pytest.raises(TransportError, match="closed"):
            await client.request("GET", "/x")
