"""What to do next for one node: conditions, taints, the readiness of its pods. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import MutableObj, Obj
from petset.controllers.nodelife import taints
from petset.controllers.nodelife.disruption import Word
from petset.reconcile import conditions
from petset.reconcile.actions import Action, Emit, Parallel, Patch, Plan

RESOURCE = "nodes"
_KINDS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """What was seen of a node.

    Attributes:
        pods: the pods on it.
        silence_s: how long ago its lease or its conditions were last renewed.
        grace_s: how long it may be silent.
        word: whether its pods have to leave, should it be lost.
        ask_again_s: when to ask for that again.
        is_new: it was not there before, as far as this controller knows.
    """

    node: Obj
    pods: Sequence[Obj]
    silence_s: float
    grace_s: float
    word: Word = "go"
    ask_again_s: float | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class ObservedGone:
    """A node that was there is there no more."""

    name: str
    uid: str


def plan_gone(seen: ObservedGone) -> Plan:
    """A node that is gone is told of; its pods are looked at each."""
    words = f"Removing Node {seen.name} from Controller"
    return Plan((_news(seen.name, seen.uid, "RemovingNode", words),))


def _news(name: str, uid: str, reason: str, words: str) -> Emit:
    told = {"kind": "Node", "apiVersion": "v1", "name": name, "uid": uid}
    return Emit(told, "Normal", reason, f"Node {name} event: {words}")


def plan_node(seen: ObservedNode, now: float) -> Plan:
    """The actions for a node at wall-clock time `now`."""
    node = seen.node
    lost = seen.silence_s >= seen.grace_s
    current = _with_unknowns(node, now) if lost else _conditions(node)
    statuses = {str(c.get("type")): str(c.get("status")) for c in current}
    actions: list[Action] = []
    name, uid = meta.name_of(node), meta.uid_of(node)
    version = meta.version_of(node)
    if seen.is_new:
        actions.append(_news(name, uid, "RegisteredNode", f"Registered Node {name} in Controller"))
    if current != _conditions(node):
        patch = {"status": {"conditions": current}}
        actions.append(Patch(RESOURCE, "", name, patch, "status", uid, version))
        told = meta.reference_to({**node, "kind": "Node", "apiVersion": "v1"})
        message = f"Node {name} status is now: NodeNotReady"
        actions.append(Emit(told, "Normal", "NodeNotReady", message))
        version = ""  # the guard is spent: the taints below follow from what was just written
    wanted = taints.wanted(node, statuses, now, seen.word)
    if wanted != [dict(t) for t in taints.of(node)]:
        spec = {"spec": {"taints": wanted or None}}
        actions.append(Patch(RESOURCE, "", name, spec, uid=uid, resource_version=version))
    if statuses.get("Ready") == "Unknown":
        actions += _unready(seen.pods, _since(current), now)
    left = seen.ask_again_s if lost else seen.grace_s - seen.silence_s
    if not lost and seen.ask_again_s is not None:
        left = min(seen.grace_s - seen.silence_s, seen.ask_again_s)
    return Plan(tuple(actions), requeue_after_s=left)


def _since(current: Sequence[Obj]) -> float:
    """When the node fell silent."""
    ready = next(c for c in current if c.get("type") == "Ready")
    return meta.parse_time(ready.get("lastTransitionTime")) or 0.0


def _conditions(node: Obj) -> list[MutableObj]:
    return [dict(c) for c in (node.get("status") or {}).get("conditions") or ()]


def _with_unknowns(node: Obj, now: float) -> list[MutableObj]:
    """The conditions of a node that says nothing any more."""
    found = _conditions(node)
    since = meta.format_time(now)
    created = (node.get("metadata") or {}).get("creationTimestamp") or since
    for kind in _KINDS:
        old = next((c for c in found if c.get("type") == kind), None)
        if old is None:
            new: MutableObj = {
                "type": kind,
                "status": "Unknown",
                "lastHeartbeatTime": created,
                "lastTransitionTime": since,
                "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
            }
            found.append(new)
        elif old.get("status") != "Unknown":
            old |= {
                "status": "Unknown",
                "lastTransitionTime": since,
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
            }
    return found


def _unready(pods: Sequence[Obj], since: float, now: float) -> list[Action]:
    """Mark pods of a silent node not ready, so that no traffic goes to them.

    A pod that became ready after that has an agent that works: it is left to it.
    """
    actions: list[Action] = []
    for pod in pods:
        old = meta.condition_of(pod, "Ready")
        if old is None or old.get("status") != "True":
            continue
        if (meta.parse_time(old.get("lastTransitionTime")) or 0.0) > since:
            continue
        condition = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
        changed = conditions.with_condition(pod, condition, now)
        patch = Patch(
            "pods",
            meta.namespace_of(pod),
            meta.name_of(pod),
            {"status": {"conditions": changed}},
            "status",
            meta.uid_of(pod),
            meta.version_of(pod),
        )
        actions.append(patch)
        told = meta.reference_to({**pod, "kind": "Pod", "apiVersion": "v1"})
        actions.append(Emit(told, "Warning", "NodeNotReady", "Node is not ready"))
    return [Parallel(tuple(actions))] if actions else []
