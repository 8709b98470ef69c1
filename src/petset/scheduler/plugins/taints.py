"""Taints keep pods away that do not tolerate them."""

from collections.abc import Sequence

from petset.api.tolerations import tolerated
from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, Scores, World, scaled

REASON = "node(s) had untolerated taint(s)"
SOFT = "PreferNoSchedule"


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes with a NoSchedule or NoExecute taint that the pod does not tolerate."""
    del world
    tolerations = pod.spec.get("tolerations") or ()

    def check(node: NodeInfo) -> Sequence[str]:
        for taint in node.taints:
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerated(
                taint, tolerations
            ):
                return (REASON,)
        return ()

    return check


def score(pod: PodInfo, world: World, nodes: Sequence[NodeInfo]) -> Scores | None:
    """Fewer PreferNoSchedule taints that the pod does not tolerate are better."""
    del world
    tolerations = [
        t for t in pod.spec.get("tolerations") or () if t.get("effect") in (None, "", SOFT)
    ]
    if not any(node.taints for node in nodes):
        return None
    raw = [
        float(sum(t.get("effect") == SOFT and not tolerated(t, tolerations) for t in node.taints))
        for node in nodes
    ]
    return scaled(raw, reverse=True) if any(raw) else None
