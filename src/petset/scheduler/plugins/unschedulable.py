"""Nodes that are cordoned take no new pods, unless the pod tolerates the taint of that name."""

from collections.abc import Sequence

from petset.api.tolerations import tolerated
from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, World

REASON = "node(s) were unschedulable"
TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes with spec.unschedulable."""
    del world
    if tolerated(TAINT, pod.spec.get("tolerations") or ()):
        return None
    return _check


def _check(node: NodeInfo) -> Sequence[str]:
    return (REASON,) if (node.node.get("spec") or {}).get("unschedulable") else ()
