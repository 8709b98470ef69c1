"""TLS of a server's connections: between the transport of a socket and a protocol.

It does what `asyncio.sslproto` does for servers, with one buffer for all connections instead of one
each, and at half the cost for small messages: an answer is one call of OpenSSL and one of the
kernel, made at once.

Invariant: the protocol above sees a connection only after the handshake, and its loss exactly once.
"""

import asyncio
import ssl as tls
from typing import Any, cast

READ_BYTES = 64 * 1024
"""Bytes taken from a socket at a time, by all connections of a thread into one buffer."""
RECORD_BYTES = 16 * 1024
"""Plain bytes that a TLS record holds at most."""
FAREWELL_S = 30.0
"""How long a peer may take to close its side after the server has closed its own."""

_AGAIN = (tls.SSLWantReadError, tls.SSLWantWriteError)


class Buffers:
    """What was read last, encrypted and plain: for all connections of one event loop.

    Each is used up within the turn of the loop that fills it.
    """

    __slots__ = ("plain", "received")

    def __init__(self) -> None:
        self.received = memoryview(bytearray(READ_BYTES))
        self.plain = memoryview(bytearray(RECORD_BYTES))


class Secured(asyncio.Transport, asyncio.BufferedProtocol):
    """The protocol of a socket's transport, and the transport of the protocol above.

    Args:
        protocol: what is above.
        shaken: gets a result when hands are shaken, or an exception (OSError) if that fails.
    """

    _tcp: asyncio.Transport

    def __init__(
        self,
        context: tls.SSLContext,
        protocol: asyncio.BaseProtocol,
        buffers: Buffers,
        shaken: "asyncio.Future[None]",
    ) -> None:
        super().__init__()
        self._protocol = cast(asyncio.Protocol, protocol)
        self._buffers = buffers
        self._shaken = shaken
        self._incoming = tls.MemoryBIO()
        self._outgoing = tls.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._loop = asyncio.get_running_loop()
        self._open = False
        self._closing = False
        self._paused = False
        self._farewell: asyncio.TimerHandle | None = None

    # From the socket's transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From the socket's transport."""
        self._tcp = cast(asyncio.Transport, transport)  # uvloop's are not registered as such

    def get_buffer(self, sizehint: int) -> memoryview:
        """From the socket's transport."""
        del sizehint
        return self._buffers.received

    def buffer_updated(self, nbytes: int) -> None:
        """From the socket's transport."""
        self._incoming.write(self._buffers.received[:nbytes])
        if self._open:
            self._read()
        elif not self._closing:
            self._shake_hands()

    def eof_received(self) -> bool:
        """From the socket's transport, which is closed then."""
        if self._open and not self._closing:
            self._read()
            self._closing = True
            self._protocol.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """From the socket's transport."""
        self._closing = True
        if self._farewell is not None:
            self._farewell.cancel()
        if self._open:
            self._open = False
            self._protocol.connection_lost(exc)
        elif not self._shaken.done():
            self._shaken.set_exception(exc or ConnectionResetError("gone during the handshake"))

    def pause_writing(self) -> None:
        """From the socket's transport."""
        if self._open:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """From the socket's transport."""
        if self._open:
            self._protocol.resume_writing()

    # Records.

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except _AGAIN:
            self._flush()
            return
        except tls.SSLError as error:
            self._closing = True
            self._flush()  # the alert that tells why
            self._tcp.close()
            if not self._shaken.done():
                self._shaken.set_exception(error)
            return
        self._flush()
        self._open = True
        if not self._shaken.done():
            self._shaken.set_result(None)
        self._protocol.connection_made(self)
        self._read()

    def _read(self) -> None:
        """Hand up what has come, unless nobody wants it now."""
        plain = self._buffers.plain
        while self._incoming.pending and not self._paused:
            try:
                size = cast(int, self._tls.read(RECORD_BYTES, cast(bytearray, plain)))
            except _AGAIN:
                break
            except tls.SSLZeroReturnError:
                size = 0
            except tls.SSLError:  # no TLS any more, or not from this peer
                self._flush()
                self._tcp.abort()
                return
            if not size:
                self._end()
                return
            if not self._closing:
                self._protocol.data_received(bytes(plain[:size]))
        self._flush()

    def _end(self) -> None:
        """The peer has said that it sends no more."""
        if self._closing:
            self._tcp.close()
        else:
            self._protocol.eof_received()
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._tcp.write(self._outgoing.read())

    # For the protocol above.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send, or drop once closing."""
        if self._closing or not data:
            return
        try:
            size = self._tls.write(data)
            while size < len(data):
                data = memoryview(data)[size:]
                size = self._tls.write(data)
        except tls.SSLError:  # nothing that a connection recovers from
            self._tcp.abort()
            return
        self._tcp.write(self._outgoing.read())

    def close(self) -> None:
        """Say that no more will come, and close when the peer says so too, or in a while."""
        if self._closing:
            return
        self._closing = True
        try:
            self._tls.unwrap()
            over = True
        except _AGAIN:  # the peer's own goodbye comes later
            over = False
        except tls.SSLError:  # there is data that nobody has read: nothing more can be
            over = True
        self._flush()
        if over:
            self._tcp.close()
            return
        if self._paused:
            self._paused = False
            self._tcp.resume_reading()
        self._farewell = self._loop.call_later(FAREWELL_S, self._tcp.abort)
        if self._incoming.pending:
            self._loop.call_soon(self._discard)

    def _discard(self) -> None:
        """Look at what came before the end: the peer may have said that it is its own end."""
        if self._open:
            self._read()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._tcp.abort()

    def is_closing(self) -> bool:
        """Whether writes are dropped by now."""
        return self._closing or self._tcp.is_closing()

    def pause_reading(self) -> None:
        """Hand nothing up until `resume_reading`."""
        if not self._paused and not self._closing:
            self._paused = True
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """Hand up again what comes, and soon what has come."""
        if self._paused:
            self._paused = False
            self._tcp.resume_reading()
            self._loop.call_soon(self._discard)

    def is_reading(self) -> bool:
        """Whether what comes is handed up."""
        return not self._paused and not self._closing

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that the kernel has not taken yet."""
        return self._tcp.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The socket's limits."""
        return self._tcp.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when writing is paused and resumed."""
        self._tcp.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        """TLS cannot be half-closed."""
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand up to another protocol from now on."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """What is above."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`ssl_object`, and what the socket's transport knows."""
        if name == "ssl_object":
            return self._tls
        return self._tcp.get_extra_info(name, default)
