"""What a node tells of Services: its DNS and its rules, as its agent keeps them, without sockets.

Caches, index, answers and rules are the real ones, fed by informers over the node's own wire. They
begin anew with every start of the agent.
"""

import asyncio
import ipaddress
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from petset.api.meta import Obj
from petset.client.cache import Cache
from petset.client.client import Client
from petset.client.reflector import Informers
from petset.dns import wire
from petset.dns.index import Index
from petset.dns.local import SLICES, LocalAnswers
from petset.proxy.proxy import Proxy
from petset.proxy.rules import PortRule

ZONE = "cluster.local"
_HEADER = wire.HEADER.pack(0, 0x0100, 1, 0, 0, 1)
_OPT = b"\0" + struct.pack("!HHIH", wire.OPT, wire.UDP_MAX, 0, 0)
_TRUNCATED = 0x02

Hear = Callable[["NodeNames", str, Obj | None, Obj | None], None]
"""Told of a node whose caches have changed: its names, the resource, the object before and now."""


class Told(NamedTuple):
    """What DNS has answered: addresses, names, and ports with names, as text."""

    rcode: int
    texts: frozenset[str]


class NodeNames:
    """DNS and Service rules of one node.

    Args:
        name: of the node.
        client: the way to the API.
        hear: told of each change, once DNS has heard of it.

    Attributes:
        began_at: when the present life of the agent began, on the event loop's clock.
    """

    def __init__(self, name: str, client: Client, hear: Hear) -> None:
        self.name = name
        self.services, self.slices = Cache("services"), Cache(SLICES)
        self.began_at = math.inf
        self._client = client
        self._hear = hear
        self._known: LocalAnswers | None = None
        self._proxy: Proxy | None = None

    @property
    def ready(self) -> bool:
        """Whether DNS is there and knows the cluster."""
        return self._known is not None and self._known.ready

    @property
    def rules(self) -> Sequence[PortRule]:
        """The Service rules that were applied last."""
        return () if self._proxy is None else self._proxy.rules

    async def run(self) -> None:
        """One life of the agent."""
        self.began_at = asyncio.get_running_loop().time()
        informers = Informers(self._client)
        self.services, self.slices = informers.cache("services"), informers.cache(SLICES)
        known = self._known = LocalAnswers(informers, Index(ZONE))
        known.follow()
        proxy = self._proxy = Proxy(informers, self.name, _applied)
        for cache in (self.services, self.slices):
            cache.add_handler(self._handler(cache.resource))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(proxy.run())
                group.create_task(informers.run())
        finally:
            if self._known is known:  # the next life may have begun
                self._known = None

    def _handler(self, resource: str) -> Callable[[Obj | None, Obj | None], None]:
        return lambda old, new: self._hear(self, resource, old, new)

    def ask(self, name: str, kind: int) -> Told | None:
        """The answer to a question, from the cache of answers where it is there; None: silence."""
        if self._known is None:
            return None
        query = _query(name, kind)
        cached = self._known.cached.get(query[2:])
        reply = query[:2] + cached.take() if cached else self._known.reply(query, udp=True)
        if reply is not None and reply[2] & _TRUNCATED:
            reply = self._known.reply(query, udp=False)
        return None if reply is None else _told(reply)


@lru_cache(1 << 10)
def _query(name: str, kind: int) -> bytes:
    return _HEADER + wire.question(wire.name_of(name), kind) + _OPT


@lru_cache(1 << 10)
def _told(reply: bytes) -> Told:
    """What a reply says; every node of a story says much the same."""
    return Told(reply[3] & 15, frozenset(_texts(reply)))


def _texts(reply: bytes) -> Iterator[str]:
    """The answers of a reply to one question."""
    at = wire.read_name(reply, wire.HEADER.size)[1] + 4
    for _ in range(wire.HEADER.unpack_from(reply)[3]):
        at = wire.read_name(reply, at)[1]
        kind, _, _, length = struct.unpack_from("!HHIH", reply, at)
        at += 10
        match kind:
            case wire.A | wire.AAAA:
                yield str(ipaddress.ip_address(reply[at : at + length]))
            case wire.SRV:
                port = int.from_bytes(reply[at + 4 : at + 6])
                yield f"{port} {'.'.join(wire.read_name(reply, at + 6)[0])}"
            case wire.PTR | wire.CNAME:
                yield ".".join(wire.read_name(reply, at)[0])
            case _:
                yield f"a record of type {kind}"
        at += length


async def _applied(text: str) -> None:
    """There is no kernel."""
