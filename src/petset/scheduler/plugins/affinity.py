"""Pod affinity and anti-affinity: near, or far from, pods that match."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from petset.scheduler.plugins.types import (
    Check,
    NodeInfo,
    Pair,
    PodInfo,
    Scores,
    Term,
    World,
    places_of,
)

NOT_NEAR = "node(s) didn't match pod affinity rules"
TOO_NEAR = "node(s) didn't match pod anti-affinity rules"
UNWELCOME = "node(s) didn't satisfy existing pods anti-affinity rules"
HARD_WEIGHT = 1
"""What a required affinity term of a pod that is there counts for a pod it would like near it."""

Places = Mapping[Pair, int]
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
    far = [(t.topology_key, _places((t,), world)) for t in pod.terms.anti_affinity]
    far = [(key, places) for key, places in far if places]
    unwelcome = _unwelcome(pod, world)
    if near is None and not far and not unwelcome:
        return None

    def check(node: NodeInfo) -> Sequence[str]:
        if near is not None and not _is_near(pod.terms.affinity, near, node, self_ok=self_ok):
            return (NOT_NEAR,)
        if any(_met(places, key, node) for key, places in far):
            return (TOO_NEAR,)
        if any(_met(places, key, node) for key, places in unwelcome):
            return (UNWELCOME,)
        return ()

    return check


def _near(pod: PodInfo, world: World) -> tuple[Places | None, bool]:
    """Where pods are that match all affinity terms; and whether the pod may be the first."""
    terms = pod.terms.affinity
    if not terms:
        return None, False
    places = _places(terms, world)
    return places, not places and all(matches(t, pod, world) for t in terms)


def _is_near(terms: Iterable[Term], near: Places, node: NodeInfo, *, self_ok: bool) -> bool:
    for term in terms:
        if term.topology_key not in node.labels:
            return False
        if not self_ok and not _met(near, term.topology_key, node):
            return False
    return True


def _places(terms: tuple[Term, ...], world: World) -> Places:
    """Where pods are that match all of the terms.

    What is kept from earlier looks is used for terms that name their namespaces: which ones a
    selector means changes with the namespaces' labels.
    """

    def means(pod: PodInfo) -> bool:
        return all(matches(term, pod, world) for term in terms)

    if all(term.namespace_selector.is_nothing for term in terms):
        return world.nodes.places(terms, means)
    return places_of(terms, world.nodes, means)


def _met(places: Places, key: str, node: NodeInfo) -> bool:
    value = node.labels.get(key)
    return value is not None and (key, value) in places


def _unwelcome(pod: PodInfo, world: World) -> list[tuple[str, Places]]:
    """The places that pods already running keep clear of such a pod, by topology key."""
    stated = world.nodes.stated.anti_affinity
    return [(t.topology_key, places) for t, places in stated.items() if matches(t, pod, world)]


def score(pod: PodInfo, world: World, nodes: Sequence[NodeInfo]) -> Scores | None:
    """Preferred terms of the pod, and those of the pods that are there."""
    weights: Counter[Pair] = Counter()
    for terms, sign in ((pod.terms.preferred, 1), (pod.terms.anti_preferred, -1)):
        for term in terms:
            _weigh(weights, _places((term,), world), sign * term.weight)
    there = world.nodes.stated
    for stated, sign in ((there.preferred, 1), (there.anti_preferred, -1), (there.affinity, 1)):
        fixed = HARD_WEIGHT if stated is there.affinity else 0
        for term, places in stated.items():
            if matches(term, pod, world):
                _weigh(weights, places, sign * (fixed or term.weight))
    if not weights:
        return None
    keys = {key for key, _ in weights}
    raw = [
        sum(weights[k, value] for k in keys if (value := node.labels.get(k)) is not None)
        for node in nodes
    ]
    low, high = min(raw), max(raw)
    if low == high:
        return None
    return [100.0 * (value - low) / (high - low) for value in raw]


def _weigh(weights: Counter[Pair], places: Places, weight: int) -> None:
    for pair, count in places.items():
        weights[pair] += weight * count
