"""Whether a node takes a pod that is bound to it. Pure.

The scheduler may have decided on stale information, and a pod can name its node itself. So the node
checks again, in upstream's order, and rejects with upstream's messages: the pod becomes Failed and
its controller may create another one.
"""

from collections.abc import Iterable, Mapping

from petset.api import podrequests
from petset.api.meta import Obj, labels_of, name_of
from petset.api.nodeselector import node_allowed
from petset.api.podrequests import Amounts
from petset.api.tolerations import tolerated
from petset.node import podspec
from petset.node.seen import Verdict

REJECTED = "Pod was rejected: "
"""What precedes the reason in the status; events do without."""

PODS = "pods"
_NATIVE = ("cpu", "memory", "ephemeral-storage")


def no_ports() -> Verdict:
    """A port of the node that the pod claims is taken."""
    return _predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")


def shutting_down() -> Verdict:
    """The node takes nothing any more."""
    return Verdict("NodeShutdown", "Pod was rejected as the node is shutting down.")


def refusal(pod: Obj, node: Obj, used: Amounts) -> Verdict | None:
    """Why the node does not take the pod; None: it does.

    Args:
        used: what the pods that are there take, `pods` their number.
    """
    spec = podspec.spec_of(pod)
    if (spec.get("os") or {}).get("name") not in (None, "linux"):
        message = "Failed to admit pod as the OS field doesn't match node OS"
        return Verdict("PodOSNotSupported", REJECTED + message)
    if (short := _shortage(spec, node, used)) is not None:
        return short
    if not node_allowed(spec, labels_of(node), name_of(node)):
        reason = "node(s) didn't match Pod's node affinity/selector"
        return _predicate("NodeAffinity", reason)
    tolerations = spec.get("tolerations") or ()
    if not all(tolerated(taint, tolerations) for taint in _evicting(node)):
        reason = "node(s) had taints that the pod didn't tolerate"
        return _predicate("TaintToleration", reason)
    return None


def sum_of(requests: Iterable[Amounts]) -> Amounts:
    """What pods take together."""
    total: dict[str, int] = {PODS: 0}
    for own in requests:
        podrequests.add(total, own)
        total[PODS] += 1
    return total


def _shortage(spec: Obj, node: Obj, used: Amounts) -> Verdict | None:
    status = node.get("status") or {}
    there = podrequests.amounts(status.get("allocatable") or status.get("capacity"))
    wanted = {PODS: 1, **_in_order(podrequests.requests_of(spec))}
    for name, amount in wanted.items():
        if name not in there and name not in _NATIVE:
            continue  # resources that the node does not know are not checked
        if amount and used.get(name, 0) + amount > there.get(name, 0):
            message = (
                f"{REJECTED}Node didn't have enough resource: {name}, requested: {amount}, "
                f"used: {used.get(name, 0)}, capacity: {there.get(name, 0)}"
            )
            return Verdict(f"OutOf{name}", message)
    return None


def _in_order(requests: Amounts) -> Mapping[str, int]:
    """Upstream looks at cpu, memory and ephemeral storage first."""
    names = [name for name in _NATIVE if name in requests]
    names += sorted(name for name in requests if name not in _NATIVE)
    return {name: requests[name] for name in names}


def _evicting(node: Obj) -> list[Obj]:
    taints = (node.get("spec") or {}).get("taints") or ()
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


def _predicate(name: str, why: str) -> Verdict:
    return Verdict(name, f"{REJECTED}Predicate {name} failed: {why}")
