"""Watches and observes for the namespace controller."""

import asyncio

from petset.api import meta, registry
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.namespace.plan import (
    ACCOUNT,
    ACCOUNTS,
    CA_MAP,
    CONFIG_MAPS,
    RESOURCE,
    Observed,
    plan,
)
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

CLAIMS = "persistentvolumeclaims"
IGNORED = frozenset({"events.events.k8s.io"})


class Namespaces(Controller[Observed]):
    """Creates the default objects of namespaces and empties terminating ones."""

    name = "namespace"
    component = "namespace-controller"

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._ca_text = ctx.config.ca_text
        self._namespaces = ctx.informers.cache(RESOURCE)
        self._accounts = ctx.informers.cache(ACCOUNTS)
        self._config_maps = ctx.informers.cache(CONFIG_MAPS)
        self._pods = ctx.informers.cache("pods")
        self._claims = ctx.informers.cache(CLAIMS)
        self.caches = (self._namespaces, self._accounts, self._config_maps)

    def watch(self, queue: Queue) -> None:
        """Namespaces; their default objects; deletions in terminating ones."""

        def on_namespace(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.name_of(new or old or {}))

        def on_furniture(old: Obj | None, new: Obj | None) -> None:
            if old is not None and meta.name_of(old) in (ACCOUNT, CA_MAP):
                queue.add(meta.namespace_of(old))

        def on_content(old: Obj | None, new: Obj | None) -> None:
            if new is None and old is not None and self._is_going(meta.namespace_of(old)):
                queue.add(meta.namespace_of(old))

        self._namespaces.add_handler(on_namespace)
        self._accounts.add_handler(on_furniture)
        self._config_maps.add_handler(on_furniture)
        for cache in (self._pods, self._claims, self._accounts, self._config_maps):
            cache.add_handler(on_content)

    async def observe(self, key: str) -> Observed | None:
        """The namespace, its default objects, and, if it is terminating, what is left in it."""
        namespace = self._namespaces.get("", key)
        if namespace is None:
            return None
        content = await self._content(key) if meta.is_deleting(namespace) else {}
        return Observed(
            namespace,
            self._accounts.get(key, ACCOUNT),
            self._config_maps.get(key, CA_MAP),
            self._ca_text,
            content,
        )

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _is_going(self, name: str) -> bool:
        return meta.is_deleting(self._namespaces.get("", name) or {})

    async def _content(self, namespace: str) -> dict[str, list[Obj]]:
        """A live look at all that is in a namespace."""
        names = emptied()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._client.list(name, namespace)) for name in names]
        listed = ((name, task.result().items) for name, task in zip(names, tasks, strict=True))
        return {name: list(items) for name, items in listed if items}


def emptied() -> list[str]:
    """Ids of the namespaced resources whose objects go with their namespace; pods first."""
    found = {
        resource.id
        for resource in registry.RESOURCES
        if resource.namespaced
        and {"list", "delete"} <= set(resource.verbs)
        and registry.storage(resource) is resource
    }
    return sorted(found - IGNORED, key=lambda name: (name != "pods", name == "events", name))


def make(ctx: Context) -> Namespaces:
    """The factory for the registry."""
    return Namespaces(ctx)
