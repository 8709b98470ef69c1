"""Watches and observes for PodDisruptionBudgets."""

from collections.abc import Iterable

from petset.api import meta, selectors
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.disruption.plan import RESOURCE, Observed, plan
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

_SCALED = {
    "StatefulSet": "statefulsets.apps",
    "ReplicaSet": "replicasets.apps",
    "Deployment": "deployments.apps",
    "ReplicationController": "replicationcontrollers",
}


class Disruption(Controller[Observed]):
    """Keeps the status of budgets."""

    name = "disruption"
    component = "controllermanager"
    workers = 1

    def __init__(self, ctx: Context) -> None:
        self._budgets = ctx.informers.cache(RESOURCE)
        self._pods = ctx.informers.cache("pods")
        self._scaled = {kind: ctx.informers.cache(name) for kind, name in _SCALED.items()}
        self.caches = (self._budgets,)

    def watch(self, queue: Queue) -> None:
        """Budgets by themselves; pods by selector; sets wake every budget of their namespace."""

        def on_budget(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.key_of(new or old or {}))

        def on_pod(old: Obj | None, new: Obj | None) -> None:
            for key in sorted({*self._budgets_of(old), *self._budgets_of(new)}):
                queue.add(key)

        def on_set(old: Obj | None, new: Obj | None) -> None:
            for budget in self._budgets.list(meta.namespace_of(new or old or {})):
                queue.add(meta.key_of(budget))

        self._budgets.add_handler(on_budget)
        self._pods.add_handler(on_pod)
        for cache in self._scaled.values():
            cache.add_handler(on_set)

    async def observe(self, key: str) -> Observed | None:
        """The budget, its pods, and the sizes that their controllers want."""
        namespace, _, name = key.partition("/")
        budget = self._budgets.get(namespace, name)
        if budget is None:
            return None
        matches = _matcher(budget)
        pods = [p for p in self._pods.list(namespace) if matches(meta.labels_of(p))]
        scales: dict[str, int] = {}
        unmanaged, unknown = False, ""
        for pod in pods:
            scale = self._scale(pod)
            if scale is not None:
                scales[scale[0]] = scale[1]
            elif meta.controller_of(pod) is None:
                unmanaged = True
            else:
                unknown = unknown or meta.name_of(pod)
        return Observed(budget, pods, scales, unmanaged, unknown)

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _scale(self, pod: Obj) -> tuple[str, int] | None:
        """(uid, wanted size) of the set behind a pod; a Deployment's in place of its part's."""
        found = self._controller(pod)
        above = self._controller(found) if found is not None else None
        owner = above or found
        if owner is None:
            return None
        replicas = (owner.get("spec") or {}).get("replicas")
        return meta.uid_of(owner), 1 if replicas is None else int(replicas)

    def _controller(self, obj: Obj) -> Obj | None:
        reference = meta.controller_of(obj) or {}
        cache = self._scaled.get(str(reference.get("kind")))
        if cache is None:
            return None
        found = cache.get(meta.namespace_of(obj), str(reference.get("name")))
        return found if found and meta.uid_of(found) == reference.get("uid") else None

    def _budgets_of(self, pod: Obj | None) -> Iterable[str]:
        for budget in self._budgets.list(meta.namespace_of(pod)) if pod is not None else ():
            if _matcher(budget)(meta.labels_of(pod or {})):
                yield meta.key_of(budget)


def _matcher(budget: Obj) -> selectors.Predicate:
    return selectors.from_object((budget.get("spec") or {}).get("selector")).matches


def make(ctx: Context) -> Disruption:
    """The factory for the registry."""
    return Disruption(ctx)
