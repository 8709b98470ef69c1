"""The scheduler's view of the cluster: the caches plus decisions that are not yet in them.

Invariant: a decision is seen by the next one at once (assumed pods, promised volumes, chosen
nodes of claims), and is taken back when its writing fails.
"""

from collections.abc import Iterable

from petset.api import meta
from petset.api.meta import Obj
from petset.scheduler.plugins.info import node_info, pod_info, with_pods, without_pod
from petset.scheduler.plugins.types import Equals, Nodes, PodInfo, Volumes, World
from petset.scheduler.plugins.volumes import SELECTED_NODE, Choice

FINISHED = ("Succeeded", "Failed")


def is_finished(pod: Obj) -> bool:
    """Whether the pod has ended and takes nothing of its node any more."""
    return (pod.get("status") or {}).get("phase") in FINISHED


def node_of(pod: Obj) -> str:
    """spec.nodeName, or ""."""
    return (pod.get("spec") or {}).get("nodeName") or ""


class State:
    """Nodes, the pods on them, and volumes, kept up to date change by change."""

    def __init__(self) -> None:
        self._placed: dict[str, str] = {}
        self._pods: dict[str, dict[str, PodInfo]] = {}
        self._nodes = Nodes()
        self._equals = Equals()
        self._start = 0
        self._users: dict[str, frozenset[str]] = {}
        self._selected: dict[str, str] = {}
        self._reserved: dict[str, str] = {}
        self.assumed: dict[str, tuple[str, Choice]] = {}
        self.claims: dict[str, Obj] = {}
        self.volumes = Volumes()
        self.classes: dict[str, Obj] = {}
        self.namespaces: dict[str, dict[str, str]] = {}

    def world(self) -> World:
        """The present view. Valid until the next change."""
        return World(
            self._nodes,
            claims=self.claims,
            volumes=self.volumes,
            classes=self.classes,
            namespaces=self.namespaces,
            claim_users=self._users,
            reserved=self._reserved,
            start=self._start,
            equals=self._equals,
        )

    def looked_at(self, count: int) -> None:
        """This many nodes were scanned for a pod: the next scan starts behind them."""
        self._start = (self._start + count) % max(1, len(self._nodes))

    def set_node(self, name: str, node: Obj | None) -> None:
        """A node came, changed or went."""
        if node is None:
            self._nodes.remove(name)
        else:
            self._nodes.put(node_info(node, self._pods.get(name, {}).values()))

    def set_namespace(self, name: str, labels: dict[str, str] | None) -> None:
        """A namespace came, changed or went."""
        if labels is None:
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = labels

    def set_pod(self, pod: Obj) -> None:
        """A pod is on a node (by the API), or has finished there."""
        uid, node = meta.uid_of(pod), node_of(pod)
        self.assumed.pop(uid, None)
        known = self._pods.get(node, {}).get(uid)
        if is_finished(pod):
            self._lift(uid)
        elif known is None or not _counts_alike(known.pod, pod):
            self._lift(uid)
            self._put(pod_info(pod), node)

    def remove_pod(self, uid: str) -> None:
        """A pod is gone."""
        self.forget(uid)
        self._lift(uid)

    def assume(self, pod: PodInfo, node: str, choice: Choice) -> None:
        """Count `pod` as placed before the API says so."""
        self.assumed[pod.uid] = (node, choice)
        self._put(pod, node)
        self._reserved.update(choice.promise)
        for key in choice.provision:
            self._selected[key] = node
            if key in self.claims:
                self.set_claim(key, self.claims[key])

    def forget(self, uid: str) -> None:
        """Take an assumption back: the pod is not placed after all."""
        assumed = self.assumed.pop(uid, None)
        if assumed is None:
            return
        self.settle(assumed[1])
        self._lift(uid)

    def settle(self, choice: Choice) -> None:
        """What was decided about volumes is written by now, or void."""
        for volume, _ in choice.promise:
            self._reserved.pop(volume, None)
        for key in choice.provision:
            self._selected.pop(key, None)

    def set_claim(self, key: str, claim: Obj | None) -> None:
        """A claim came, changed or went; a node chosen for it is added until the API has it."""
        if claim is None:
            self.claims.pop(key, None)
            return
        node = self._selected.get(key)
        if node and SELECTED_NODE not in meta.annotations_of(claim):
            metadata = claim.get("metadata") or {}
            annotations = {**meta.annotations_of(claim), SELECTED_NODE: node}
            claim = {**claim, "metadata": {**metadata, "annotations": annotations}}
        self.claims[key] = claim

    def _put(self, pod: PodInfo, node: str) -> None:
        self._placed[pod.uid] = node
        self._pods.setdefault(node, {})[pod.uid] = pod
        self._count_users(pod.claims, pod.uid, there=True)
        if (info := self._nodes.get(node)) is not None:
            self._nodes.put(with_pods(info, (pod,)))

    def _lift(self, uid: str) -> None:
        node = self._placed.pop(uid, None)
        if node is None:
            return
        pod = self._pods[node].pop(uid)
        if not self._pods[node]:
            del self._pods[node]
        self._count_users(pod.claims, uid, there=False)
        if (info := self._nodes.get(node)) is not None:
            self._nodes.put(without_pod(info, uid))

    def _count_users(self, claims: Iterable[str], uid: str, *, there: bool) -> None:
        for key in claims:
            users = self._users.get(key, frozenset())
            users = users | {uid} if there else users - {uid}
            if users:
                self._users[key] = users
            else:
                self._users.pop(key, None)


def _counts_alike(one: Obj, other: Obj) -> bool:
    """Whether nothing that others look at differs between two states of a pod."""
    spec, new = one.get("spec") or {}, other.get("spec") or {}
    return (
        meta.is_deleting(one) == meta.is_deleting(other)
        and meta.labels_of(one) == meta.labels_of(other)
        and {**spec, "nodeName": ""} == {**new, "nodeName": ""}
    )
