"""A pod that names its node fits that node only."""

from collections.abc import Sequence

from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, World

REASON = "node(s) didn't match the requested node name"


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse every node but spec.nodeName, if that is set."""
    del world
    wanted = pod.spec.get("nodeName")
    if not wanted:
        return None

    def check(node: NodeInfo) -> Sequence[str]:
        return () if node.name == wanted else (REASON,)

    return check
