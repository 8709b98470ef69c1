"""The HTTP front: listens, limits TLS handshakes, keeps the connections, closes gracefully.

Shared by the API server and by the agent's endpoint. HTTP/1.1 and 1.0; behind a `Handler`.
Invariant: no type of an HTTP library gets past this module and those it stands on
(`http1`, `intake`, `duplex`, `wirehead`).
"""

import asyncio
import logging
import socket
import ssl as tls

from petset.base.clock import Clock, SystemClock
from petset.base.http import AtOnce, Handler, Response
from petset.base.http1 import Connection, OnRefuse
from petset.base.intake import Limits
from petset.base.tlswire import Buffers, Secured
from petset.base.wirehead import Heads

__all__ = ["Edge", "Limits", "serve"]

log = logging.getLogger(__name__)

SLOT_S = 0.05
"""A handshake gives its slot back after this long: slow peers must not keep others out."""

BACKLOG = 1024
PLAIN_BYTES_MAX = 64 * 1024
_METHODS = (b"GET /", b"HEAD /", b"POST /", b"PUT /", b"PATCH /", b"DELETE /", b"OPTIONS ")
_NOT_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
KEEPALIVE_S = 60
_ACCEPT_PAUSE_S = 0.2


def plain_refusal(status: int, reason: str) -> Response:
    """The answer to what the edge refuses, in plain text."""
    return Response(
        status, (("Content-Type", "text/plain; charset=utf-8"),), f"{reason}\n".encode()
    )


class Edge:
    """One listener and its connections. Made by `serve`.

    Attributes:
        handler: answers the requests.
        at_once: answers what needs no waiting, if there is such a thing.
        sockets: the listening sockets.
        closing: whether `close` was called.
        connections: how many are open is `len(edge.connections)`.
    """

    def __init__(
        self,
        handler: Handler,
        sock: socket.socket,
        *,
        limits: Limits,
        on_refuse: OnRefuse,
        clock: Clock,
        at_once: AtOnce | None = None,
    ) -> None:
        self.handler = handler
        self.at_once = at_once
        self.on_refuse = on_refuse
        self.limits = limits
        self.heads = Heads(clock)
        self.closing = False
        self.sockets: tuple[socket.socket, ...] = (sock,)
        self.connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._slots = asyncio.Semaphore(limits.handshakes)
        self._server: asyncio.Server | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._buffers = Buffers()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.sockets[0].getsockname()[1])

    # From connections.

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self.connections.add(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self.closing and not self.connections:
            self._empty.set()

    # Listening.

    async def start(self, context: tls.SSLContext | None) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        sock = self.sockets[0]
        if context is None:
            self._server = await loop.create_server(
                lambda: Connection(self), sock=sock, backlog=BACKLOG
            )
            return
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._acceptor = loop.create_task(self._accept(context))

    async def _accept(self, context: tls.SSLContext) -> None:
        """Accept TLS connections; each shakes hands in a task of its own, few at a time."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self.sockets[0])
            except OSError as error:  # out of descriptors, or the peer was gone already
                log.warning("accepting a connection failed: %s", error)
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            task = loop.create_task(self._admit(sock, context))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _admit(self, sock: socket.socket, context: tls.SSLContext) -> None:
        try:
            async with asyncio.timeout(self.limits.handshake_s):
                await _readable(sock)
            if _speaks_plain_http(sock):
                _say_it_is_tls(sock)
                return
            await self._shake_hands(sock, context)
        except (OSError, TimeoutError) as error:
            log.debug("TLS handshake failed: %s", error)
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    async def _shake_hands(self, sock: socket.socket, context: tls.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        await self._slots.acquire()
        slot = _Slot(self._slots)
        timer = loop.call_later(SLOT_S, slot.free)
        shaken: asyncio.Future[None] = loop.create_future()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: Secured(context, Connection(self), self._buffers, shaken), sock
            )
            await _within(self.limits.handshake_s, shaken, transport)
        finally:
            timer.cancel()
            slot.free()

    # Closing.

    async def close(self, grace_s: float = 5.0) -> None:
        """Stop accepting, end streams with their last chunk, wait up to `grace_s`, cut the rest."""
        self.closing = True
        await self._stop_accepting()
        for connection in list(self.connections):
            connection.wind_down()
        if self.connections:
            try:
                async with asyncio.timeout(grace_s):
                    await self._empty.wait()
            except TimeoutError:
                log.info("%d connections are cut", len(self.connections))
        tasks = [c.task for c in self.connections if c.task is not None]
        for connection in list(self.connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop_accepting(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [t for t in (self._acceptor, *self._handshakes) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in self.sockets:
            sock.close()


class _Slot:
    """One place among the handshakes, given back once."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots

    def free(self) -> None:
        if self._slots is not None:
            self._slots.release()
            self._slots = None


def _speaks_plain_http(sock: socket.socket) -> bool:
    """Whether the peer's first bytes are a request line: no TLS record begins so."""
    return sock.recv(8, socket.MSG_PEEK).startswith(_METHODS)


def _say_it_is_tls(sock: socket.socket) -> None:
    """Tell a peer that speaks plain HTTP that this port takes TLS, and close."""
    try:
        sock.recv(PLAIN_BYTES_MAX)  # what is left unread would reset the connection
        sock.send(_NOT_TLS)
    finally:
        sock.close()


async def _within(seconds: float, shaken: asyncio.Future[None], socket: asyncio.Transport) -> None:
    """Wait for a handshake; cut the peer that takes longer."""
    try:
        async with asyncio.timeout(seconds):
            await shaken
    except BaseException:
        if not shaken.done() or shaken.cancelled():
            socket.abort()
        raise


async def _readable(sock: socket.socket) -> None:
    """Wait until the peer has said something, so that silent peers take no slot."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


async def serve(  # noqa: PLR0913 (a front has as many knobs; all but the handler are by name)
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl: tls.SSLContext | None = None,
    sock: socket.socket | None = None,
    limits: Limits | None = None,
    on_refuse: OnRefuse = plain_refusal,
    clock: Clock | None = None,
    at_once: AtOnce | None = None,
) -> Edge:
    """Listen on `host`:`port` (0: any free port), or on the bound socket `sock` as it is.

    `on_refuse` makes the answers to what never reaches the handler (malformed, too large, too
    slow) and to what the handler broke on: (HTTP status, words) -> Response. `clock` tells the
    Date of answers. `at_once` is asked before the handler where a request is quick to read.
    Raises OSError when the address cannot be had.
    """
    if sock is None:
        sock = await _bind(host, port)
    _notice_dead_peers(sock)
    edge = Edge(
        handler,
        sock,
        limits=limits or Limits(),
        on_refuse=on_refuse,
        clock=clock or SystemClock(),
        at_once=at_once,
    )
    await edge.start(ssl)
    return edge


def _notice_dead_peers(sock: socket.socket) -> None:
    """Have the kernel probe silent peers: watches have nothing to send for minutes.

    Accepted sockets inherit these options from the listening one.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


async def _bind(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, proto, _, address = found[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
