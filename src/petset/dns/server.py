"""The name server of a node: UDP and TCP, answers from the watch caches, forwards the rest.

Invariant: names below the zone are never forwarded.
Invariant: a cached answer is as new as the index: every change of the index drops them all.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Any

from petset.api import meta
from petset.api.meta import Obj
from petset.base.ids import Ids
from petset.client.cache import Cache
from petset.client.reflector import Informers
from petset.dns import wire
from petset.dns.answer import Reply, answer
from petset.dns.forward import Forwarder, Upstreams
from petset.dns.index import Index, service_of
from petset.dns.wire import Query, Record, Sections

BATCH = 64
CACHE_MAX = 4096
ROTATIONS_MAX = 8
FORWARDS_MAX = 512
TCP_MAX = 128
TCP_IDLE_S = 10.0
CHAIN_MAX = 8
RECEIVE_BUFFER = 1 << 20
SLICES = "endpointslices.discovery.k8s.io"

Peer = tuple[Any, ...]

_log = logging.getLogger(__name__)


class _Rotation:
    """Encodings of one answer, its addresses in different orders, handed out in turn."""

    def __init__(self, encoded: list[bytes]) -> None:
        self._encoded = encoded
        self._next = 0

    def take(self) -> bytes:
        """The next one, without the query's id."""
        self._next = (self._next + 1) % len(self._encoded)
        return self._encoded[self._next]


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
        self._index = index
        self._services = informers.cache("services")
        self._slices = informers.cache(SLICES)
        self._slices.add_index("dns-service", lambda part: ["/".join(service_of(part))])
        self._answers: dict[bytes, _Rotation] = {}
        self._forwards = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._group: asyncio.TaskGroup | None = None

    @property
    def ready(self) -> bool:
        """Whether the records of the cluster are known."""
        return self._services.synced and self._slices.synced

    async def run(self) -> None:
        """Serve until cancelled. Names of the zone fail (SERVFAIL) until the caches are synced."""
        self._services.add_handler(self._on_service)
        self._slices.add_handler(self._on_slice)
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

    def _on_service(self, old: Obj | None, new: Obj | None) -> None:
        obj = new or old or {}
        self._refresh((meta.namespace_of(obj), meta.name_of(obj)))

    def _on_slice(self, old: Obj | None, new: Obj | None) -> None:
        for key in {service_of(part) for part in (old, new) if part is not None}:
            self._refresh(key)

    def _refresh(self, key: tuple[str, str]) -> None:
        slices = self._slices.by_index("dns-service", "/".join(key))
        if self._index.update(key, _get(self._services, key), slices):
            self._answers.clear()

    def _drain(self) -> None:
        """Answer what has come, up to a batch; the loop calls again when there is more."""
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
            if (cached := self._answers.get(data[2:])) is not None:
                self._send(data[:2] + cached.take(), peer)
            else:
                self._miss(data, peer)

    def _send(self, reply: bytes, peer: Peer) -> None:
        with contextlib.suppress(OSError):  # the peer is gone, or its buffer is full: it asks again
            self._udp.sendto(reply, peer)

    def _miss(self, data: bytes, peer: Peer) -> None:
        reply = self._local(data, udp=True)
        if reply is not None:
            self._send(reply, peer)
        elif self._group is None or self._forwards >= FORWARDS_MAX:
            self._send(wire.error(data, wire.SERVFAIL), peer)
        else:
            self._group.create_task(self._forward_udp(data, peer), name="dns-forward")

    async def _forward_udp(self, data: bytes, peer: Peer) -> None:
        self._send(await self._outside(data, tcp=False), peer)

    def _local(self, data: bytes, *, udp: bool) -> bytes | None:
        """The reply that needs nobody else; None when a resolver has to be asked."""
        try:
            query = wire.parse(data)
        except wire.WireError:
            return wire.error(data, wire.FORMERR)
        limit = _limit(query) if udp else 65535
        if (rcode := _refusal(query)) is not None:
            return wire.encode(query, rcode, Sections(), limit=limit)
        reply = self._resolve(query)
        if reply is not None and not self.ready and query.name[-1:] != ("localhost",):
            return wire.encode(query, wire.SERVFAIL, Sections(), limit=limit)
        if reply is None or reply.chase:
            return None
        encoded = self._encode(query, reply, limit)
        if udp:
            if len(self._answers) >= CACHE_MAX:
                self._answers.clear()
            self._answers[data[2:]] = _Rotation([e[2:] for e in encoded])
        return encoded[0]

    def _resolve(self, query: Query) -> Reply | None:
        """The reply with aliases inside the zone followed."""
        name, records = query.name, list[Record]()
        for _ in range(CHAIN_MAX):
            reply = answer(self._index.zone, name, query.type)
            if reply is None:
                return Reply(wire.NOERROR, Sections(records), chase=name) if records else None
            if not reply.chase:
                answers = [*records, *reply.sections.answers]
                rest = (reply.sections.authority, reply.sections.additional)
                return Reply(reply.rcode, Sections(answers, *rest))
            records += reply.sections.answers
            name = reply.chase
        return Reply(wire.SERVFAIL, Sections())

    def _encode(self, query: Query, reply: Reply, limit: int) -> list[bytes]:
        sections = reply.sections
        records = list(sections.answers)
        turns = 1
        if query.type in (wire.A, wire.AAAA) and all(r.type == query.type for r in records):
            turns = min(len(records), ROTATIONS_MAX) or 1
        encoded = []
        for turn in range(turns):
            turned = Sections(
                records[turn:] + records[:turn], sections.authority, sections.additional
            )
            encoded.append(wire.encode(query, reply.rcode, turned, limit=limit))
        return encoded

    async def _outside(self, data: bytes, *, tcp: bool) -> bytes:
        """The reply to a question that a resolver has to answer, whole or in part."""
        self._forwards += 1
        try:
            query = wire.parse(data)
            reply = self._resolve(query)
            if reply is None:
                found = await self._forwarder.ask(data, tcp=tcp)
                return found or wire.encode(query, wire.SERVFAIL, Sections(), limit=wire.UDP_MIN)
            records = [*reply.sections.answers, *await self._chase(reply.chase, query.type)]
            limit = 65535 if tcp else _limit(query)
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
        reply = self._local(data, udp=False)
        if reply is None:
            reply = await self._outside(data, tcp=True)
        writer.write(struct.pack("!H", len(reply)) + reply)
        await writer.drain()
        return True


def _get(cache: Cache, key: tuple[str, str]) -> Obj | None:
    return cache.get(*key) if key[0] else None


def _limit(query: Query) -> int:
    return min(query.payload or wire.UDP_MIN, wire.UDP_MAX)


def _refusal(query: Query) -> int | None:
    """Why a query is not answered at all, by its code."""
    if query.opcode != 0:
        return wire.NOTIMP
    if query.version != 0:
        return wire.BADVERS
    return None if query.cls in (wire.IN, wire.ANY) else wire.REFUSED
