"""Topology spread: keep the pods of one kind evenly over zones and nodes.

Pods without constraints of their own get soft ones: the pods of one controller are spread over
nodes (skew 3) and zones (skew 5), as upstream's system defaults do.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from petset.api import meta
from petset.api.meta import Obj
from petset.api.nodeselector import node_allowed, picks_nodes
from petset.api.selectors import NOTHING, LabelSelector
from petset.api.tolerations import tolerated
from petset.scheduler.plugins.labels import joined
from petset.scheduler.plugins.types import (
    HOSTNAME,
    ZONE,
    Check,
    NodeInfo,
    PodInfo,
    Scores,
    World,
)

SKEWED = "node(s) didn't match pod topology spread constraints"
UNLABELLED = "node(s) didn't match pod topology spread constraints (missing required label)"

DEFAULTS = ((HOSTNAME, 3), (ZONE, 5))
"""Label and greatest skew of the constraints that pods of a controller have if they name none."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint, its selector joined with the keys to match.

    `owner_uid` set: it counts the pods of that controller instead of a selector's.
    """

    key: str
    max_skew: int
    selector: LabelSelector = NOTHING
    min_domains: int = 1
    owner_uid: str = ""
    honor_affinity: bool = True
    honor_taints: bool = False

    def counts(self, pod: PodInfo, namespace: str) -> bool:
        """Whether `pod` is one of those to be spread."""
        if pod.namespace != namespace or meta.is_deleting(pod.pod):
            return False
        return self.selector.matches(pod.labels)


def constraints_of(pod: PodInfo, when: str) -> list[Constraint]:
    """The pod's constraints with whenUnsatisfiable `when`."""
    found = pod.spec.get("topologySpreadConstraints") or ()
    return [_constraint(c, pod.labels) for c in found if c.get("whenUnsatisfiable") == when]


def _constraint(raw: Obj, labels: Mapping[str, str]) -> Constraint:
    return Constraint(
        key=raw.get("topologyKey", ""),
        max_skew=raw.get("maxSkew", 1),
        selector=joined(raw.get("labelSelector"), labels, raw.get("matchLabelKeys") or ()),
        min_domains=raw.get("minDomains") or 1,
        honor_affinity=raw.get("nodeAffinityPolicy", "Honor") == "Honor",
        honor_taints=raw.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes where a DoNotSchedule constraint's skew would grow over its limit."""
    constraints = constraints_of(pod, "DoNotSchedule")
    if not constraints:
        return None
    eligible = [n for n in world.nodes if all(c.key in n.labels for c in constraints)]
    counted = [(c, _domains(c, pod, eligible)) for c in constraints]

    def check(node: NodeInfo) -> Sequence[str]:
        for constraint, domains in counted:
            value = node.labels.get(constraint.key)
            if value is None:
                return (UNLABELLED,)
            if _skew(constraint, domains, value, pod) > constraint.max_skew:
                return (SKEWED,)
        return ()

    return check


def _skew(constraint: Constraint, domains: Counter[str], value: str, pod: PodInfo) -> int:
    lowest = min(domains.values(), default=0)
    if len(domains) < constraint.min_domains:
        lowest = 0
    own = 1 if constraint.counts(pod, pod.namespace) else 0
    return domains.get(value, 0) + own - lowest


def _domains(constraint: Constraint, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Counter[str]:
    """Pods counted per value of the constraint's key, empty domains included."""
    domains: Counter[str] = Counter()
    picks = picks_nodes(pod.spec)

    def count(node: NodeInfo) -> int:
        if constraint.owner_uid:
            return node.owned.get(constraint.owner_uid, 0)
        return sum(constraint.counts(p, pod.namespace) for p in node.pods)

    subject = ("spread", pod.namespace, constraint.owner_uid, constraint.selector)
    for node in nodes:
        value = node.labels.get(constraint.key)
        if value is not None and _included(constraint, pod, node, picks=picks):
            domains[value] += node.recall(subject, count)
    return domains


def _included(constraint: Constraint, pod: PodInfo, node: NodeInfo, *, picks: bool) -> bool:
    """Whether the node counts as a domain for the pod, by the constraint's policies."""
    if picks and constraint.honor_affinity and not node_allowed(pod.spec, node.labels, node.name):
        return False
    if not constraint.honor_taints:
        return True
    tolerations = pod.spec.get("tolerations") or ()
    hard = (t for t in node.taints if t.get("effect") in ("NoSchedule", "NoExecute"))
    return all(tolerated(t, tolerations) for t in hard)


def score(pod: PodInfo, world: World, nodes: Sequence[NodeInfo]) -> Scores | None:
    """Nodes whose domains hold fewer of the pods to be spread are better."""
    soft = constraints_of(pod, "ScheduleAnyway")
    defaults = not soft and not pod.spec.get("topologySpreadConstraints")
    if defaults and pod.owner_uid:
        soft = [
            Constraint(key, max_skew, owner_uid=pod.owner_uid)
            for key, max_skew in DEFAULTS
            if world.nodes.labelled[key]
        ]
    if not soft:
        return None
    counted = [(c, _crowds(c, pod, world)) for c in soft]
    crowds = [_crowd(constraint, domains, nodes) for constraint, domains in counted]
    sums = [sum(parts) for parts in zip(*crowds, strict=True)] if len(crowds) > 1 else crowds[0]
    ranked = [True] * len(nodes) if defaults else [_labelled(soft, node) for node in nodes]
    return _fewest_best(sums, ranked)


def _crowds(constraint: Constraint, pod: PodInfo, world: World) -> Mapping[str, int]:
    """Pods counted per value of the constraint's key; empty domains may be left out."""
    if constraint.owner_uid and not picks_nodes(pod.spec):
        return world.nodes.owned(constraint.owner_uid, constraint.key)
    return _domains(constraint, pod, world.nodes)


def _labelled(constraints: Sequence[Constraint], node: NodeInfo) -> bool:
    return all(c.key in node.labels for c in constraints)


def _crowd(
    constraint: Constraint, domains: Mapping[str, int], nodes: Sequence[NodeInfo]
) -> list[float]:
    """How many of the pods the domain of each node holds, weighted by the number of domains."""
    key = constraint.key
    values = [n.host for n in nodes] if key == HOSTNAME else [n.labels.get(key) for n in nodes]
    present = len({*values, None}) - 1
    if not present:
        return [0.0] * len(nodes)
    weight, base = math.log(present + 2), constraint.max_skew - 1
    return [0.0 if v is None else domains.get(v, 0) * weight + base for v in values]


def _fewest_best(crowd: Sequence[float], ranked: Sequence[bool]) -> Scores:
    """The emptier the better; nodes that are not ranked get nothing."""
    found = list(itertools.compress(crowd, ranked))
    if not found:
        return [0.0] * len(crowd)
    low, high = min(found), max(found)
    if high == 0:
        return [100.0 if r else 0.0 for r in ranked]
    best, unit = high + low, 100.0 / high
    return [(best - c) * unit if r else 0.0 for c, r in zip(crowd, ranked, strict=True)]
