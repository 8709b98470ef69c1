"""Watches and observes for the Deployment controller."""

from collections.abc import Iterable

from petset.api import meta
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.deployment import sets
from petset.controllers.deployment.plan import RESOURCE, Observed, plan, wants_adoption
from petset.controllers.deployment.spec import KIND, is_rolling, read
from petset.reconcile import observing
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller


class Deployments(Controller[Observed]):
    """Reconciles Deployments."""

    name = "deployment"
    component = "deployment-controller"

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._deployments = ctx.informers.cache(RESOURCE)
        self._sets = ctx.informers.cache(sets.RESOURCE)
        self._pods = ctx.informers.cache("pods")
        self.caches = (self._deployments, self._sets, self._pods)
        observing.index_owned(self._sets)
        observing.index_owned(self._pods)

    def watch(self, queue: Queue) -> None:
        """Deployments by themselves, sets by owner and selector, pods that Recreate waits for."""

        def on_deployment(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.key_of(new or old or {}))

        def on_set(old: Obj | None, new: Obj | None) -> None:
            for rs in (old, new):
                if rs is not None:
                    for key in self._deployments_of_set(rs, going=new is None):
                        queue.add(key)

        def on_pod(old: Obj | None, new: Obj | None) -> None:
            pod = new or old or {}
            if (found := self._recreating(pod)) is not None:
                queue.add(meta.key_of(found))

        self._deployments.add_handler(on_deployment)
        self._sets.add_handler(on_set)
        self._pods.add_handler(on_pod)

    async def observe(self, key: str) -> Observed | None:
        """The deployment, the sets of its namespace, and for Recreate the pods of its own sets."""
        namespace, _, name = key.partition("/")
        found = self._deployments.get(namespace, name)
        if found is None:
            return None
        beside = {meta.name_of(rs): rs for rs in self._sets.list(namespace)}
        pods: tuple[Obj, ...] = ()
        if not is_rolling(found):
            owned = self._sets.by_index(observing.OWNER, meta.uid_of(found))
            pods = tuple(
                p for rs in owned for p in self._pods.by_index(observing.OWNER, meta.uid_of(rs))
            )
        may_adopt = wants_adoption(found, beside.values()) and await observing.is_there(
            self._client, RESOURCE, found
        )
        return Observed(found, beside, pods, may_adopt)

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _deployments_of_set(self, rs: Obj, *, going: bool) -> Iterable[str]:
        namespace, controller = meta.namespace_of(rs), meta.controller_of(rs)
        if controller is not None:
            if controller.get("kind") == KIND:
                yield f"{namespace}/{controller.get('name')}"
        elif not going:
            for found in self._deployments.list(namespace):
                if read(found).matches(rs):
                    yield meta.key_of(found)

    def _recreating(self, pod: Obj) -> Obj | None:
        """The deployment of type Recreate that the pod belongs to, if any."""
        namespace = meta.namespace_of(pod)
        owner = meta.controller_of(pod) or {}
        rs = self._sets.get(namespace, str(owner.get("name")))
        parent = None if rs is None else meta.controller_of(rs)
        if owner.get("kind") != "ReplicaSet" or parent is None or parent.get("kind") != KIND:
            return None
        found = self._deployments.get(namespace, str(parent.get("name")))
        return None if found is None or is_rolling(found) else found


def make(ctx: Context) -> Deployments:
    """The factory for the registry."""
    return Deployments(ctx)
