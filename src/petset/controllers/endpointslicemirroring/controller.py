"""Watches and observes for the mirroring of Endpoints."""

from collections.abc import Iterable

from petset.api import meta
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.endpointslicemirroring import mirror
from petset.controllers.endpointslicemirroring.plan import Observed, plan
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

_MIRRORED = "mirrored-endpoints"


class EndpointSliceMirroring(Controller[Observed]):
    """Keeps the slices of Endpoints that users write."""

    name = "endpointslicemirroring"
    component = "endpoint-slice-mirroring-controller"

    def __init__(self, ctx: Context) -> None:
        self._services = ctx.informers.cache("services")
        self._endpoints = ctx.informers.cache("endpoints")
        self._slices = ctx.informers.cache(mirror.RESOURCE)
        self.caches = (self._services, self._slices, self._endpoints)
        self._slices.add_index(_MIRRORED, mirrored_keys)

    def watch(self, queue: Queue) -> None:
        """Endpoints and Services by themselves, own slices by the Service that they name."""

        def on_object(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.key_of(new or old or {}))

        def on_service(old: Obj | None, new: Obj | None) -> None:
            if old is None or new is None or mirror.selects(old) != mirror.selects(new):
                queue.add(meta.key_of(new or old or {}))

        def on_slice(old: Obj | None, new: Obj | None) -> None:
            for key in sorted({*mirrored_keys(old or {}), *mirrored_keys(new or {})}):
                queue.add(key)

        self._endpoints.add_handler(on_object)
        self._services.add_handler(on_service)
        self._slices.add_handler(on_slice)

    async def observe(self, key: str) -> Observed:
        """The Endpoints, their Service, and the slices that mirror them."""
        namespace, _, name = key.partition("/")
        return Observed(
            endpoints=self._endpoints.get(namespace, name),
            service=self._services.get(namespace, name),
            slices=tuple(self._slices.by_index(_MIRRORED, key)),
        )

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen)


def mirrored_keys(slice_: Obj) -> Iterable[str]:
    """Index: the key of the Endpoints that a slice of this controller mirrors."""
    name = meta.labels_of(slice_).get(mirror.SERVICE_LABEL)
    return (f"{meta.namespace_of(slice_)}/{name}",) if name and mirror.is_ours(slice_) else ()


def make(ctx: Context) -> EndpointSliceMirroring:
    """The factory for the registry."""
    return EndpointSliceMirroring(ctx)
