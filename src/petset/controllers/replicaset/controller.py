"""Watches and observes for the ReplicaSet controller."""

from collections.abc import Iterable

from petset.api import meta
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.replicaset.plan import RESOURCE, Observed, plan, wants_adoption
from petset.controllers.replicaset.spec import KIND, read
from petset.reconcile import observing
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller


class ReplicaSets(Controller[Observed]):
    """Keeps the number of pods of ReplicaSets."""

    name = "replicaset"
    component = "replicaset-controller"

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._sets = ctx.informers.cache(RESOURCE)
        self._pods = ctx.informers.cache("pods")
        self.caches = (self._sets, self._pods)
        observing.index_owned(self._sets)
        observing.index_owned(self._pods, orphans=True)

    def watch(self, queue: Queue) -> None:
        """Sets by themselves; pods by owner, orphans by selector."""

        def on_set(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.key_of(new or old or {}))

        def on_pod(old: Obj | None, new: Obj | None) -> None:
            for pod in (old, new):
                if pod is not None:
                    for key in self._sets_of_pod(pod, going=new is None):
                        queue.add(key)

        self._sets.add_handler(on_set)
        self._pods.add_handler(on_pod)

    async def observe(self, key: str) -> Observed | None:
        """The set, its pods, the orphans beside it, and the pods of its siblings."""
        namespace, _, name = key.partition("/")
        found = self._sets.get(namespace, name)
        if found is None:
            return None
        pods = (
            *self._pods.by_index(observing.OWNER, meta.uid_of(found)),
            *self._pods.by_index(observing.ORPHAN, namespace),
        )
        related = tuple(pod for uid in self._siblings(found) for pod in self._owned(uid))
        may_adopt = wants_adoption(found, pods) and await observing.is_there(
            self._client, RESOURCE, found
        )
        return Observed(found, pods, related, may_adopt)

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _owned(self, uid: str) -> Iterable[Obj]:
        return self._pods.by_index(observing.OWNER, uid)

    def _siblings(self, found: Obj) -> Iterable[str]:
        """Uids of the sets with the same controller, its own among them."""
        controller = meta.controller_of(found)
        if controller is None:
            return (meta.uid_of(found),)
        return map(meta.uid_of, self._sets.by_index(observing.OWNER, str(controller.get("uid"))))

    def _sets_of_pod(self, pod: Obj, *, going: bool) -> Iterable[str]:
        namespace, controller = meta.namespace_of(pod), meta.controller_of(pod)
        if controller is not None:
            if controller.get("kind") == KIND:
                yield f"{namespace}/{controller.get('name')}"
        elif not going:
            for found in self._sets.list(namespace):
                if read(found).matches(pod):
                    yield meta.key_of(found)


def make(ctx: Context) -> ReplicaSets:
    """The factory for the registry."""
    return ReplicaSets(ctx)
