"""Watches and observes for the EndpointSlice controller."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from functools import partial

from petset.api import meta
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.endpointslice import endpoint, legacy, slices
from petset.controllers.endpointslice.plan import Observed, plan
from petset.reconcile.actions import Plan, Update
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

ZONE_LABEL = "topology.kubernetes.io/zone"
MANY = 50
"""Services with this many pods batch changes of pods before they are planned."""

BATCH_S = 0.05
BATCH_MAX_S = 0.4
"""How long they wait: the longer, the longer the changes have gone on. A slice is written whole,
and everyone who watches it reads all of it again."""

LEGACY_PAUSE_S = 0.005
LEGACY_PAUSE_MAX_S = 2.0
"""Pause, for each pod, between writes of such a service's Endpoints: the object is written whole,
whatever has changed, and clients that need updates quickly read slices."""

_SERVICE = "service-key"
_FIRST = "first-selected-label"


class EndpointSlices(Controller[Observed]):
    """Keeps the slices and Endpoints of services."""

    name = "endpointslice"
    component = "endpoint-slice-controller"

    def __init__(self, ctx: Context) -> None:
        self._services = ctx.informers.cache("services")
        self._pods = ctx.informers.cache("pods")
        self._slices = ctx.informers.cache(slices.RESOURCE)
        self._endpoints = ctx.informers.cache(legacy.RESOURCE)
        self._nodes = ctx.informers.cache("nodes")
        self.caches = (self._services, self._slices, self._endpoints)
        self._slices.add_index(_SERVICE, service_keys)
        self._services.add_index(_FIRST, first_selected)
        self._deleted: set[str] = set()
        self._members: dict[str, set[str]] = {}
        self._zones: dict[str, str] = {}
        self._pods_heard = False
        self._legacy_at: dict[str, float] = {}
        self._batches: dict[str, tuple[float, float]] = {}
        self._written: dict[str, dict[tuple[str, str], Obj]] = {}

    def watch(self, queue: Queue) -> None:
        """Services by themselves, pods by selector, slices and Endpoints by their service."""

        def on_endpoints(old: Obj | None, new: Obj | None) -> None:
            key = meta.key_of(new or old or {})
            if not self._is_own(key, legacy.RESOURCE, new):
                queue.add(key)

        def on_pod(old: Obj | None, new: Obj | None) -> None:
            for key in sorted(self._services_of(old, new)):
                queue.add_after(key, self._batch_s(key))

        def on_slice(old: Obj | None, new: Obj | None) -> None:
            for key in sorted({*service_keys(old or {}), *service_keys(new or {})}):
                if not self._is_own(key, slices.RESOURCE, new):
                    queue.add(key)

        self._services.add_handler(partial(self._on_service, queue))
        self._endpoints.add_handler(on_endpoints)
        self._pods.add_handler(on_pod)
        self._pods_heard = True
        self._slices.add_handler(on_slice)
        self._nodes.add_handler(partial(self._on_node, queue))

    def _on_service(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        key = meta.key_of(new or old or {})
        if old is None or new is None or selector_of(old) != selector_of(new):
            self._select_anew(key, new)
        (self._deleted.add if new is None else self._deleted.discard)(key)
        queue.add(key)

    def _on_node(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        if _zone(old) == _zone(new):
            return
        self._zones.pop(meta.name_of(old or {}), None)
        if zone := _zone(new):
            self._zones[meta.name_of(new or {})] = zone
        for service in self._services.list():
            queue.add(meta.key_of(service))

    async def observe(self, key: str) -> Observed:
        """The service, the pods that it selects, its slices and Endpoints."""
        self._note_batch(key)
        self._written.pop(key, None)  # what is not back yet is not in this plan: it wakes the next
        namespace, _, name = key.partition("/")
        names = sorted(self._members.get(key, ()))
        found = (self._pods.get(namespace, pod) for pod in names)
        return Observed(
            service=self._services.get(namespace, name),
            pods=tuple(pod for pod in found if pod is not None),
            slices=tuple(self._slices.by_index(_SERVICE, key)),
            endpoints=self._endpoints.get(namespace, name),
            zones=self._zones,
            legacy_wait_s=max(0.0, self._legacy_at.get(key, 0.0) - _now()),
            deleted=key in self._deleted,
        )

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        made = plan(seen, now)
        for action in made.actions:
            if isinstance(action, Update):
                own = meta.key_of(action.obj)
                is_slice = action.resource == slices.RESOURCE
                for key in service_keys(action.obj) if is_slice else (own,):
                    self._written.setdefault(key, {})[action.resource, own] = action.obj
        return made

    def finish(self, key: str, seen: Observed) -> None:
        """The plan went through."""
        if seen.deleted:
            self._deleted.discard(key)
        if not seen.legacy_wait_s and len(seen.pods) >= MANY:
            pause = min(LEGACY_PAUSE_MAX_S, len(seen.pods) * LEGACY_PAUSE_S)
            self._legacy_at[key] = _now() + pause

    def _is_own(self, key: str, resource: str, new: Obj | None) -> bool:
        """Whether a change is the service's last plan's own: one more would find nothing to do."""
        if new is None:
            return False
        written = self._written.get(key, {}).pop((resource, meta.key_of(new)), None)
        return written is not None and _content(written) == _content(new)

    def _batch_s(self, key: str) -> float:
        """How long a change of a pod waits for others."""
        if len(self._members.get(key, ())) < MANY:
            return 0.0
        return self._batches.get(key, (0.0, BATCH_S))[1]

    def _note_batch(self, key: str) -> None:
        """The changes up to now are planned: those that follow soon are to wait for longer."""
        if len(self._members.get(key, ())) < MANY:
            self._batches.pop(key, None)
            return
        now = _now()
        before, pause = self._batches.get(key, (-math.inf, BATCH_S))
        soon = now - before <= 3 * pause
        self._batches[key] = (now, min(2 * pause, BATCH_MAX_S) if soon else BATCH_S)

    def _services_of(self, old: Obj | None, new: Obj | None) -> set[str]:
        """Services that a change of a pod matters to; notes which ones select it from now on."""
        if old and new and endpoint.fingerprint(old) == endpoint.fingerprint(new):
            return set()
        before = set(self._selecting(old)) if old else set()
        after = set(self._selecting(new)) if new else set()
        name = meta.name_of(new or old or {})
        for key in before - after:
            self._members.get(key, set()).discard(name)
        for key in after:
            self._members.setdefault(key, set()).add(name)
        unseen = all(pod is None or endpoint.gives_none(pod) for pod in (old, new))
        return set() if unseen else before | after

    def _selecting(self, pod: Obj) -> Iterable[str]:
        labels, namespace = meta.labels_of(pod), meta.namespace_of(pod)
        for label, value in labels.items():
            for service in self._services.by_index(_FIRST, f"{namespace}/{label}={value}"):
                if selector_of(service).items() <= labels.items():
                    yield meta.key_of(service)

    def _select_anew(self, key: str, service: Obj | None) -> None:
        """The service is new, gone, or selects other pods."""
        self._members.pop(key, None)
        if service is None:
            self._legacy_at.pop(key, None)
            self._batches.pop(key, None)
        if service is None or not selector_of(service) or not self._pods_heard:
            return
        wanted = selector_of(service).items()
        pods = self._pods.list(meta.namespace_of(service))
        chosen = (p for p in pods if wanted <= meta.labels_of(p).items())
        self._members[key] = {meta.name_of(pod) for pod in chosen}


def _content(obj: Obj) -> Obj:
    """All but what the server says of each write."""
    metadata = obj.get("metadata") or {}
    kept = {k: v for k, v in metadata.items() if k not in ("resourceVersion", "generation")}
    return {**obj, "metadata": kept}


def _now() -> float:
    return asyncio.get_running_loop().time()


def selector_of(service: Obj) -> Mapping[str, str]:
    """spec.selector, possibly empty."""
    return (service.get("spec") or {}).get("selector") or {}


def first_selected(service: Obj) -> Iterable[str]:
    """Index: the first of the labels that a service selects by: whatever it selects has it."""
    selector = selector_of(service)
    if not selector:
        return ()
    label = min(selector)
    return (f"{meta.namespace_of(service)}/{label}={selector[label]}",)


def service_keys(slice_: Obj) -> Iterable[str]:
    """Index: the key of the service that a slice names."""
    name = meta.labels_of(slice_).get(slices.SERVICE_LABEL)
    return (f"{meta.namespace_of(slice_)}/{name}",) if name else ()


def _zone(node: Obj | None) -> str:
    return meta.labels_of(node or {}).get(ZONE_LABEL, "")


def make(ctx: Context) -> EndpointSlices:
    """The factory for the registry."""
    return EndpointSlices(ctx)
