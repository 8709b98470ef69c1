"""nodeSelector and node affinity: which nodes a pod may use and would like."""

from collections.abc import Sequence

from petset.api.nodeselector import node_affinity, node_allowed, picks_nodes, term_matches
from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, Scores, World, scaled

REASON = "node(s) didn't match Pod's node affinity/selector"


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes that nodeSelector or required node affinity exclude."""
    del world
    spec = pod.spec
    if not picks_nodes(spec):
        return None

    def check(node: NodeInfo) -> Sequence[str]:
        return () if node_allowed(spec, node.labels, node.name) else (REASON,)

    return check


def score(pod: PodInfo, world: World, nodes: Sequence[NodeInfo]) -> Scores | None:
    """The weights of the preferred node affinity terms that hold."""
    del world
    terms = node_affinity(pod.spec).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    if not terms:
        return None
    return scaled(
        [
            float(
                sum(
                    t.get("weight", 0)
                    for t in terms
                    if term_matches(t.get("preference") or {}, node.labels, node.name)
                )
            )
            for node in nodes
        ]
    )
