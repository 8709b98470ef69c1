"""The name server of a node: UDP and TCP, answers from what it knows, forwards the rest.

Invariant: names below the zone are never forwarded.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Any

from petset.base.ids import Ids
from petset.client.reflector import Informers
from petset.dns import wire
from petset.dns.forward import Forwarder, Upstreams
from petset.dns.index import Index
from petset.dns.local import LocalAnswers, payload_of
from petset.dns.wire import Record, Sections

BATCH = 64
FORWARDS_MAX = 512
TCP_MAX = 128
TCP_IDLE_S = 10.0
RECEIVE_BUFFER = 1 << 20

Peer = tuple[Any, ...]

_log = logging.getLogger(__name__)


class DnsServer:
    """Answers the pods of one node.

    Args:
        informers: caches of Services and EndpointSlices; run by somebody else.
        udp, tcp: bound sockets, made where the pods can reach them; closed by whoever made them.
        upstreams: resolvers for names outside the cluster (`forward.ResolvConf`).
        index: the zone's records (`Index("cluster.local")`).
    """

    def __init__(
        self,
        informers: Informers,
        udp: socket.socket,
        tcp: socket.socket,
        *,
        upstreams: Upstreams,
        ids: Ids,
        index: Index,
    ) -> None:
        self._udp = udp
        self._tcp = tcp
        self._rng = ids.rng
        self._forwarder = Forwarder(upstreams, ids.rng)
        self._known = LocalAnswers(informers, index)
        self._forwards = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._group: asyncio.TaskGroup | None = None

    @property
    def ready(self) -> bool:
        """Whether the records of the cluster are known."""
        return self._known.ready

    async def run(self) -> None:
        """Serve until cancelled. Names of the zone fail (SERVFAIL) until the caches are synced."""
        self._known.follow()
        self._udp.setblocking(False)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._tcp.setblocking(False)
        loop = asyncio.get_running_loop()
        listener = await asyncio.start_server(self._serve_tcp, sock=self._tcp.dup())
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                loop.add_reader(self._udp.fileno(), self._drain)
                await asyncio.Future[None]()
        finally:
            loop.remove_reader(self._udp.fileno())
            self._group = None
            listener.close()
            for writer in list(self._writers):
                writer.close()

    def _drain(self) -> None:
        """Answer what has come, up to a batch; the loop calls again when there is more."""
        cached_answers = self._known.cached
        for _ in range(BATCH):
            try:
                data, peer = self._udp.recvfrom(65535)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                _log.debug("dns: %r", error)
                return
            if len(data) < 12 or data[2] & 0x80:
                continue
            if (cached := cached_answers.get(data[2:])) is not None:
                self._send(data[:2] + cached.take(), peer)
            else:
                self._miss(data, peer)

    def _send(self, reply: bytes, peer: Peer) -> None:
        with contextlib.suppress(OSError):  # the peer is gone, or its buffer is full: it asks again
            self._udp.sendto(reply, peer)

    def _miss(self, data: bytes, peer: Peer) -> None:
        reply = self._known.reply(data, udp=True)
        if reply is not None:
            self._send(reply, peer)
        elif self._group is None or self._forwards >= FORWARDS_MAX:
            self._send(wire.error(data, wire.SERVFAIL), peer)
        else:
            self._group.create_task(self._forward_udp(data, peer), name="dns-forward")

    async def _forward_udp(self, data: bytes, peer: Peer) -> None:
        self._send(await self._outside(data, tcp=False), peer)

    async def _outside(self, data: bytes, *, tcp: bool) -> bytes:
        """The reply to a question that a resolver has to answer, whole or in part."""
        self._forwards += 1
        try:
            query = wire.parse(data)
            reply = self._known.resolve(query)
            if reply is None:
                found = await self._forwarder.ask(data, tcp=tcp)
                return found or wire.encode(query, wire.SERVFAIL, Sections(), limit=wire.UDP_MIN)
            records = [*reply.sections.answers, *await self._chase(reply.chase, query.type)]
            limit = 65535 if tcp else payload_of(query)
            return wire.encode(query, wire.NOERROR, Sections(records), limit=limit)
        finally:
            self._forwards -= 1

    async def _chase(self, name: wire.Name, kind: int) -> list[Record]:
        """What a resolver says about the end of an alias; nothing when it says nothing."""
        header = wire.HEADER.pack(0, 0x0100, 1, 0, 0, 0)
        found = await self._forwarder.ask(header + wire.question(name, kind))
        if found is None:
            return []
        try:
            return wire.answers_of(found)
        except wire.WireError as error:
            _log.debug("dns: a resolver's reply cannot be read: %s", error)
            return []

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= TCP_MAX:
            writer.close()
            return
        self._writers.add(writer)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, EOFError) as error:
            _log.debug("dns: tcp: %r", error)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(TCP_IDLE_S):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            data = await reader.readexactly(length)
        if len(data) < 12 or data[2] & 0x80:
            return False
        reply = self._known.reply(data, udp=False)
        if reply is None:
            reply = await self._outside(data, tcp=True)
        writer.write(struct.pack("!H", len(reply)) + reply)
        await writer.drain()
        return True
