"""The decision: which node a pod goes to. Pure: equal inputs, equal answers.

Invariant: filters only exclude, scores only rank; both see the same World.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from petset.scheduler.plugins import (
    affinity,
    fit,
    nodename,
    nodeselector,
    ports,
    spread,
    taints,
    unschedulable,
    unsupported,
    volumes,
)
from petset.scheduler.plugins.types import (
    Check,
    NodeInfo,
    PodInfo,
    Prepare,
    Refusal,
    Score,
    World,
)

FILTERS: Mapping[str, Prepare] = {
    "unsupported": unsupported.prepare,
    "unschedulable": unschedulable.prepare,
    "nodename": nodename.prepare,
    "taints": taints.prepare,
    "nodeselector": nodeselector.prepare,
    "ports": ports.prepare,
    "fit": fit.prepare,
    "volumes": volumes.prepare,
    "spread": spread.prepare,
    "affinity": affinity.prepare,
}
"""In the order that they are asked; the first that excludes a node gives its reasons."""

REFUSED_AS = {"volumes": "claims"}
"""What a refusal of the whole pod is filed under: claims are waited for, not volumes on nodes."""

SCORES: Sequence[tuple[int, Score]] = (
    (3, taints.score),
    (2, nodeselector.score),
    (2, spread.score),
    (2, affinity.score),
    (1, fit.score),
    (1, fit.balance),
)
"""Weights as upstream's defaults (images are not scored)."""

Draw = Callable[[int], int]
"""Draws a number from 0 to below its argument: how ties are broken."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The pod goes to `node`; `volumes` says what that means for its unbound claims."""

    node: str
    volumes: volumes.Choice


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node can take the pod now: the message, and the filters that said so."""

    message: str
    filters: frozenset[str]


def plan(pod: PodInfo, world: World, draw: Draw) -> Placement | Unschedulable:
    """Pick the best node for `pod`."""
    if not world.nodes:
        return Unschedulable("no nodes available to schedule pods", frozenset(FILTERS))
    checks: list[tuple[str, Check]] = []
    for name, prepare in FILTERS.items():
        match prepare(pod, world):
            case Refusal(message=message):
                text = _message(len(world.nodes), [message])
                return Unschedulable(text, frozenset((REFUSED_AS.get(name, name),)))
            case None:
                pass
            case check:
                checks.append((name, check))
    feasible, reasons, filters = _filter(checks, world.nodes)
    if not feasible:
        counts = [f"{count} {reason}" for reason, count in reasons.items()]
        return Unschedulable(_message(len(world.nodes), sorted(counts)), filters)
    best = _best(pod, world, feasible, draw)
    return Placement(best.name, volumes.choose(pod, world, best))


def _message(count: int, reasons: Sequence[str]) -> str:
    """Upstream's shape: `0/3 nodes are available: 1 Insufficient cpu, 2 ... .`"""
    return f"0/{count} nodes are available: {', '.join(reasons)}."


def _filter(
    checks: Sequence[tuple[str, Check]], nodes: Sequence[NodeInfo]
) -> tuple[list[NodeInfo], Counter[str], frozenset[str]]:
    feasible: list[NodeInfo] = []
    reasons: Counter[str] = Counter()
    filters: set[str] = set()
    for node in nodes:
        for name, check in checks:
            if found := check(node):
                reasons.update(found)
                filters.add(name)
                break
        else:
            feasible.append(node)
    return feasible, reasons, frozenset(filters)


def _best(pod: PodInfo, world: World, feasible: Sequence[NodeInfo], draw: Draw) -> NodeInfo:
    if len(feasible) == 1:
        return feasible[0]
    totals = dict.fromkeys((node.name for node in feasible), 0.0)
    for weight, score in SCORES:
        for name, points in (score(pod, world, feasible) or {}).items():
            totals[name] += weight * points
    top = max(totals.values())
    winners = [node for node in feasible if totals[node.name] >= top - 1e-9]
    return winners[draw(len(winners))]
