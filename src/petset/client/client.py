"""Typed calls on the API over a transport.

Objects are plain dicts. Resources are named by id: `pods`, `statefulsets.apps`.
Failing answers raise `api.errors.StatusError`; no answer raises `TransportError`.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple

from petset.api.meta import MutableObj, Obj
from petset.client.transport import Transport

PatchKind = Literal["merge", "strategic", "json", "apply"]


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
        raise NotImplementedError

    async def list(
        self,
        resource: str,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
    ) -> Listed:
        """All objects that match; pages are followed when `limit` is given."""
        raise NotImplementedError

    async def create(
        self, resource: str, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> MutableObj:
        """Create `obj` (or POST it to a subresource of `name`); answers the object or Status."""
        raise NotImplementedError

    async def update(self, resource: str, obj: Obj, *, subresource: str = "") -> MutableObj:
        """Replace an object; its resourceVersion, if any, guards the write."""
        raise NotImplementedError

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        kind: PatchKind = "merge",
        subresource: str = "",
    ) -> MutableObj:
        """Patch an object."""
        raise NotImplementedError

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
        raise NotImplementedError

    def watch(
        self,
        resource: str,
        namespace: str = "",
        *,
        resource_version: str = "",
        labels: str = "",
        fields: str = "",
        bookmarks: bool = True,
        timeout_s: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        """Events after `resource_version`. An ERROR event raises its StatusError (code 410...)."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the transport."""
        await self.transport.close()
