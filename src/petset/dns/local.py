"""The answers that a node can give by itself: encoded from the watch caches, and cached.

Invariant: a cached answer is as new as the index: every change of the index drops them all.
"""

from petset.api import meta
from petset.api.meta import Obj
from petset.client.cache import Cache
from petset.client.reflector import Informers
from petset.dns import wire
from petset.dns.answer import Reply, answer
from petset.dns.index import Index, service_of
from petset.dns.wire import Query, Record, Sections

CACHE_MAX = 4096
ROTATIONS_MAX = 8
CHAIN_MAX = 8
SLICES = "endpointslices.discovery.k8s.io"


class Rotation:
    """Encodings of one answer, its addresses in different orders, handed out in turn."""

    def __init__(self, encoded: list[bytes]) -> None:
        self._encoded = encoded
        self._next = 0

    def take(self) -> bytes:
        """The next one, without the query's id."""
        self._next = (self._next + 1) % len(self._encoded)
        return self._encoded[self._next]


class LocalAnswers:
    """What one node knows of the cluster's names.

    Args:
        informers: caches of Services and EndpointSlices; run by somebody else.
        index: the zone's records (`Index("cluster.local")`).

    Attributes:
        cached: answers over UDP by their query without its id.
    """

    def __init__(self, informers: Informers, index: Index) -> None:
        self.cached: dict[bytes, Rotation] = {}
        self._index = index
        self._services = informers.cache("services")
        self._slices = informers.cache(SLICES)
        self._slices.add_index("dns-service", lambda part: ["/".join(service_of(part))])

    @property
    def ready(self) -> bool:
        """Whether the records of the cluster are known."""
        return self._services.synced and self._slices.synced

    def follow(self) -> None:
        """Follow the caches from now on."""
        self._services.add_handler(self._on_service)
        self._slices.add_handler(self._on_slice)

    def _on_service(self, old: Obj | None, new: Obj | None) -> None:
        obj = new or old or {}
        self._refresh((meta.namespace_of(obj), meta.name_of(obj)))

    def _on_slice(self, old: Obj | None, new: Obj | None) -> None:
        for key in {service_of(part) for part in (old, new) if part is not None}:
            self._refresh(key)

    def _refresh(self, key: tuple[str, str]) -> None:
        slices = self._slices.by_index("dns-service", "/".join(key))
        if self._index.update(key, _get(self._services, key), slices):
            self.cached.clear()

    def reply(self, data: bytes, *, udp: bool) -> bytes | None:
        """The reply that needs nobody else; None when a resolver has to be asked.

        Names of the zone fail (SERVFAIL) until the caches are synced.
        """
        try:
            query = wire.parse(data)
        except wire.WireError:
            return wire.error(data, wire.FORMERR)
        limit = payload_of(query) if udp else 65535
        if (rcode := _refusal(query)) is not None:
            return wire.encode(query, rcode, Sections(), limit=limit)
        reply = self.resolve(query)
        if reply is not None and not self.ready and query.name[-1:] != ("localhost",):
            return wire.encode(query, wire.SERVFAIL, Sections(), limit=limit)
        if reply is None or reply.chase:
            return None
        encoded = _encode(query, reply, limit)
        if udp:
            if len(self.cached) >= CACHE_MAX:
                self.cached.clear()
            self.cached[data[2:]] = Rotation([e[2:] for e in encoded])
        return encoded[0]

    def resolve(self, query: Query) -> Reply | None:
        """The reply with aliases inside the zone followed; None for names that are none of ours."""
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


def _encode(query: Query, reply: Reply, limit: int) -> list[bytes]:
    sections = reply.sections
    records = list(sections.answers)
    turns = 1
    if query.type in (wire.A, wire.AAAA) and all(r.type == query.type for r in records):
        turns = min(len(records), ROTATIONS_MAX) or 1
    encoded = []
    for turn in range(turns):
        turned = Sections(records[turn:] + records[:turn], sections.authority, sections.additional)
        encoded.append(wire.encode(query, reply.rcode, turned, limit=limit))
    return encoded


def _get(cache: Cache, key: tuple[str, str]) -> Obj | None:
    return cache.get(*key) if key[0] else None


def payload_of(query: Query) -> int:
    """How many bytes an answer over UDP may have."""
    return min(query.payload or wire.UDP_MIN, wire.UDP_MAX)


def _refusal(query: Query) -> int | None:
    """Why a query is not answered at all, by its code."""
    if query.opcode != 0:
        return wire.NOTIMP
    if query.version != 0:
        return wire.BADVERS
    return None if query.cls in (wire.IN, wire.ANY) else wire.REFUSED
