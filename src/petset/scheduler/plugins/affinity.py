"""Pod affinity and anti-affinity: near, or far from, pods that match."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from petset.scheduler.plugins.types import (
    Check,
    NodeInfo,
    PodInfo,
    Scores,
    Term,
    World,
)

NOT_NEAR = "node(s) didn't match pod affinity rules"
TOO_NEAR = "node(s) didn't match pod anti-affinity rules"
UNWELCOME = "node(s) didn't satisfy existing pods anti-affinity rules"
HARD_WEIGHT = 1
"""What a required affinity term of a pod that is there counts for a pod it would like near it."""

Pair = tuple[str, str]
Places = Counter[Pair]
"""How often a (topology key, value) was met."""


def matches(term: Term, pod: PodInfo, world: World) -> bool:
    """Whether `term` means `pod`: its namespace and its labels."""
    if pod.namespace not in term.namespaces and not term.namespace_selector.matches(
        world.namespaces.get(pod.namespace, {})
    ):
        return False
    return term.selector.matches(pod.labels)


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes by required terms: the pod's own, and the anti-affinity of pods there."""
    near, self_ok = _near(pod, world)
    far = _count(world, pod.terms.anti_affinity)
    unwelcome = _unwelcome(pod, world)
    if near is None and not far and not unwelcome:
        return None

    def check(node: NodeInfo) -> Sequence[str]:
        if near is not None and not _is_near(pod.terms.affinity, near, node, self_ok=self_ok):
            return (NOT_NEAR,)
        if any(_met(far, t.topology_key, node) for t in pod.terms.anti_affinity):
            return (TOO_NEAR,)
        if any(node.labels.get(key) == value for key, value in unwelcome):
            return (UNWELCOME,)
        return ()

    return check


def _near(pod: PodInfo, world: World) -> tuple[Places | None, bool]:
    """Where pods are that match all affinity terms; and whether the pod may be the first."""
    terms = pod.terms.affinity
    if not terms:
        return None, False
    places: Places = Counter()
    for node in world.nodes:
        for other in node.pods:
            if all(matches(t, other, world) for t in terms):
                _add(places, terms, node)
    return places, not places and all(matches(t, pod, world) for t in terms)


def _is_near(terms: Iterable[Term], near: Places, node: NodeInfo, *, self_ok: bool) -> bool:
    for term in terms:
        if term.topology_key not in node.labels:
            return False
        if not self_ok and not _met(near, term.topology_key, node):
            return False
    return True


def _count(world: World, terms: Sequence[Term]) -> Places:
    places: Places = Counter()
    if not terms:
        return places
    for node in world.nodes:
        for other in node.pods:
            _add(places, [t for t in terms if matches(t, other, world)], node)
    return places


def _add(places: Places, terms: Iterable[Term], node: NodeInfo) -> None:
    for term in terms:
        value = node.labels.get(term.topology_key)
        if value is not None:
            places[term.topology_key, value] += 1


def _met(places: Places, key: str, node: NodeInfo) -> bool:
    value = node.labels.get(key)
    return value is not None and (key, value) in places


def _unwelcome(pod: PodInfo, world: World) -> Places:
    """The places that pods already running keep clear of such a pod."""
    places: Places = Counter()
    for node in world.nodes.picky.values():
        for other in node.picky:
            _add(places, (t for t in other.terms.anti_affinity if matches(t, pod, world)), node)
    return places


def score(pod: PodInfo, world: World, nodes: Sequence[NodeInfo]) -> Scores | None:
    """Preferred terms of the pod, and those of the pods that are there."""
    weights: Counter[Pair] = Counter()
    choosy = bool(pod.terms.preferred or pod.terms.anti_preferred)
    for node in world.nodes if choosy else world.nodes.picky.values():
        for other in node.pods if choosy else node.picky:
            _weigh(weights, pod, other, _place_of(node), world)
    if not weights:
        return None
    raw = [
        sum(w for (key, value), w in weights.items() if node.labels.get(key) == value)
        for node in nodes
    ]
    low, high = min(raw), max(raw)
    if low == high:
        return None
    return [100.0 * (value - low) / (high - low) for value in raw]


def _place_of(node: NodeInfo) -> Callable[[Term], Pair | None]:
    labels: Mapping[str, str] = node.labels

    def place(term: Term) -> Pair | None:
        value = labels.get(term.topology_key)
        return None if value is None else (term.topology_key, value)

    return place


def _weigh(
    weights: Counter[Pair],
    pod: PodInfo,
    other: PodInfo,
    place: Callable[[Term], Pair | None],
    world: World,
) -> None:
    """Add what the pod thinks of `other` and what `other` thinks of the pod."""
    opinions = [
        (pod.terms.preferred, other, 1, 0),
        (pod.terms.anti_preferred, other, -1, 0),
        (other.terms.preferred, pod, 1, 0),
        (other.terms.anti_preferred, pod, -1, 0),
        (other.terms.affinity, pod, 1, HARD_WEIGHT),
    ]
    for terms, whom, sign, fixed in opinions:
        for term in terms:
            pair = place(term)
            if pair is not None and matches(term, whom, world):
                weights[pair] += sign * (fixed or term.weight)
