"""From changes in the caches to the scheduler's view, its queue, and the pods to retry."""

from collections.abc import Mapping
from typing import Any

from petset.api import meta
from petset.api.meta import Obj
from petset.client.cache import Cache
from petset.scheduler.queue import Queue
from petset.scheduler.report import Reports
from petset.scheduler.state import State, is_finished, node_of

PVCS = "persistentvolumeclaims"
PVS = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"

RESOURCES = (CLASSES, "namespaces", "nodes", PVS, PVCS, "pods")
"""What is watched; the first lists are taken in in this order."""


class Watch:
    """Handlers of the scheduler's caches.

    Args:
        name: the schedulerName whose pods are taken.
        reports: told of pods that need no node any more, and of those that wait for gates.
    """

    def __init__(self, state: State, queue: Queue, name: str, reports: Reports) -> None:
        self._state = state
        self._queue = queue
        self._name = name
        self._reports = reports

    def start(self, caches: Mapping[str, Cache]) -> None:
        """Take in what the caches hold and follow them."""
        handlers = {
            CLASSES: self._on_class,
            "namespaces": self._on_namespace,
            "nodes": self._on_node,
            PVS: self._on_volume,
            PVCS: self._on_claim,
            "pods": self._on_pod,
        }
        for resource in RESOURCES:
            caches[resource].add_handler(handlers[resource])

    def _on_class(self, old: Obj | None, new: Obj | None) -> None:
        _file(self._state.classes, meta.name_of(new or old or {}), new)
        self._queue.wake("class")

    def _on_namespace(self, old: Obj | None, new: Obj | None) -> None:
        name = meta.name_of(new or old or {})
        if new is not None and old is not None and meta.labels_of(old) == meta.labels_of(new):
            return
        self._state.set_namespace(name, None if new is None else dict(meta.labels_of(new)))
        self._queue.wake("namespace")

    def _on_node(self, old: Obj | None, new: Obj | None) -> None:
        if old is None or new is None or _offers(old) != _offers(new):
            self._state.set_node(meta.name_of(new or old or {}), new)
            self._queue.wake("node")

    def _on_volume(self, old: Obj | None, new: Obj | None) -> None:
        self._state.volumes.put(meta.name_of(new or old or {}), new)
        self._queue.wake("volume")

    def _on_claim(self, old: Obj | None, new: Obj | None) -> None:
        key = meta.key_of(new or old or {})
        self._state.set_claim(key, new)
        self._queue.wake("claim", claim=key)

    def _on_pod(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or meta.uid_of(old) != meta.uid_of(new)):
            self._gone(old)
            old = None
        if new is None:
            return
        if node_of(new):
            self._placed(old, new)
        elif self._is_ours(new):
            self._wait(new)
        else:
            self._drop(meta.uid_of(new))

    def _wait(self, pod: Obj) -> None:
        """A pod without a node: it queues, unless it has gates or is bound already."""
        uid = meta.uid_of(pod)
        if (pod.get("spec") or {}).get("schedulingGates"):
            self._drop(uid)
            self._reports.gated(pod)
        elif uid not in self._state.assumed or self._queue.get(uid) is not None:
            self._queue.put(pod)  # else it is bound, and the cache is behind

    def _is_ours(self, pod: Obj) -> bool:
        name = (pod.get("spec") or {}).get("schedulerName") or self._name
        return name == self._name and not meta.is_deleting(pod) and not is_finished(pod)

    def _gone(self, pod: Obj) -> None:
        self._drop(meta.uid_of(pod))
        self._state.remove_pod(meta.uid_of(pod))
        self._queue.wake("pod-gone")

    def _placed(self, old: Obj | None, new: Obj) -> None:
        self._drop(meta.uid_of(new))
        self._state.set_pod(new)
        if is_finished(new):
            self._queue.wake("pod-gone")
        elif old is None or not node_of(old) or _counts(old) != _counts(new):
            self._queue.wake("pod-placed")

    def _drop(self, uid: str) -> None:
        self._queue.remove(uid)
        self._reports.drop(uid)


def _file(where: dict[str, Any], key: str, value: object | None) -> None:
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value


def _offers(node: Obj) -> tuple[object, ...]:
    """What of a node decides about pods: heartbeats and the like do not."""
    status = node.get("status") or {}
    return node.get("spec"), meta.labels_of(node), status.get("allocatable"), status.get("capacity")


def _counts(pod: Obj) -> tuple[object, ...]:
    """What of a placed pod others look at."""
    return meta.labels_of(pod), meta.is_deleting(pod), pod.get("spec")
