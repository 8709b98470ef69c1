"""Typed calls on the API over a transport.

Objects are plain dicts. Resources are named by id: `pods`, `statefulsets.apps`.
Failing answers raise `api.errors.StatusError`; no answer raises `TransportError`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from petset.api import errors, meta, registry
from petset.api.meta import MutableObj, Obj
from petset.base.http import Response
from petset.client.transport import Transport, TransportError

PatchKind = Literal["merge", "strategic", "json", "apply"]

JSON = "application/json"
PATCH_TYPES: dict[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}

PREPARED_AT_ONCE = 50
"""List items prepared per turn of the event loop."""

Query = list[tuple[str, str]]
Prepare = Callable[[MutableObj], None]


class Listed(NamedTuple):
    """A list answer: its items and the resourceVersion it was consistent at."""

    items: list[MutableObj]
    resource_version: str


class WatchEvent(NamedTuple):
    """One watch event: ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    obj: MutableObj


class Client:
    """The verbs of the API."""

    def __init__(self, transport: Transport, *, manager: str) -> None:
        """Args: manager: name given as fieldManager of every write."""
        self.transport = transport
        self.manager = manager

    async def get(
        self, resource: str, name: str, namespace: str = "", *, subresource: str = ""
    ) -> MutableObj:
        """One object."""
        path = registry.by_id(resource).path(namespace, name, subresource)
        return await self._call("GET", path)

    async def list(
        self,
        resource: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        prepare: Prepare | None = None,
    ) -> Listed:
        """All objects that match; pages are followed when `limit` is given.

        `prepare` changes each item when its page has come, before the next one is asked for.
        Items carry kind and apiVersion, which list answers leave out. If the pages expire on the
        way, the list is read again in one piece.
        """
        path = registry.by_id(resource).path(namespace)
        selectors = _selectors(labels, fields)
        try:
            return await self._pages(path, selectors, limit, prepare)
        except errors.StatusError as error:
            if error.code != 410 or not limit:
                raise
        return await self._pages(path, selectors, 0, prepare)

    async def create(
        self, resource: str, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> MutableObj:
        """Create `obj` (or POST it to a subresource of `name`); answers the object or Status."""
        namespace = namespace or meta.namespace_of(obj)
        path = registry.by_id(resource).path(namespace, name if subresource else "", subresource)
        return await self._call("POST", path, self._managed(), orjson.dumps(obj))

    async def update(self, resource: str, obj: Obj, *, subresource: str = "") -> MutableObj:
        """Replace an object; its resourceVersion, if any, guards the write."""
        where = (meta.namespace_of(obj), meta.name_of(obj), subresource)
        path = registry.by_id(resource).path(*where)
        return await self._call("PUT", path, self._managed(), orjson.dumps(obj))

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = "merge",
        subresource: str = "",
        force: bool = False,
    ) -> MutableObj:
        """Patch an object. `force` takes over conflicting fields (kind "apply" only)."""
        path = registry.by_id(resource).path(namespace, name, subresource)
        query = self._managed()
        if force:
            query.append(("force", "true"))
        return await self._call("PATCH", path, query, orjson.dumps(patch), PATCH_TYPES[kind])

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_s: int | None = None,
        propagation: str = "",
    ) -> MutableObj:
        """Delete an object; `uid` and `resource_version` are preconditions."""
        options: MutableObj = {"kind": "DeleteOptions", "apiVersion": "v1"}
        guards = {"uid": uid, "resourceVersion": resource_version}
        if held := {key: value for key, value in guards.items() if value}:
            options["preconditions"] = held
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        if propagation:
            options["propagationPolicy"] = propagation
        path = registry.by_id(resource).path(namespace, name)
        return await self._call("DELETE", path, (), orjson.dumps(options))

    async def watch(
        self,
        resource: str,
        namespace: str = "",
        *,
        resource_version: str = "",
        labels: str = "",
        fields: str = "",
        bookmarks: bool = True,
        timeout_s: int = 0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version`. An ERROR event raises its StatusError (code 410...).

        Ends when the server ends the watch. Close it (`contextlib.aclosing`) to end it earlier.
        """
        query = [("watch", "true"), *_selectors(labels, fields)]
        if resource_version:
            query.append(("resourceVersion", resource_version))
        if bookmarks:
            query.append(("allowWatchBookmarks", "true"))
        if timeout_s:
            query.append(("timeoutSeconds", str(timeout_s)))
        chunks = self.transport.stream(registry.by_id(resource).path(namespace), query=query)
        try:
            async for line in _lines(chunks):
                yield _event(line)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()

    async def _pages(
        self, path: str, selectors: Query, limit: int, prepare: Prepare | None
    ) -> Listed:
        items: list[MutableObj] = []
        token = ""
        while True:
            query = [*selectors, ("limit", str(limit))] if limit else list(selectors)
            if token:
                query.append(("continue", token))
            page = await self._call("GET", path, query)
            found = _with_kind(page)
            if prepare is not None:
                for index, item in enumerate(found):
                    prepare(item)
                    if index % PREPARED_AT_ONCE == PREPARED_AT_ONCE - 1:
                        await asyncio.sleep(0)
            items += found
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token:
                return Listed(items, metadata.get("resourceVersion") or "")
            await asyncio.sleep(0)  # a server in the same process answers without ever waiting

    def _managed(self) -> Query:
        return [("fieldManager", self.manager)]

    async def _call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = JSON,
    ) -> MutableObj:
        response = await self.transport.request(
            method, path, query=query, body=body, content_type=content_type if body else ""
        )
        return decode(response)


def decode(response: Response) -> MutableObj:
    """The object of an answer. Raises StatusError for a failing one."""
    raw = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if response.status >= 300:
        raise failure(response.status, raw)
    body = _json(raw)
    if not isinstance(body, dict):
        raise TransportError(f"the server's {response.status} answer is no JSON object")
    return body


def failure(status: int, raw: bytes) -> errors.StatusError:
    """The error of a failing answer; one that is no Status is told by its text."""
    body = _json(raw)
    if isinstance(body, dict) and body.get("kind") == "Status":
        return errors.from_status(body, status)
    text = raw.decode("utf-8", "replace").strip()[:500]
    return errors.StatusError(status, "", text or f"the server answered {status}")


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _selectors(labels: str, fields: str) -> Query:
    pairs = (("labelSelector", labels), ("fieldSelector", fields))
    return [(name, value) for name, value in pairs if value]


def _with_kind(page: MutableObj) -> list[MutableObj]:
    """The items of a list answer, each with kind and apiVersion first."""
    kind, version = page.get("kind", "").removesuffix("List"), page.get("apiVersion", "")
    return [{"kind": kind, "apiVersion": version, **item} for item in page.get("items") or ()]


def _event(line: bytes) -> WatchEvent:
    try:
        event = orjson.loads(line)
        kind, obj = event["type"], event["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise TransportError(f"a watch event cannot be read: {error}") from error
    if kind == "ERROR":
        raise errors.from_status(obj, 500)
    return WatchEvent(kind, obj)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Whole lines of a body that comes in pieces cut anywhere."""
    rest: list[bytes] = []
    async for chunk in chunks:
        first, *more = chunk.split(b"\n")
        rest.append(first)
        for line in more:
            whole = b"".join(rest)
            rest = [line]
            if whole.strip():
                yield whole
    if any(piece.strip() for piece in rest):
        raise TransportError("the watch ended inside an event")
