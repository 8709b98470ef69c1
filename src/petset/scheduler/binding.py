"""Writes a placement: volumes first, then the binding of the pod.

Invariant: nothing is decided here; what cannot be written raises `FailedError`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from petset.api import meta
from petset.api.meta import Obj
from petset.client.cache import Cache
from petset.reconcile.actions import Action, Bind, Patch, Plan, Update
from petset.reconcile.execute import Executor
from petset.scheduler.plugins.types import PodInfo
from petset.scheduler.plugins.volumes import SELECTED_NODE, Choice, is_bound
from petset.scheduler.watch import PVCS, PVS

TIMEOUT_S = 600.0
"""Longest wait for the volumes of a pod to be bound."""

BOUND_BY = "pv.kubernetes.io/bound-by-controller"


class FailedError(Exception):
    """The placement could not be written; the pod is to be tried again."""


class Binder:
    """Writes placements, several at a time.

    Args:
        caches: the scheduler's caches by resource.
    """

    def __init__(self, executor: Executor, caches: Mapping[str, Cache]) -> None:
        self._executor = executor
        self._caches = caches
        self._waiters: dict[tuple[str, str], dict[asyncio.Event, None]] = {}

    def start(self) -> None:
        """Follow claims and pods, for those that wait."""
        for resource in (PVCS, "pods"):
            self._caches[resource].add_handler(partial(self._changed, resource))

    async def bind(self, pod: PodInfo, node: str, choice: Choice) -> None:
        """Write the placement of `pod` on `node`. Raises FailedError."""
        if choice.promise or choice.provision:
            await self._bind_volumes(pod, node, choice)
        await self._write(Bind(pod.namespace, pod.name, node, uid=pod.uid))

    def _changed(self, resource: str, old: Obj | None, new: Obj | None) -> None:
        for waiter in self._waiters.get((resource, meta.key_of(new or old or {})), ()):
            waiter.set()

    @contextmanager
    def _told_of(self, pod: PodInfo) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the pod or of one of its claims."""
        changed = asyncio.Event()
        keys = [("pods", f"{pod.namespace}/{pod.name}"), *((PVCS, key) for key in pod.claims)]
        for key in keys:
            self._waiters.setdefault(key, {})[changed] = None
        try:
            yield changed
        finally:
            for key in keys:
                del self._waiters[key][changed]
                if not self._waiters[key]:
                    del self._waiters[key]

    async def _write(self, action: Action) -> None:
        done = await self._executor.execute(Plan((action,)))
        if done.failure is not None:
            raise FailedError(str(done.failure))

    async def _bind_volumes(self, pod: PodInfo, node: str, choice: Choice) -> None:
        """Tell binder and provisioner what was decided, and wait until every claim is bound."""
        for volume, key in choice.promise:
            await self._write(self._promise(volume, key))
        told = _Told(node, {key: meta.version_of(self._claim(key)) for key in choice.provision})
        for key in choice.provision:
            if (action := self._name_node(key, node)) is not None:
                await self._write(action)
        try:
            with self._told_of(pod) as changed:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._wait_bound(pod, told, changed)
        except TimeoutError:
            raise FailedError("timed out waiting for the volumes to be bound") from None

    def _promise(self, name: str, key: str) -> Update:
        volume, claim = self._caches[PVS].get("", name), self._claim(key)
        if volume is None:
            raise FailedError(f'persistentvolume "{name}" not found')
        reference = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": meta.namespace_of(claim),
            "name": meta.name_of(claim),
            "uid": meta.uid_of(claim),
        }
        metadata = volume.get("metadata") or {}
        marks = {**meta.annotations_of(volume), BOUND_BY: "yes"}
        spec = {**(volume.get("spec") or {}), "claimRef": reference}
        return Update(PVS, {**volume, "metadata": {**metadata, "annotations": marks}, "spec": spec})

    def _name_node(self, key: str, node: str) -> Patch | None:
        """The patch that tells the provisioner the node; None when the claim says so already."""
        claim = self._claim(key)
        if meta.annotations_of(claim).get(SELECTED_NODE) == node:
            return None
        return Patch(
            PVCS,
            meta.namespace_of(claim),
            meta.name_of(claim),
            {"metadata": {"annotations": {SELECTED_NODE: node}}},
            uid=meta.uid_of(claim),
            resource_version=meta.version_of(claim),
        )

    async def _wait_bound(self, pod: PodInfo, told: "_Told", changed: asyncio.Event) -> None:
        while not all(is_bound(self._claim(key)) for key in pod.claims):
            cached = self._caches["pods"].get(pod.namespace, pod.name)
            if cached is None or meta.uid_of(cached) != pod.uid or meta.is_deleting(cached):
                raise FailedError(f'pods "{pod.name}" not found')
            told.check([self._claim(key) for key in told.claims])
            changed.clear()
            await changed.wait()

    def _claim(self, key: str) -> Obj:
        namespace, _, name = key.partition("/")
        claim = self._caches[PVCS].get(namespace, name)
        if claim is None or meta.is_deleting(claim):
            raise FailedError(f'persistentvolumeclaim "{name}" not found')
        return claim


class _Told:
    """The node as named to the provisioner; it gives up by taking the name away.

    Args:
        before: claims by key, with the versions that the naming was written on: a claim that has
            another version and not the name had it, be it only between two looks.
    """

    def __init__(self, node: str, before: Mapping[str, str]) -> None:
        self._node = node
        self._before = before
        self.claims = tuple(before)

    def check(self, claims: list[Obj]) -> None:
        """Raise FailedError when a name that was given is gone."""
        for claim in claims:
            key = meta.key_of(claim)
            named = meta.annotations_of(claim).get(SELECTED_NODE) == self._node
            if not named and meta.version_of(claim) != self._before[key]:
                raise FailedError(f"provisioning of {key} failed on node {self._node}")
