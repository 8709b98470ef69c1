"""Host ports: two pods of one node cannot have the same one."""

from collections.abc import Iterable, Sequence

from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, Port, World

REASON = "node(s) didn't have free ports for the requested pod ports"
ANY = "0.0.0.0"  # noqa: S104 (compared, not listened on)


def clash(one: Port, other: Port) -> bool:
    """Whether two host ports exclude each other: same protocol and number, addresses overlap."""
    return one[1:] == other[1:] and (one[0] == other[0] or ANY in (one[0], other[0]))


def prepare(pod: PodInfo, world: World) -> Check | None:
    """Refuse nodes where a wanted host port is taken."""
    del world
    if not pod.ports:
        return None

    def check(node: NodeInfo) -> Sequence[str]:
        taken: Iterable[Port] = (port for other in node.pods for port in other.ports)
        return (REASON,) if any(clash(p, t) for t in taken for p in pod.ports) else ()

    return check
