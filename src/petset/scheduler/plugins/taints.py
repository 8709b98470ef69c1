"""Taints keep pods away that do not tolerate them."""

from collections.abc import Iterable, Sequence

from petset.api.meta import Obj
from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, Scores, World, scaled

REASON = "node(s) had untolerated taint(s)"


def tolerates(toleration: Obj, taint: Obj) -> bool:
    """Whether one toleration covers `taint`: effect, key and value, by its operator."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    ours, theirs = toleration.get("value") or "", taint.get("value") or ""
    match operator:
        case "Exists":
            return True
        case "Equal":
            return bool(ours == theirs)
        case "Lt" | "Gt":
            return _compares(operator, theirs, ours)
        case _:
            return False


def _compares(operator: str, theirs: str, ours: str) -> bool:
    try:
        taint, limit = int(theirs), int(ours)
    except ValueError:
        return False
    return taint < limit if operator == "Lt" else taint > limit


def tolerated(taint: Obj, tolerations: Iterable[Obj]) -> bool:
    """Whether any of `tolerations` covers `taint`."""
    return any(tolerates(t, taint) for t in tolerations)


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


SOFT = "PreferNoSchedule"
