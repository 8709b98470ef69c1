"""A local copy of a resource, kept up to date by a reflector.

Invariant: objects in the cache are shared; nobody mutates them.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from petset.api import meta
from petset.api.meta import Obj

Handler = Callable[[Obj | None, Obj | None], None]
"""Told (old, new) of each change: old None = added, new None = deleted."""

IndexFunction = Callable[[Obj], Iterable[str]]


class _Index:
    """Objects by the texts that one function gives."""

    def __init__(self, function: IndexFunction) -> None:
        self.function = function
        self.buckets: dict[str, dict[str, Obj]] = {}

    def change(self, key: str, old: Obj | None, new: Obj | None) -> None:
        """File `new` where `old` was filed."""
        if old is not None and new is not None:
            values = tuple(self.function(old))
            if values == tuple(self.function(new)):
                for value in values:
                    self.buckets[value][key] = new
                return
        if old is not None:
            for value in self.function(old):
                bucket = self.buckets.get(value)
                if bucket is not None and bucket.pop(key, None) is not None and not bucket:
                    del self.buckets[value]
        if new is not None:
            for value in self.function(new):
                self.buckets.setdefault(value, {})[key] = new

    def get(self, value: str) -> Sequence[Obj]:
        """Objects under `value`, in key order."""
        return _in_order(self.buckets.get(value, {}))

    def count(self, value: str) -> int:
        """How many objects are under `value`."""
        return len(self.buckets.get(value, ()))


def _in_order(objects: Mapping[str, Obj]) -> list[Obj]:
    return [objects[key] for key in sorted(objects)]


def _nothing() -> None:
    """The refresh of a cache that nobody fills."""


def _namespaces(obj: Obj) -> Iterable[str]:
    return (meta.namespace_of(obj),)


class Cache:
    """Objects of one resource by `namespace/name`, with named indexes.

    Attributes:
        resource: id of the resource (`pods`).
        synced: whether the first list has been taken in.
        asked_at: when the last list that was taken in was asked for, on the event loop's clock.
        refresh: asks whoever fills the cache to list again.
    """

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.synced = False
        self.resource_version = ""
        self.asked_at = -math.inf
        self.refresh: Callable[[], None] = _nothing
        self._objects: dict[str, Obj] = {}
        self._ordered: list[Obj] | None = None
        self._namespaces = _Index(_namespaces)
        self._indexes: dict[str, _Index] = {}
        self._handlers: list[Handler] = []
        self._synced_event = asyncio.Event()

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep index `name`: objects by each of the texts that `function` gives.

        Naming an index that is there already keeps the first one: readers of one process share it.
        """
        if name in self._indexes:
            return
        index = self._indexes[name] = _Index(function)
        for key, obj in self._objects.items():
            index.change(key, None, obj)

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of what is there already (as added) and of every later change."""
        self._handlers.append(handler)
        for obj in self.list():
            handler(None, obj)

    def get(self, namespace: str, name: str) -> Obj | None:
        """One object; namespace "" for cluster-scoped resources."""
        return self._objects.get(f"{namespace}/{name}" if namespace else name)

    def list(self, namespace: str | None = None) -> Sequence[Obj]:
        """All objects, or those of one namespace, in key order."""
        if namespace is not None:
            return self._namespaces.get(namespace)
        if self._ordered is None:
            self._ordered = _in_order(self._objects)
        return self._ordered.copy()

    def by_index(self, name: str, value: str) -> Sequence[Obj]:
        """The objects that index `name` files under `value`, in key order."""
        return self._indexes[name].get(value)

    def count(self, name: str, value: str) -> int:
        """How many objects index `name` files under `value`."""
        return self._indexes[name].count(value)

    def replace(
        self, items: Iterable[Obj], resource_version: str, asked_at: float = -math.inf
    ) -> None:
        """Take in a whole list; handlers hear the differences."""
        new = {meta.key_of(item): item for item in items}
        changes: list[tuple[Obj | None, Obj | None]] = []
        for key in [key for key in self._objects if key not in new]:
            changes.append((self._objects[key], None))
            self._set(key, None)
        for key, obj in new.items():
            old = self._objects.get(key)
            if old is None or meta.version_of(old) != meta.version_of(obj):
                changes.append((old, obj))
                self._set(key, obj)
        self.resource_version = resource_version
        self.asked_at = asked_at
        self.synced = True
        self._synced_event.set()
        for before, after in changes:
            self._tell(before, after)

    def apply(self, kind: str, obj: Obj) -> None:
        """Take in one watch event (ADDED, MODIFIED, DELETED)."""
        key = meta.key_of(obj)
        old = self._objects.get(key)
        self.resource_version = meta.version_of(obj) or self.resource_version
        if kind == "DELETED":
            if old is not None:
                self._set(key, None)
                self._tell(obj, None)
            return
        self._set(key, obj)
        self._tell(old, obj)

    async def wait_synced(self) -> None:
        """Wait until the first list has been taken in."""
        await self._synced_event.wait()

    def _set(self, key: str, obj: Obj | None) -> None:
        old = self._objects.get(key)
        if obj is None:
            del self._objects[key]
        else:
            self._objects[key] = obj
        self._ordered = None
        self._namespaces.change(key, old, obj)
        for index in self._indexes.values():
            index.change(key, old, obj)

    def _tell(self, old: Obj | None, new: Obj | None) -> None:
        for handler in tuple(self._handlers):
            handler(old, new)
