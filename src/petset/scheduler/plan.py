"""The decision: which node a pod goes to. Pure: equal inputs, equal answers.

Invariant: filters only exclude, scores only rank; both see the same World.
Invariant: of a large cluster only a part is looked at, each time from where the last look ended;
what LOCAL filters and points say of a node is remembered for pods alike until the node changes, and
where several nodes are equally good, the next pods of the same controller take the others.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

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
from petset.scheduler.plugins.info import shape_of
from petset.scheduler.plugins.types import (
    ZONE,
    Check,
    NodeInfo,
    PodInfo,
    Prepare,
    Refusal,
    Score,
    World,
)

LOCAL: Mapping[str, Prepare] = {
    "unschedulable": unschedulable.prepare,
    "nodename": nodename.prepare,
    "taints": taints.prepare,
    "nodeselector": nodeselector.prepare,
    "ports": ports.prepare,
    "fit": fit.prepare,
}
"""Filters that look at nothing but one node and the `shape_of` the pod."""

FILTERS: Mapping[str, Prepare] = {
    "unsupported": unsupported.prepare,
    **LOCAL,
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
)
"""Weights as upstream's defaults (images are not scored); `fit.points` come with weight 1."""

ENOUGH_MIN = 100
"""In clusters with fewer nodes every node is examined."""

EQUALS_MAX = 64
"""Pods placed from one scan of the nodes at most."""

Draw = Callable[[int], int]
"""Draws a number from 0 to below its argument: how ties are broken."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The pod goes to `node`; `volumes` says what that means for its unbound claims.

    Attributes:
        looked_at: how many nodes were looked at; 0 where an earlier look was good enough.
    """

    node: str
    volumes: volumes.Choice
    looked_at: int = 0


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node can take the pod now: the message, and the filters that said so."""

    message: str
    filters: frozenset[str]


_Verdict = float | tuple[str, Sequence[str]]
"""What LOCAL says of a node: its points, or the filter that excludes it and why."""


@dataclass(slots=True)
class _Found:
    """What a look at the nodes has found; `points`: what each feasible one has by itself."""

    feasible: list[NodeInfo] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    filters: set[str] = field(default_factory=set)
    looked_at: int = 0

    def refused(self, name: str, reasons: Sequence[str]) -> None:
        """A filter has excluded a node."""
        self.reasons.update(reasons)
        self.filters.add(name)


def enough(count: int) -> int:
    """How many feasible nodes of `count` are enough to choose from (upstream's formula)."""
    if count < ENOUGH_MIN:
        return count
    return max(ENOUGH_MIN, count * max(5, 50 - count // 125) // 100)


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
    kind = _kind_of(pod, world, checks)
    if kind is not None and (node := _next_equal(kind, world)) is not None:
        return Placement(node, volumes.Choice())
    found = _look(pod, world, checks)
    if not found.feasible:
        counts = [f"{count} {reason}" for reason, count in found.reasons.items()]
        return Unschedulable(_message(len(world.nodes), sorted(counts)), frozenset(found.filters))
    winners = _winners(pod, world, found)
    best = winners.pop(draw(len(winners)))
    if kind is not None:
        world.equals.keep(kind, _still_best(winners, best, world))
    return Placement(best.name, volumes.choose(pod, world, best), found.looked_at)


def _message(count: int, reasons: Sequence[str]) -> str:
    """Upstream's shape: `0/3 nodes are available: 1 Insufficient cpu, 2 ... .`"""
    return f"0/{count} nodes are available: {', '.join(reasons)}."


def _look(pod: PodInfo, world: World, checks: Sequence[tuple[str, Check]]) -> _Found:
    """Look at nodes until enough are feasible."""
    local = [(name, check) for name, check in checks if name in LOCAL]
    wide = [(name, check) for name, check in checks if name not in LOCAL]
    found, wanted = _Found(), enough(len(world.nodes))
    subject = ("local", shape_of(pod))
    start = world.start % len(world.nodes)

    def judge(node: NodeInfo) -> _Verdict:
        refusal = _first_refusal(node, local)
        return fit.points(pod, node) if refusal is None else refusal

    for node in itertools.chain(world.nodes[start:], world.nodes[:start]):
        found.looked_at += 1
        verdict = node.notes.get(subject)  # most nodes have not changed, and this is the hot loop
        if verdict is None:
            verdict = node.recall(subject, judge)
        if not isinstance(verdict, float):
            found.refused(*verdict)
            continue
        if wide and (refusal := _first_refusal(node, wide)) is not None:
            found.refused(*refusal)
            continue
        found.feasible.append(node)
        found.points.append(verdict)
        if len(found.feasible) == wanted:
            break
    return found


def _first_refusal(
    node: NodeInfo, checks: Sequence[tuple[str, Check]]
) -> tuple[str, Sequence[str]] | None:
    for name, check in checks:
        if reasons := check(node):
            return name, reasons
    return None


def _winners(pod: PodInfo, world: World, found: _Found) -> list[NodeInfo]:
    """The best of the feasible nodes."""
    if len(found.feasible) == 1:
        return found.feasible
    totals = found.points
    for weight, score in SCORES:
        if (points := score(pod, world, found.feasible)) is not None:
            totals = [t + weight * p for t, p in zip(totals, points, strict=True)]
    top = max(totals) - 1e-9
    return [node for node, total in zip(found.feasible, totals, strict=True) if total >= top]


def _kind_of(pod: PodInfo, world: World, checks: Sequence[tuple[str, Check]]) -> Hashable:
    """The key under which pods share equally good nodes; None for a pod that shares none.

    Nothing may count but the nodes one by one and where the pods of its controller are.
    """
    if len(world.nodes) < ENOUGH_MIN or not pod.owner_uid or pod.terms or world.nodes.picky:
        return None
    if pod.spec.get("topologySpreadConstraints") or any(name not in LOCAL for name, _ in checks):
        return None
    return pod.owner_uid, shape_of(pod)


def _still_best(winners: Sequence[NodeInfo], best: NodeInfo, world: World) -> list[NodeInfo]:
    """Those of the other winners that are best for the next pods, too, one after the other.

    Where there are several zones a pod makes all of its own worse: one node of each other is left.
    """
    own = best.labels.get(ZONE)
    if not world.nodes.labelled[ZONE] or all(n.labels.get(ZONE) == own for n in world.nodes):
        return list(winners[:EQUALS_MAX])
    zones = {node.labels.get(ZONE): node for node in winners}
    zones.pop(own, None)
    return list(zones.values())[:EQUALS_MAX]


def _next_equal(kind: Hashable, world: World) -> str | None:
    """A node that was as good as the one taken before, and has not changed since."""
    left = world.equals.left(kind)
    while left:
        node = left.pop()
        if world.nodes.get(node.name) is node:
            return node.name
    return None
