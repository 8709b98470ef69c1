"""What to do next for one pod whose node is tainted, gone or out of service. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.controllers.nodelife import taints
from petset.reconcile import conditions, podtemplate
from petset.reconcile.actions import Action, Delete, Emit, Parallel, Patch, Plan
from petset.reconcile.actions import Sequence as Steps


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """What was seen of a pod.

    Attributes:
        node: the node that it is on; None when it has none, or the caches do not have it.
        missing_s: how long the node has been missing from the caches.
        node_gone: a live look has shown that there is no such node.
        quarantine_s: how long it has to be missing.
        relieved: it would have had to leave by a taint when it was seen last, and need not now.
    """

    pod: Obj
    node: Obj | None
    missing_s: float
    node_gone: bool
    quarantine_s: float
    relieved: bool = False


@dataclass(frozen=True, slots=True)
class ObservedFinished:
    """Every pod, when finished ones are to be counted; `kept` may stay."""

    pods: Sequence[Obj]
    kept: int


def plan_pod(seen: ObservedPod, now: float) -> Plan:
    """The actions for a pod at wall-clock time `now`."""
    pod = seen.pod
    if not (pod.get("spec") or {}).get("nodeName"):
        if meta.is_deleting(pod) and not _is_forced(pod):
            return Plan((_force_delete(pod),))
        return Plan()
    if seen.node is None:
        if seen.missing_s < seen.quarantine_s:
            return Plan(requeue_after_s=seen.quarantine_s - seen.missing_s)
        return _orphaned(seen, now)
    if meta.is_deleting(pod):
        return _terminating(pod, seen.node)
    at = leaves_at(pod, seen.node, now)
    if at is None:
        return Plan((_told(pod, "Cancelling deletion of Pod"),) if seen.relieved else ())
    if at > now:
        return Plan(requeue_after_s=at - now)
    return Plan((_evict(pod, now),))


def leaves_at(pod: Obj, node: Obj | None, now: float) -> float | None:
    """When the pod has to leave the node because of taints; None: it need not, or goes already."""
    if node is None or meta.is_deleting(pod) or podtemplate.is_finished(pod):
        return None
    return taints.evicted_at(pod, taints.of(node), now)


def plan_finished(seen: ObservedFinished) -> Plan:
    """Delete the oldest finished pods beyond the number that is kept."""
    finished = [p for p in seen.pods if podtemplate.is_finished(p) and not meta.is_deleting(p)]
    oldest = sorted(finished, key=_age_key)[: max(0, len(finished) - seen.kept)]
    if not oldest:
        return Plan()
    return Plan((Parallel(tuple(_force_delete(pod) for pod in oldest)),))


def _orphaned(seen: ObservedPod, now: float) -> Plan:
    if not seen.node_gone or _is_forced(seen.pod):
        return Plan()
    mark = _mark_failed(seen.pod, "DeletionByPodGC", "PodGC: node no longer exists", now)
    return Plan((*mark, _force_delete(seen.pod)))


def _terminating(pod: Obj, node: Obj) -> Plan:
    """Nobody will confirm the end of a pod on a node that is declared out of service."""
    declared = any(t.get("key") == taints.OUT_OF_SERVICE for t in taints.of(node))
    if not declared or meta.is_condition_true(node, "Ready") or _is_forced(pod):
        return Plan()
    if podtemplate.is_finished(pod):
        return Plan((_force_delete(pod),))
    failed = _status(pod, {"phase": "Failed"})
    return Plan((failed, _force_delete(pod)))


def _evict(pod: Obj, now: float) -> Action:
    condition = _disruption(
        "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
    )
    changed = conditions.with_condition(pod, condition, now)
    mark = () if changed is None else (_status(pod, {"conditions": changed}),)
    uid = meta.uid_of(pod)
    gone = Delete("pods", meta.namespace_of(pod), meta.name_of(pod), uid=uid)
    return Steps((_told(pod, "Marking for deletion Pod"), *mark, gone))


def _told(pod: Obj, words: str) -> Emit:
    involved = meta.reference_to({**pod, "kind": "Pod", "apiVersion": "v1"})
    return Emit(involved, "Normal", "TaintManagerEviction", f"{words} {meta.key_of(pod)}")


def _mark_failed(pod: Obj, reason: str, message: str, now: float) -> list[Action]:
    if podtemplate.is_finished(pod):
        return []
    changed = conditions.with_condition(pod, _disruption(reason, message), now)
    fields: dict[str, object] = {"phase": "Failed"}
    if changed is not None:
        fields["conditions"] = changed
    return [_status(pod, fields)]


def _disruption(reason: str, message: str) -> Obj:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


def _status(pod: Obj, fields: Obj) -> Patch:
    return Patch(
        "pods",
        meta.namespace_of(pod),
        meta.name_of(pod),
        {"status": fields},
        "status",
        meta.uid_of(pod),
        meta.version_of(pod),
    )


def _force_delete(pod: Obj) -> Delete:
    return Delete(
        "pods", meta.namespace_of(pod), meta.name_of(pod), uid=meta.uid_of(pod), grace_s=0
    )


def _is_forced(pod: Obj) -> bool:
    """Whether nothing but finalizers keeps it: a deletion without grace has been asked for."""
    metadata = pod.get("metadata") or {}
    return bool(metadata.get("finalizers")) and metadata.get("deletionGracePeriodSeconds") == 0


def _age_key(pod: Obj) -> tuple[bool, str, str]:
    """Pods that were evicted go first, then the oldest."""
    evicted = (pod.get("status") or {}).get("reason") == "Evicted"
    created = (pod.get("metadata") or {}).get("creationTimestamp") or ""
    return not evicted, created, meta.key_of(pod)
