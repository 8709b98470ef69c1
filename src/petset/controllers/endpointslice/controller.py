"""Watches and observes for the EndpointSlice controller."""

from collections.abc import Iterable

from petset.api import meta, selectors
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.endpointslice import endpoint, legacy, slices
from petset.controllers.endpointslice.plan import Observed, plan
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

ZONE_LABEL = "topology.kubernetes.io/zone"
_SERVICE = "service-key"


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

    def watch(self, queue: Queue) -> None:
        """Services by themselves, pods by selector, slices and Endpoints by their service."""

        def on_service(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.key_of(new or old or {}))

        def on_pod(old: Obj | None, new: Obj | None) -> None:
            for key in self._services_of(old, new):
                queue.add(key)

        def on_slice(old: Obj | None, new: Obj | None) -> None:
            for key in {*service_keys(old or {}), *service_keys(new or {})}:
                queue.add(key)

        def on_node(old: Obj | None, new: Obj | None) -> None:
            for service in self._services.list() if _zone(old) != _zone(new) else ():
                queue.add(meta.key_of(service))

        self._services.add_handler(on_service)
        self._endpoints.add_handler(on_service)
        self._pods.add_handler(on_pod)
        self._slices.add_handler(on_slice)
        self._nodes.add_handler(on_node)

    async def observe(self, key: str) -> Observed:
        """The service, its namespace's pods, its slices and Endpoints."""
        namespace, _, name = key.partition("/")
        service = self._services.get(namespace, name)
        return Observed(
            service=service,
            pods=() if service is None else tuple(self._pods.list(namespace)),
            slices=tuple(self._slices.by_index(_SERVICE, key)),
            endpoints=self._endpoints.get(namespace, name),
            zones={meta.name_of(n): zone for n in self._nodes.list() if (zone := _zone(n))},
        )

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _services_of(self, old: Obj | None, new: Obj | None) -> set[str]:
        """Services that a change of a pod matters to."""
        if old and new and endpoint.fingerprint(old) == endpoint.fingerprint(new):
            return set()
        return {key for pod in (old, new) if pod is not None for key in self._selecting(pod)}

    def _selecting(self, pod: Obj) -> Iterable[str]:
        for service in self._services.list(meta.namespace_of(pod)):
            selector = (service.get("spec") or {}).get("selector")
            if selector and selectors.from_labels(selector).matches(meta.labels_of(pod)):
                yield meta.key_of(service)


def service_keys(slice_: Obj) -> Iterable[str]:
    """Index: the key of the service that a slice names."""
    name = meta.labels_of(slice_).get(slices.SERVICE_LABEL)
    return (f"{meta.namespace_of(slice_)}/{name}",) if name else ()


def _zone(node: Obj | None) -> str:
    return meta.labels_of(node or {}).get(ZONE_LABEL, "")


def make(ctx: Context) -> EndpointSlices:
    """The factory for the registry."""
    return EndpointSlices(ctx)
