"""Watches and observes for node life.

Silence is measured on the loop's clock, from the moment when a renewal was seen here: a clock that
jumps, a suspended machine or a server that was down do not make nodes look lost.
"""

import asyncio
from collections.abc import Iterable
from functools import partial

from petset.api import errors, meta
from petset.api.meta import Obj
from petset.client.queue import Queue
from petset.controllers.nodelife import nodes, taints
from petset.controllers.nodelife.disruption import Disruption, Word
from petset.controllers.nodelife.nodes import ObservedGone, ObservedNode
from petset.controllers.nodelife.plan import Observed, plan
from petset.controllers.nodelife.pods import ObservedFinished, ObservedPod, leaves_at
from petset.reconcile import podtemplate
from petset.reconcile.actions import Plan
from petset.reconcile.context import Context
from petset.reconcile.loop import Controller

LEASES = "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"
FINISHED = "finished"
FINISHED_PERIOD_S = 20.0
"""Finished pods are counted at most this often."""

_NODE = "nodelife-node"


class NodeLife(Controller[Observed]):
    """Handles nodes that stop reporting, and the pods on them."""

    name = "nodelife"
    component = "node-controller"

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._config = ctx.config
        self._clock = ctx.clock
        self._nodes = ctx.informers.cache(nodes.RESOURCE)
        self._leases = ctx.informers.cache(LEASES)
        self._pods = ctx.informers.cache("pods")
        self.caches = (self._nodes, self._pods)
        self._pods.add_index(_NODE, node_names)
        self._renewed: dict[str, tuple[tuple[object, ...], float]] = {}
        self._missing: dict[str, float] = {}
        self._known: dict[str, str] = {}
        self._due: set[str] = set()
        self._disruption = Disruption()
        self._pictured = self._disruption.picture

    def watch(self, queue: Queue) -> None:
        """Nodes and leases wake nodes; taints and the going of nodes wake pods."""
        self._nodes.add_handler(partial(self._on_node, queue))
        self._leases.add_handler(partial(self._on_lease, queue))
        self._pods.add_handler(partial(self._on_pod, queue))

    async def observe(self, key: str) -> Observed | None:
        """A node with its pods, a pod with its node, or all pods."""
        kind, _, rest = key.partition("/")
        if kind == "node":
            return self._observe_node(rest)
        if kind == "pod":
            return await self._observe_pod(rest)
        return ObservedFinished(self._pods.list(), self._config.terminated_pods_kept)

    def plan(self, seen: Observed, now: float) -> Plan:
        """See `plan.plan`."""
        return plan(seen, now)

    def _observe_node(self, name: str) -> ObservedNode | ObservedGone | None:
        node = self._nodes.get("", name)
        if node is None:
            self._renewed.pop(name, None)
            before = self._known.pop(name, None)
            return None if before is None else ObservedGone(name, before)
        reported = meta.condition_of(node, "Ready") is not None
        config = self._config
        grace_s = config.node_grace_s if reported else config.node_startup_grace_s
        pods = self._pods.by_index(_NODE, name)
        silence_s = self._silence_s(node)
        word: Word = "go"
        ask_again_s = None
        self._disruption.note(name, node, silent=silence_s >= grace_s)
        if silence_s >= grace_s or (reported and not meta.is_condition_true(node, "Ready")):
            word, ask_again_s = self._disruption.word(name, asyncio.get_running_loop().time())
        is_new = self._known.get(name) != meta.uid_of(node)
        self._known[name] = meta.uid_of(node)
        return ObservedNode(node, pods, silence_s, grace_s, word, ask_again_s, is_new)

    def _silence_s(self, node: Obj) -> float:
        """How long ago the node last showed signs of life; new ones are noted."""
        now = asyncio.get_running_loop().time()
        signs, name = self._signs_of_life(node), meta.name_of(node)
        seen = self._renewed.get(name)
        if seen is None or seen[0] != signs:
            seen = self._renewed[name] = (signs, now)
        return now - seen[1]

    def _signs_of_life(self, node: Obj) -> tuple[object, ...]:
        lease = self._leases.get(LEASE_NAMESPACE, meta.name_of(node)) or {}
        ready = meta.condition_of(node, "Ready") or {}
        return (
            meta.uid_of(node),
            (lease.get("spec") or {}).get("renewTime"),
            ready.get("lastHeartbeatTime"),
        )

    async def _observe_pod(self, key: str) -> ObservedPod | None:
        namespace, _, name = key.partition("/")
        pod = self._pods.get(namespace, name)
        if pod is None:
            return None
        node_name = (pod.get("spec") or {}).get("nodeName") or ""
        node = self._nodes.get("", node_name) if node_name else None
        missing_s, gone = 0.0, False
        quarantine_s = self._config.orphan_quarantine_s
        if node is not None:
            self._missing.pop(node_name, None)
        elif node_name:
            now = asyncio.get_running_loop().time()
            missing_s = now - self._missing.setdefault(node_name, now)
            gone = missing_s >= quarantine_s and await self._is_gone(node_name)
        relieved = self._is_relieved(key, pod, node)
        return ObservedPod(pod, node, missing_s, gone, quarantine_s, relieved)

    def _is_relieved(self, key: str, pod: Obj, node: Obj | None) -> bool:
        """Whether a taint would have made the pod leave, and does not any more; noted."""
        was_due = key in self._due
        if leaves_at(pod, node, self._clock.now()) is None:
            self._due.discard(key)
            return was_due and node is not None and not meta.is_deleting(pod)
        self._due.add(key)
        return False

    async def _is_gone(self, node_name: str) -> bool:
        try:
            await self._client.get(nodes.RESOURCE, node_name)
        except errors.StatusError as error:
            if error.code == 404:
                return True
            raise
        return False

    def _on_node(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        name = meta.name_of(new or old or {})
        queue.add(f"node/{name}")
        self._missing.pop(name, None)
        if _may_disrupt(old, new):
            self._disruption.note(name, new)
            before, self._pictured = self._pictured, self._disruption.picture
            if self._pictured != before:
                for lost in self._disruption.lost:
                    queue.add(f"node/{lost}")
        if old and new and _concerns_pods(old) == _concerns_pods(new):
            return
        for pod in self._pods.by_index(_NODE, name):
            queue.add(f"pod/{meta.key_of(pod)}")

    def _on_lease(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        lease = new or old or {}
        if meta.namespace_of(lease) != LEASE_NAMESPACE:
            return
        name = meta.name_of(lease)
        node = self._nodes.get("", name)
        if new is not None and name in self._renewed and node and _is_ready_untainted(node):
            self._silence_s(node)  # noted; the node is looked at again when its grace would be over
        else:
            queue.add(f"node/{name}")

    def _on_pod(self, queue: Queue, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            self._due.discard(meta.key_of(old or {}))
            return
        if old is None or _concerns_node(old) != _concerns_node(new):
            queue.add(f"pod/{meta.key_of(new)}")
        if podtemplate.is_finished(new) and (old is None or not podtemplate.is_finished(old)):
            queue.add_after(FINISHED, FINISHED_PERIOD_S)


def node_names(pod: Obj) -> Iterable[str]:
    """Index: the node that a pod is on."""
    name = (pod.get("spec") or {}).get("nodeName")
    return (name,) if name else ()


def _is_ready_untainted(node: Obj) -> bool:
    """Whether a renewed lease changes nothing about the node."""
    return meta.is_condition_true(node, "Ready") and not taints.of(node)


def _may_disrupt(old: Obj | None, new: Obj | None) -> bool:
    """Whether a node came, went, moved, or its readiness changed."""
    if old is None or new is None:
        return True
    ready = meta.is_condition_true(old, "Ready") != meta.is_condition_true(new, "Ready")
    return ready or meta.labels_of(old) != meta.labels_of(new)


def _concerns_pods(node: Obj) -> tuple[object, ...]:
    return meta.uid_of(node), taints.of(node), meta.is_condition_true(node, "Ready")


def _concerns_node(pod: Obj) -> tuple[object, ...]:
    spec = pod.get("spec") or {}
    return spec.get("nodeName"), spec.get("tolerations"), meta.is_deleting(pod)


def make(ctx: Context) -> NodeLife:
    """The factory for the registry."""
    return NodeLife(ctx)
