"""nodeSelector and node affinity: which nodes a pod, or a volume, may use and would like."""

from collections.abc import Iterable, Mapping, Sequence

from petset.api.meta import Obj
from petset.scheduler.plugins.types import Check, NodeInfo, PodInfo, Scores, World, scaled

REASON = "node(s) didn't match Pod's node affinity/selector"


def requirement_holds(requirement: Obj, values: Mapping[str, str]) -> bool:
    """One expression of a node selector term against labels (or fields)."""
    key, wanted = requirement.get("key", ""), requirement.get("values") or ()
    present = values.get(key)
    match requirement.get("operator"):
        case "In":
            return present is not None and present in wanted
        case "NotIn":
            return present is None or present not in wanted
        case "Exists":
            return present is not None
        case "DoesNotExist":
            return present is None
        case "Gt" | "Lt" as operator:
            return present is not None and _compares(operator, present, wanted)
        case _:
            return False


def _compares(operator: str, present: str, wanted: Sequence[str]) -> bool:
    try:
        ours, limit = int(present), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return ours > limit if operator == "Gt" else ours < limit


def term_matches(term: Obj, labels: Mapping[str, str], name: str) -> bool:
    """A node selector term: all expressions and fields; an empty term matches nothing."""
    expressions: Iterable[Obj] = term.get("matchExpressions") or ()
    fields: Iterable[Obj] = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    named = {"metadata.name": name}
    return all(requirement_holds(e, labels) for e in expressions) and all(
        requirement_holds(f, named) for f in fields
    )


def selector_matches(selector: Obj, labels: Mapping[str, str], name: str) -> bool:
    """A NodeSelector: any of its terms."""
    return any(term_matches(t, labels, name) for t in selector.get("nodeSelectorTerms") or ())


def node_allowed(spec: Obj, labels: Mapping[str, str], name: str) -> bool:
    """Whether a pod spec's nodeSelector and required node affinity allow a node."""
    wanted: Mapping[str, str] = spec.get("nodeSelector") or {}
    if any(labels.get(k) != v for k, v in wanted.items()):
        return False
    required = _affinity(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or selector_matches(required, labels, name)


def picks_nodes(spec: Obj) -> bool:
    """Whether a pod spec excludes nodes at all."""
    required = "requiredDuringSchedulingIgnoredDuringExecution" in _affinity(spec)
    return required or bool(spec.get("nodeSelector"))


def _affinity(spec: Obj) -> Obj:
    return (spec.get("affinity") or {}).get("nodeAffinity") or {}


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
    terms = _affinity(pod.spec).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
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
