"""watch: the changes of a collection as they happen, in the form that was negotiated."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from petset.api import table
from petset.api.errors import StatusError, expired
from petset.api.meta import MutableObj, Obj
from petset.apiserver import answer, binary, negotiate, objects, peek, selection
from petset.apiserver.answer import Include
from petset.apiserver.call import Call
from petset.apiserver.hub import Group, Watcher
from petset.apiserver.selection import Selection
from petset.apiserver.verbs import listing
from petset.apiserver.verbs.list import await_revision
from petset.apiserver.verbs.listing import Options
from petset.base.http import Headers, Reply, Stream, Writer
from petset.store.types import CompactedError, Event

BEFORE_END_S = 2.0
"""The last bookmark comes so long before the end."""
PIECE = 500
"""So many synthetic events are written at a time."""
END_ANNOTATION = "k8s.io/initial-events-end"


async def watch(call: Call) -> Reply:
    """Answer a watch request."""
    request, route = call.request, call.route
    call.format = negotiate.choose(request.headers.get("accept", ""), negotiate.WATCH)
    options = listing.of_request(request, watch=True)
    chosen = selection.of_request(request, route.resource, call.shown, route.name)
    await await_revision(call.backend.store, options.revision or 0)
    session = Session(call, options, Encoder(call, chosen, answer.include_of(call)))
    return Stream(session.run, headers=session.headers)


class Encoder:
    """Turns committed events into the bytes of one group's answers."""

    def __init__(self, call: Call, chosen: Selection, include: Include) -> None:
        self.chosen = chosen
        self.format = call.format
        self._include = include
        self._resource = call.route.resource
        self._behaviour = call.shown
        self._clock = call.backend.clock
        self._served = call.served if call.route.converts else None
        self._convert = call.outward

    @property
    def is_binary(self) -> bool:
        """Whether events are protobuf: the same pairs of type and object, as messages."""
        return self.format.media == negotiate.PROTOBUF

    @property
    def key(self) -> tuple[object, ...]:
        """Equal keys give equal bytes."""
        resource, form = self._resource, self.format
        return (resource.id, resource.version, self.chosen.text, form, self._include)

    def encode(self, events: Sequence[Event], fresh: bool) -> bytes:
        """The lines for `events`; none for those that are not selected."""
        return self.lines((pair for event in events for pair in self._seen(event)), fresh)

    def lines(self, pairs: Iterator[tuple[bytes, bytes]], fresh: bool) -> bytes:
        """Lines for pairs of event type and stored object."""
        if self.is_binary:
            return b"".join([self._frame(kind, value) for kind, value in pairs])
        if not self.format.form:
            if self._served is not None:
                served = self._served
                pairs = ((kind, served(value)) for kind, value in pairs)
            return b"".join([b'{"type":"%s","object":%s}\n' % pair for pair in pairs])
        out: list[bytes] = []
        for kind, value in pairs:
            body = self._shaped(peek.decoded(value), first=fresh and not out)
            out.append(_line(kind, body))
        return b"".join(out)

    def _frame(self, kind: bytes, value: bytes) -> bytes:
        if self.format.form:
            return binary.event_of(kind, self._shaped(peek.decoded(value), first=False))
        value = value if self._served is None else self._served(value)
        return binary.event(kind, binary.part(value))

    def bookmark(self, revision: int, *, fresh: bool, end: bool = False) -> bytes:
        """The line of a bookmark; `end` marks the end of the initial events."""
        meta: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if end:
            meta["annotations"] = {END_ANNOTATION: "true"}
        if self.format.form == "Table":
            body = self._table([], first=fresh)
            body["metadata"] = {"resourceVersion": str(revision)}
            if end:
                partial = table.partial({"metadata": meta}, self.format.version)
                body["rows"] = [{"cells": [], "object": partial}]
        else:
            resource = self._resource
            named = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
            body = named if not self.format.form else table.partial(named, self.format.version)
        return self.made(b"BOOKMARK", body)

    def made(self, kind: bytes, obj: Obj) -> bytes:
        """An event about an object that is not stored."""
        if self.is_binary:
            return binary.event_of(kind, obj)
        return _line(kind, obj)

    def _seen(self, event: Event) -> Iterator[tuple[bytes, bytes]]:
        chosen = self.chosen
        if chosen.is_everything:
            if event.deleted:
                yield b"DELETED", event.value
            else:
                yield b"ADDED" if event.previous is None else b"MODIFIED", event.value
            return
        if chosen.name and event.key.rpartition("/")[2] != chosen.name:
            return
        previous = event.value if event.deleted and not event.previous else event.previous
        before = previous is not None and chosen.accepts(previous, peek.decoded)
        after = not event.deleted and chosen.accepts(event.value, peek.decoded)
        if after:
            yield b"MODIFIED" if before else b"ADDED", event.value
        elif before and event.deleted:
            yield b"DELETED", event.value
        elif before and previous is not None:
            last = objects.decode(previous)
            yield b"DELETED", objects.at_revision(last, event.revision)

    def _outward(self, obj: Obj) -> Obj:
        return obj if self._served is None else self._convert(dict(obj))

    def _shaped(self, obj: Obj, *, first: bool) -> MutableObj:
        if self.format.form != "Table":
            return table.partial(self._outward(obj), self.format.version)
        body = self._table([obj], first=first)
        if self._served is not None and self._include == "Object":
            answer.with_objects(body, [self._outward(obj)])
        body["metadata"] = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return body

    def _table(self, objs: Sequence[Obj], *, first: bool) -> MutableObj:
        now = self._clock.now()
        body = table.render(self._behaviour, objs, now, self._include, self.format.version)
        return body if first else table.without_columns(body)


class Session:
    """One watch, from its first event to its end."""

    def __init__(self, call: Call, options: Options, encoder: Encoder) -> None:
        self._backend = call.backend
        self._options = options
        self._encoder = encoder
        self._prefix = call.route.prefix
        self._key = (self._prefix, *encoder.key)

    @property
    def headers(self) -> Headers:
        """What the answer says of itself."""
        return binary.WATCH_HEADERS if self._encoder.is_binary else answer.JSON_HEADERS

    async def run(self, writer: Writer) -> None:
        """Write until the time is up, the peer is gone or the history is."""
        loop = asyncio.get_running_loop()
        config = self._backend.config
        length = self._options.timeout_s or self._backend.ids.rng.uniform(*config.watch_timeout_s)
        deadline = loop.time() + length
        watcher = Watcher(writer, self._options.revision or self._backend.store.revision)
        try:
            async with asyncio.timeout_at(deadline + BEFORE_END_S):
                if self._wants_initial():
                    await self._initial(watcher)
                group = await self._join(watcher)
                await self._follow(watcher, group, deadline)
        except TimeoutError:
            return  # a peer that takes nothing: the time is up for it, too
        except CompactedError as error:
            writer.write(self._encoder.made(b"ERROR", _too_old(error).status()))
        finally:
            self._backend.hub.leave(self._key, watcher)

    def _wants_initial(self) -> bool:
        if self._options.initial is not None:
            return self._options.initial
        return not self._options.revision

    async def _initial(self, watcher: Watcher) -> None:
        snapshot = self._backend.store.list(self._prefix)
        chosen, encoder = self._encoder.chosen, self._encoder
        for at in range(0, len(snapshot.items), PIECE):
            values = [item.value for item in snapshot.items[at : at + PIECE]]
            if not chosen.is_everything:
                values = [value for value in values if chosen.accepts(value)]
            lines = encoder.lines(((b"ADDED", value) for value in values), watcher.fresh)
            if lines:
                watcher.writer.write(lines)
                watcher.fresh = False
            await watcher.writer.drain()
            await asyncio.sleep(0)
        watcher.position = snapshot.revision
        if self._options.initial and self._options.bookmarks:
            line = encoder.bookmark(snapshot.revision, fresh=watcher.fresh, end=True)
            watcher.writer.write(line)
            watcher.fresh = False

    async def _join(self, watcher: Watcher) -> Group:
        while True:
            encoder = self._encoder
            group = self._backend.hub.group(
                self._key, self._prefix, encoder.encode, encoder.chosen.slot
            )
            if group.catch_up(watcher):
                group.join(watcher)
                return group
            await watcher.writer.drain()
            await asyncio.sleep(0)

    async def _follow(self, watcher: Watcher, group: Group, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        bookmark_s = self._backend.config.bookmark_s
        last = deadline - BEFORE_END_S
        next_bookmark = min(loop.time() + bookmark_s, last)
        while not watcher.ended and not watcher.writer.closed:
            if watcher.behind:
                await watcher.writer.drain()
                group.catch_up(watcher)
                await asyncio.sleep(0)
                continue
            now = loop.time()
            if now >= deadline:
                return
            if now >= next_bookmark:
                self._bookmark(watcher, group)
                next_bookmark = min(now + bookmark_s, last) if now < last else deadline
            await _wait(watcher, min(next_bookmark, deadline))

    def _bookmark(self, watcher: Watcher, group: Group) -> None:
        if not self._options.bookmarks or watcher.writer.pressure:
            return
        revision = group.progress(watcher)
        watcher.writer.write(self._encoder.bookmark(revision, fresh=watcher.fresh))
        watcher.fresh = False


async def _wait(watcher: Watcher, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await watcher.wake.wait()
    except TimeoutError:
        return
    watcher.wake.clear()


def _too_old(error: CompactedError) -> StatusError:
    return expired(f"too old resource version: {error.revision} ({error.oldest})")


def _line(kind: bytes, obj: Obj) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind, orjson.dumps(obj))


def error_line(error: StatusError) -> bytes:
    """The line of an ERROR event."""
    return _line(b"ERROR", error.status())
