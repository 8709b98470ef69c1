"""Watches and observes for the garbage collector."""

from functools import partial

from petset.api import errors, meta, registry
from petset.api.apps.v1.setoptions import FINALIZER as ORDERED
from petset.api.meta import Obj
from petset.api.resource import Resource
from petset.client.cache import Cache
from petset.client.queue import Queue
from petset.controllers.garbage.graph import Graph, key_for, owner_uids, split_key
from petset.controllers.garbage.plan import (
    FOREGROUND,
    ORPHAN,
    Dependent,
    Observed,
    Owner,
    finalizers_of,
    plan,
)
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

IGNORED = frozenset({"events", "events.events.k8s.io"})
"""Events have no owners, and there are many of them."""


class Garbage(Controller[Observed]):
    """Deletes what has lost its owners.

    The caches are asked for when the work starts, not before: nothing waits for them.
    """

    name = "garbage"
    component = "garbage-collector-controller"

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._informers = ctx.informers
        self._caches = dict[str, Cache]()
        self._graph = Graph()

    def watch(self, queue: Queue) -> None:
        """Every object that comes with owners, loses one, or waits for its dependents."""
        for resource_id in watched():
            cache = self._informers.cache(resource_id)
            self._caches[resource_id] = cache
            cache.add_handler(partial(self._changed, queue, resource_id))

    async def observe(self, key: str) -> Observed | None:
        """The object, what became of its owners, and its dependents."""
        for cache in self._caches.values():
            await cache.wait_synced()
        resource, namespace, name = split_key(key)
        obj = self._caches[resource].get(namespace, name)
        if obj is None:
            return None
        orphans = meta.is_deleting(obj) and ORPHAN in finalizers_of(obj)
        dependents = await self._live_dependents(obj) if orphans else self._dependents(obj)
        states = () if meta.is_deleting(obj) else [await self._state(obj, o) for o in owners(obj)]
        return Observed(resource, obj, tuple(states), tuple(dependents))

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        del now
        return plan(seen)

    def _dependents(self, obj: Obj) -> list[Dependent]:
        keys = self._graph.dependents_of(meta.uid_of(obj))
        pairs = ((split_key(key)[0], self._find(key)) for key in keys)
        return [Dependent(resource, found) for resource, found in pairs if found is not None]

    async def _live_dependents(self, obj: Obj) -> list[Dependent]:
        """A live look: an orphan that is missed here would be deleted later."""
        uid, namespace = meta.uid_of(obj), meta.namespace_of(obj)
        found = []
        for resource in watched():
            if not namespace or registry.by_id(resource).namespaced:
                listed = await self._client.list(resource, namespace)
                found += [Dependent(resource, o) for o in listed.items if uid in owner_uids(o)]
        return found

    def _changed(self, queue: Queue, resource: str, old: Obj | None, new: Obj | None) -> None:
        self._graph.change(resource, old, new)
        if new is None:
            self._gone(queue, old or {})
            return
        waits = {FOREGROUND, ORPHAN} & set(finalizers_of(new))
        if meta.is_deleting(new) and waits:
            queue.add(key_for(resource, new))
            for key in self._graph.dependents_of(meta.uid_of(new)) if FOREGROUND in waits else ():
                queue.add(key)
        elif owners(new) and (old is None or owners(old) != owners(new)):
            queue.add(key_for(resource, new))
        if old is not None and owners(old) != owners(new):
            self._wake_waiting(queue, old)

    def _gone(self, queue: Queue, obj: Obj) -> None:
        for key in self._graph.dependents_of(meta.uid_of(obj)):
            queue.add(key)
        self._wake_waiting(queue, obj)

    def _wake_waiting(self, queue: Queue, obj: Obj) -> None:
        """An owner may wait for this object to let go of it."""
        for uid in owner_uids(obj):
            key = self._graph.key_of(uid)
            owner = self._find(key) if key is not None else None
            if key is not None and owner is not None and meta.is_deleting(owner):
                queue.add(key)

    def _find(self, key: str) -> Obj | None:
        resource, namespace, name = split_key(key)
        return self._caches[resource].get(namespace, name)

    async def _state(self, obj: Obj, reference: Obj) -> Owner:
        """What became of one owner: from the caches if it is there, else by a live look."""
        uid = str(reference.get("uid"))
        if self._graph.is_absent(uid):
            return Owner.ABSENT
        kind = registry.by_api_version(
            reference.get("apiVersion") or "", reference.get("kind") or ""
        )
        if kind is None or (kind.namespaced and not meta.namespace_of(obj)):
            return Owner.UNKNOWN
        key = self._graph.key_of(uid)
        owner = self._find(key) if key is not None else None
        if owner is None or not _is_reachable(kind, obj, owner):
            owner = await self._look(kind, obj, reference)
        if owner is None:
            self._graph.note_absent(uid)
            return Owner.ABSENT
        finalizers = finalizers_of(owner)
        waits = meta.is_deleting(owner) and FOREGROUND in finalizers
        held = ORDERED in finalizers  # its own controller stops its dependents, in order
        return Owner.WAITING if waits and not held else Owner.SOLID

    async def _look(self, kind: Resource, obj: Obj, reference: Obj) -> Obj | None:
        namespace = meta.namespace_of(obj) if kind.namespaced else ""
        try:
            found = await self._client.get(kind.id, str(reference.get("name")), namespace)
        except errors.StatusError as error:
            if error.code == 404:
                return None
            raise
        return found if meta.uid_of(found) == reference.get("uid") else None


def watched() -> list[str]:
    """Ids of the resources that are looked after, each stored one once."""
    return sorted(
        {
            resource.id
            for resource in registry.RESOURCES
            if {"list", "watch", "delete"} <= set(resource.verbs)
            and registry.storage(resource) is resource
        }
        - IGNORED
    )


def owners(obj: Obj) -> tuple[Obj, ...]:
    """The owner references of an object."""
    return tuple(meta.owners_of(obj))


def _is_reachable(kind: Resource, obj: Obj, owner: Obj) -> bool:
    return not kind.namespaced or meta.namespace_of(owner) == meta.namespace_of(obj)


def make(ctx: Context) -> Garbage:
    """The factory for the registry."""
    return Garbage(ctx)
