"""Checks that watches are whole: what each one heard is what was committed, once and in order.

Writers change labelled ConfigMaps; watchers of several scopes and selectors start at random
revisions, read at random speeds, go away and come back at the last revision they heard. What they
should hear is worked out from the store's own events, by other code than the server's.

Invariant: a watcher is told that it is too late (410) only if its revision has left the history.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

import orjson

from petset.apiserver import objects
from petset.base.http import Handler, Identity, Request, Stream
from petset.base.ids import Ids
from petset.store.types import Event, Store

ADMIN = Identity("kubernetes-admin", ("system:masters", "system:authenticated"))
NAMESPACES = ("a", "b", "c")
NAMES = 12
TIERS = ("gold", "plain", "none")
GO_BACK = 0.3
"""So often a watcher that comes back asks for what it has heard before, too."""
BUFFER_MAX = 16 * 1024
"""Bytes that a reader holds before its writer feels pressure."""


class Heard(NamedTuple):
    """One event of a watch."""

    revision: int
    type: str
    key: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What a watch is about: one namespace or all ("" ), one tier or all."""

    namespace: str = ""
    tier: str = ""

    @property
    def path(self) -> str:
        """The path to watch."""
        place = f"namespaces/{self.namespace}/" if self.namespace else ""
        return f"/api/v1/{place}configmaps"

    @property
    def query(self) -> list[tuple[str, str]]:
        """The selector to watch with."""
        return [("labelSelector", f"tier={self.tier}")] if self.tier else []


_revision = attrgetter("revision")
SCOPES = [Scope(n, t) for n in ("", *NAMESPACES) for t in ("", "gold")]


class Truth:
    """What every watch should hear, from the store's events."""

    def __init__(self, store: Store) -> None:
        self._by_scope: dict[Scope, list[Heard]] = {scope: [] for scope in SCOPES}
        self._tiers: dict[str, str] = {}
        self.close: Callable[[], None] = store.subscribe("configmaps/", self._note)

    def between(self, scope: Scope, after: int, upto: int) -> list[Heard]:
        """What a watch of `scope` from revision `after` on hears until `upto`."""
        told = self._by_scope[scope]
        low = bisect_right(told, after, key=_revision)
        return told[low : bisect_right(told, upto, low, key=_revision)]

    def count(self, scope: Scope) -> int:
        """How many events there were of `scope`."""
        return len(self._by_scope[scope])

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            _, namespace, _ = event.key.split("/")
            before = self._tiers.pop(event.key, None)
            after = None
            if not event.deleted:
                after = orjson.loads(event.value)["metadata"].get("labels", {}).get("tier", "")
                self._tiers[event.key] = after
            for scope, told in self._by_scope.items():
                if scope.namespace in ("", namespace):
                    kind = _kind(scope, before, after)
                    if kind:
                        told.append(Heard(event.revision, kind, event.key))


def _kind(scope: Scope, before: str | None, after: str | None) -> str:
    """The type of the event that a scope sees when an object's tier changes (None: not there)."""
    was = before is not None and scope.tier in ("", before)
    now = after is not None and scope.tier in ("", after)
    if was:
        return "MODIFIED" if now else "DELETED"
    return "ADDED" if now else ""


class Reader:
    """The reading side of one watch, which takes its time. A `base.http.Writer`.

    Attributes:
        closed: whether the reader went away.
        ended: whether the server has ended the watch.
    """

    def __init__(self) -> None:
        self.closed = False
        self.ended = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._relieved = asyncio.Event()
        self._readable = asyncio.Event()

    @property
    def pressure(self) -> bool:
        """Whether more is written than was read."""
        return self._size > BUFFER_MAX

    def write(self, data: bytes) -> None:
        """From the server."""
        if not self.closed:
            self._chunks.append(data)
            self._size += len(data)
            self._readable.set()

    async def drain(self) -> None:
        """For the server: wait until the pressure is gone."""
        while self.pressure and not self.closed:
            self._relieved.clear()
            await self._relieved.wait()

    async def wait_closed(self) -> None:
        """For the server: wait until the reader is gone."""
        while not self.closed:
            self._relieved.clear()
            await self._relieved.wait()

    def take(self) -> list[bytes]:
        """Whole lines that have come."""
        data = b"".join(self._chunks)
        self._chunks, self._size = [], 0
        self._readable.clear()
        self._relieved.set()
        return data.splitlines()

    def end(self) -> None:
        """The server has ended the watch."""
        self.ended = True
        self._readable.set()

    async def wait(self) -> None:
        """Wait until something has come, or the watch is over."""
        await self._readable.wait()


@dataclass
class Watcher:
    """One client: a scope, where it is, and what it heard.

    Attributes:
        late: how often it was rightly told that its revision is gone.
        faults: what is wrong, in words.
    """

    scope: Scope
    position: int
    rng: Random
    heard: int = 0
    late: int = 0
    watches: int = 0
    faults: list[str] = field(default_factory=list)


class Check:
    """A run: writers, watchers and the truth.

    Args:
        dispatch: the server.
        rng: decides everything that is random.
    """

    def __init__(self, dispatch: Handler, store: Store, rng: Random) -> None:
        self._dispatch = dispatch
        self._store = store
        self._rng = rng
        self._truth = Truth(store)
        self._final = 0
        self.watchers: list[Watcher] = []

    @property
    def deliveries(self) -> int:
        """How many events the watchers have heard, all together."""
        return sum(w.heard for w in self.watchers)

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words."""
        return [fault for watcher in self.watchers for fault in watcher.faults]

    async def run(self, deliveries: int, watchers: int, writers: int = 8) -> None:
        """Write until so many events were heard; let everybody hear the rest, and compare."""
        self.watchers = [
            Watcher(self._rng.choice(SCOPES), 0, Ids(self._rng.getrandbits(32)).rng)
            for _ in range(watchers)
        ]
        async with asyncio.TaskGroup() as group:
            writing = [group.create_task(self._write(deliveries, n)) for n in range(writers)]
            for watcher in self.watchers:
                group.create_task(self._follow(watcher))
            await asyncio.wait(writing)
            self._final = self._store.revision
            await self._mark()
        self._truth.close()

    async def _mark(self) -> None:
        """One more event for every scope, so that nobody waits for ever."""
        for namespace in NAMESPACES:
            await self._put(f"configmaps/{namespace}/last", "gold")

    async def _write(self, deliveries: int, number: int) -> None:
        rng = Ids(number).rng
        while self.deliveries < deliveries and not self.faults:
            key = f"configmaps/{rng.choice(NAMESPACES)}/{number}-{rng.randrange(NAMES)}"
            current = self._store.head(key)
            if current is not None and rng.random() < 0.2:
                last = objects.maker(objects.decode(current.value))
                await self._store.delete(key, last, expect=current.revision)
            else:
                await self._put(key, rng.choice(TIERS))
            if rng.random() < 0.02:
                await asyncio.sleep(rng.random() * 0.02)

    async def _put(self, key: str, tier: str) -> None:
        _, namespace, name = key.split("/")
        meta: dict[str, Any] = {"name": name, "namespace": namespace}
        if tier != "none":
            meta["labels"] = {"tier": tier}
        obj: dict[str, Any] = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta}
        current = self._store.head(key)
        make = objects.maker({**obj, "data": {"pad": "x" * 200}})
        await self._store.put(key, make, expect=current.revision if current else 0)

    async def _follow(self, watcher: Watcher) -> None:
        """Watch, in pieces, until the end of the run was heard."""
        low = self._store.compacted
        watcher.position = watcher.rng.randint(low, max(low, self._store.revision)) or 1
        while not self._done(watcher):
            watcher.watches += 1
            low = self._store.compacted
            if low < watcher.position and watcher.rng.random() < GO_BACK:
                watcher.position = watcher.rng.randint(max(low, 1), watcher.position)
            await self._watch_once(watcher)

    def _done(self, watcher: Watcher) -> bool:
        return bool(watcher.faults) or 0 < self._final < watcher.position

    async def _watch_once(self, watcher: Watcher) -> None:
        query = [("watch", "1"), ("resourceVersion", str(watcher.position)), *watcher.scope.query]
        query.append(("allowWatchBookmarks", "1"))
        request = Request("GET", watcher.scope.path, query, identity=ADMIN)
        reply = await self._dispatch(request)
        assert isinstance(reply, Stream), reply
        reader = Reader()
        serving = asyncio.ensure_future(reply.run(reader))
        serving.add_done_callback(lambda _: reader.end())
        try:
            await self._read(watcher, reader)
        finally:
            reader.closed = True
            serving.cancel()
            await asyncio.wait([serving])

    async def _read(self, watcher: Watcher, reader: Reader) -> None:
        rng = watcher.rng
        patience = rng.randint(1, 400)
        slow = rng.random() < 0.3
        while patience > 0 and not reader.ended and not self._done(watcher):
            await reader.wait()
            if slow:
                await asyncio.sleep(rng.random() * 0.05)
            lines = reader.take()
            if not self._take(watcher, lines):
                return
            patience -= len(lines)

    def _take(self, watcher: Watcher, lines: Sequence[bytes]) -> bool:
        """Compare what came with what should; False ends the watch."""
        heard: list[Heard] = []
        upto = watcher.position
        late = False
        for line in lines:
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                late = True
                break
            meta = event["object"]["metadata"]
            upto = int(meta["resourceVersion"])
            if event["type"] != "BOOKMARK":
                key = f"configmaps/{meta['namespace']}/{meta['name']}"
                heard.append(Heard(upto, event["type"], key))
        wanted = self._truth.between(watcher.scope, watcher.position, upto)
        if heard != wanted or upto < watcher.position:
            told = f"{watcher.scope} after {watcher.position}, until {upto}"
            watcher.faults.append(f"{told}: {heard[:9]} instead of {wanted[:9]}")
            return False
        watcher.heard += len(heard)
        watcher.position = upto
        return not (late and self._too_late(watcher))

    def _too_late(self, watcher: Watcher) -> bool:
        if watcher.position >= self._store.compacted:
            where = f"{watcher.position}, kept since {self._store.compacted}"
            watcher.faults.append(f"{watcher.scope}: told 410 at {where}")
        watcher.late += 1
        watcher.position = self._store.revision if not self._final else self._final
        return True
