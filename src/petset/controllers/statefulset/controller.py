"""Watches and observes for the StatefulSet controller."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from petset.api import meta, selectors
from petset.api.meta import Obj
from petset.client.cache import Handler
from petset.client.queue import Queue
from petset.controllers.statefulset import (
    backoff,
    growth,
    identity,
    rollout,
    storage,
    trouble,
)
from petset.controllers.statefulset.backoff import Failure
from petset.controllers.statefulset.plan import RESOURCE, Observed, plan, wants_adoption
from petset.controllers.statefulset.spec import read
from petset.controllers.statefulset.world import healthy
from petset.reconcile import observing, owners, podtemplate, revisions
from petset.reconcile.actions import Action, Delete, Parallel, Plan, Reported, Sequence
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller
from petset.reconcile.metrics import Sample

_GAUGE = "statefulset_controller_statefulset"
_OWNED = "statefulset-owned"
VACANT_S = 0.1
"""How long a name stays free after somebody else deleted its pod.

`kubectl delete` gets the pod and then lists it by its name: if a new one came between the two, it
would wait for the end of the new one.
"""


class StatefulSets(Controller[Observed]):
    """Reconciles StatefulSets."""

    name = "statefulset"
    component = "statefulset-controller"

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._sets = ctx.informers.cache(RESOURCE)
        self._pods = ctx.informers.cache("pods")
        self._claims = ctx.informers.cache(storage.RESOURCE)
        self._revisions = ctx.informers.cache(revisions.RESOURCE)
        self._classes = ctx.informers.cache(growth.CLASSES)
        self.caches = (self._sets, self._pods, self._claims, self._revisions, self._classes)
        self._clock = ctx.clock
        self._failures: dict[str, dict[int, Failure]] = {}
        self._waiting: dict[str, dict[str, float]] = {}
        self._ended: set[str] = set()
        self._vacant: dict[str, dict[str, float]] = {}
        observing.index_owned(self._pods, orphans=True)
        self._claims.add_index(_OWNED, storage.owning_sets)
        ctx.metrics.add(self._gauges)

    def _gauges(self) -> Iterator[Sample]:
        """Upstream's gauges of sets that are rolled: how many pods may be missing, and are."""
        now = self._clock.now()
        for spec in map(read, self._sets.list()):
            if spec.strategy != "RollingUpdate":
                continue
            labels = {
                "statefulset_namespace": spec.namespace,
                "statefulset_name": spec.name,
                "pod_management_policy": "OrderedReady" if spec.ordered else "Parallel",
            }
            yield f"{_GAUGE}_max_unavailable", labels, rollout.budget_of(spec)
            pods = self._pods.by_index(observing.OWNER, meta.uid_of(spec.obj))
            inside = (pod for pod in pods if identity.ordinal_of(pod) in spec.ordinals)
            up = len(healthy(spec, inside, now))
            yield f"{_GAUGE}_unavailable_replicas", labels, spec.replicas - up

    def watch(self, queue: Queue) -> None:
        """Sets by themselves; pods by owner, selector and name; claims when they go or grow, and
        classes when they begin to allow it.

        Revisions when they or their numbers are new, which upstream leaves to the next change of
        anything else.
        """

        def on_set(old: Obj | None, new: Obj | None) -> None:
            queue.add(meta.key_of(new or old or {}))

        def on_pod(old: Obj | None, new: Obj | None) -> None:
            if new is None and old is not None:
                self._note_vacant(old)
            for key in self._sets_of_pod(old, new):
                queue.add(key)

        def on_claim(old: Obj | None, new: Obj | None) -> None:
            if old is not None and (new is None or _capacity(new) != _capacity(old)):
                for key in self._sets_of_claim(old):
                    queue.add(key)

        self._sets.add_handler(on_set)
        self._pods.add_handler(on_pod)
        self._claims.add_handler(on_claim)
        self._classes.add_handler(partial(self._on_class, queue))
        self._revisions.add_handler(_late_revisions(queue))

    def _on_class(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        if (old or {}).get(growth.ALLOWS) != (new or {}).get(growth.ALLOWS):
            for found in filter(growth.is_edited, map(read, self._sets.list())):
                queue.add(meta.key_of(found.obj))

    async def observe(self, key: str) -> Observed | None:
        """The set, its pods, its claims, the revisions of its namespace."""
        namespace, _, name = key.partition("/")
        found = self._sets.get(namespace, name)
        if found is None:
            self._failures.pop(key, None)
            self._waiting.pop(key, None)
            self._vacant.pop(key, None)
            return None
        pods = tuple(self._pods_of(found))
        history = tuple(self._revisions.list(namespace))
        return Observed(
            set=found,
            pods=pods,
            revisions=history,
            claims=self._claims_of(found, pods),
            may_adopt=wants_adoption(found, (*pods, *history))
            and await observing.is_there(self._client, RESOURCE, found),
            failures=self._note_failures(key, meta.uid_of(found), pods),
            growing=self._growing(found),
            vacant=self._vacant_of(key),
            waiting=self._note_waiting(key, found, pods),
        )

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        made = plan(seen, now)
        self._ended.update(_deleted(made.actions))
        return made

    def finish(self, key: str, seen: Observed) -> None:
        """The events of the plan went out."""
        if key in self._failures and seen.failures:
            self._failures[key] = backoff.told(self._failures[key])

    def _note_vacant(self, pod: Obj) -> None:
        """Remember until when the name of a pod stays free that this controller did not delete."""
        uid = meta.uid_of(pod)
        if uid in self._ended:
            self._ended.discard(uid)
            return
        namespace, name = meta.namespace_of(pod), meta.name_of(pod)
        parent, _ = identity.parse(name)
        if self._sets.get(namespace, parent) is not None:
            names = self._vacant.setdefault(f"{namespace}/{parent}", {})
            names[name] = self._clock.now() + VACANT_S

    def _vacant_of(self, key: str) -> dict[str, float]:
        now = self._clock.now()
        left = {n: until for n, until in self._vacant.pop(key, {}).items() if until > now}
        if left:
            self._vacant[key] = left
        return left

    def _note_failures(self, key: str, uid: str, pods: Iterable[Obj]) -> dict[int, Failure]:
        """Remember the set's pods that have failed; a restart of the controllers forgets them."""
        own = (pod for pod in pods if owners.is_controlled_by(pod, uid))
        failed = [(identity.ordinal_of(p), p) for p in own if podtemplate.is_finished(p)]
        known = self._failures.get(key) or {}
        if known or failed:
            self._failures[key] = known = backoff.noted(known, failed, self._clock.now())
        return known

    def _note_waiting(self, key: str, found: Obj, pods: Iterable[Obj]) -> Mapping[str, float]:
        """Remember since when pods are not available; without minReadySeconds they tell it."""
        spec = read(found)
        if not spec.min_ready_s:
            self._waiting.pop(key, None)
            return {}
        own = [pod for pod in pods if owners.is_controlled_by(pod, meta.uid_of(found))]
        up = healthy(spec, own, self._clock.now())
        known, now = self._waiting.get(key, {}), {}
        for pod in own:
            uid = meta.uid_of(pod)
            since = known.get(uid, trouble.since_of(pod))
            if uid not in up and since is not None:
                now[uid] = since
        self._waiting[key] = now
        return now

    def _growing(self, found: Obj) -> frozenset[str]:
        """The storage classes that allow growth, if the set needs to know."""
        if not growth.is_edited(read(found)):
            return frozenset()
        classes = self._classes.list()
        return frozenset(meta.name_of(c) for c in classes if c.get(growth.ALLOWS))

    def _pods_of(self, found: Obj) -> Iterable[Obj]:
        namespace, uid = meta.namespace_of(found), meta.uid_of(found)
        spec = read(found)
        yield from self._pods.by_index(observing.OWNER, uid)
        yield from self._pods.by_index(observing.ORPHAN, namespace)
        for ordinal in spec.ordinals:
            pod = self._pods.get(namespace, identity.pod_name(spec.name, ordinal))
            controller = None if pod is None else meta.controller_of(pod)
            if pod is not None and controller is not None and controller.get("uid") != uid:
                yield pod

    def _claims_of(self, found: Obj, pods: Iterable[Obj]) -> dict[str, Obj]:
        spec = read(found)
        ordinals = {*spec.ordinals, *map(identity.ordinal_of, pods)}
        names = (n for ordinal in ordinals for n in storage.claim_names(spec, ordinal))
        found_claims = ((n, self._claims.get(spec.namespace, n)) for n in names)
        owned = self._claims.by_index(_OWNED, meta.uid_of(found))
        of_ordinals = {name: claim for name, claim in found_claims if claim is not None}
        return {meta.name_of(claim): claim for claim in owned} | of_ordinals

    def _sets_of_pod(self, old: Obj | None, new: Obj | None) -> Iterable[str]:
        if new is None and old is not None:  # its name is free now
            parent, _ = identity.parse(meta.name_of(old))
            if self._sets.get(meta.namespace_of(old), parent) is not None:
                yield f"{meta.namespace_of(old)}/{parent}"
        for pod in (old, new):
            controller = meta.controller_of(pod) if pod is not None else None
            if pod is not None and controller is not None:
                if controller.get("kind") == "StatefulSet":
                    yield f"{meta.namespace_of(pod)}/{controller.get('name')}"
            elif pod is not None:
                yield from self._sets_of_orphan(pod)

    def _sets_of_orphan(self, pod: Obj) -> Iterable[str]:
        """Sets that may adopt it, and the one whose name it occupies."""
        namespace = meta.namespace_of(pod)
        parent, _ = identity.parse(meta.name_of(pod))
        for found in self._sets.list(namespace):
            matches = selectors.from_object((found.get("spec") or {}).get("selector")).matches
            if meta.name_of(found) == parent or matches(meta.labels_of(pod)):
                yield meta.key_of(found)

    def _sets_of_claim(self, claim: Obj) -> Iterable[str]:
        for found in self._sets.list(meta.namespace_of(claim)):
            if storage.is_of(read(found), meta.name_of(claim)):
                yield meta.key_of(found)


def _late_revisions(queue: Queue) -> Handler:
    """Look at the set of a revision that is new, or has a new number: a request that was given up
    may have arrived."""

    def on_revision(old: Obj | None, new: Obj | None) -> None:
        if new is None or (old and revisions.number_of(old) == revisions.number_of(new)):
            return
        owner = meta.controller_of(new) or {}
        if owner.get("kind") == "StatefulSet":
            queue.add(f"{meta.namespace_of(new)}/{owner.get('name')}")

    return on_revision


def _deleted(actions: Iterable[Action]) -> Iterator[str]:
    """The uids of the pods that the actions delete."""
    for action in actions:
        match action:
            case Sequence(inner) | Parallel(inner):
                yield from _deleted(inner)
            case Reported(Delete("pods", uid=uid)):
                yield uid
            case _:
                pass


def _capacity(claim: Obj) -> object:
    return (claim.get("status") or {}).get("capacity")


def make(ctx: Context) -> StatefulSets:
    """The factory for the registry."""
    return StatefulSets(ctx)
