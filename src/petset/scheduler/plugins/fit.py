"""Resources: a pod's requests have to fit what its node has left; emptier nodes are better."""

import math
from collections.abc import Sequence

from petset.scheduler.plugins.types import Amounts, Check, NodeInfo, PodInfo, World

SCORED = ("cpu", "memory")


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes that have too little left, naming each resource that is short."""
    del world
    wanted = tuple((name, amount) for name, amount in pod.requests.items() if amount > 0)

    def check(node: NodeInfo) -> Sequence[str]:
        short: list[str] = []
        if len(node.pods) + 1 > node.allocatable.get("pods", 0):
            short.append("Too many pods")
        for name, amount in wanted:
            if amount > node.allocatable.get(name, 0) - node.requested.get(name, 0):
                short.append(f"Insufficient {name}")
        return short

    return check


def points(pod: PodInfo, node: NodeInfo) -> float:
    """How good a node is by itself: much left over, and cpu and memory used to the same part.

    The first is in percent of what the node has, mean of cpu and memory; the second is 100 when
    both are used alike.
    """
    parts = [p for p in (_used(name, pod.usage, node) for name in SCORED) if p is not None]
    if not parts:
        return 0.0
    left = sum(100.0 * max(0.0, 1.0 - p) for p in parts) / len(parts)
    return left + _evenness([min(1.0, p) for p in parts])


def _evenness(parts: Sequence[float]) -> float:
    mean = sum(parts) / len(parts)
    return 100.0 * (1.0 - math.sqrt(sum((p - mean) ** 2 for p in parts) / len(parts)))


def _used(name: str, usage: Amounts, node: NodeInfo) -> float | None:
    """The part of `name` in use once the pod is there; None where the node has none."""
    total = node.allocatable.get(name, 0)
    if total <= 0:
        return None
    return (node.usage.get(name, 0) + usage.get(name, 0)) / total
